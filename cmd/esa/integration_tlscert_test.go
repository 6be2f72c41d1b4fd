//go:build integration

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// authority is a small CA made with openssl: a root, and an intermediate that
// signs.
type authority struct {
	t   *testing.T
	dir string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	need(t, "openssl")
	a := authority{t, t.TempDir()}
	a.write("ca.ext", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n")
	a.write("leaf.ext", "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\n"+
		"extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=DNS:mx.example.com\n")
	a.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "root.key", "-out", "root.pem", "-days", "30", "-subj", "/CN=Test Root CA")
	a.openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "lower.key", "-out", "lower.csr", "-subj", "/CN=Test Issuing CA")
	a.openssl("x509", "-req", "-in", "lower.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "30", "-extfile", "ca.ext", "-out", "lower.pem")
	return a
}

func (a authority) write(name, text string) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a authority) read(name string) string {
	a.t.Helper()
	text, err := os.ReadFile(filepath.Join(a.dir, name))
	if err != nil {
		a.t.Fatal(err)
	}
	return string(text)
}

// openssl runs openssl in the folder of the CA and gives what it says.
func (a authority) openssl(words ...string) string {
	a.t.Helper()
	cmd := exec.Command("openssl", words...)
	cmd.Dir = a.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		a.t.Fatalf("openssl %s: %v\n%s", strings.Join(words, " "), err, out)
	}
	return string(out)
}

// block cuts the PEM block of a kind out of a screen.
func block(t *testing.T, screen, kind string) string {
	t.Helper()
	begin, end := "-----BEGIN "+kind+"-----", "-----END "+kind+"-----"
	from, to := strings.Index(screen, begin), strings.Index(screen, end)
	if from < 0 || to < from {
		t.Fatalf("there is no %s in\n%s", kind, screen)
	}
	return screen[from:to+len(end)] + "\n"
}

// paste gives the lines of a PEM file, and the dot that ends them.
func paste(text string) []string {
	return append(strings.Split(strings.TrimSuffix(text, "\n"), "\n"), ".")
}

// verified asks with openssl from outside: STARTTLS, the chain to the root, and
// the name.
func (a authority) verified(port int) {
	a.t.Helper()
	cmd := exec.Command("openssl", "s_client", "-starttls", "smtp", "-connect", fmt.Sprintf("127.0.0.1:%d", port),
		"-CAfile", "root.pem", "-verify_return_error", "-verify_hostname", "mx.example.com", "-showcerts")
	cmd.Dir = a.dir
	cmd.Stdin = strings.NewReader("QUIT\r\n")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Verify return code: 0 (ok)") {
		a.t.Fatalf("openssl s_client: %v\n%s", err, out)
	}
	if n := strings.Count(string(out), "-----BEGIN CERTIFICATE-----"); n != 2 {
		a.t.Errorf("%d certificates are presented, want the server's and its intermediate\n%s", n, out)
	}
}

// chosen gives the commands that have a certificate serve, and TLS offered.
func chosen(port int) []string {
	return []string{
		"interfaceconfig edit Management --hostname=mx.example.com",
		fmt.Sprintf("listenerconfig edit OutgoingMail certificate=mx port=%d", port),
		"listenerconfig edit OutgoingMail hostaccess edit policy RELAYED --tls on",
		"destconfig setup certificate=mx",
		`commit "certificate in use"`,
	}
}

