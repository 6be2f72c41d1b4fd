package commands

import (
	"fmt"
	"slices"
	"strings"

	"esa/shell"
	"esa/store"
)

// exceptionconfig edits the domain exception table, which mail flow policies
// use that say so (reference esa-cli-config 7.6, question 26).
func exceptionconfig() Command {
	return Command{
		Name:  "exceptionconfig",
		Short: "Configure the domain exception table.",
		Long: `The table names envelope senders that are allowed, whatever the verification of
envelope senders would say, or rejected. The first entry that matches decides.
Mail flow policies use it where they say so (listenerconfig, HOSTACCESS).

An ADDRESS is @domain, @.partial.domain, @[IP address], user@ or user@domain.`,
		Commit: true,
		Forms: []Form{
			{Usage: "exceptionconfig new|edit ADDRESS allow|reject", Run: exceptionSetForm},
			{Usage: "exceptionconfig delete ADDRESS", Run: exceptionDeleteForm},
			{Usage: "exceptionconfig move ADDRESS BEFORE-ADDRESS", Run: exceptionMoveForm},
			{Usage: "exceptionconfig search ADDRESS", Run: exceptionSearchForm},
			{Usage: "exceptionconfig print", Run: exceptionPrintForm},
			{Usage: "exceptionconfig clear", Run: exceptionClearForm},
		},
		Dialog: exceptionDialog,
	}
}

func exceptionDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		for d.Menu(exceptionSummary(cfg), exceptionMenu(cfg)...) {
			switch d.Op() {
			case "NEW":
				exceptionNew(d, cfg)
			case "EDIT":
				exceptionEdit(d, cfg)
			case "DELETE":
				if n := askException(d, cfg, "Enter the address of the entry you wish to delete."); d.Err() == nil {
					deleteException(d, cfg, n)
				}
			case "PRINT":
				printExceptions(d, cfg.Exceptions)
			case "SEARCH":
				if text := d.Required("Enter a part of the addresses to search for.", ""); d.Err() == nil {
					searchExceptions(d, cfg, text)
				}
			case "CLEAR":
				if d.YesNo("Are you sure you want to remove all entries?", false) && d.Err() == nil {
					clearExceptions(d, cfg)
				}
			case "MOVE":
				exceptionMove(d, cfg)
			}
		}
		return d.Err()
	})
}

func exceptionSummary(cfg *store.Config) string {
	if len(cfg.Exceptions) == 0 {
		return "There are no entries in the domain exception table."
	}
	return fmt.Sprintf("There are currently %d entries in the domain exception table.", len(cfg.Exceptions))
}

func exceptionMenu(cfg *store.Config) []shell.Op {
	ops := []shell.Op{{Word: "NEW", Text: "Create a new domain exception table entry"}}
	if len(cfg.Exceptions) > 0 {
		ops = append(ops,
			shell.Op{Word: "EDIT", Text: "Edit a domain exception table entry"},
			shell.Op{Word: "DELETE", Text: "Delete a domain exception table entry"},
			shell.Op{Word: "PRINT", Text: "Print all domain exception table entries"},
			shell.Op{Word: "SEARCH", Text: "Search domain exception table"},
			shell.Op{Word: "CLEAR", Text: "Clear all domain exception entries"})
	}
	if len(cfg.Exceptions) > 1 {
		ops = append(ops, shell.Op{Word: "MOVE", Text: "Move an entry before another"})
	}
	return ops
}

func exceptionNew(d *Dialog, cfg *store.Config) {
	if err := roomForException(cfg); err != nil {
		tell(d, err)
		return
	}
	var e store.Exception
	e.Address = shell.Ask(d, "Enter a domain, sub-domain, user, or email address for which you wish to provide an exception:", "",
		func(s string) (string, error) { return freeException(cfg, s) })
	e.Allow = askAllow(d, true)
	if d.Err() == nil {
		putException(d, cfg, e)
	}
}

func roomForException(cfg *store.Config) error {
	if len(cfg.Exceptions) >= store.MaxExceptions {
		return shell.Refusedf("There is a maximum of %d entries.", store.MaxExceptions)
	}
	return nil
}

func exceptionIndex(cfg *store.Config, address string) int {
	return slices.IndexFunc(cfg.Exceptions, func(e store.Exception) bool { return e.Address == address })
}

// freeException reads an address that has no entry yet.
func freeException(cfg *store.Config, text string) (string, error) {
	address, err := store.ParseException(text)
	if err == nil && exceptionIndex(cfg, address) >= 0 {
		err = shell.Refusedf("There is already an entry for %s.", address)
	}
	return address, err
}

// knownException reads the address of an entry and gives its index.
func knownException(cfg *store.Config, text string) (int, error) {
	address, err := store.ParseException(text)
	if err != nil {
		return -1, err
	}
	n := exceptionIndex(cfg, address)
	if n < 0 {
		return -1, shell.Refusedf("There is no entry for %s.", address)
	}
	return n, nil
}

