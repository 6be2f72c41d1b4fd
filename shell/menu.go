package shell

import (
	"strings"
)

// Op is an operation of a menu.
type Op struct {
	Word string // as listed, in capitals
	Text string // what it does, a sentence
	Also string // another word for it, which is not listed
}

// Menu shows a status block and the operations, and asks for one, whose word is
// then that of Op. A word is taken in any case, and short if no other operation
// begins alike. Menu returns false at Enter and once the dialog is over, so
//
//	for d.Menu(status(), ops...) {
//		switch d.Op() { … }
//	}
//
// shows the menu again after each operation until it is left.
func (d *Dialog) Menu(status string, ops ...Op) bool {
	d.op = ""
	var b strings.Builder
	if status = strings.Trim(status, "\n"); status != "" {
		b.WriteString(status + "\n\n")
	}
	b.WriteString("Choose the operation you want to perform:\n")
	for _, op := range ops {
		b.WriteString("- " + op.Word + " - " + op.Text + "\n")
	}
	d.op = Ask(d, b.String(), "", func(s string) (string, error) {
		if s == "" {
			return "", nil
		}
		if word := operation(ops, s); word != "" {
			return word, nil
		}
		return "", Refusedf("Unknown option %s.", s)
	})
	return d.op != "" && d.Err() == nil
}

// Op is the word that the last Menu was answered with.
func (d *Dialog) Op() string { return d.op }

// operation is the word that s stands for, "" if none or several.
func operation(ops []Op, s string) string {
	found := ""
	for _, op := range ops {
		switch {
		case strings.EqualFold(op.Word, s), op.Also != "" && strings.EqualFold(op.Also, s):
			return op.Word
		case !hasPrefixFold(op.Word, s):
		case found != "":
			found = "?"
		default:
			found = op.Word
		}
	}
	return strings.TrimPrefix(found, "?")
}
