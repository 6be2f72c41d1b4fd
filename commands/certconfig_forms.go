package commands

import (
	"crypto/x509"
	"strings"

	"esa/shell"
	"esa/store"
)

// This file is the one-line forms of certconfig. What needs a passphrase or a
// paste has none.

func certPrintForm(d *Dialog, env Env, _ []string) error {
	d.Text(certPrint(d, env, env.Config()))
	return d.Err()
}

// newKeys lists the keys of the one-line form of NEW.
func newKeys(n *newCertificate) []key {
	field := func(place *string, most int) func(string) error {
		return parsed(place, func(text string) (string, error) { return store.ParseSubjectField(text, most) })
	}
	s := &n.subject
	return []key{
		{"common_name", "NAME", field(&s.CommonName, store.MaxCommonName)},
		{"organization", "TEXT", field(&s.Organization, store.MaxOrganization)},
		{"unit", "TEXT", field(&s.Unit, store.MaxOrganization)},
		{"locality", "TEXT", field(&s.Locality, store.MaxPlace)},
		{"state", "TEXT", field(&s.Province, store.MaxPlace)},
		{"country", "CC", parsed(&s.Country, store.ParseCountry)},
		{"days", "N", number(&s.Days, 1, store.MaxCertificateDays)},
		{"key", "2048|4096|P-256", parsed(&n.kind, store.ParseKeyType)},
		{"dns", "LIST", parsed(&s.DNSNames, store.ParseDNSNames)},
	}
}

// certNewForm makes a profile; what the dialog asks without a default must be
// given.
func certNewForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		n := newCertificate{kind: store.RSA2048, subject: store.Subject{Days: defaultDays}}
		var err error
		if n.name, err = certificateName(cfg, args[0], false); err != nil {
			return err
		}
		if err := setKeys(newKeys(&n), args[1:]); err != nil {
			return err
		}
		for _, required := range []struct{ key, value string }{
			{"common_name", n.subject.CommonName}, {"organization", n.subject.Organization}, {"unit", n.subject.Unit},
			{"locality", n.subject.Locality}, {"state", n.subject.Province}, {"country", n.subject.Country},
		} {
			if required.value == "" {
				return shell.Refusedf("Invalid arguments: %s= is missing.", required.key)
			}
		}
		profile, err := makeCertificate(d, env, cfg, n)
		if err != nil {
			return err
		}
		showRequest(d, env, profile)
		return d.Err()
	})
}

func certRequestForm(d *Dialog, env Env, args []string) error {
	profile, err := knownCertificate(env.Config(), args[0])
	if err != nil {
		return err
	}
	if profile.Request == "" {
		return shell.Refusedf("Certificate profile %q has no signing request: its key was not made here.", profile.Name)
	}
	showRequest(d, env, *profile)
	return d.Err()
}

func certDeleteForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		profile, err := knownCertificate(cfg, args[0])
		if err != nil {
			return err
		}
		if err := deletableCertificate(cfg, profile.Name); err != nil {
			return err
		}
		deleteCertificate(d, cfg, profile.Name)
		return d.Err()
	})
}

// knownCertificate finds the profile that a one-line form means.
func knownCertificate(cfg *store.Config, name string) (*store.Certificate, error) {
	names := cfg.CertificateNames()
	n := find(names, name)
	if n < 0 {
		return nil, shell.Refusedf("There is no certificate profile %q.", name)
	}
	return cfg.Certificate(names[n]), nil
}

func authorityForm(d *Dialog, env Env, args []string) error {
	list, word := strings.ToLower(args[0]), strings.ToLower(args[1])
	if word == "print" {
		certs, err := authoritiesOf(env, list)
		if err != nil {
			return err
		}
		d.Text(authorityTable(certs))
		return d.Err()
	}
	return env.Edit(func(cfg *store.Config) error {
		place := &cfg.Authorities.Custom
		if list == systemList {
			place = &cfg.Authorities.System
		}
		enableAuthorities(d, place, word == "enable", list)
		return d.Err()
	})
}

// systemList is the word for the list of the machine.
const systemList = "system"

func authoritiesOf(env Env, list string) ([]*x509.Certificate, error) {
	if list == systemList {
		return systemAuthorities(env)
	}
	return customAuthorities(env.Config()), nil
}

