package store

import (
	"fmt"
	"slices"
	"strings"
)

// MailHosts is what DNS says of one domain that a listener takes mail for.
type MailHosts struct {
	Domain string
	Hosts  []string // of its MX records; the domain itself where it has none
	Null   bool     // it says that it takes no mail (RFC 7505)
	Failed string   // why nothing is known, for operators
}

// MailDomains gives the domains whose MX records must agree with host names:
// those that public listeners take mail for and offer TLS with a certificate
// of their own, in the order of the configuration.
func (c *Config) MailDomains() []string {
	var all []string
	for _, l := range c.Listeners {
		for _, domain := range l.mailDomains() {
			if !slices.Contains(all, domain) {
				all = append(all, domain)
			}
		}
	}
	return all
}

// mailDomains gives those of one listener. What the table of recipients has
// beside whole domains cannot be asked for.
func (l Listener) mailDomains() []string {
	if l.Type != Public || l.Certificate == "" || l.Certificate == DemoCertificate || !l.offersTLS() {
		return nil
	}
	return l.ownDomains()
}

// ownDomains are those whose recipients a public listener accepts.
func (l Listener) ownDomains() []string {
	var domains []string
	seen := map[string]bool{}
	for _, e := range l.RAT {
		_, domain, user := strings.Cut(e.Address, "@")
		if !user {
			domain = e.Address
		}
		name, err := ParseHostname(domain)
		if err == nil && e.Accept && domain != allHosts && !seen[name] {
			seen[name] = true
			domains = append(domains, name)
		}
	}
	return domains
}

// MailHostVerdicts compares the host names of interfaces with what DNS says of
// the domains of MailDomains: a sender that verifies looks for a host of the MX
// records, finds the listener there, and expects its certificate to be for that
// host. Which certificate is for which host is for CertificateVerdicts.
func (c *Config) MailHostVerdicts(found []MailHosts) []Verdict {
	var v verdicts
	for _, l := range c.Listeners {
		on, ok := c.Interface(l.Interface)
		domains := l.mailDomains()
		for _, h := range found {
			if ok && slices.Contains(domains, h.Domain) {
				v.name, v.place = l.Certificate, l.place()
				v.mailHosts(on, h)
			}
		}
	}
	return v.found
}

// maxShownHosts is how many hosts of a domain a verdict names.
const maxShownHosts = 5

func (v *verdicts) mailHosts(on Interface, h MailHosts) {
	ask := fmt.Sprintf("nslookup %s MX", h.Domain)
	switch {
	case h.Failed != "":
		v.add(ask, "The MX records of %s could not be looked up: %s.", h.Domain, printable(h.Failed))
		return
	case h.Null:
		v.add(ask, "DNS says that %s takes no mail, but the listener takes mail for it.", h.Domain)
		return
	case slices.ContainsFunc(h.Hosts, func(host string) bool { return strings.EqualFold(host, on.Hostname) }):
		return
	}
	names := make([]string, min(len(h.Hosts), maxShownHosts))
	for i := range names {
		names[i] = printable(h.Hosts[i])
	}
	if len(h.Hosts) > len(names) {
		names = append(names, "...")
	}
	v.add("interfaceconfig -> EDIT, or change the MX records",
		"Mail for %s goes to %s, but the host name of interface %q is %q: senders that verify it will not deliver.",
		h.Domain, strings.Join(names, ", "), on.Name, on.Hostname)
}
