package store

import (
	"slices"
	"strings"
	"testing"
)

func TestMailDomains(t *testing.T) {
	c, _ := verdictConfig(t)
	l := listener(c)
	l.RAT = []RATEntry{
		{Address: "example.com", Accept: true}, {Address: ".example.net", Accept: true}, {Address: "user@example.org", Accept: true},
		{Address: "user@", Accept: true}, {Address: "user@[192.0.2.1]", Accept: true}, {Address: "x@example.com", Accept: true},
		{Address: "refused.example"}, {Address: allHosts, Accept: true},
	}
	if got := c.MailDomains(); !slices.Equal(got, []string{"example.com", "example.org"}) {
		t.Errorf("%q", got)
	}
	for name, change := range map[string]func(){
		"private":        func() { l.Type = Private },
		"no certificate": func() { l.Certificate = "" },
		"demo":           func() { l.Certificate = DemoCertificate },
		"TLS off":        func() { l.HAT.Default.TLS.Mode = TLSOff },
	} {
		before := *l
		change()
		if got := c.MailDomains(); len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
		*l = before
	}
}

func TestMailHostVerdicts(t *testing.T) {
	c, _ := verdictConfig(t)
	listener(c).RAT = []RATEntry{{Address: "example.com", Accept: true}}
	for _, tt := range []struct {
		name  string
		found MailHosts
		want  string
	}{
		{"one of them, in another case", MailHosts{Hosts: []string{"mx2.example.com", "MX.example.com"}}, ""},
		{"none of them", MailHosts{Hosts: []string{"a.example.net", "b\n.example.net"}},
			`listener "IncomingMail": Mail for example.com goes to a.example.net, b\n.example.net, but the host name of interface "Data1" is "mx.example.com": senders that verify it will not deliver. (interfaceconfig -> EDIT, or change the MX records)`},
		{"too many", MailHosts{Hosts: strings.Fields("a b c d e f g")}, "goes to a, b, c, d, e, ..., but"},
		{"takes no mail", MailHosts{Null: true}, "DNS says that example.com takes no mail"},
		{"not known", MailHosts{Failed: "ServFail"}, "could not be looked up: ServFail. (nslookup example.com MX)"},
	} {
		tt.found.Domain = "example.com"
		got := c.MailHostVerdicts([]MailHosts{{Domain: "other.example", Null: true}, tt.found})
		if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0].String(), tt.want) || got[0].Certificate != "mine") {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
