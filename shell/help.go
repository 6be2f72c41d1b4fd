package shell

import (
	"slices"
	"strings"
)

// HelpList is the list of commands with what each is for, in the order of the
// table.
func HelpList[E any](commands []Command[E]) string {
	rows := make([][]string, 0, len(commands))
	for _, c := range commands {
		rows = append(rows, []string{c.Name, c.Short})
	}
	return Columns(rows)
}

// Help is the help text of one command: what it is for, its synopsis with the
// one-line forms, whether it needs commit, and its Long text.
func Help[E any](c *Command[E]) string {
	var b strings.Builder
	b.WriteString(c.Name + " - " + c.Short + "\n\n" + c.usage() + "\n\n")
	if len(c.Aliases) > 0 {
		b.WriteString("Other names: " + strings.Join(c.Aliases, ", ") + "\n")
	}
	if c.Commit {
		b.WriteString("This command requires a 'commit'.\n")
	} else {
		b.WriteString("This command does not require a 'commit'.\n")
	}
	if c.Long != "" {
		b.WriteString("\n" + strings.TrimSpace(c.Long) + "\n")
	}
	return b.String()
}

// usage is the synopsis: the bare name where it starts a dialog, then the
// one-line forms.
func (c *Command[E]) usage() string {
	var lines []string
	if c.Dialog != nil {
		lines = append(lines, c.Name)
	}
	for _, f := range c.Forms {
		lines = append(lines, f.Usage)
	}
	return "Usage: " + strings.Join(lines, "\n       ")
}

// Complete returns the words that may stand where head, the text before the
// cursor, ends: names of commands first, then the literal words of forms and
// their keys. The
// last word of head is a prefix of each.
func Complete[E any](commands []Command[E], head string) []string {
	words := strings.Fields(head)
	last := ""
	if len(words) > 0 && !strings.HasSuffix(head, " ") {
		last, words = words[len(words)-1], words[:len(words)-1]
	}
	var found []string
	if len(words) == 0 {
		for _, c := range commands {
			found = append(found, c.Name)
			found = append(found, c.Aliases...)
		}
	} else if c := Lookup(commands, words[0]); c != nil {
		for _, f := range c.Forms {
			found = append(found, parseUsage(f.Usage).next(words[1:])...)
		}
	}
	found = slices.DeleteFunc(found, func(w string) bool { return !hasPrefixFold(w, last) || w == "?" })
	slices.Sort(found)
	return slices.Compact(found)
}

// hasPrefixFold tells whether s begins with prefix in any case.
func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
