package shell_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"esa/shell"
)

// palette is the environment of the commands that the tests of this package
// run: a list of colours, as small as a configuration can be.
type palette struct {
	colours []colour
	kept    int // how often a dialog applied something
}

type colour struct {
	name  string
	value int
	matt  bool
	warm  shell.Tri
}

type command = shell.Command[*palette]
type form = shell.Form[*palette]

func commands() []command {
	return []command{
		colours(), everything(),
		{Name: "show", Short: "Show a long listing.", Forms: []form{{Usage: "show [N]", Run: show}}},
		{Name: "wait", Short: "Wait until interrupted.", Dialog: wait, Forms: []form{{Usage: "wait asking", Run: waitAsking}}},
		{Name: "crash", Short: "Crash.", Dialog: func(*shell.Dialog, *palette) error { panic("out of paint") }},
		{Name: "fail", Short: "Fail.", Forms: []form{{Usage: "fail told|untold", Run: fail}}},
		{Name: "commit", Short: "Commit changes.", Final: true, Forms: []form{{Usage: "commit [COMMENT]", Run: commit}}},
		help(), exit(),
	}
}

func colours() command {
	return command{
		Name: "colours", Aliases: []string{"colors"}, Short: "Configure colours.", Commit: true,
		Long:   "A colour is a name and a number.",
		Forms:  []form{{Usage: "colours new NAME VALUE [matt=yes|no]", Run: newColour}, {Usage: "colours delete NAME...", Run: deleteColours}},
		Dialog: coloursDialog,
	}
}

func coloursDialog(d *shell.Dialog, p *palette) error {
	edited := append([]colour(nil), p.colours...)
	for d.Menu(listed(edited), operations(edited)...) {
		switch d.Op() {
		case "NEW":
			c := colour{name: d.Required("Please enter a name for this colour (Ex: \"Red\"):", "")}
			c = ask(d, c)
			if d.Err() == nil {
				edited = append(edited, c)
			}
		case "EDIT":
			if i := d.Pick("Enter the name or number of the colour you wish to edit.", names(edited), -1); d.Err() == nil {
				edited[i] = ask(d, edited[i])
			}
		case "DELETE":
			i := d.Choose("Choose the colour to remove.", names(edited), 0)
			if d.YesNo("Are you sure you want to remove\n"+edited[i].name+"?", false) && d.Err() == nil {
				edited = append(edited[:i], edited[i+1:]...)
			}
		}
	}
	if d.Err() != nil {
		return d.Err()
	}
	p.colours = edited
	p.kept++
	return nil
}

func operations(colours []colour) []shell.Op {
	ops := []shell.Op{{Word: "NEW", Text: "Create a new colour."}}
	if len(colours) > 0 {
		ops = append(ops,
			shell.Op{Word: "EDIT", Text: "Modify a colour."},
			shell.Op{Word: "DELETE", Text: "Remove a colour."},
			shell.Op{Word: "DEFAULT", Text: "Change the default."})
	}
	return ops
}

func ask(d *shell.Dialog, c colour) colour {
	c.value = d.Int("Please enter the value.", c.value, 1, 255)
	c.matt = d.YesNo("Is it matt?", c.matt)
	c.warm = d.Tri("Is it warm? (Yes/No/Default)", c.warm, shell.Default)
	return c
}

func listed(colours []colour) string {
	if len(colours) == 0 {
		return "There are currently no colours configured."
	}
	text := "Currently configured colours:\n"
	for i, c := range colours {
		text += fmt.Sprintf("%d. %s (%d)\n", i+1, c.name, c.value)
	}
	return text
}

func names(colours []colour) []string {
	var list []string
	for _, c := range colours {
		list = append(list, c.name)
	}
	return list
}

