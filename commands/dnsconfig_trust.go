package commands

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"esa/shell"
	"esa/store"
)

// dnsRoots is ROOTHINTS: which servers of the root are asked where SETUP says
// so.
func dnsRoots(d *Dialog, env Env, cfg *store.Config) {
	for d.Menu(rootsSummary(env, &cfg.DNS), rootsMenu(&cfg.DNS)...) {
		switch d.Op() {
		case "IMPORT":
			file := d.Required("Enter the name of the file to import:", "")
			if d.Err() == nil {
				tell(d, importRoots(d, env, &cfg.DNS, file))
			}
		case "RESET":
			resetRoots(d, &cfg.DNS)
		}
	}
}

func rootsMenu(dns *store.DNS) []shell.Op {
	ops := []shell.Op{{Word: "IMPORT", Text: "Import root DNS servers from a file."}}
	if len(dns.Roots) > 0 {
		ops = append(ops, shell.Op{Word: "RESET", Text: "Go back to the root DNS servers that are built in."})
	}
	return ops
}

func rootsSummary(env Env, dns *store.DNS) string {
	var b strings.Builder
	roots := dns.Roots
	b.WriteString("Root DNS servers:\n")
	if len(roots) == 0 {
		b.Reset()
		b.WriteString("Root DNS servers that are built in:\n")
		roots = env.DNSSEC.Roots()
	}
	for _, r := range roots {
		fmt.Fprintf(&b, "%s\n", r)
	}
	if !dns.FromRoot {
		b.WriteString("They are not asked now: SETUP chooses your own DNS servers.\n")
	}
	return b.String()
}

// importRoots takes the root servers of a file instead of all there are.
func importRoots(d *Dialog, env Env, dns *store.DNS, file string) error {
	text, err := env.Files.Read(file)
	if err != nil {
		return err
	}
	roots, err := env.DNSSEC.ParseRoots(string(text))
	if err != nil {
		return shell.Refusedf("The file %q cannot be imported: %w.", file, err)
	}
	dns.Roots = roots
	d.Printf("%s imported.\n", count(len(roots), "root DNS server"))
	return nil
}

func resetRoots(d *Dialog, dns *store.DNS) {
	dns.Roots = nil
	d.Text("The root DNS servers that are built in are used.")
}

// dnsAnchors is ANCHORS: which keys are trusted beside those of the root.
func dnsAnchors(d *Dialog, env Env, cfg *store.Config) {
	for d.Menu(anchorsSummary(env, &cfg.DNS), anchorsMenu(&cfg.DNS)...) {
		switch d.Op() {
		case "NEW":
			line := d.Required("Enter the trust anchor, a DS or DNSKEY record as in a zone file.", "")
			if d.Err() == nil {
				tell(d, addAnchors(d, env, &cfg.DNS, line))
			}
		case "IMPORT":
			file := d.Required("Enter the name of the file to import:", "")
			if d.Err() == nil {
				tell(d, importAnchors(d, env, &cfg.DNS, file))
			}
		case "DELETE":
			n := d.Int("Enter the number of the trust anchor you wish to delete.", 1, 1, len(cfg.DNS.Anchors))
			if d.Err() == nil {
				deleteAnchor(d, &cfg.DNS, n-1)
			}
		}
	}
}

func anchorsMenu(dns *store.DNS) []shell.Op {
	ops := []shell.Op{
		{Word: "NEW", Text: "Add a trust anchor."},
		{Word: "IMPORT", Text: "Add the trust anchors of a file."},
	}
	if len(dns.Anchors) > 0 {
		ops = append(ops, shell.Op{Word: "DELETE", Text: "Remove a trust anchor."})
	}
	return ops
}

