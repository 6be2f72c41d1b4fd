package commands

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"esa/shell"
	"esa/store"
)

// This file is RCPTACCESS of listenerconfig (reference esa-cli-config 7.8).

// manyRecipients is how many entries PRINT warns about.
const manyRecipients = 1000

func rcptAccessDialog(d *Dialog, env Env, rat []store.RATEntry) []store.RATEntry {
	for d.Menu(rcptAccessSummary(rat), rcptAccessMenu()...) {
		switch d.Op() {
		case "NEW":
			rat = recipientNew(d, rat)
		case "EDIT":
			rat = recipientEdit(d, rat)
		case "DELETE":
			n := askRecipient(d, rat, "Enter the address to delete.")
			if d.Err() == nil {
				left, err := deleteRecipient(d, rat, n)
				tell(d, err)
				rat = left
			}
		case "PRINT":
			if len(rat) <= manyRecipients || d.YesNo(fmt.Sprintf("There are %d entries. Printing them could take a while. Are you sure?", len(rat)), false) {
				d.Text("\n" + recipientAccess(rat))
			}
		case "IMPORT":
			read, err := importRAT(d, env, d.Required("Enter the name of the file to import:", ""))
			if tell(d, err); err == nil {
				rat = read
			}
		case "EXPORT":
			tell(d, exportRAT(d, env, rat, d.Required("Enter a name for the exported file:", "")))
		case "CLEAR":
			if d.YesNo("Are you sure you want to remove all entries?", false) && d.Err() == nil {
				rat = clearRecipients(d, rat)
			}
		}
	}
	return rat
}

func rcptAccessSummary(rat []store.RATEntry) string {
	access := store.Refuse
	if n := len(rat); n > 0 && rat[n-1].Accept {
		access = store.Accept
	}
	return fmt.Sprintf("Recipient Access Table\nThere are currently %d recipients.\nDefault Access: %s", len(rat), access)
}

func rcptAccessMenu() []shell.Op {
	return []shell.Op{
		{Word: "NEW", Text: "Create a new entry."},
		{Word: "EDIT", Text: "Modify an entry."},
		{Word: "DELETE", Text: "Remove an entry."},
		{Word: "PRINT", Text: "Display the table."},
		{Word: "IMPORT", Text: "Import a table from a file."},
		{Word: "EXPORT", Text: "Export the table to a file."},
		{Word: "CLEAR", Text: "Remove all entries.", Also: "RESET"},
	}
}

// newRecipient reads an address that has no entry yet.
func newRecipient(rat []store.RATEntry, text string) (string, error) {
	if len(rat) >= store.MaxRATEntries {
		return "", shell.Refusedf("There is a maximum of %d entries.", store.MaxRATEntries)
	}
	address, err := store.ParseRATAddress(text)
	if err != nil {
		return "", err
	}
	if recipientIndex(rat, address) >= 0 {
		return "", shell.Refusedf("There is already an entry for %s.", address)
	}
	return address, nil
}

func recipientIndex(rat []store.RATEntry, address string) int {
	return slices.IndexFunc(rat, func(e store.RATEntry) bool { return e.Address == address })
}

// knownRecipient reads the address of an entry and gives its index.
func knownRecipient(rat []store.RATEntry, text string) (int, error) {
	address, err := store.ParseRATAddress(text)
	if err != nil {
		return -1, err
	}
	n := recipientIndex(rat, address)
	if n < 0 {
		return -1, shell.Refusedf("There is no entry for %s.", address)
	}
	return n, nil
}

func askRecipient(d *Dialog, rat []store.RATEntry, question string) int {
	return shell.Ask(d, question, "", func(s string) (int, error) { return knownRecipient(rat, s) })
}

func recipientNew(d *Dialog, rat []store.RATEntry) []store.RATEntry {
	address := shell.Ask(d, `Enter the recipient address for this entry.
Hostnames such as "example.com" and "[1.2.3.4]" after a username, and
partial hostnames such as ".example.com" are allowed.
Usernames such as "joe@" and full addresses such as "joe@example.com" are
allowed.`, "", func(s string) (string, error) { return newRecipient(rat, s) })
	e := askRecipientEntry(d, store.RATEntry{Address: address, Accept: true})
	if d.Err() != nil {
		return rat
	}
	return putRecipient(d, rat, e, "added")
}