// TestCertificateStory is the guide's: self-signed, request, signed by an
// authority, pasted with its intermediate, chosen for listener and delivery,
// verified from outside, exported, read by openssl, imported on another gateway.
//
//	certconfig NEW ─► CSR ─► openssl CA ─► certconfig EDIT ─► s_client
//	certconfig EXPORT ─► openssl pkcs12 ─► certconfig IMPORT elsewhere ─► s_client
func TestCertificateStory(t *testing.T) {
	a := newAuthority(t)
	g := startGateway(t, t.TempDir())
	g.script("certconfig", "certificate", "new", "mx", "mx.example.com", "n", "Example", "Mail", "Bonn", "NRW", "DE", "365", "1", "n", "n", "", "",
		`commit "key and request"`)
	a.write("mx.csr", block(t, g.script("certconfig csr mx"), "CERTIFICATE REQUEST"))
	if text := a.openssl("req", "-in", "mx.csr", "-noout", "-verify", "-text"); !strings.Contains(text, "DNS:mx.example.com") ||
		!strings.Contains(text, "sha256WithRSAEncryption") || !strings.Contains(text, "2048 bit") {
		t.Errorf("the request says\n%s", text)
	}
	a.openssl("x509", "-req", "-in", "mx.csr", "-CA", "lower.pem", "-CAkey", "lower.key", "-CAcreateserial", "-days", "20", "-extfile", "leaf.ext", "-out", "mx.pem")

	lines := append([]string{"certconfig", "certificate", "edit", "mx", "y"}, paste(a.read("mx.pem"))...)
	lines = append(append(lines, "y"), paste(a.read("lower.pem"))...)
	g.script(append(lines, "n", "n", "", "", `commit "signed"`)...)
	port := freePort(t, "127.0.0.1")
	g.script(chosen(port)...)
	a.verified(port)

	g.script("certconfig", "certificate", "export", "mx", "mx.p12", "geheim 1", "geheim 1", "", "")
	exported, err := os.ReadFile(filepath.Join(g.dir, "configuration", "mx.p12"))
	if err != nil {
		t.Fatal(err)
	}
	a.write("mx.p12", string(exported))
	text := a.openssl("pkcs12", "-in", "mx.p12", "-passin", "pass:geheim 1", "-nodes")
	if strings.Count(text, "BEGIN CERTIFICATE") != 2 || !strings.Contains(text, "BEGIN PRIVATE KEY") {
		t.Errorf("openssl reads\n%s", text)
	}
	info, err := os.Stat(filepath.Join(g.dir, "configuration", "mx.p12"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the key: %v, %v", info.Mode(), err)
	}
	a.onFreshGateway(exported, "geheim 1")
}

// onFreshGateway imports a file on a data directory of its own and serves it.
func (a authority) onFreshGateway(file []byte, passphrase string) {
	a.t.Helper()
	g := startGateway(a.t, a.t.TempDir())
	if err := os.WriteFile(filepath.Join(g.dir, "configuration", "in.p12"), file, 0o600); err != nil {
		a.t.Fatal(err)
	}
	g.script("certconfig", "certificate", "import", "mx", "in.p12", "y", passphrase, "", "", `commit "imported"`)
	port := freePort(a.t, "127.0.0.1")
	g.script(chosen(port)...)
	a.verified(port)
}

// TestImportFromOpenSSL: files that openssl writes, of today and of old, are
// served; the wrong passphrase is refused.
func TestImportFromOpenSSL(t *testing.T) {
	a := newAuthority(t)
	a.openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "mx.key", "-out", "mx.csr", "-subj", "/CN=mx.example.com")
	a.openssl("x509", "-req", "-in", "mx.csr", "-CA", "lower.pem", "-CAkey", "lower.key", "-CAcreateserial", "-days", "20", "-extfile", "leaf.ext", "-out", "mx.pem")
	for _, way := range [][]string{nil, {"-legacy"}, {"-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"}} {
		words := append([]string{"pkcs12", "-export", "-in", "mx.pem", "-inkey", "mx.key", "-certfile", "lower.pem", "-out", "mx.p12", "-passout", "pass:geheim"}, way...)
		a.openssl(words...)
		a.onFreshGateway([]byte(a.read("mx.p12")), "geheim")
	}
	g := &gateway{t: t, dir: t.TempDir()}
	g.script("version")
	if err := os.WriteFile(filepath.Join(g.dir, "configuration", "in.p12"), []byte(a.read("mx.p12")), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := g.try("certconfig", "certificate", "import", "mx", "in.p12", "n", "falsch", "", "")
	if err == nil || !strings.Contains(out, "The passphrase is not correct") {
		t.Errorf("%v\n%s", err, out)
	}
}
