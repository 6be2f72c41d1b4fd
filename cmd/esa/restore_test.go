package main

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"esa/mta/mtatest"
	"esa/store"
)

// restored is what a gateway and its successor share: addresses, the next hop.
type restored struct {
	t                 *testing.T
	listener, console netip.AddrPort
	hop               *mtatest.Peer
}

// configure does what an operator does with a new gateway.
func (r restored) configure(h *house) {
	r.t.Helper()
	esa(r.t, h.dir, strings.Join([]string{
		"certconfig new mx common_name=mx.example.com organization=Example unit=Mail locality=Bonn state=NRW country=DE dns=mx.example.com key=P-256 days=300",
		"listenerconfig edit OutgoingMail certificate=mx",
		"listenerconfig edit OutgoingMail hostaccess edit default --tls on --max_size 2M",
		fmt.Sprintf("smtproutes new ALL 127.0.0.1:%d", r.hop.Addr().Port()),
		"destconfig new example.net max_messages_per_connection=7 use_tls=require",
		"bounceconfig new slow max_retries=5",
		"alertconfig new postmaster@example.com severities=critical",
		"sslconfig inbound method=tlsv1_3",
		`commit "a gateway"`,
	}, "\n")).want(r.t, 0, "Changes committed: ")
}

// behavior is what can be seen of a gateway from outside, and its whole
// configuration but for what names the machine and the hour.
func (r restored) behavior(h *house) string {
	t := r.t
	t.Helper()
	var seen strings.Builder
	dialListener(t, r.listener).Close()
	m := mailFrom(t, "127.0.0.1", r.listener)
	for _, command := range []string{"EHLO client.test", "MAIL FROM:<a@sender.test> SIZE=1000000", "RSET", "MAIL FROM:<a@sender.test> SIZE=3000000", "STARTTLS"} {
		fmt.Fprintf(&seen, "%s: %s\n", command, m.ask(command))
	}
	session := tls.Client(m.conn, &tls.Config{InsecureSkipVerify: true})
	if err := session.Handshake(); err != nil {
		t.Fatal(err)
	}
	state := session.ConnectionState()
	fmt.Fprintf(&seen, "%s, certificate %x\n", tls.VersionName(state.Version), sha256.Sum256(state.PeerCertificates[0].Raw))

	before := len(r.hop.Messages())
	mailFrom(t, "127.0.0.1", r.listener).send("a@sender.test", "b@rcpt.test")
	message := awaitMessages(t, r.hop, before+1)[before]
	fmt.Fprintf(&seen, "%s %s\n%s\n", message.From, message.To, regexp.MustCompile(`(?m)id .*|; .*|<\w+\$\d+@`).ReplaceAllString(message.Text, ""))

	awaitSSH(t, r.console)
	ann, err := logIn(r.console, "ann", ssh.Password(annsPassphrase))
	if err != nil {
		t.Fatal(err)
	}
	defer ann.Close()
	fmt.Fprintf(&seen, "%+v\n", says(t, ann, "whoami; destconfig detail all"))
	file := esa(t, h.dir, "showconfig n 3\n")
	seen.WriteString(regexp.MustCompile(`(?m)^\s*(Current Time|Serial Number): .*`).ReplaceAllString(file.out, ""))
	return seen.String()
}

// moved copies what a person takes to the new machine.
func moved(t *testing.T, from, to string) (xml string) {
	t.Helper()
	target := filepath.Join(to, "configuration")
	if err := os.MkdirAll(target, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(target, os.DirFS(filepath.Join(from, "configuration"))); err != nil {
		t.Fatal(err)
	}
	files, err := fs.Glob(os.DirFS(target), "*.xml")
	if err != nil || len(files) != 1 {
		t.Fatalf("files: %v, %v", files, err)
	}
	return files[0]
}

// TestRestore_OnAFreshMachine is the guide's whole story: the configuration is
// saved and the certificates are exported; on a machine that has never been
// configured the file is loaded and committed, and mail, TLS, logins and
// settings are what they were.
func TestRestore_OnAFreshMachine(t *testing.T) {
	r := restored{t: t, hop: mtatest.StartPeer(t, mtatest.PeerScript{})}
	var port uint16
	old, console, _ := withAnn(t, func(c *store.Config) { port = c.Listeners[0].Port })
	r.console, r.listener = console, netip.AddrPortFrom(console.Addr(), port)
	r.configure(old)
	if err := os.WriteFile(filepath.Join(old.dir, "configuration", "key"), []byte("a long passphrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	esa(t, old.dir, "saveconfig n 2 passphrase_file=key\n").want(t, 0, "Configuration saved.")
	esa(t, old.dir, strings.Join([]string{"certconfig", "certificate", "export", "mx", "mx.p12", "geheim 1", "geheim 1", "", "", ""}, "\n")).want(t, 0, "mx.p12")
	want := r.behavior(old)
	if !strings.Contains(want, "TLS 1.3, certificate") || !strings.Contains(want, "operators") || !strings.Contains(want, "552") {
		t.Errorf("the story tells less than it should:\n%s", want)
	}
	old.close()

	dir, _ := preparedWith(t, func(*store.Config) {})
	fresh := openHouse(t, dir)
	file := moved(t, old.dir, dir)
	esa(t, dir, "loadconfig "+file+"\n").want(t, 1, "passphrase")
	esa(t, dir, "loadconfig "+file+" passphrase_file=key\nshowchanges\ncommit confirmed\ncommit confirm\ncommitdetail\n").
		want(t, 0, "make these settings active.", "Changes committed: ", "is confirmed.", "SMTP routes")
	if got := r.behavior(fresh); got != want {
		t.Errorf("the old gateway:\n%s\nthe new one:\n%s", want, got)
	}
}
