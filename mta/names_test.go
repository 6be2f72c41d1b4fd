package mta

import (
	"context"
	"testing"

	"esa/mta/dns"
	"esa/mta/mtatest"
	"esa/mta/policy"
)

const senderZone = `
test.            SOA  ns.test. admin.test. 1 3600 600 86400 60
mx.test.         MX   10 mail.test.
onlya.test.      A    192.0.2.1
onlyaaaa.test.   AAAA 2001:db8::1
null.test.       MX   0 .
half.test.       TXT  "MX can be found out, addresses cannot"
text.test.       TXT  "nothing to mail to"
alias.test.      CNAME mx.test.
xn--bcher-kva.test. MX 10 mail.test.
`

// A domain exists for mail if it has mail exchangers or, without any, an
// address. What cannot be found out is not held against it for good.
func TestSenderDomain(t *testing.T) {
	server := mtatest.NewDNSServer(t, senderZone)
	server.Script("servfail.test", "ANY", mtatest.ServFail)
	server.Script("half.test", "A", mtatest.ServFail)
	server.Script("half.test", "AAAA", mtatest.ServFail)
	resolver := dns.New(dns.Options{})
	t.Cleanup(resolver.Close)
	resolver.Configure(dns.Settings{Servers: []dns.Server{{Addr: server.Addr()}}})
	n := names{resolver: resolver}
	for domain, want := range map[string]policy.SenderDomain{
		"mx.test":       policy.DomainExists,
		"onlya.test":    policy.DomainExists,
		"onlyaaaa.test": policy.DomainExists,
		"null.test":     policy.DomainExists,
		"alias.test":    policy.DomainExists,
		"bücher.test":   policy.DomainExists,
		"localhost":     policy.DomainExists,
		"text.test":     policy.DomainNonexistent,
		"no.such.test":  policy.DomainNonexistent,
		"\xff.test":     policy.DomainNonexistent,
		"servfail.test": policy.DomainUnresolved,
		"half.test":     policy.DomainUnresolved,
	} {
		if got := n.Sender(context.Background(), domain); got != want {
			t.Errorf("%q: %v, want %v", domain, got, want)
		}
	}
}
