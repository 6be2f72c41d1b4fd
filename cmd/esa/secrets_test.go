package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"esa/mta/mtatest"
	"esa/store"
)

// canaries are secrets and every form that one could be written in, by what
// they are.
type canaries map[string][]byte

// key adds a private key.
func (c canaries) key(t *testing.T, name string, key *ecdsa.PrivateKey) (pemText string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	number, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	pemText = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	for i, line := range strings.Split(strings.TrimSpace(pemText), "\n") {
		// The first tells the kind of the key only.
		if i > 1 && !strings.HasPrefix(line, "-----") {
			c[fmt.Sprintf("line %d of the %s", i, name)] = []byte(line)
		}
	}
	c[name] = number
	c[name+" as a number"] = []byte(new(big.Int).SetBytes(number).String())
	c[name+" in hex"] = []byte(hex.EncodeToString(number))
	c[name+" in capital hex"] = []byte(strings.ToUpper(hex.EncodeToString(number)))
	c[name+" in base64"] = []byte(base64.RawStdEncoding.EncodeToString(number))
	return pemText
}

// absentFrom fails for every secret in a text.
func (c canaries) absentFrom(t *testing.T, where string, text []byte) {
	t.Helper()
	if len(text) == 0 {
		t.Errorf("%s is empty: nothing could be found there", where)
	}
	for name, secret := range c {
		if bytes.Contains(text, secret) {
			t.Errorf("%s has the %s", where, name)
		}
	}
}

// pemOf gives a certificate as it is pasted.
func pemOf(cert tls.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))
}

// searchDirectory looks at every file of a data directory and who may read it.
// Only the database has the secret that is kept.
func (c canaries) searchDirectory(t *testing.T, dir, kept string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if open := info.Mode().Perm() &^ 0o700; open != 0 && path != dir && d.Type() != fs.ModeSymlink {
			t.Errorf("%s is open to others: %v", path, info.Mode())
		}
		if !d.Type().IsRegular() || info.Size() == 0 {
			return nil
		}
		files++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasPrefix(d.Name(), configFile) {
			if !bytes.Contains(text, c[kept]) {
				t.Errorf("the %s is not in %s: the search would find nothing", kept, path)
			}
			return nil
		}
		c.absentFrom(t, path, text)
		return nil
	})
	if err != nil || files < 6 {
		t.Errorf("%d files, %v", files, err)
	}
}

// certificateTexts are pasted by certificateScreens.
type certificateTexts struct{ cert, key, strange string }

// certificateScreens is what operators see who bring and take keys and ask for
// everything afterwards.
func certificateScreens(t *testing.T, dir string, pasted certificateTexts) []byte {
	t.Helper()
	paste := func(text string) string { return text + ".\n" }
	var all strings.Builder
	note := func(r result, status int, texts ...string) {
		t.Helper()
		r.want(t, status, texts...)
		all.WriteString(r.out)
	}
	note(esa(t, dir, "certconfig\ncertificate\npaste\nmx\n"+paste(pasted.cert)+paste(pasted.strange)), 1, "The certificate is not for the private key")
	note(esa(t, dir, "certconfig\ncertificate\npaste\nmx\n"+paste(pasted.cert)+paste(pasted.key)+"n\n\n\nshowchanges\n"+
		"interfaceconfig edit Management --hostname=mx.example.com\n"+
		"listenerconfig edit OutgoingMail certificate=mx\n"+
		"listenerconfig edit OutgoingMail hostaccess edit policy RELAYED --tls on\n"+
		"destconfig setup certificate=mx\nsmtproutes new ALL [127.0.0.1]:9\n"+
		"showchanges\ncommit \"a certificate\"\n"), 0, "mx: added", "Changes committed: ")
	note(esa(t, dir, "certconfig\ncertificate\nnew\nmy\nmx.example.com\n\nExample\nMail\nBonn\nNRW\nDE\n365\n3\nn\ny\n\n\n"+
		"showchanges\nclearchanges\ny\n"), 0, "CERTIFICATE REQUEST")

	p := sitDown(t, dir)
	all.WriteString(p.sees("> "))
	for _, step := range [][2]string{
		{"certconfig", "[]> "}, {"certificate", "[]> "}, {"export", "[]> "}, {"mx", "[]> "}, {"mx.p12", "> "},
		{exportCanary, "> "}, {exportCanary, "[]> "}, {"import", "> "}, {"again", "[]> "}, {"mx.p12", "[N]> "},
		{"", "> "}, {importCanary, "[]> "}, {"", "[]> "}, {"", "gw.test> "},
		{"\x1b[A\x1b[A\x1b[A", "[]> "}, {"", "gw.test> "}, // what came before
	} {
		all.WriteString(p.types(step[0], step[1]))
	}
	all.WriteString(p.types("showchanges", "gw.test> "))
	if !strings.Contains(all.String(), "The passphrase is not correct") {
		t.Errorf("the import is not refused:\n%s", all.String())
	}
	all.WriteString(fileScreens(p, filepath.Join(dir, "configuration")))
	note(esa(t, dir, "", "showconfig y; showconfig y 2; saveconfig y 1"), 0, "<key>*****</key>", "<key>$esa1$gateway$", "<enc_password>*****</enc_password>")
	note(esa(t, dir, "", "certconfig print; status detail; commitdetail; commitdetail 2; rollbackconfig list; displayalerts; destconfig list; listenerconfig print; sslconfig print"), 0, "mx")
	return []byte(all.String())
}

