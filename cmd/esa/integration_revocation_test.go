//go:build integration

package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRevocation_OpenSSL: an authority made by OpenSSL revokes a client; the
// list that `openssl ca -gencrl` writes is fetched over HTTP and obeyed.
//
//	openssl ca -gencrl ─HTTP─► esa ◄─STARTTLS, certificate─ openssl s_client
func TestRevocation_OpenSSL(t *testing.T) {
	a := newAuthority(t)
	a.write("index.txt", "")
	a.write("crlnumber", "01\n")
	a.write("ca.cnf", "[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\ncrlnumber=crlnumber\ncertificate=root.pem\nprivate_key=root.key\n"+
		"default_md=sha256\ndefault_crl_days=1\nunique_subject=no\n")
	for _, name := range []string{"good", "bad"} {
		a.openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", name+".key", "-out", name+".csr", "-subj", "/CN="+name+".example.org")
		a.openssl("x509", "-req", "-in", name+".csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "20", "-extfile", "leaf.ext", "-out", name+".pem")
	}
	a.openssl("ca", "-config", "ca.cnf", "-gencrl", "-out", "ca.crl")
	host := httptest.NewServer(http.FileServer(http.Dir(a.dir)))
	t.Cleanup(host.Close)
	g, addr := tlsGateway(t, 9, "listenerconfig edit OutgoingMail hostaccess edit default --tls require_verify")
	if err := os.WriteFile(filepath.Join(g.dir, "configuration", "root.pem"), []byte(a.read("root.pem")), 0o600); err != nil {
		t.Fatal(err)
	}
	g.script("certconfig certauthority custom import root.pem", "certconfig certauthority custom enable",
		"certconfig crl new root url="+host.URL+"/ca.crl refresh=\"every 6 hours\"", "certconfig crl setup listeners=yes", `commit "lists"`)
	check := func(entries string, taken map[string]bool) {
		t.Helper()
		if out := g.script("certconfig crl update", "certconfig crl print"); !strings.Contains(out, "root: "+entries+", next update ") {
			t.Errorf("the state is\n%s", out)
		}
		for name, want := range taken {
			out := openssl(t, addr, "-cert", filepath.Join(a.dir, name+".pem"), "-key", filepath.Join(a.dir, name+".key"))
			if strings.Contains(out, "250 sender") != want {
				t.Errorf("%s, with %s in the list:\n%s", name, entries, out)
			}
		}
	}
	check("0 entries", map[string]bool{"good": true, "bad": true})
	a.openssl("ca", "-config", "ca.cnf", "-revoke", "bad.pem", "-crl_reason", "superseded")
	a.openssl("ca", "-config", "ca.cnf", "-gencrl", "-crlhours", "48", "-out", "ca.crl")
	a.openssl("crl", "-in", "ca.crl", "-outform", "DER", "-out", "ca.crl")
	// HTTP tells changes by whole seconds: the list before may be of this one.
	later := time.Now().Add(5 * time.Second)
	if err := os.Chtimes(filepath.Join(a.dir, "ca.crl"), later, later); err != nil {
		t.Fatal(err)
	}
	check("1 entry", map[string]bool{"good": true, "bad": false})
	g.logged(`ICID \d+ TLS failed: \(0, 'client certificate not verified: the certificate with serial number [0-9A-F]+ was revoked at .* \(superseded, list root\)'\)$`)
}
