package commands

import (
	"slices"
	"strings"

	"esa/shell"
)

// key is one word name=value of a one-line form: how its value is written in
// the usage, and what reads it into its place. A command lists its keys once,
// in a table over the object that they fill.
type key struct {
	name  string
	value string // N, yes|no
	set   func(text string) error
}

// setKeys reads the words of a one-line form into the places of keys.
func setKeys(keys []key, words []string) error {
	return settings(words, func(name, value string) error {
		n := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
		if n < 0 {
			return shell.Refusedf("Invalid arguments: there is no setting %q.", name)
		}
		return keys[n].set(value)
	})
}

// usage is the Usage of a form with keys that may all be left out, in lines
// that fit a terminal.
func usage(form string, keys []key) string {
	const (
		columns = 79
		margin  = len("Usage: ")
		indent  = 4
	)
	var b strings.Builder
	b.WriteString(form)
	column := margin + len(form)
	for _, k := range keys {
		word := "[" + k.name + "=" + k.value + "]"
		if column += 1 + len(word); column > columns {
			b.WriteString("\n" + strings.Repeat(" ", margin+indent) + word)
			column = margin + indent + len(word)
		} else {
			b.WriteString(" " + word)
		}
	}
	return b.String()
}

// number reads a number from low to high.
func number(place *int, low, high int) func(string) error {
	return func(text string) error { return setNumber(place, text, low, high) }
}

// yesNo reads yes or no.
func yesNo(place *bool) func(string) error {
	return func(text string) error { return setYesNo(place, text) }
}

// parsed reads what parse takes.
func parsed[T any](place *T, parse func(string) (T, error)) func(string) error {
	return func(text string) error {
		value, err := parse(text)
		if err == nil {
			*place = value
		}
		return err
	}
}

// noneOr has "none" stand for the empty text, and leaves the rest to parse.
func noneOr(parse func(string) (string, error)) func(string) (string, error) {
	return func(text string) (string, error) {
		if strings.EqualFold(text, "none") {
			return "", nil
		}
		return parse(text)
	}
}

// find gives the index of the name that a one-line form means: the one written
// so, or else the one in another case; -1 if there is none.
func find(names []string, name string) int {
	if n := slices.Index(names, name); n >= 0 {
		return n
	}
	return slices.IndexFunc(names, func(other string) bool { return strings.EqualFold(other, name) })
}