// fileScreens is what an operator sees who saves, mails and loads the
// configuration with a passphrase.
func fileScreens(p *person, folder string) string {
	p.t.Helper()
	var all strings.Builder
	for _, step := range [][2]string{
		{"saveconfig", "[1]> "}, {"2", "> "}, {fileCanary, "> "}, {fileCanary, "gw.test> "},
		{"mailconfig", "[]> "}, {"ops@example.net", "[1]> "}, {"2", "> "}, {fileCanary, "> "}, {fileCanary, "gw.test> "},
	} {
		all.WriteString(p.types(step[0], step[1]))
	}
	saved, err := filepath.Glob(filepath.Join(folder, "*.xml"))
	if err != nil || len(saved) != 1 {
		p.t.Fatalf("%q, %v", saved, err)
	}
	for _, step := range [][2]string{
		{"loadconfig " + filepath.Base(saved[0]), "> "}, {wrongCanary, "not correct"}, {fileCanary, "gw.test> "},
	} {
		all.WriteString(p.types(step[0], step[1]))
	}
	if !strings.Contains(all.String(), "has been sent to ops@example.net.") || !strings.Contains(all.String(), "No changes detected") {
		p.t.Errorf("the configuration was not saved, mailed and loaded:\n%s", all.String())
	}
	return all.String()
}

const (
	fileCanary   = "Canary-Of-The-File"
	wrongCanary  = "Canary-That-Is-Wrong"
	hashCanary   = "$argon2id$v=19$m=19456,t=2,p=1$Q2FuYXJ5U2FsdA$Q2FuYXJ5T2ZUaGVQYXNzcGhyYXNlT2ZBZG1pbjAxMjM"
	exportCanary = "Canary-Of-The-Export"
	importCanary = "Canary-Of-The-Import"
)

// TestC9_SecretsNeverLeave: keys and passphrases are in no screen, log, queue
// file, crash report, core or process list. Only the database has the keys, and
// only its owner can read it.
func TestC9_SecretsNeverLeave(t *testing.T) {
	dir, listener := preparedWith(t, func(c *store.Config) { c.Users[0].Passphrase = hashCanary })
	authority := mtatest.NewAuthority(t, "Test CA")
	cert := authority.Issue(t, mtatest.CertificateSpec{CommonName: "mx.example.com", DNSNames: []string{"mx.example.com"}})
	other := authority.Issue(t, mtatest.CertificateSpec{CommonName: "mx.example.com"})
	secrets := canaries{
		"passphrase of the export": []byte(exportCanary), "passphrase of the import": []byte(importCanary),
		"passphrase of the configuration file": []byte(fileCanary), "passphrase that was not": []byte(wrongCanary),
		"hash of a passphrase": []byte(hashCanary[len(hashCanary)-30:]),
	}
	kept := secrets.key(t, "key", cert.PrivateKey.(*ecdsa.PrivateKey))
	strange := secrets.key(t, "key that does not fit", other.PrivateKey.(*ecdsa.PrivateKey))

	crash, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer crash.Close()
	var cores syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &cores); err != nil {
		t.Fatal(err)
	}
	// The gateway must not count on being forbidden it.
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: cores.Max, Max: cores.Max}); err != nil {
		t.Fatal(err)
	}
	s := startComplaining(t, dir, crash)
	screens := certificateScreens(t, dir, certificateTexts{pemOf(cert), kept, strange})
	secrets.absentFrom(t, "a screen", screens)

	broken := mailFrom(t, "127.0.0.1", listener)
	broken.want("STARTTLS", "220 ")
	broken.ask("this is no handshake")
	m := mailFrom(t, "127.0.0.1", listener)
	m.want("STARTTLS", "220 ")
	m.encrypt(&tls.Config{RootCAs: authority.Pool(), ServerName: "mx.example.com"})
	m.want("EHLO client.test", "250")
	m.send("sender@example.org", "rcpt@example.net")
	m.quit()

	for _, file := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.cmd.Process.Pid, file))
		if err != nil {
			t.Fatal(err)
		}
		secrets.absentFrom(t, file, text)
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", s.cmd.Process.Pid))
	if err != nil || !regexp.MustCompile(`(?m)^Max core file size +0 +0 `).Match(limits) {
		t.Errorf("there would be a core: %v\n%s", err, limits)
	}
	if err := s.signal(syscall.SIGQUIT); err == nil {
		t.Error("the gateway did not crash")
	}
	report, err := os.ReadFile(crash.Name())
	if err != nil || !bytes.Contains(report, []byte("SIGQUIT")) {
		t.Errorf("the crash report: %v\n%s", err, report)
	}
	secrets.absentFrom(t, "the crash report", report)
	secrets.searchDirectory(t, dir, "line 2 of the key")
}

// encrypt goes on in TLS.
func (m *mailer) encrypt(config *tls.Config) {
	m.t.Helper()
	conn := tls.Client(m.conn, config)
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		m.t.Fatal(err)
	}
	if err := conn.HandshakeContext(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
	m.conn = conn
	m.in.Reset(conn)
}
