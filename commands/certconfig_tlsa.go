package commands

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"esa/mta/lookup"
	"esa/store"
)

// tlsaTime bounds asking DNS for the TLSA records of all listeners.
const tlsaTime = 10 * time.Second

// published is what DNS has for a listener that mail comes to, and what it
// should have (RFC 7672 §3.1).
type published struct {
	listener store.Listener
	name     string // "_25._tcp.mail.example.com"
	chain    []*x509.Certificate
	answer   Records
	err      error // why DNS was not asked
}

// lookUpTLSA asks DNS for the records of every public listener with a
// certificate of its own.
func lookUpTLSA(ctx context.Context, env Env, cfg *store.Config) []published {
	ctx, cancel := context.WithTimeout(ctx, tlsaTime)
	defer cancel()
	var all []published
	for _, l := range cfg.Listeners {
		profile := cfg.Certificate(l.Certificate)
		if l.Type != store.Public || profile == nil || profile.Name == store.DemoCertificate {
			continue
		}
		chain, err := profile.Chain.Certificates()
		if err != nil {
			continue // Validate tells
		}
		on, _ := cfg.Interface(l.Interface)
		p := published{listener: l, name: fmt.Sprintf("_%d._tcp.%s", l.Port, strings.ToLower(on.Hostname)), chain: chain}
		p.answer, p.err = env.Look.QueryDNS(ctx, p.name, "TLSA")
		all = append(all, p)
	}
	return all
}

// wanted are the records to publish: for the key of the certificate, and for
// that of its issuer where the chain has it.
func (p published) wanted() []string {
	records := []string{"3 1 1 " + digest(p.chain[0].RawSubjectPublicKeyInfo)}
	if len(p.chain) > 1 {
		records = append(records, "2 1 1 "+digest(p.chain[1].RawSubjectPublicKeyInfo))
	}
	return records
}

func digest(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

// records are those that DNS has, each in the form of wanted.
func (p published) records() []string {
	var all []string
	for _, r := range p.answer.Records {
		if fields := strings.Fields(strings.ToLower(r.Text)); r.Type == "TLSA" && len(fields) > 3 {
			all = append(all, strings.Join(fields[:3], " ")+" "+strings.Join(fields[3:], ""))
		}
	}
	return all
}

// fits reports whether a record names the certificate, or an issuer in its
// chain (RFC 6698 §2.1).
func (p published) fits(record string) bool {
	usage, rest, _ := strings.Cut(record, " ")
	certs := map[string][]*x509.Certificate{"3": p.chain[:1], "2": p.chain[1:]}[usage]
	return slices.ContainsFunc(certs, func(c *x509.Certificate) bool {
		for selector, data := range [][]byte{c.Raw, c.RawSubjectPublicKeyInfo} {
			for matching, text := range []string{fmt.Sprintf("%x", data), digest(data), fmt.Sprintf("%x", sha512.Sum512(data))} {
				if rest == fmt.Sprintf("%d %d %s", selector, matching, text) {
					return true
				}
			}
		}
		return false
	})
}

// failed says why nothing is known of what DNS has; "" if something is.
func (p published) failed() string {
	switch {
	case p.err != nil:
		return printable(p.err.Error())
	case !p.answer.Usable():
		return printable(p.answer.Why)
	}
	return ""
}

// broken reports whether senders that go by DANE will find that no record
// fits.
func (p published) broken() bool {
	records := p.records()
	return p.failed() == "" && len(records) > 0 && !slices.ContainsFunc(records, p.fits)
}

// certTLSA shows for every certificate in use which records to publish, and
// what DNS has.
func certTLSA(d *Dialog, env Env, cfg *store.Config) {
	all := lookUpTLSA(d.Context(), env, cfg)
	if len(all) == 0 {
		d.Text("No public listener has a certificate of its own: there is nothing to publish.")
	}
	for _, p := range all {
		d.Printf("\nListener %s, certificate profile %s\n", p.listener.Name, p.listener.Certificate)
		records := p.records()
		for _, w := range p.wanted() {
			d.Printf("  %s. IN TLSA %s (%s)\n", p.name, w, p.state(w))
		}
		for _, r := range records {
			switch {
			case slices.Contains(p.wanted(), r):
			case p.fits(r):
				d.Printf("  In DNS: %s (fits)\n", printable(r))
			default:
				d.Printf("  In DNS: %s (fits nothing that this listener presents)\n", printable(r))
			}
		}
		p.advise(d)
	}
}

// state is what DNS says of a record to publish.
func (p published) state(record string) string {
	switch {
	case p.failed() != "":
		return "not known"
	case slices.Contains(p.records(), record):
		return "published"
	}
	return "not published"
}

func (p published) advise(d *Dialog) {
	switch {
	case p.failed() != "":
		d.Printf("  DNS could not be asked: %s\n", p.failed())
	case len(p.records()) == 0:
		d.Text("  DNS has no TLSA record: senders do not authenticate this listener by DANE.")
	case p.broken():
		d.Text("  WARNING: no record fits. Senders that go by DANE do not deliver.")
	case p.answer.Status == lookup.Insecure:
		d.Text("  The zone is not signed: senders do not look at its TLSA records.")
	}
}

// tlsaProblems warns of certificates that break what is published.
func tlsaProblems(ctx context.Context, env Env, cfg *store.Config) []store.Problem {
	var problems []store.Problem
	for _, p := range lookUpTLSA(ctx, env, cfg) {
		if p.broken() {
			problems = append(problems, store.Problem{
				Place: fmt.Sprintf("listener %q", p.listener.Name),
				Text: fmt.Sprintf("The certificate %q fits no TLSA record of %s: senders that go by DANE will not deliver. Publish the new record beside the old one first, and wait until the old answers have expired.",
					p.listener.Certificate, p.name),
				Fix: "certconfig -> TLSA",
			})
		}
	}
	return problems
}

func certTLSAForm(d *Dialog, env Env, _ []string) error {
	certTLSA(d, env, env.Config())
	return d.Err()
}
