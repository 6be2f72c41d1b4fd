package commands

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"esa/shell"
	"esa/store"
)

// destconfig says how much mail goes to a destination at once, and how.
func destconfig() Command {
	keys := destKeys(&store.Config{}, &store.Destination{})
	return Command{
		Name:  "destconfig",
		Short: "Configure destination controls.",
		Long: `An entry is for a domain, for all below a domain (.example.com), or for an
address (mail to user@[192.0.2.1]). The most specific one counts; what it does
not set is as in the default. A limit holds for each domain by itself. Mail
that meets one waits and is never bounced for it. "Per Virtual Gateway" counts
for each interface that mail leaves by (deliveryconfig).

The bounce profile of a destination goes before that of the listener. In the
one-line forms the value default leaves a setting to the default entry.

TLS, with what happens if a host does not offer STARTTLS or refuses it, if the
handshake fails, and if the certificate is not verified:

` + tlsHelp() + `
The MODE of the one-line forms is off, on, require, on_verify, require_verify or
require_verify_hosted, in this order.

Mail that may not go out waits for the next attempt; nothing is ever sent in
clear after a host has agreed to TLS. "Verify" takes a certificate with the mail
domain among its DNS names, or with the mail domain or the reverse name of the
address as common name; "Verify Hosted Domains" takes one for the mail domain, a
host of its MX records or SMTP route, or the reverse name, wildcards included.
certconfig says which authorities are trusted, sslconfig which versions and
ciphers are used, and tlsverify tries a host.

DANE holds the certificate of a host against the TLSA records that its domain
publishes, signed by DNSSEC. Where there are such records, mail goes out by
TLS 1.2 or later and with a certificate that fits, or waits. It also waits
while DNS cannot be asked, or gives what its signatures do not bear out:
Opportunistic is not like TLS Preferred. It differs from Mandatory only where
a domain or host has no DANE: Opportunistic then goes by the TLS setting above,
Mandatory waits. A certificate that fits satisfies every TLS setting.

DANE is for mail that a RELAY policy took, and what is made here. Mail of
ACCEPT policies is held to Mandatory alone, and not where an SMTP route leads
it. All other mail that goes by an SMTP route other than USEDNS fails DANE and
waits, unless daneconfig has DANE done for the hosts of routes. daneverify
shows beforehand what would become of mail to a domain.`,
		Commit: true,
		Forms: []Form{
			{Usage: usage("destconfig new|edit DOMAIN", keys), Run: destSetForm},
			{Usage: usage("destconfig setup", destSetupKeys(&store.Config{})), Run: destSetupForm},
			{Usage: "destconfig delete DOMAIN", Run: destDeleteForm},
			{Usage: "destconfig list", Run: destListForm},
			{Usage: "destconfig detail DOMAIN|default|all", Run: destDetailForm},
			{Usage: "destconfig clear", Run: destClearForm},
			{Usage: "destconfig import FILE", Run: destImportForm},
			{Usage: "destconfig export FILE", Run: destExportForm},
		},
		Dialog: destDialog,
	}
}

// The words that stand for entries that have no domain.
const (
	defaultEntry = "default"
	allEntries   = "all"
)

func destDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		for d.Menu(destSummary(cfg), destMenu(cfg)...) {
			switch d.Op() {
			case "SETUP":
				destSetup(d, cfg)
			case "NEW":
				destNew(d, cfg)
			case "EDIT":
				destEdit(d, cfg)
			case "DELETE":
				destDelete(d, cfg)
			case "DEFAULT":
				destDefault(d, cfg)
			case "LIST":
				d.Text(destList(cfg))
			case "DETAIL":
				destDetail(d, cfg)
			case "CLEAR":
				clearDestinations(d, cfg)
			case "IMPORT":
				tell(d, importDestinations(d, env, cfg, d.Required("Enter the name of the file to import:", "")))
			case "EXPORT":
				tell(d, exportDestinations(d, env, cfg, d.Required("Enter a name for the exported file:", "")))
			}
		}
		return d.Err()
	})
}

func destSummary(cfg *store.Config) string {
	if len(cfg.Destinations.Entries) == 0 {
		return "There are currently no entries configured."
	}
	return fmt.Sprintf("There are currently %d entries configured.", len(cfg.Destinations.Entries))
}

func destMenu(cfg *store.Config) []shell.Op {
	none := len(cfg.Destinations.Entries) == 0
	ops := []shell.Op{
		{Word: "SETUP", Text: "Change global settings."},
		{Word: "NEW", Text: "Create a new entry."},
		{Word: "EDIT", Text: "Modify an entry."},
		{Word: "DELETE", Text: "Remove an entry."},
		{Word: "DEFAULT", Text: "Change the default."},
		{Word: "LIST", Text: "Display a summary list of all entries."},
		{Word: "DETAIL", Text: "Display details for one destination or all entries."},
		{Word: "CLEAR", Text: "Remove all entries."},
		{Word: "IMPORT", Text: "Import tables from a file."},
		{Word: "EXPORT", Text: "Export tables to a file."},
	}
	return slices.DeleteFunc(ops, func(op shell.Op) bool {
		return none && slices.Contains([]string{"EDIT", "DELETE", "CLEAR"}, op.Word)
	})
}

