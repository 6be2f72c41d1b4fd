package commands

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"esa/shell"
	"esa/store"
)

// alertconfig says who is told of trouble by mail, and how often.
func alertconfig() Command {
	return Command{
		Name:  "alertconfig",
		Short: "Configure email alerts.",
		Long: `An alert is mailed to every address whose classes and severities it has. One
that repeats another is held back: first for the initial number of seconds, then
for intervals that grow, each twice the one before and the initial one, up to
the maximum. What was held back is told when its interval is over. displayalerts
shows the last alerts, whether or not they were mailed.

LIST is words separated by commas: classes all or system, severities all or
critical, warning, information.`,
		Commit: true,
		Forms: []Form{
			{Usage: usage("alertconfig new|edit ADDRESS", alertRecipientKeys(&store.AlertRecipient{})), Run: alertSetForm},
			{Usage: "alertconfig delete ADDRESS", Run: alertDeleteForm},
			{Usage: "alertconfig clear", Run: alertClearForm},
			{Usage: usage("alertconfig setup", alertKeys(nil, &store.Alerts{})), Run: alertSetupForm},
			{Usage: "alertconfig from ADDRESS|default", Run: alertFromForm},
			{Usage: "alertconfig print", Run: alertPrintForm},
		},
		Dialog: alertDialog,
	}
}

func alertDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		for d.Menu(alertSummary(cfg), alertMenu(cfg)...) {
			switch d.Op() {
			case "NEW":
				alertNew(d, cfg)
			case "EDIT":
				alertEdit(d, cfg)
			case "DELETE":
				alertDelete(d, cfg)
			case "CLEAR":
				if d.YesNo("Are you sure you want to remove all email addresses? Nobody will be sent alerts.", false) && d.Err() == nil {
					cfg.Alerts.Recipients = nil
				}
			case "SETUP":
				alertSetup(d, cfg)
			case "FROM":
				alertFrom(d, cfg)
			}
		}
		return d.Err()
	})
}

func alertMenu(cfg *store.Config) []shell.Op {
	ops := []shell.Op{{Word: "NEW", Text: "Add a new email address to send alerts."}}
	if len(cfg.Alerts.Recipients) > 0 {
		ops = append(ops,
			shell.Op{Word: "EDIT", Text: "Modify alert subscription for an email address."},
			shell.Op{Word: "DELETE", Text: "Remove an email address."},
			shell.Op{Word: "CLEAR", Text: "Remove all email addresses (disable alerts)."})
	}
	return append(ops,
		shell.Op{Word: "SETUP", Text: "Configure alert settings."},
		shell.Op{Word: "FROM", Text: "Configure the From Address of alert emails."})
}

// alertSummary is the block above the menu (reference esa-operations 3.5).
func alertSummary(cfg *store.Config) string {
	var b strings.Builder
	a := cfg.Alerts
	if len(a.Recipients) == 0 {
		b.WriteString("Not sending alerts (no configured addresses).\n")
	} else {
		b.WriteString("Sending alerts to:\n")
	}
	for _, r := range a.Recipients {
		fmt.Fprintf(&b, "%s\n      Class: %s - Severities: %s\n", r.Address, joinWords(r.Classes), joinWords(r.Severities))
	}
	fmt.Fprintf(&b, `
Initial number of seconds to wait before sending a duplicate alert: %d
Maximum number of seconds to wait before sending a duplicate alert: %d
Maximum number of alerts stored in the system are: %d

Alerts will be sent from %s.
Default interface to deliver alerts: %s
`, a.InitialWait, a.MaxWait, a.Stored, alertSender(cfg), cmp.Or(a.Interface, auto))
	return b.String()
}

// alertSender says who alerts are from.
func alertSender(cfg *store.Config) string {
	if cfg.Alerts.From == "" {
		return "the default From address, alert@" + cfg.Hostname
	}
	return cfg.Alerts.From
}

func joinWords[T ~string](words []T) string {
	parts := make([]string, len(words))
	for i, w := range words {
		parts[i] = string(w)
	}
	return strings.Join(parts, ", ")
}

func alertAddresses(cfg *store.Config) []string {
	addresses := make([]string, len(cfg.Alerts.Recipients))
	for i, r := range cfg.Alerts.Recipients {
		addresses[i] = r.Address
	}
	return addresses
}

func alertNew(d *Dialog, cfg *store.Config) {
	if err := roomForAlerts(cfg); err != nil {
		tell(d, err)
		return
	}
	r := newAlertRecipient(shell.Ask(d, "Please enter a new email address to send alerts.\n(Ex: \"administrator@example.com\")", "",
		func(s string) (string, error) { return freeAlertAddress(cfg, s) }))
	alertQuestions(d, &r)
	if d.Err() == nil {
		cfg.Alerts.Recipients = append(cfg.Alerts.Recipients, r)
	}
}

func roomForAlerts(cfg *store.Config) error {
	if len(cfg.Alerts.Recipients) >= store.MaxAlertRecipients {
		return shell.Refusedf("There is a maximum of %d alert recipients.", store.MaxAlertRecipients)
	}
	return nil
}

// newAlertRecipient gives somebody who is sent everything.
func newAlertRecipient(address string) store.AlertRecipient {
	return store.AlertRecipient{
		Address: address, Classes: store.AlertClasses()[:1], Severities: store.AlertSeverities()[:1],
	}
}

// freeAlertAddress reads an address that is not there yet, in whatever case.
func freeAlertAddress(cfg *store.Config, text string) (string, error) {
	address, err := store.ParseEmail(text)
	if err != nil {
		return "", err
	}
	if find(alertAddresses(cfg), address) >= 0 {
		return "", shell.Refusedf("Alerts are sent to %s already.", address)
	}
	return address, nil
}