// putRecipient is where dialogs and one-line forms of NEW and EDIT meet.
func putRecipient(d *Dialog, rat []store.RATEntry, e store.RATEntry, done string) []store.RATEntry {
	d.Printf("Entry %s %s.\n", e.Address, done)
	return store.InsertRAT(slices.Clone(rat), e)
}

func recipientEdit(d *Dialog, rat []store.RATEntry) []store.RATEntry {
	n := askRecipient(d, rat, "Enter the address to edit.")
	if d.Err() != nil {
		return rat
	}
	e := askRecipientEntry(d, rat[n])
	if d.Err() != nil {
		return rat
	}
	return putRecipient(d, rat, e, "changed")
}

func askRecipientEntry(d *Dialog, e store.RATEntry) store.RATEntry {
	action := 0
	if !e.Accept {
		action = 1
	}
	accept := d.Choose("Select the action to apply to this address.", []string{"Accept", "Reject"}, action) == 0
	if accept != e.Accept {
		e.Code, e.Text = 0, "" // it was for the other action
	}
	e.Accept = accept
	if d.YesNo("Would you like to specify a custom SMTP response?", e.Code != 0) {
		e = askRecipientReply(d, e)
	} else {
		e.Code, e.Text = 0, ""
	}
	e.Uncounted = d.YesNo("Would you like to bypass receiving control for this entry?", e.Uncounted)
	return e
}

func askRecipientReply(d *Dialog, e store.RATEntry) store.RATEntry {
	standard := standardCode(e)
	current := e.Code
	if current == 0 {
		current = standard
	}
	code := shell.Ask(d, fmt.Sprintf("Enter the SMTP code to use in the response. %d is the standard code.", standard), strconv.Itoa(current),
		func(s string) (string, error) {
			_, err := e.WithReply(s, []string{"x"})
			return s, err
		})
	text := askReplyText(d, e.Text)
	own, err := e.WithReply(code, strings.Split(text, "\n"))
	tell(d, err)
	return own
}

func standardCode(e store.RATEntry) int {
	if e.Accept {
		return 250
	}
	return 550
}

// deleteRecipient takes an entry away. ALL stays.
func deleteRecipient(d *Dialog, rat []store.RATEntry, n int) ([]store.RATEntry, error) {
	if rat[n].Address == everybody {
		return rat, shell.Refusedf("ALL cannot be deleted.")
	}
	d.Printf("Entry %s deleted.\n", rat[n].Address)
	return slices.Delete(slices.Clone(rat), n, n+1), nil
}

func clearRecipients(d *Dialog, rat []store.RATEntry) []store.RATEntry {
	d.Printf("%d entries removed. All recipients are rejected.\n", max(len(rat)-1, 0))
	return []store.RATEntry{{Address: everybody}}
}

func importRAT(d *Dialog, env Env, name string) ([]store.RATEntry, error) {
	if d.Err() != nil {
		return nil, d.Err()
	}
	text, err := env.Files.Read(name)
	if err != nil {
		return nil, fileFailed("Error reading file.", err)
	}
	rat, err := store.ParseRAT(bytes.NewReader(text))
	if err != nil {
		return nil, shell.Refusedf("%w\nImport failed.", err)
	}
	d.Printf("%d entries successfully imported from %s.\n", len(rat), name)
	return rat, nil
}

func exportRAT(d *Dialog, env Env, rat []store.RATEntry, name string) error {
	if d.Err() != nil {
		return d.Err()
	}
	if err := env.Files.Write(name, []byte(recipientAccess(rat))); err != nil {
		return fileFailed("Error writing file.", err)
	}
	d.Printf("%d entries exported to %s.\n", len(rat), name)
	return nil
}

