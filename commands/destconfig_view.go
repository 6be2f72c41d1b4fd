package commands

import (
	"cmp"
	"fmt"
	"strings"

	"esa/shell"
	"esa/store"
)

// destList is the table of LIST (reference esa-cli-config 4.7), without the
// columns of what this build does not have.
func destList(cfg *store.Config) string {
	rows := [][]string{
		{"", "Rate", "", "", "Bounce", "IP Version"},
		{"Domain", "Limiting", "TLS", "DANE", "Profile", "Preference"},
		{"", "", "", "", "", ""},
	}
	for _, e := range cfg.Destinations.Entries {
		limiting, family, tls := "Default", "Default", "Default"
		if e.Limited() {
			limiting = "On"
		}
		if e.Family != "" {
			family = familyText(e.Family)
		}
		if e.TLS != store.TLSInherit {
			tls = tlsWord(e.TLS)
		}
		rows = append(rows, []string{e.Domain, limiting, tls, daneWord(e.DANE), cmp.Or(e.BounceProfile, "Default"), family})
	}
	rows = append(rows, []string{"(Default)", "On", tlsWord(cfg.Destinations.Default.TLS), daneWord(cfg.Destinations.Default.DANE), "(Default)", "(" + familyText(cfg.Destinations.Default.Family) + ")"})
	for i := range rows[2] {
		width := 0
		for _, row := range rows {
			width = max(width, len(row[i]))
		}
		rows[2][i] = strings.Repeat("=", width)
	}
	return shell.Columns(rows)
}

// destDetail asks what to show, and shows it.
func destDetail(d *Dialog, cfg *store.Config) {
	which := shell.Ask(d, "Enter the domain name to view, or enter DEFAULT to view details for the\ndefault, or enter ALL to view details for all:", "",
		func(s string) ([]store.Destination, error) { return destinationsMeant(cfg, s) })
	showDestinations(d, cfg, which)
}

// destinationsMeant reads a domain, DEFAULT or ALL. The default has no domain.
func destinationsMeant(cfg *store.Config, text string) ([]store.Destination, error) {
	switch strings.ToLower(text) {
	case defaultEntry:
		return []store.Destination{cfg.Destinations.Default}, nil
	case allEntries:
		return append(append([]store.Destination{}, cfg.Destinations.Entries...), cfg.Destinations.Default), nil
	}
	n, err := knownDestination(cfg, text)
	if err != nil {
		return nil, err
	}
	return cfg.Destinations.Entries[n : n+1], nil
}

func showDestinations(d *Dialog, cfg *store.Config, which []store.Destination) {
	for i, e := range which {
		if i > 0 {
			d.Text("")
		}
		d.Text(destDetails(cfg.Destinations.Default, e))
	}
}

// destDetails tells of one entry; what it leaves to the default is in
// parentheses.
func destDetails(defaults, e store.Destination) string {
	whole := e.Within(defaults)
	shown := func(own bool, text string) string {
		if own || e.Domain == "" {
			return text
		}
		return "Default (" + text + ")"
	}
	recipients := "None"
	if whole.RecipientLimit > 0 {
		recipients = fmt.Sprintf("%d per %d minutes", whole.RecipientLimit, whole.RecipientMinutes)
	}
	scope, place := "The entire domain", "System Wide"
	if whole.Scope == store.EachMX {
		scope = "Each mail exchanger IP address"
	}
	if whole.Place == store.EachInterface {
		place = "Per Virtual Gateway(tm)"
	}
	var b strings.Builder
	b.WriteString(cmp.Or(e.Domain, "Default") + "\n")
	fmt.Fprintf(&b, "  Maximum messages per connection: %s\n", shown(e.MaxMessages != 0, fmt.Sprint(whole.MaxMessages)))
	b.WriteString("  Rate Limiting:\n")
	fmt.Fprintf(&b, "    Maximum concurrent connections: %s\n", shown(e.Concurrency != 0, fmt.Sprint(whole.Concurrency)))
	fmt.Fprintf(&b, "    Recipient limit: %s\n", shown(e.RecipientLimit != 0, recipients))
	fmt.Fprintf(&b, "    Limits apply to: %s\n", shown(e.Scope != "", scope))
	fmt.Fprintf(&b, "    Limits are enforced: %s\n", shown(e.Place != "", place))
	fmt.Fprintf(&b, "  TLS: %s\n", shown(e.TLS != store.TLSInherit, whole.TLS.Text()))
	fmt.Fprintf(&b, "  DANE: %s\n", shown(e.DANE != store.DANEInherit, whole.DANE.Text()))
	if e.Domain != "" {
		fmt.Fprintf(&b, "  Bounce Profile: %s\n", cmp.Or(e.BounceProfile, "Default (that of the listener)"))
	}
	fmt.Fprintf(&b, "  IP Version Preference: %s\n", shown(e.Family != "", familyText(whole.Family)))
	return b.String()
}
