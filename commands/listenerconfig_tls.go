package commands

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"esa/shell"
	"esa/store"
)

// This file is TLS of listenerconfig: the certificate of a listener and what its
// policies say (reference esa-cli-config 7.3 and 7.6, questions 15 to 17).

// shaking is a listener whose policies are edited, with the configuration that
// has the certificates.
type shaking struct {
	cfg      *store.Config
	listener *store.Listener
}

// tls asks whether a policy encrypts.
func (q policyDialog) tls(own store.PolicyTLS) store.PolicyTLS {
	modes := store.PolicyTLSModes()
	var texts []string
	for _, m := range modes {
		texts = append(texts, m.Text())
	}
	inherited := q.from.TLS
	if inherited.Mode == store.TLSInherit {
		inherited.Mode = store.TLSOff
	}
	current := max(0, slices.Index(modes, own.Mode))
	if q.inherits {
		texts = append(texts, fmt.Sprintf("Default (%s)", inherited))
		if own.Mode == store.TLSInherit {
			current = len(modes)
		}
	}
	chosen := q.d.Choose("Do you want to allow encrypted TLS connections?", texts, current)
	if chosen == len(modes) || chosen == 0 && !q.inherits {
		return store.PolicyTLS{} // among the default parameters that is off
	}
	t := store.PolicyTLS{Mode: modes[chosen]}
	if t.Mode == store.TLSPreferred {
		t.Addresses = shell.Ask(q.d, `Choose address list to enforce TLS. Enter the envelope senders that must use TLS, separated by commas, such as "example.com" or "user@example.com". Enter "none" to enforce it for nobody.`,
			cmp.Or(own.Addresses, "none"), noneOr(store.ParseExceptions))
	}
	if t.Mode != store.TLSOff {
		q.shaking.offerDemo(q.d)
	}
	return t
}

// offerDemo asks, for a listener without certificate, whether the demo
// certificate will do.
func (s shaking) offerDemo(d *Dialog) {
	if s.listener.Certificate != "" {
		return
	}
	if s.cfg.Certificate(store.DemoCertificate) != nil &&
		d.YesNo("There is no certificate chosen for this listener. You may use the demo certificate to test TLS,but this will not be secure. Do you really wish to use the demo certificate?", false) {
		s.listener.Certificate = store.DemoCertificate
		return
	}
	d.Text(noCertificate(*s.listener))
}

func noCertificate(l store.Listener) string {
	return fmt.Sprintf("TLS is not offered on listener %s until it has a certificate: listenerconfig -> EDIT -> CERTIFICATE.", l.Name)
}

// tellNoCertificate says so where policies want TLS and there is nothing to
// offer it with.
func tellNoCertificate(d *Dialog, l store.Listener) {
	if l.Certificate == "" && d.Err() == nil && slices.ContainsFunc(policyModes(l.HAT), func(m store.TLSMode) bool { return m != store.TLSOff }) {
		d.Text(noCertificate(l))
	}
}

// policyModes lists what holds for the sender groups that may speak, each mode
// once, in the order of the menu.
func policyModes(h store.HAT) []store.TLSMode {
	used := map[store.TLSMode]bool{}
	for _, g := range h.Groups {
		if behavior, params, ok := h.Resolve(g); ok && (behavior == store.Accept || behavior == store.Relay) {
			mode := params.TLS.Mode
			if mode == store.TLSInherit {
				mode = store.TLSOff
			}
			used[mode] = true
		}
	}
	return slices.DeleteFunc(store.PolicyTLSModes(), func(m store.TLSMode) bool { return !used[m] })
}

// tlsSummary is the line of the block above EDIT: what the policies say, and
// with which certificate.
func tlsSummary(l store.Listener) string {
	var texts []string
	for _, m := range policyModes(l.HAT) {
		texts = append(texts, m.Text())
	}
	text := strings.Join(texts, ", ")
	switch {
	case text == "" || text == store.TLSOff.Text():
		return store.TLSOff.Text()
	case l.Certificate == "":
		return text + " (not offered: no certificate)"
	}
	return text + " (certificate " + l.Certificate + ")"
}

// noCertificateChoice stands behind the certificates.
const noCertificateChoice = "None"

// askCertificate asks for the certificate of a listener.
func askCertificate(d *Dialog, cfg *store.Config, current string) string {
	var choices []shell.Choice
	for _, name := range cfg.CertificateNames() {
		choice := shell.Choice{Name: name}
		if leaf, err := cfg.Certificate(name).Leaf(); err == nil {
			choice.Text = fmt.Sprintf("%s (%s, expires %s)", name, store.CommonName(leaf), leaf.NotAfter.UTC().Format(time.DateOnly))
		}
		choices = append(choices, choice)
	}
	choices = append(choices, shell.Choice{Name: noCertificateChoice})
	chosen := d.ChooseName("Please choose the certificate to apply:", choices, cmp.Or(current, noCertificateChoice))
	if d.Err() != nil {
		return current
	}
	if chosen == noCertificateChoice {
		chosen = ""
	}
	tellDemo(d, chosen, current)
	return chosen
}

// tellDemo warns when the demo certificate has been chosen.
func tellDemo(d *Dialog, chosen, before string) {
	if chosen == store.DemoCertificate && chosen != before {
		d.Text("The demo certificate is only for testing TLS: no peer can verify it.")
	}
}

// findCertificate reads the certificate of a one-line form.
func findCertificate(cfg *store.Config, text string) (string, error) {
	if strings.EqualFold(text, noCertificateChoice) {
		return "", nil
	}
	names := cfg.CertificateNames()
	n := find(names, text)
	if n < 0 {
		return "", shell.Refusedf("The certificate %q does not exist.", text)
	}
	return names[n], nil
}

// parsePolicyTLS reads the mode of a policy. Addresses are of one mode: they go
// with the old one.
func parsePolicyTLS(text string) (store.PolicyTLS, error) {
	mode, err := store.ParsePolicyTLS(text)
	return store.PolicyTLS{Mode: mode}, err
}