// alertQuestions is what NEW and EDIT ask after the address.
func alertQuestions(d *Dialog, r *store.AlertRecipient) {
	r.Classes = askSeveral(d, "Choose the Alert Classes. Separate multiple choices with commas.", store.AlertClasses(), r.Classes)
	r.Severities = askSeveral(d, "Select a Severity Level. Separate multiple choices with commas.", store.AlertSeverities(), r.Severities)
}

// askSeveral asks for one or more of options, by number or name. The first
// option stands for all and is chosen alone.
func askSeveral[T ~string](d *Dialog, question string, options, current []T) []T {
	var b strings.Builder
	b.WriteString(question + "\n")
	for i, o := range options {
		fmt.Fprintf(&b, "%d. %s\n", i+1, o)
	}
	var def []string
	for _, c := range current {
		def = append(def, strconv.Itoa(slices.Index(options, c)+1))
	}
	return shell.Ask(d, b.String(), strings.Join(def, ","), func(text string) ([]T, error) { return several(text, options) })
}

// several reads a list of options, and gives them in the order of options.
func several[T ~string](text string, options []T) ([]T, error) {
	picked := map[T]bool{}
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		i := slices.IndexFunc(options, func(o T) bool { return strings.EqualFold(string(o), word) })
		if n, err := strconv.Atoi(word); err == nil && n >= 1 && n <= len(options) {
			i = n - 1
		}
		if i < 0 {
			return nil, unknownChoice(word)
		}
		picked[options[i]] = true
	}
	if picked[options[0]] && len(picked) > 1 {
		return nil, shell.Refusedf("You cannot pick %s together with others.", options[0])
	}
	var all []T
	for _, o := range options {
		if picked[o] {
			all = append(all, o)
		}
	}
	return all, nil
}

// unknownChoice refuses what is no choice. The classes of an appliance that
// this build raises no alerts of are named as such.
func unknownChoice(word string) error {
	if word == "" {
		return shell.Refusedf("The value cannot be blank.")
	}
	for _, class := range []string{
		"Hardware", "Updater", "Outbreak Filters", "Anti-Virus", "Anti-Spam",
		"Directory Harvest Attack Prevention", "Release and Support Notifications",
	} {
		if strings.EqualFold(class, word) {
			return shell.Refusedf("This build has no alerts of the class %s.", class)
		}
	}
	return shell.Refusedf("Unknown option %s.", word)
}

func alertEdit(d *Dialog, cfg *store.Config) {
	n := d.Choose("Choose the email address to edit:", alertAddresses(cfg), -1)
	if d.Err() != nil {
		return
	}
	r := cfg.Alerts.Recipients[n]
	alertQuestions(d, &r)
	if d.Err() == nil {
		cfg.Alerts.Recipients[n] = r
	}
}

func alertDelete(d *Dialog, cfg *store.Config) {
	n := d.Choose("Choose the email address to remove:", alertAddresses(cfg), -1)
	if d.Err() == nil {
		deleteAlertRecipient(d, cfg, n)
	}
}

// deleteAlertRecipient is where dialog and one-line form of DELETE meet.
func deleteAlertRecipient(d *Dialog, cfg *store.Config, n int) {
	d.Printf("Alerts are no longer sent to %s.\n", cfg.Alerts.Recipients[n].Address)
	cfg.Alerts.Recipients = slices.Delete(cfg.Alerts.Recipients, n, n+1)
}

func alertSetup(d *Dialog, cfg *store.Config) {
	set := cfg.Alerts
	set.InitialWait = d.Int("Initial number of seconds to wait before sending a duplicate alert. Enter a value of 0 to disable\nduplicate alert summaries.", set.InitialWait, 0, store.MaxAlertWait)
	set.MaxWait = shell.Ask(d, "Maximum number of seconds to wait before sending a duplicate alert.", strconv.Itoa(max(set.MaxWait, set.InitialWait)), func(s string) (int, error) {
		n := 0
		if err := setNumber(&n, s, 0, store.MaxAlertWait); err != nil {
			return 0, err
		}
		return n, checkWaits(set.InitialWait, n)
	})
	set.Stored = d.Int("Maximum number of alerts to save:", set.Stored, 0, store.MaxStoredAlerts)
	onlyNo(d, "Would you like to enable AutoSupport, which sends system alerts and weekly status reports to support?", "This build sends alerts to the configured addresses only.")
	set.Interface = chooseSource(d, cfg, "Choose the default interface to be used to deliver alerts.", set.Interface)
	if d.Err() == nil {
		cfg.Alerts = set
	}
}

// checkWaits holds the two waits of repeated alerts together.
func checkWaits(initial, most int) error {
	if most < initial {
		return shell.Refusedf("The maximum debounce interval cannot be less than the initial one, %d seconds.", initial)
	}
	return nil
}

func alertFrom(d *Dialog, cfg *store.Config) {
	ops := []shell.Op{
		{Word: "EDIT", Text: "Edit the From address."},
		{Word: "DEFAULT", Text: "Use the default From address."},
	}
	for d.Menu("Alerts will be sent from "+alertSender(cfg)+".", ops...) {
		switch d.Op() {
		case "EDIT":
			from := shell.Ask(d, "Please enter the From address to use for alerts.", cfg.Alerts.From, store.ParseEmail)
			if d.Err() == nil {
				cfg.Alerts.From = from
			}
		case "DEFAULT":
			cfg.Alerts.From = ""
		}
	}
}
