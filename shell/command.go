// Package shell is the operator's side of a command line appliance: it reads
// command lines, finds commands in a table, asks the questions of their
// dialogs and shows what they say, over a terminal or a pipe. It knows
// terminals and questions, not what the commands are about.
//
// A session goes through these, from the outside in:
//
//	Shell      prompt loop, batch, exec line: one command after the other (loop.go)
//	Command    one entry of the table; Lookup, help and completion come from it (command.go, help.go)
//	Form       a one-line form; its Usage is the grammar of its arguments (usage.go)
//	Dialog     questions in screen order, with the first error kept (dialog.go, questions.go, menu.go)
//	ear        who is told what was entered, secrets masked (heard.go)
//	screen     the Console as a session uses it: line starts, pages, idle time (pager.go)
//	Console    what a session talks through: Terminal (readline.go) or Plain (plain.go)
//	input      the bytes that have come, read ahead, and Ctrl-C among them (input.go)
//
// A key of a Terminal is decoded by keyboard (keys.go), edited by readline
// and shown by painter (painter.go).
//
// The texts and layouts are those of the appliance whose scripts must run here:
// yes/no questions stand on the line of their prompt, other questions above it;
// every question begins with an empty line.
package shell

import (
	"slices"
	"strings"
)

// Command is one command of the table. E is the environment that the owner of
// the table gives its commands.
//
// The bare name starts Dialog, or without one the form that needs no words.
// Words after the name choose among Forms. Both end in the same edit.
type Command[E any] struct {
	Name    string   // as typed, lower case
	Aliases []string // other names
	Short   string   // one line for the list of commands, ends in a full stop
	Long    string   // what help adds; may be empty
	Commit  bool     // its changes take effect at the next commit
	Final   bool     // refused in a batch in which something failed before it
	Roles   []string // who may run it, for Shell.May; the shell itself does not read them
	Forms   []Form[E]
	Dialog  func(d *Dialog, env E) error
}

// Form is a one-line form of a command.
type Form[E any] struct {
	// Usage is what help shows and what arguments are checked against, beginning
	// with the command's name:
	//
	//	new            a literal word, in any case
	//	DOMAIN         any one word
	//	public|private one of these, in any case
	//	[HOST]         may be left out
	//	DEST...        once or more; [DEST...] any number
	//	[max=N]        a word key=value; keys may come in any order after the rest
	Usage string

	// Run gets the words of the line without the literal ones before the first
	// word that may be left out, repeated or has a key. They fit Usage.
	Run func(d *Dialog, env E, args []string) error
}

// Lookup finds a command by its name or an alias, in any case; nil if there is
// none.
func Lookup[E any](commands []Command[E], name string) *Command[E] {
	for i := range commands {
		c := &commands[i]
		if strings.EqualFold(c.Name, name) || slices.ContainsFunc(c.Aliases, func(a string) bool { return strings.EqualFold(a, name) }) {
			return c
		}
	}
	return nil
}

// Permitted gives the commands that may, as Shell.May, does not refuse; nil
// refuses none.
func Permitted[E any](commands []Command[E], may func(*Command[E]) error) []Command[E] {
	if may == nil {
		return commands
	}
	return slices.DeleteFunc(slices.Clone(commands), func(c Command[E]) bool { return may(&c) != nil })
}

// Unknown refuses a command that is not in the table.
func Unknown(name string) error {
	return Refusedf("Unknown command or missing feature key: %s", name)
}

// Settings reads the key=value words of args. A key that comes twice, or a word
// that is none, is refused.
func Settings(args []string) (map[string]string, error) {
	settings := make(map[string]string, len(args))
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		key = strings.ToLower(key)
		if !ok || key == "" {
			return nil, Refusedf("Invalid arguments: %q is not of the form key=value.", arg)
		}
		if _, twice := settings[key]; twice {
			return nil, Refusedf("Invalid arguments: %q is given twice.", key)
		}
		settings[key] = value
	}
	return settings, nil
}

// action is a command line ready to run.
type action[E any] struct {
	command *Command[E]
	run     func(d *Dialog, env E) error
}

// resolve finds what line asks for. Of the forms that fit, the one with the
// most literal words is taken.
func resolve[E any](commands []Command[E], line string) (action[E], error) {
	words, err := Words(line)
	if err != nil {
		return action[E]{}, err
	}
	if len(words) == 0 {
		return action[E]{}, Refusedf("Invalid arguments when processing: %s", line)
	}
	c := Lookup(commands, words[0])
	if c == nil {
		return action[E]{}, Unknown(words[0])
	}
	if len(words) == 1 && c.Dialog != nil {
		return action[E]{c, c.Dialog}, nil
	}
	var (
		best  *Form[E]
		args  []string
		score = -1
	)
	for i := range c.Forms {
		p := parseUsage(c.Forms[i].Usage)
		if a, ok := p.match(words[1:]); ok && p.literals > score {
			best, args, score = &c.Forms[i], a, p.literals
		}
	}
	if best == nil {
		return action[E]{command: c}, Refusedf("Invalid arguments when processing: %s\n%s", line, c.usage())
	}
	return action[E]{c, func(d *Dialog, env E) error { return best.Run(d, env, args) }}, nil
}