// rcptAccessForm is the one-line forms:
//
//	new ADDRESS [--OPTION VALUE...], edit ADDRESS --OPTION VALUE...
//	delete ADDRESS, list, print, clear, reset, import FILE, export FILE
//
// with the options action (accept, reject), code, text and bypass (yes, no).
func rcptAccessForm(d *Dialog, env Env, args []string) error {
	f := accessForm{d, env, args[2:]}
	action := strings.ToLower(args[1])
	n, err := findListener(env.Config(), args[0])
	if err != nil {
		return err
	}
	l := env.Config().Listeners[n]
	if l.Type == store.Private {
		return shell.Refusedf("A private listener has no Recipient Access Table.")
	}
	switch action {
	case "list", "print":
		d.Text(recipientAccess(l.RAT))
		return d.Err()
	case "export":
		name, err := f.file("rcptaccess", action)
		if err != nil {
			return err
		}
		return exportRAT(d, env, l.RAT, name)
	}
	return env.Edit(func(cfg *store.Config) error {
		rat, err := f.rcptAccess(action, cfg.Listeners[n].RAT)
		if err == nil {
			cfg.Listeners[n].RAT = rat
		}
		return err
	})
}

func (f accessForm) rcptAccess(action string, rat []store.RATEntry) ([]store.RATEntry, error) {
	switch action {
	case "new", "edit":
		return f.putRecipient(action, rat)
	case "delete":
		if len(f.words) != 1 {
			return nil, shell.Refusedf(`The rcptaccess "delete" command requires an address.`)
		}
		n, err := knownRecipient(rat, f.words[0])
		if err != nil {
			return nil, err
		}
		return deleteRecipient(f.d, rat, n)
	case "clear", "reset":
		return clearRecipients(f.d, rat), nil
	case "import":
		name, err := f.file("rcptaccess", action)
		if err != nil {
			return nil, err
		}
		return importRAT(f.d, f.env, name)
	}
	return nil, shell.Refusedf("Invalid rcptaccess command: %q. The commands are new, edit, delete, list, print, clear, import and export.", action)
}

// putRecipient makes or changes an entry by its options.
func (f accessForm) putRecipient(action string, rat []store.RATEntry) ([]store.RATEntry, error) {
	if len(f.words) == 0 {
		return nil, shell.Refusedf("The rcptaccess %q command requires an address.", action)
	}
	e := store.RATEntry{Accept: true}
	var err error
	if action == "new" {
		e.Address, err = newRecipient(rat, f.words[0])
	} else {
		var n int
		if n, err = knownRecipient(rat, f.words[0]); err == nil {
			e = rat[n]
		}
	}
	if err != nil {
		return nil, err
	}
	before := e.Accept
	code, text := "", e.Text
	err = setOptions([]option{
		{"action", func(word string) error {
			b, err := parseBehavior(word)
			if e.Accept = b == store.Accept; err == nil && b != store.Accept && b != store.Refuse {
				err = shell.Refusedf("The action must be accept or reject.")
			}
			return err
		}},
		{"code", parsed(&code, func(s string) (string, error) { return s, nil })},
		{"text", parsed(&text, func(s string) (string, error) { return strings.ReplaceAll(s, `\n`, "\n"), nil })},
		{"bypass", yesNo(&e.Uncounted)},
	}, f.words[1:])
	if err != nil {
		return nil, err
	}
	if e.Accept != before && text == e.Text {
		e.Code, e.Text, text = 0, "", "" // it was for the other action
	}
	switch {
	case strings.EqualFold(text, "none"):
		e.Code, e.Text = 0, ""
	case text != "" || code != "":
		if code == "" && e.Code != 0 && e.Accept == before {
			code = strconv.Itoa(e.Code)
		} else if code == "" {
			code = strconv.Itoa(standardCode(e))
		}
		if e, err = e.WithReply(code, strings.Split(text, "\n")); err != nil {
			return nil, err
		}
	}
	done := map[string]string{"new": "added", "edit": "changed"}[action]
	return putRecipient(f.d, rat, e, done), nil
}
