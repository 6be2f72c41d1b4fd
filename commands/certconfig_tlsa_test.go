package commands

import (
	"strings"
	"testing"

	"esa/shell/shelltest"
	"esa/store"
)

// TestCertconfigTLSA: what is to be published is compared with DNS, and commit
// check warns of a certificate that breaks what is published, and only of that.
func TestCertconfigTLSA(t *testing.T) {
	for _, tt := range []struct {
		name, record string // "LEAF", "ISSUER": their digests
		tlsa, check  []string
		quiet        bool // commit check says nothing of TLSA
	}{
		{"none", "", []string{"(not published)", "DNS has no TLSA record"}, nil, true},
		{"own", "3 1 1 LEAF", []string{"TLSA 3 1 1 LEAF (published)", "TLSA 2 1 1 ISSUER (not published)"}, nil, true},
		{"issuer", "2 1 1 ISSUER", []string{"TLSA 3 1 1 LEAF (not published)", "TLSA 2 1 1 ISSUER (published)"}, nil, true},
		{"usage 3 with the issuer", "3 1 1 ISSUER", []string{"In DNS: 3 1 1 ISSUER (fits nothing", "WARNING: no record fits."}, []string{"fits no TLSA record of _25._tcp.mail.example.com"}, false},
		{"old", "3 1 1 " + strings.Repeat("ab", 32), []string{"WARNING: no record fits."}, []string{"fits no TLSA record of _25._tcp.mail.example.com", "certconfig -> TLSA"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			chain := store.PEM(w.pkiFile("leaf") + w.pkiFile("intermediate"))
			certs, err := chain.Certificates()
			if err != nil {
				t.Fatal(err)
			}
			fill := strings.NewReplacer("LEAF", digest(certs[0].RawSubjectPublicKeyInfo), "ISSUER", digest(certs[1].RawSubjectPublicKeyInfo))
			if tt.record != "" {
				w.look.tlsa = []Record{{"TLSA", strings.ToUpper(fill.Replace(tt.record)), 0}}
			}
			env := w.env("admin", false)
			err = env.Edit(func(c *store.Config) error {
				c.Certificates = append(c.Certificates, store.Certificate{Name: "corp", Chain: chain})
				l := store.NewListener("IncomingMail", store.Public)
				l.Interface, l.Port, l.Certificate = "Management", 25, "corp"
				c.Listeners = append(c.Listeners, l)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			problems := ""
			for _, p := range tlsaProblems(t.Context(), env, env.Config()) {
				problems += p.Text + " " + p.Fix
			}
			screen := shelltest.NewScreen()
			screen.Plain = true
			w.shell(env, screen).Exec(t.Context(), "certconfig tlsa")
			for _, want := range tt.tlsa {
				if !strings.Contains(screen.String(), fill.Replace(want)) {
					t.Errorf("%q is missing in\n%s", fill.Replace(want), screen)
				}
			}
			for _, want := range tt.check {
				if !strings.Contains(problems, want) {
					t.Errorf("%q is missing in %q", want, problems)
				}
			}
			if tt.quiet && problems != "" {
				t.Errorf("warned of %q", problems)
			}
		})
	}
}