func newColour(d *shell.Dialog, p *palette, args []string) error {
	c := colour{name: args[0]}
	var err error
	if c.value, err = strconv.Atoi(args[1]); err != nil {
		return shell.Refusedf("The value must be a number from 1 to 255.")
	}
	settings, err := shell.Settings(args[2:])
	if err != nil {
		return err
	}
	c.matt = settings["matt"] == "yes"
	p.colours = append(p.colours, c)
	d.Text("Colour " + c.name + " created.")
	return nil
}

func deleteColours(d *shell.Dialog, p *palette, args []string) error {
	for _, name := range args {
		d.Printf("%s does not exist.\n", name)
	}
	return shell.ErrFailed
}

// everything asks the kinds of questions that colours does not.
func everything() command {
	return command{Name: "everything", Short: "Ask everything.", Dialog: func(d *shell.Dialog, p *palette) error {
		comment := d.String("Please enter some comments\ndescribing your changes:", "")
		shape := d.ChooseName("Choose a shape.", []shell.Choice{{Name: "round", Text: "round (no corners)"}, {Name: "square"}}, "square")
		size := shell.Ask(d, "Size, with a trailing k or M:", "10k", parseSize)
		lowercase := shell.Ask(d, "A word.", "", func(s string) (string, error) {
			if s != strings.ToLower(s) {
				return "", errors.New("parsing word: upper-case letters")
			}
			return s, nil
		})
		host := d.Required("", "mail.example.com")
		title := d.Free("Enter a title:")
		secret := d.Secret("Enter the passphrase:")
		text := d.Lines("Paste the text (end with '.'):", shell.EndDot)
		note := d.Lines("Enter the note. An empty line ends it.", shell.EndEmpty)
		if d.Err() != nil {
			return d.Err()
		}
		d.Printf("\n%q %q %d %q %q %q %q %q %q\n", comment, shape, size, lowercase, host, title, secret, text, note)
		p.kept++
		return nil
	}}
}

func parseSize(s string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSuffix(s, "k"))
	if err != nil {
		return 0, shell.Refusedf("That value is not valid.\nEnter a number with k or M.")
	}
	return n << 10, nil
}

func show(d *shell.Dialog, _ *palette, args []string) error {
	n := 30
	if len(args) > 0 {
		n, _ = strconv.Atoi(args[0])
	}
	for i := range n {
		if _, err := fmt.Fprintf(d, "line %d\n", i+1); err != nil {
			return err
		}
	}
	d.Text("end of listing")
	return nil
}

func wait(d *shell.Dialog, _ *palette) error {
	d.Live()
	d.Text("Waiting, press Ctrl-C to end.")
	<-d.Context().Done()
	return d.Context().Err()
}

func waitAsking(d *shell.Dialog, p *palette, _ []string) error {
	if !d.YesNo("Really?", true) || d.Err() != nil {
		return d.Err()
	}
	return wait(d, p)
}

func fail(d *shell.Dialog, _ *palette, args []string) error {
	if args[0] == "told" {
		return shell.Refusedf("The pot is empty.\nBuy another one.")
	}
	return fmt.Errorf("opening pot: %w", errors.ErrUnsupported)
}

func commit(d *shell.Dialog, p *palette, _ []string) error {
	p.kept++
	d.Text("Changes committed.")
	return nil
}

func help() command {
	return command{Name: "help", Aliases: []string{"h", "?"}, Short: "Show help.", Forms: []form{{Usage: "help [COMMAND]",
		Run: func(d *shell.Dialog, _ *palette, args []string) error {
			if len(args) == 0 {
				d.Text(shell.HelpList(commands()))
				return nil
			}
			c := shell.Lookup(commands(), args[0])
			if c == nil {
				return shell.Unknown(args[0])
			}
			d.Text(shell.Help(c))
			return nil
		}}}}
}

func exit() command {
	return command{Name: "exit", Aliases: []string{"quit", "q"}, Short: "Log out.", Dialog: func(d *shell.Dialog, p *palette) error {
		if p.kept == 0 || d.YesNo("Are you sure you wish to exit?", false) {
			return shell.ErrExit
		}
		return d.Err()
	}}
}
