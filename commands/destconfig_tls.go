package commands

import (
	"cmp"
	"fmt"
	"slices"

	"esa/shell"
	"esa/store"
)

// What destconfig asks about TLS: the mode of a destination (reference
// esa-cli-config 4.3) and the settings of all deliveries (4.6).

// askTLS asks for the mode of a destination.
func askTLS(d *Dialog, cfg *store.Config, current store.TLSMode) store.TLSMode {
	var choices []shell.Choice
	for _, m := range store.DestinationTLSModes() {
		choices = append(choices, shell.Choice{Name: string(m), Text: m.Text()})
	}
	mode := store.TLSMode(d.ChooseName("Do you want to use TLS support?", choices, string(cmp.Or(current, store.TLSOff))))
	if mode != store.TLSOff && mode != current {
		noteCertificate(d, cfg)
	}
	return mode
}

// noteCertificate reminds of the certificate where there is none of the
// operator's own.
func noteCertificate(d *Dialog, cfg *store.Config) {
	if name := cfg.Destinations.Certificate; name == "" || name == store.DemoCertificate {
		d.Text("You have chosen to enable TLS. Please use the 'certconfig' command to\nensure that there is a valid certificate configured.")
	}
}

// tlsWord is the mode of a destination in a column of LIST.
func tlsWord(m store.TLSMode) string {
	switch m {
	case store.TLSPreferred:
		return "Pref"
	case store.TLSRequired:
		return "Req"
	case store.TLSPreferredVerify:
		return "Pref-Verify"
	case store.TLSRequiredVerify:
		return "Req-Verify"
	case store.TLSRequiredVerifyHosted:
		return "Req-Verify-Hosted"
	}
	return "Off"
}

// tlsHelp is the table of the modes.
func tlsHelp() string {
	rows := [][]string{{"", "no STARTTLS", "handshake fails", "not verified"}}
	for _, m := range store.DestinationTLSModes() {
		row := []string{m.Text(), "in clear", "next host", "ignored"}
		if m.Required() {
			row[1] = "next host"
		}
		switch {
		case m == store.TLSOff:
			row[1], row[2], row[3] = "in clear", "", ""
		case m.Verified() && m.Required():
			row[3] = "next host"
		case m.Verified():
			row[3] = "logged"
		}
		rows = append(rows, row)
	}
	return shell.Columns(rows)
}

// destSetup asks for what holds for all deliveries.
func destSetup(d *Dialog, cfg *store.Config) {
	to := cfg.Destinations
	if to.Certificate == store.DemoCertificate {
		d.Text(fmt.Sprintf("\nThe %q certificate is currently configured. You may use\n%q, but this will not be secure.", store.DemoCertificate, store.DemoCertificate))
	}
	to.Certificate = askCertificate(d, cfg, to.Certificate)
	to.AlertTLS = d.YesNo("Do you want to send an alert when a required TLS connection fails?", to.AlertTLS)
	if d.Err() == nil {
		setDestinations(d, cfg, to)
	}
}

// setDestinations is where dialog and one-line form of SETUP meet.
func setDestinations(d *Dialog, cfg *store.Config, to store.Destinations) {
	hears := func(r store.AlertRecipient) bool { return r.Wants(store.AlertSystem, store.WarningSeverity) }
	if to.AlertTLS && !cfg.Destinations.AlertTLS && !slices.ContainsFunc(cfg.Alerts.Recipients, hears) {
		d.Text("Nobody receives alerts of class System and severity Warning: see alertconfig.")
	}
	cfg.Destinations = to
}

// destSetupKeys lists the keys of the one-line form of SETUP.
func destSetupKeys(cfg *store.Config) []key {
	to := &cfg.Destinations
	return []key{
		{"certificate", "NAME|none", parsed(&to.Certificate, func(text string) (string, error) { return findCertificate(cfg, text) })},
		{"send_tls_req_alert", "yes|no", yesNo(&to.AlertTLS)},
	}
}

func destSetupForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		set := *cfg
		if err := setKeys(destSetupKeys(&set), args); err != nil {
			return err
		}
		tellDemo(d, set.Destinations.Certificate, cfg.Destinations.Certificate)
		setDestinations(d, cfg, set.Destinations)
		d.Text("Global settings changed.")
		return nil
	})
}
