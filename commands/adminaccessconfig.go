package commands

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"esa/shell"
	"esa/store"
)

// adminaccessconfig sets how operators are received: banner, welcome message,
// the addresses they may come from, and how long a session may be idle.
func adminaccessconfig() Command {
	return Command{
		Name:  "adminaccessconfig",
		Short: "Configure network access list and banner login.",
		Long: `The banner is shown before the login, the welcome message after it. Scripts see
the banner too, on standard error.

IPACCESS says from where operators may log in by SSH. An ADDRESS is an IP
address, a network (10.1.1.0/24) or a range (10.1.1.10-20). The console on the
machine itself is always allowed.

TIMEOUT ends sessions that wait for their operator for longer. It holds for
sessions that begin after the commit. Changes that are not committed are kept.`,
		Commit: true,
		Forms: []Form{
			{Usage: "adminaccessconfig banner|welcome print", Run: accessTextForm(printAccessText)},
			{Usage: "adminaccessconfig banner|welcome import FILE", Run: accessTextForm(importAccessText)},
			{Usage: "adminaccessconfig banner|welcome export FILE", Run: accessTextForm(exportAccessText)},
			{Usage: "adminaccessconfig banner|welcome delete", Run: accessTextForm(deleteAccessText)},
			{Usage: "adminaccessconfig ipaccess print", Run: accessPrintForm},
			{Usage: "adminaccessconfig ipaccess allowall", Run: sourcesForm(allowAll)},
			{Usage: "adminaccessconfig ipaccess restrict [ADDRESS...]", Run: sourcesForm(restrictAccess)},
			{Usage: "adminaccessconfig ipaccess new ADDRESS...", Run: sourcesForm(addSources)},
			{Usage: "adminaccessconfig ipaccess delete ADDRESS...", Run: sourcesForm(deleteSources)},
			{Usage: "adminaccessconfig ipaccess clear", Run: sourcesForm(clearSources)},
			{Usage: "adminaccessconfig timeout MINUTES", Run: accessTimeoutForm},
		},
		Dialog: accessDialog,
	}
}

func accessDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		for d.Menu("",
			shell.Op{Word: "BANNER", Text: "Configure login message (banner) for appliance administrator login."},
			shell.Op{Word: "WELCOME", Text: "Configure welcome message (post login message) for appliance administrator login."},
			shell.Op{Word: "IPACCESS", Text: "Configure IP-based access for appliance administrative interface."},
			shell.Op{Word: "TIMEOUT", Text: "Configure CLI session inactivity timeout."},
		) {
			switch d.Op() {
			case "BANNER", "WELCOME":
				accessTextMenu(d, env, accessTextOf(cfg, d.Op()))
			case "IPACCESS":
				accessMenu(d, env, cfg)
			case "TIMEOUT":
				minutes := d.Int("Enter CLI inactivity timeout(in minutes):", cfg.AdminAccess.Timeout, store.MinSessionMinutes, store.MaxSessionMinutes)
				if d.Err() == nil {
					cfg.AdminAccess.Timeout = minutes
				}
			}
		}
		return d.Err()
	})
}

// accessText is one of the two texts that operators are shown.
type accessText struct {
	name  string
	when  string
	place *string
}

func accessTextOf(cfg *store.Config, word string) accessText {
	if strings.EqualFold(word, "banner") {
		return accessText{"banner", "at login", &cfg.AdminAccess.Banner}
	}
	return accessText{"welcome message", "after login", &cfg.AdminAccess.Welcome}
}

func accessTextMenu(d *Dialog, env Env, t accessText) {
	for d.Menu(accessTextSummary(t), accessTextOps(t)...) {
		switch d.Op() {
		case "NEW":
			tell(d, newAccessText(d, t))
		case "IMPORT":
			file := d.Required(fmt.Sprintf("Enter the name of the file to import as %s:", t.name), "")
			if d.Err() == nil {
				tell(d, importAccessText(d, env, t, file))
			}
		case "EXPORT":
			file := d.Required("Enter a name for the exported file:", "")
			if d.Err() == nil {
				tell(d, exportAccessText(d, env, t, file))
			}
		case "PRINT":
			d.Text(*t.place)
		case "DELETE":
			if d.YesNo(fmt.Sprintf("Are you sure you want to remove the %s?", t.name), false) && d.Err() == nil {
				*t.place = ""
			}
		}
	}
}