func destNew(d *Dialog, cfg *store.Config) {
	if err := roomForDestination(cfg); err != nil {
		tell(d, err)
		return
	}
	domain := shell.Ask(d, "Enter the domain you wish to configure.", "", func(s string) (string, error) { return freeDestination(cfg, s) })
	to := destQuestions(d, cfg, store.Destination{Domain: domain}, true)
	if d.Err() == nil {
		cfg.Destinations.Entries = append(cfg.Destinations.Entries, to)
	}
}

func roomForDestination(cfg *store.Config) error {
	if len(cfg.Destinations.Entries) >= store.MaxDestinationEntries {
		return shell.Refusedf("There is a maximum of %d entries.", store.MaxDestinationEntries)
	}
	return nil
}

// freeDestination reads a domain that has no entry yet.
func freeDestination(cfg *store.Config, text string) (string, error) {
	domain, err := store.ParseDestination(text)
	switch {
	case err != nil:
		return "", err
	case destIndex(cfg, domain) >= 0:
		return "", shell.Refusedf("The domain %s is already in the destination control table.", domain)
	}
	return domain, nil
}

func destIndex(cfg *store.Config, domain string) int {
	return slices.IndexFunc(cfg.Destinations.Entries, func(e store.Destination) bool { return e.Domain == domain })
}

// knownDestination reads a domain that has an entry, and gives its index.
func knownDestination(cfg *store.Config, text string) (int, error) {
	domain, err := store.ParseDestination(text)
	if err != nil {
		return -1, err
	}
	n := destIndex(cfg, domain)
	if n < 0 {
		return -1, shell.Refusedf("The domain %s was not found in the destination control table.", domain)
	}
	return n, nil
}

func askDestination(d *Dialog, cfg *store.Config, question string) int {
	return shell.Ask(d, question, "", func(s string) (int, error) { return knownDestination(cfg, s) })
}

func destEdit(d *Dialog, cfg *store.Config) {
	n := askDestination(d, cfg, "Enter the domain you wish to edit.")
	if d.Err() != nil {
		return
	}
	to := destQuestions(d, cfg, cfg.Destinations.Entries[n], false)
	if d.Err() == nil {
		cfg.Destinations.Entries[n] = to
	}
}

func destDelete(d *Dialog, cfg *store.Config) {
	n := askDestination(d, cfg, "Enter the domain you wish to delete.")
	if d.Err() == nil {
		deleteDestination(d, cfg, n)
	}
}

// deleteDestination is where dialog and one-line form of DELETE meet.
func deleteDestination(d *Dialog, cfg *store.Config, n int) {
	d.Printf("Entry for %s deleted.\n", cfg.Destinations.Entries[n].Domain)
	cfg.Destinations.Entries = slices.Delete(cfg.Destinations.Entries, n, n+1)
}

// clearDestinations is where dialog and one-line form of CLEAR meet. The
// default stays.
func clearDestinations(d *Dialog, cfg *store.Config) {
	d.Printf("%d entries removed.\n", len(cfg.Destinations.Entries))
	cfg.Destinations.Entries = nil
}

// importDestinations puts the table of a file in place of the one there is,
// its default included.
func importDestinations(d *Dialog, env Env, cfg *store.Config, name string) error {
	if d.Err() != nil {
		return d.Err()
	}
	text, err := env.Files.Read(name)
	if err != nil {
		return fileFailed("Error reading file.", err)
	}
	table, err := store.ParseDestinations(bytes.NewReader(text))
	if err != nil {
		return shell.Refusedf("%w\nImport failed.", err)
	}
	if table.Certificate != "" && cfg.Certificate(table.Certificate) == nil {
		return shell.Refusedf("The certificate %s does not exist.\nImport failed.", table.Certificate)
	}
	for i, e := range table.Entries {
		if e.BounceProfile == "" {
			continue
		}
		n, err := findProfile(cfg, e.BounceProfile)
		if err != nil {
			return shell.Refusedf("%s: %w\nImport failed.", e.Domain, err)
		}
		table.Entries[i].BounceProfile = cfg.BounceProfiles[n].Name
	}
	cfg.Destinations = table
	d.Printf("%d entries successfully imported from %s.\n", len(table.Entries), name)
	return nil
}

func exportDestinations(d *Dialog, env Env, cfg *store.Config, name string) error {
	if d.Err() != nil {
		return d.Err()
	}
	var text bytes.Buffer
	if err := store.WriteDestinations(&text, cfg.Destinations); err != nil {
		return err
	}
	if err := env.Files.Write(name, text.Bytes()); err != nil {
		return fileFailed("Error writing file.", err)
	}
	d.Printf("%d entries exported to %s.\n", len(cfg.Destinations.Entries), name)
	return nil
}

// destinationOf names the entry that uses a bounce profile, "" if none does.
func destinationOf(cfg *store.Config, profile string) string {
	n := slices.IndexFunc(cfg.Destinations.Entries, func(e store.Destination) bool { return e.BounceProfile == profile })
	if n < 0 {
		return ""
	}
	return cfg.Destinations.Entries[n].Domain
}

// isDefaultEntry reports whether a one-line form means the default.
func isDefaultEntry(word string) bool { return strings.EqualFold(word, defaultEntry) }
