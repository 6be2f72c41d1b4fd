package store

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// ChangeKind tells what a Change says.
type ChangeKind int

const (
	Changed ChangeKind = iota // a value: Old and New
	Added                     // an element of a list; New if it is told in one line, else Details follow
	Removed                   // an element of a list; Old if it is told in one line
	Detail                    // a value of an element that was added: New
)

// Change is one line of the difference between two configurations.
type Change struct {
	Path     []string // the labels from the outermost: "Listeners", "IncomingMail", "TCP port"
	Kind     ChangeKind
	Old, New string
	Other    bool // another session changed the same since this one's edits began
}

// orderLabel is the last label of a change in the sequence of a list.
const orderLabel = "Order"

// Diff gives what leads from one configuration to another, in the order of the
// sections. It is empty if, and only if, the two are Equal.
func Diff(from, to *Config) []Change {
	return difference(reflect.ValueOf(from).Elem(), reflect.ValueOf(to).Elem())
}

// difference works on any two values of the tree, one of which may be absent.
func difference(a, b reflect.Value) []Change {
	var d differ
	switch {
	case !a.IsValid() || !b.IsValid():
		d.element(nil, a, b)
	default:
		d.value(nil, a, b)
	}
	return d.changes
}

type differ struct{ changes []Change }

func (d *differ) add(path []string, kind ChangeKind, from, to string) {
	d.changes = append(d.changes, Change{Path: slices.Clone(path), Kind: kind, Old: from, New: to})
}

// value compares two values that are both there.
func (d *differ) value(path []string, a, b reflect.Value) {
	switch {
	case equal(a, b):
	case oneLine(a.Type()):
		d.add(path, Changed, text(a), text(b))
	default:
		d.fields(path, a, b)
	}
}

func (d *differ) fields(path []string, a, b reflect.Value) {
	for i := range a.NumField() {
		field := a.Type().Field(i)
		at := append(path, field.Tag.Get("label"))
		if isTable(field.Type) {
			d.table(at, a.Field(i), b.Field(i), field.Tag.Get("ordered") != "")
			continue
		}
		said := len(d.changes)
		d.value(at, a.Field(i), b.Field(i))
		if zero := field.Tag.Get("zero"); zero != "" && len(d.changes) > said {
			c := &d.changes[said]
			c.Old, c.New = zeroWord(a.Field(i), c.Old, zero), zeroWord(b.Field(i), c.New, zero)
		}
	}
}

// zeroWord is the text of a value, or what its field calls an empty one.
func zeroWord(v reflect.Value, text, zero string) string {
	if v.IsZero() {
		return zero
	}
	return text
}

// table compares two lists of named elements. Where the sequence has a meaning
// it is told whenever it is another, else only if something was moved.
func (d *differ) table(path []string, a, b reflect.Value, ordered bool) {
	from, to := read(a), read(b)
	if !slices.Equal(from.common(to), to.common(from)) || ordered && !slices.Equal(from.keys, to.keys) {
		d.add(append(path, orderLabel), Changed, strings.Join(from.keys, ", "), strings.Join(to.keys, ", "))
	}
	for _, key := range from.keys {
		if _, stays := to.elements[key]; !stays {
			d.element(append(path, key), from.elements[key], reflect.Value{})
		}
	}
	for _, key := range to.keys {
		if before, was := from.elements[key]; was {
			d.value(append(path, key), before, to.elements[key])
		} else {
			d.element(append(path, key), reflect.Value{}, to.elements[key])
		}
	}
}

// element tells of an element that is only in a, or only in b.
func (d *differ) element(path []string, a, b reflect.Value) {
	switch {
	case a.IsValid() && oneLine(a.Type()):
		d.add(path, Removed, text(a), "")
	case a.IsValid():
		d.add(path, Removed, "", "")
	case b.IsValid() && oneLine(b.Type()):
		d.add(path, Added, "", text(b))
	case b.IsValid():
		d.add(path, Added, "", "")
		d.details(path, b)
	}
}

// details lists what an added element holds.
func (d *differ) details(path []string, v reflect.Value) {
	for i := range v.NumField() {
		field, at := v.Field(i), append(path, v.Type().Field(i).Tag.Get("label"))
		switch {
		case field.IsZero():
		case isTable(field.Type()):
			t := read(field)
			for _, key := range t.keys {
				d.element(append(at, key), reflect.Value{}, t.elements[key])
			}
		case oneLine(field.Type()):
			if e, ok := v.Interface().(keyed); !ok || i > 0 || e.key() != text(field) { // the label says it already
				d.add(at, Detail, "", text(field))
			}
		default:
			d.details(at, field)
		}
	}
}

// oneLine reports whether a value is told in one line: everything but the
// structs that do not say themselves how they are written.
func oneLine(t reflect.Type) bool {
	return t.Kind() != reflect.Struct || t.Implements(reflect.TypeFor[fmt.Stringer]())
}

// text writes a value for people: no control character, whatever it holds.
func text(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Bool:
		if v.Bool() {
			return "Yes"
		}
		return "No"
	case v.Kind() == reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = text(v.Index(i))
		}
		return strings.Join(parts, ", ")
	case v.Kind() == reflect.Struct && v.IsZero():
		return ""
	}
	s := fmt.Sprint(v.Interface())
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(s)
	}
	return s
}

// line gives the change without its place.
func (c Change) line() string {
	label := ""
	if len(c.Path) > 0 {
		label = c.Path[len(c.Path)-1]
	}
	var s string
	switch c.Kind {
	case Added:
		s = joined("added", c.New)
	case Removed:
		s = joined("removed", c.Old)
	case Detail:
		s = c.New
	default:
		s = orNone(c.Old) + " -> " + orNone(c.New)
	}
	return joined(label, s)
}

func joined(label, s string) string {
	if label == "" || s == "" {
		return label + s
	}
	return label + ": " + s
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// FormatChanges writes changes as a tree, two blanks for each level.
func FormatChanges(changes []Change) string {
	var b strings.Builder
	var at []string // the labels last printed
	for _, c := range changes {
		last := len(c.Path) - 1
		shared := 0
		for shared < last && shared < len(at) && at[shared] == c.Path[shared] {
			shared++
		}
		for i := shared; i < last; i++ {
			fmt.Fprintf(&b, "%s%s\n", strings.Repeat("  ", i), c.Path[i])
		}
		note := ""
		if c.Other {
			note = "  (also changed by another session)"
		}
		fmt.Fprintf(&b, "%s%s%s\n", strings.Repeat("  ", max(last, 0)), c.line(), note)
		at = c.Path
	}
	return b.String()
}