func authorityExportForm(d *Dialog, env Env, args []string) error {
	certs, err := authoritiesOf(env, strings.ToLower(args[0]))
	if err != nil {
		return err
	}
	if len(args) > 2 {
		n, err := knownAuthority(certs, args[2])
		if err != nil {
			return err
		}
		certs = certs[n : n+1]
	}
	if len(certs) == 0 {
		return shell.Refusedf("There is no certificate authority to export.")
	}
	return exportAuthorities(d, env, certs, args[1])
}

// knownAuthority finds the authority that a one-line form means.
func knownAuthority(certs []*x509.Certificate, name string) (int, error) {
	n := find(authorityNames(certs), name)
	if n < 0 {
		return n, shell.Refusedf("There is no certificate authority %q.", name)
	}
	return n, nil
}

func authorityImportForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error { return importAuthorities(d, env, cfg, authorityFile{name: args[0]}) })
}

func authorityDeleteForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		n, err := knownAuthority(customAuthorities(cfg), args[0])
		if err != nil {
			return err
		}
		deleteAuthority(d, cfg, n)
		return d.Err()
	})
}

// crlKeys lists the keys of the forms over one revocation list.
func crlKeys(s *store.CRLSource) []key {
	return []key{
		{"url", "URL", parsed(&s.URL, store.ParseCRLURL)},
		{"further", "URL|none", parsed(&s.Further, noneOr(store.ParseCRLURL))},
		{"refresh", "SCHEDULE", parsed(&s.Refresh, store.ParseCRLSchedule)},
	}
}

// crlUseKeys lists the keys of the form of CRL SETUP.
func crlUseKeys(use *crlUse) []key {
	return []key{{"listeners", "yes|no", yesNo(&use.listener)}, {"delivery", "yes|no", yesNo(&use.delivery)}}
}

func crlSetForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		if args[0] == "new" {
			return crlNewForm(d, cfg, args[1:])
		}
		place, err := knownCRL(cfg, args[1])
		if err != nil {
			return err
		}
		s := *place
		if err := setKeys(crlKeys(&s), args[2:]); err != nil {
			return err
		}
		return changeCRL(d, place, s)
	})
}

func crlNewForm(d *Dialog, cfg *store.Config, args []string) error {
	if err := roomForCRL(cfg); err != nil {
		return err
	}
	s := store.CRLSource{Refresh: store.DailyCRL()}
	var err error
	if s.Name, err = freeCRLName(cfg, args[0]); err != nil {
		return err
	}
	if err := setKeys(crlKeys(&s), args[1:]); err != nil {
		return err
	}
	if s.URL == "" {
		return shell.Refusedf("Invalid arguments: url= is missing.")
	}
	return addCRL(d, cfg, s)
}

// knownCRL finds the revocation list that a one-line form means.
func knownCRL(cfg *store.Config, name string) (*store.CRLSource, error) {
	if s := cfg.Revocation.CRLSource(name); s != nil {
		return s, nil
	}
	return nil, shell.Refusedf("There is no revocation list %q.", name)
}

func crlDeleteForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		s, err := knownCRL(cfg, args[0])
		if err == nil {
			deleteCRL(d, cfg, s.Name)
		}
		return err
	})
}

func crlSetupForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		use := crlUse{cfg.Revocation.Listener, cfg.Revocation.Delivery}
		if err := setKeys(crlUseKeys(&use), args); err != nil {
			return err
		}
		useCRL(d, cfg, use)
		return nil
	})
}

func crlPrintForm(d *Dialog, env Env, _ []string) error {
	cfg := env.Config()
	d.Text(crlSummary(cfg))
	if len(cfg.Revocation.Sources) > 0 {
		d.Text("\n" + crlTable(env, cfg))
	}
	return d.Err()
}

func crlUpdateForm(d *Dialog, env Env, args []string) error {
	cfg := env.Config()
	sources := cfg.Revocation.Sources
	if len(args) > 0 {
		s, err := knownCRL(cfg, args[0])
		if err != nil {
			return err
		}
		sources = []store.CRLSource{*s}
	}
	if len(sources) == 0 {
		return shell.Refusedf("There are no revocation lists.")
	}
	return crlUpdateAll(d, env, sources)
}