func askException(d *Dialog, cfg *store.Config, question string) int {
	return shell.Ask(d, question, "", func(s string) (int, error) { return knownException(cfg, s) })
}

func askAllow(d *Dialog, current bool) bool {
	n := 0
	if !current {
		n = 1
	}
	return d.Choose("Choose a policy for this domain exception:", []string{"Allow", "Reject"}, n) == 0
}

func exceptionEdit(d *Dialog, cfg *store.Config) {
	n := askException(d, cfg, "Enter the address of the entry you wish to edit.")
	if d.Err() != nil {
		return
	}
	e := cfg.Exceptions[n]
	if e.Allow = askAllow(d, e.Allow); d.Err() == nil {
		putException(d, cfg, e)
	}
}

// putException is where dialogs and one-line forms of NEW and EDIT meet: a new
// entry stands at the end.
func putException(d *Dialog, cfg *store.Config, e store.Exception) {
	if n := exceptionIndex(cfg, e.Address); n >= 0 {
		cfg.Exceptions[n] = e
		d.Printf("Entry %s changed: %s.\n", e.Address, e)
		return
	}
	cfg.Exceptions = append(cfg.Exceptions, e)
	d.Printf("Entry %s added: %s.\n", e.Address, e)
}

func deleteException(d *Dialog, cfg *store.Config, n int) {
	d.Printf("Entry %s deleted.\n", cfg.Exceptions[n].Address)
	cfg.Exceptions = slices.Delete(cfg.Exceptions, n, n+1)
}

func clearExceptions(d *Dialog, cfg *store.Config) {
	d.Printf("%d entries removed.\n", len(cfg.Exceptions))
	cfg.Exceptions = nil
}

func exceptionMove(d *Dialog, cfg *store.Config) {
	from := askException(d, cfg, "Enter the address of the entry to move.")
	to := askException(d, cfg, "Enter the address of the entry to insert it before.")
	if d.Err() == nil {
		moveException(d, cfg, from, to)
	}
}

func moveException(d *Dialog, cfg *store.Config, from, to int) {
	e, before := cfg.Exceptions[from], cfg.Exceptions[to].Address
	if from < to {
		to--
	}
	cfg.Exceptions = slices.Insert(slices.Delete(cfg.Exceptions, from, from+1), to, e)
	d.Printf("Entry %s moved before %s.\n", e.Address, before)
}

func printExceptions(d *Dialog, entries []store.Exception) {
	for _, e := range entries {
		if _, err := fmt.Fprintf(d, "%s %s\n", e.Address, e); err != nil {
			return
		}
	}
}

func searchExceptions(d *Dialog, cfg *store.Config, text string) {
	var found []store.Exception
	for _, e := range cfg.Exceptions {
		if strings.Contains(strings.ToLower(e.Address), strings.ToLower(text)) {
			found = append(found, e)
		}
	}
	if len(found) == 0 {
		d.Printf("No entry holds %q.\n", text)
		return
	}
	printExceptions(d, found)
}

func exceptionSetForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		e := store.Exception{Allow: args[2] == "allow"}
		var err error
		if args[0] == "new" {
			e.Address, err = newException(cfg, args[1])
		} else {
			var n int
			if n, err = knownException(cfg, args[1]); err == nil {
				e.Address = cfg.Exceptions[n].Address
			}
		}
		if err == nil {
			putException(d, cfg, e)
		}
		return err
	})
}

// newException reads an address for which there is room and no entry.
func newException(cfg *store.Config, text string) (string, error) {
	if err := roomForException(cfg); err != nil {
		return "", err
	}
	return freeException(cfg, text)
}

func exceptionDeleteForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		n, err := knownException(cfg, args[0])
		if err == nil {
			deleteException(d, cfg, n)
		}
		return err
	})
}

func exceptionMoveForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		from, err := knownException(cfg, args[0])
		if err != nil {
			return err
		}
		to, err := knownException(cfg, args[1])
		if err == nil {
			moveException(d, cfg, from, to)
		}
		return err
	})
}

func exceptionSearchForm(d *Dialog, env Env, args []string) error {
	searchExceptions(d, env.Config(), args[0])
	return d.Err()
}

func exceptionPrintForm(d *Dialog, env Env, _ []string) error {
	if cfg := env.Config(); len(cfg.Exceptions) == 0 {
		d.Text(exceptionSummary(cfg))
	} else {
		printExceptions(d, cfg.Exceptions)
	}
	return d.Err()
}

func exceptionClearForm(d *Dialog, env Env, _ []string) error {
	return env.Edit(func(cfg *store.Config) error {
		clearExceptions(d, cfg)
		return nil
	})
}