func accessTextSummary(t accessText) string {
	if *t.place == "" {
		return fmt.Sprintf("A %s has not been defined.", t.name)
	}
	return fmt.Sprintf("A %s is shown %s.", t.name, t.when)
}

func accessTextOps(t accessText) []shell.Op {
	ops := []shell.Op{
		{Word: "NEW", Text: fmt.Sprintf("Create a %s to display %s.", t.name, t.when)},
		{Word: "IMPORT", Text: fmt.Sprintf("Import %s text from a file.", t.name)},
	}
	if *t.place == "" {
		return ops
	}
	ops[0].Text = fmt.Sprintf("Create a new %s to display %s.", t.name, t.when)
	return append(ops,
		shell.Op{Word: "DELETE", Text: fmt.Sprintf("Remove the %s.", t.name)},
		shell.Op{Word: "PRINT", Text: fmt.Sprintf("Display the %s.", t.name)},
		shell.Op{Word: "EXPORT", Text: fmt.Sprintf("Export %s text to a file.", t.name)})
}

func newAccessText(d *Dialog, t accessText) error {
	lines := d.Lines(fmt.Sprintf("Enter or paste the %s text here. Enter '.' on a blank line to end.", t.name), shell.EndDot)
	if d.Err() != nil {
		return d.Err()
	}
	return setAccessText(t, strings.Join(lines, "\n"))
}

// setAccessText is where a typed text and an imported one meet.
func setAccessText(t accessText, text string) error {
	text, err := store.ParseAccessText(text)
	if err == nil {
		*t.place = text
	}
	return err
}

func importAccessText(d *Dialog, env Env, t accessText, file string) error {
	data, err := env.Files.Read(file)
	if err != nil {
		return fileFailed("Error reading file.", err)
	}
	if err := setAccessText(t, string(data)); err != nil {
		return err
	}
	d.Printf("The %s was imported from %s.\n", t.name, file)
	return nil
}

func exportAccessText(d *Dialog, env Env, t accessText, file string) error {
	if *t.place == "" {
		return shell.Refusedf("A %s has not been defined.", t.name)
	}
	if err := env.Files.Write(file, []byte(*t.place)); err != nil {
		return fileFailed("Error writing file.", err)
	}
	running, _ := env.Store.Running()
	d.Printf("File written on machine %q to the location\n\"/configuration/%s\".\n", running.Hostname, file)
	return nil
}

func printAccessText(d *Dialog, _ Env, t accessText, _ string) error {
	if *t.place == "" {
		d.Text(accessTextSummary(t))
		return nil
	}
	d.Text(*t.place)
	return nil
}

func deleteAccessText(d *Dialog, _ Env, t accessText, _ string) error {
	if *t.place == "" {
		return shell.Refusedf("A %s has not been defined.", t.name)
	}
	*t.place = ""
	d.Printf("The %s was removed.\n", t.name)
	return nil
}

// accessTextForm makes a one-line form of what is done with a text; its words
// are banner or welcome, and the name of a file if it has one.
func accessTextForm(do func(*Dialog, Env, accessText, string) error) func(*Dialog, Env, []string) error {
	return func(d *Dialog, env Env, args []string) error {
		file := ""
		if len(args) > 1 {
			file = args[1]
		}
		return env.Edit(func(cfg *store.Config) error {
			return errors.Join(do(d, env, accessTextOf(cfg, args[0]), file), d.Err())
		})
	}
}

func accessMenu(d *Dialog, env Env, cfg *store.Config) {
	for d.Menu(accessMode(cfg.AdminAccess)+"\n\nPlease select the mode:",
		shell.Op{Word: "ALL", Text: "All IP addresses will be allowed to access the administrative interface."},
		shell.Op{Word: "RESTRICT", Text: "Specify IP addresses/Subnets/Ranges to be allowed access."},
	) {
		if d.Op() == "ALL" {
			cfg.AdminAccess.Restrict = false
			continue
		}
		sourcesMenu(d, env, cfg)
	}
}