func anchorsSummary(env Env, dns *store.DNS) string {
	var b strings.Builder
	b.WriteString("Keys of the DNS root, kept up to date by RFC 5011:\n")
	for _, k := range env.DNSSEC.RootKeys() {
		since := "built in"
		if !k.Since.IsZero() {
			since = "since " + k.Since.UTC().Format(time.DateOnly)
		}
		fmt.Fprintf(&b, "Key %d: %s, %s\n", k.Tag, k.State, since)
	}
	if len(dns.Anchors) == 0 {
		b.WriteString("There are no other trust anchors.\n")
		return b.String()
	}
	b.WriteString("\nOther trust anchors:\n")
	for i, a := range dns.Anchors {
		fmt.Fprintf(&b, "%d. %s\n", i+1, a)
	}
	return b.String()
}

// addAnchors adds records that are not there yet.
func addAnchors(d *Dialog, env Env, dns *store.DNS, text string) error {
	lines, err := env.DNSSEC.ParseAnchors(text)
	if err != nil {
		return shell.Refusedf("The trust anchor cannot be used: %w.", err)
	}
	added := 0
	for _, line := range lines {
		line = strings.Join(strings.Fields(line), " ")
		if slices.Contains(dns.Anchors, line) {
			continue
		}
		if len(dns.Anchors) >= store.MaxTrustAnchors {
			return shell.Refusedf("There is a maximum of %d trust anchors.", store.MaxTrustAnchors)
		}
		dns.Anchors = append(dns.Anchors, line)
		added++
	}
	d.Printf("%s added.\n", count(added, "trust anchor"))
	return nil
}

func importAnchors(d *Dialog, env Env, dns *store.DNS, file string) error {
	text, err := env.Files.Read(file)
	if err != nil {
		return err
	}
	return addAnchors(d, env, dns, string(text))
}

func deleteAnchor(d *Dialog, dns *store.DNS, i int) {
	dns.Anchors = slices.Delete(dns.Anchors, i, i+1)
	d.Text("Trust anchor removed.")
}

// dnsTrustForms are ROOTHINTS and ANCHORS in one line. A record has blanks: its
// words are joined.
func dnsTrustForms() []Form {
	edit := func(change func(d *Dialog, env Env, dns *store.DNS, args []string) error) func(*Dialog, Env, []string) error {
		return func(d *Dialog, env Env, args []string) error {
			return env.Edit(func(cfg *store.Config) error { return change(d, env, &cfg.DNS, args) })
		}
	}
	show := func(summary func(Env, *store.DNS) string) func(*Dialog, Env, []string) error {
		return func(d *Dialog, env Env, _ []string) error {
			d.Text(summary(env, &env.Config().DNS))
			return d.Err()
		}
	}
	return []Form{
		{Usage: "dnsconfig roothints print", Run: show(rootsSummary)},
		{Usage: "dnsconfig roothints import FILE", Run: edit(func(d *Dialog, env Env, dns *store.DNS, args []string) error {
			return importRoots(d, env, dns, args[0])
		})},
		{Usage: "dnsconfig roothints reset", Run: edit(func(d *Dialog, _ Env, dns *store.DNS, _ []string) error {
			resetRoots(d, dns)
			return nil
		})},
		{Usage: "dnsconfig anchors print", Run: show(anchorsSummary)},
		{Usage: "dnsconfig anchors new RECORD...", Run: edit(func(d *Dialog, env Env, dns *store.DNS, args []string) error {
			return addAnchors(d, env, dns, strings.Join(args, " "))
		})},
		{Usage: "dnsconfig anchors import FILE", Run: edit(func(d *Dialog, env Env, dns *store.DNS, args []string) error {
			return importAnchors(d, env, dns, args[0])
		})},
		{Usage: "dnsconfig anchors delete NUMBER", Run: edit(func(d *Dialog, _ Env, dns *store.DNS, args []string) error {
			n := 0
			if len(dns.Anchors) == 0 {
				return shell.Refusedf("There are no other trust anchors.")
			}
			if err := setNumber(&n, args[0], 1, len(dns.Anchors)); err != nil {
				return err
			}
			deleteAnchor(d, dns, n-1)
			return nil
		})},
	}
}