func accessMode(a store.AdminAccess) string {
	if a.Restrict {
		return "Current mode: Restrict."
	}
	return "Current mode: Allow All."
}

// sourcesMenu edits the list and asks before it keeps its operator out.
func sourcesMenu(d *Dialog, env Env, cfg *store.Config) {
	set := cfg.AdminAccess
	set.Sources = slices.Clone(set.Sources)
	for d.Menu(sourcesList(set), sourcesOps(set)...) {
		switch d.Op() {
		case "NEW":
			source := shell.Ask(d, "Please enter IP address, subnet or range.", "", func(s string) (string, error) { return freeSource(set, s) })
			if d.Err() == nil {
				set.Sources = append(set.Sources, source)
			}
		case "EDIT":
			if n := pickSource(d, set, "Enter the number of the entry you wish to edit."); d.Err() == nil {
				source := shell.Ask(d, "Please enter IP address, subnet or range.", set.Sources[n], func(s string) (string, error) { return otherSource(set, n, s) })
				if d.Err() == nil {
					set.Sources[n] = source
				}
			}
		case "DELETE":
			if n := pickSource(d, set, "Enter the number of the entry you wish to delete."); d.Err() == nil {
				set.Sources = slices.Delete(set.Sources, n, n+1)
			}
		case "CLEAR":
			set.Sources = nil
		}
	}
	set.Restrict = true
	switch {
	case d.Err() != nil:
	case len(set.Sources) == 0:
		tell(d, errNoSources())
	case keepsIn(d, env, set):
		cfg.AdminAccess = set
	}
}

func errNoSources() error {
	return shell.Refusedf("The list of allowed addresses is empty. Add an address first, or select the mode ALL.")
}

// keepsIn asks an operator who comes from an address that is not on the list.
func keepsIn(d *Dialog, env Env, set store.AdminAccess) bool {
	from, err := netip.ParseAddr(env.Who.Source)
	if err != nil || set.Allows(from) {
		return true
	}
	return d.YesNo(fmt.Sprintf("Warning: The host you are currently using [%s] is not included in the\n"+
		"list. Excluding it will prevent your host from connecting to the\nadministrative interface.\n"+
		"Are you sure you want to continue?", from), false) && d.Err() == nil
}

func sourcesList(set store.AdminAccess) string {
	if len(set.Sources) == 0 {
		return "There are no allowed IP addresses/Subnets/Ranges."
	}
	var b strings.Builder
	b.WriteString("List of allowed IP addresses/Subnets/Ranges:\n")
	for n, source := range set.Sources {
		fmt.Fprintf(&b, "%d. %s\n", n+1, source)
	}
	return b.String()
}

func sourcesOps(set store.AdminAccess) []shell.Op {
	ops := []shell.Op{{Word: "NEW", Text: "Add a new IP address/subnet/range."}}
	if len(set.Sources) > 0 {
		ops = append(ops,
			shell.Op{Word: "EDIT", Text: "Modify an existing entry."},
			shell.Op{Word: "DELETE", Text: "Remove an existing entry."},
			shell.Op{Word: "CLEAR", Text: "Remove all the entries."})
	}
	return ops
}

func pickSource(d *Dialog, set store.AdminAccess, question string) int {
	return d.Pick(question, set.Sources, -1)
}

// freeSource reads an address that is not on the list yet.
func freeSource(set store.AdminAccess, text string) (string, error) {
	return otherSource(set, -1, text)
}

func otherSource(set store.AdminAccess, own int, text string) (string, error) {
	source, err := store.ParseAccessSource(text)
	if err != nil {
		return "", err
	}
	if n := slices.Index(set.Sources, source); n >= 0 && n != own {
		return "", shell.Refusedf("%s is already in the list.", source)
	}
	if own < 0 && len(set.Sources) >= store.MaxAccessSources {
		return "", shell.Refusedf("There is a maximum of %d allowed addresses.", store.MaxAccessSources)
	}
	return source, nil
}
