//go:build integration

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// This file lets TLS clients and scanners at a listener:
//
//	openssl s_client, posttls-finger, swaks, sslscan, testssl.sh  ──STARTTLS──►  esa

// tlsGateway is a gateway whose listener offers STARTTLS with the demo
// certificate, everything else as it is out of the box; it sends mail to port.
func tlsGateway(t *testing.T, port int, more ...string) (*gateway, string) {
	t.Helper()
	g := startGateway(t, t.TempDir())
	listen := freePort(t, "127.0.0.1")
	g.script(append([]string{
		fmt.Sprintf("listenerconfig edit OutgoingMail port=%d certificate=Demo", listen),
		"listenerconfig edit OutgoingMail hostaccess edit default --tls on",
		fmt.Sprintf("smtproutes new ALL [127.0.0.1]:%d", port),
	}, append(more, `commit "TLS"`)...)...)
	return g, fmt.Sprintf("127.0.0.1:%d", listen)
}

// output runs a program and gives what it says.
func output(t *testing.T, stdin, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		t.Fatalf("%s: %v", program, err)
	}
	return string(out)
}

// openssl holds a conversation over TLS and gives both sides of it.
func openssl(t *testing.T, addr string, args ...string) string {
	t.Helper()
	return output(t, "EHLO openssl.test\nMAIL FROM:<a@example.org>\nQUIT\n", "openssl",
		append([]string{"s_client", "-starttls", "smtp", "-connect", addr, "-crlf", "-ign_eof"}, args...)...)
}

// logged waits for a line of the mail log.
func (g *gateway) logged(pattern string) {
	g.t.Helper()
	re := regexp.MustCompile(pattern)
	waitFor(g.t, "the log line "+pattern, func() bool { return slices.ContainsFunc(g.mailLog(), re.MatchString) })
}

func TestInboundTLS_Peers(t *testing.T) {
	need(t, "openssl", "posttls-finger", "swaks")
	sinkPort := freePort(t, "127.0.0.1")
	folder := startSink(t, sinkPort)
	g, addr := tlsGateway(t, sinkPort)

	for _, version := range []string{"1_2", "1_3"} {
		if out := openssl(t, addr, "-tls"+version); !strings.Contains(out, "250 sender <a@example.org> ok") || !strings.Contains(out, "221 ") {
			t.Errorf("openssl with -tls%s:\n%s", version, out)
		}
	}
	g.logged(`ICID \d+ TLS success protocol TLSv1\.2 cipher ECDHE-RSA-AES\d+-GCM-SHA\d+$`)
	g.logged(`ICID \d+ TLS success protocol TLSv1\.3 cipher TLS_AES_\d+_GCM_SHA\d+$`)
	if out := output(t, "", "posttls-finger", "-c", "-l", "encrypt", "["+strings.Replace(addr, ":", "]:", 1)); !strings.Contains(out, "TLS connection established") ||
		!strings.Contains(out, "TLSv1.3 with cipher") {
		t.Errorf("posttls-finger:\n%s", out)
	}
	out := output(t, "", "swaks", "--server", addr, "-tls", "--from", "sender@example.org", "--to", "rcpt@example.net",
		"--header", "Subject: encrypted", "--body", "hello")
	if !strings.Contains(out, "=== TLS started with cipher TLSv1.3:") || !strings.Contains(out, "250 ok:  Message ") {
		t.Errorf("swaks:\n%s", out)
	}
	text := ""
	waitFor(t, "the whole message of swaks", func() bool { // its file is there before its text
		text = message(t, folder, "\nhello\n")
		return text != ""
	})
	if n := count(t, folder); n != 1 {
		t.Errorf("%d messages at the sink", n)
	}
	if !regexp.MustCompile(`\n  by \S+ with ESMTP/TLS/TLS_\w+; `).MatchString(text) {
		t.Errorf("the Received field does not name the cipher:\n%s", text)
	}
}

// TestInboundTLS_Required: mail in clear is refused for good, and the log says
// why.
func TestInboundTLS_Required(t *testing.T) {
	need(t, "swaks")
	g, addr := tlsGateway(t, 9, "listenerconfig edit OutgoingMail hostaccess edit default --tls require")
	args := []string{"--server", addr, "--from", "sender@example.org", "--to", "rcpt@example.net", "--quit-after", "RCPT"}
	if out := output(t, "", "swaks", args...); !strings.Contains(out, "530 #5.7.0 Must issue a STARTTLS command first") {
		t.Errorf("in clear:\n%s", out)
	}
	g.logged(`ICID \d+ TLS was required but remote host did not initiate it$`)
	if out := output(t, "", "swaks", append(args, "-tls")...); !strings.Contains(out, "250 recipient <rcpt@example.net> ok") {
		t.Errorf("over TLS:\n%s", out)
	}
}

// TestInboundTLS_ClientCertificates: an authority made by OpenSSL certifies one
// client, nobody the other.
func TestInboundTLS_ClientCertificates(t *testing.T) {
	need(t, "openssl")
	dir := t.TempDir()
	run := authority{t: t, dir: dir}.openssl
	newKey := []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"}
	run(append([]string{"req", "-x509", "-subj", "/CN=Client CA", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"}, newKey...)...)
	run(append([]string{"req", "-subj", "/CN=client.example.org", "-keyout", "good.key", "-out", "good.csr"}, newKey...)...)
	run("x509", "-req", "-in", "good.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-out", "good.pem")
	run(append([]string{"req", "-x509", "-subj", "/CN=stranger.example.org", "-days", "2", "-keyout", "bad.key", "-out", "bad.pem"}, newKey...)...)
	t.Setenv("SSL_CERT_FILE", filepath.Join(dir, "ca.pem")) // the machine's list, for the gateway
	g, addr := tlsGateway(t, 9, "listenerconfig edit OutgoingMail hostaccess edit default --tls require_verify")
	shows := func(name string) []string {
		if name == "" {
			return nil
		}
		return []string{"-cert", filepath.Join(dir, name+".pem"), "-key", filepath.Join(dir, name+".key")}
	}
	for name, taken := range map[string]bool{"": false, "bad": false, "good": true} {
		if out := openssl(t, addr, shows(name)...); strings.Contains(out, "250 sender") != taken {
			t.Errorf("showing %q, required:\n%s", name, out)
		}
	}
	g.logged(`ICID \d+ TLS failed: \(0, 'client certificate not verified: x509: certificate signed by unknown authority`)
	g.script("listenerconfig edit OutgoingMail hostaccess edit default --tls on_verify", `commit "preferred"`)
	for name, taken := range map[string]bool{"": true, "bad": false, "good": true} {
		if out := openssl(t, addr, shows(name)...); strings.Contains(out, "250 sender") != taken {
			t.Errorf("showing %q, preferred:\n%s", name, out)
		}
	}
}

// TestInboundTLS_Sslscan: out of the box, two versions and six ciphers.
func TestInboundTLS_Sslscan(t *testing.T) {
	need(t, "sslscan")
	_, addr := tlsGateway(t, 9)
	out := output(t, "", "sslscan", "--starttls-smtp", "--no-colour", "--timeout="+scanTime, addr)
	for version, want := range map[string]string{"SSLv2": "disabled", "SSLv3": "disabled", "TLSv1.0": "disabled", "TLSv1.1": "disabled",
		"TLSv1.2": "enabled", "TLSv1.3": "enabled"} {
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(version) + ` +` + want + `$`).MatchString(out) {
			t.Errorf("%s is not %s", version, want)
		}
	}
	var ciphers []string
	for _, m := range regexp.MustCompile(`(?m)^(?:Preferred|Accepted) +TLSv1\.\d +\d+ bits +(\S+)`).FindAllStringSubmatch(out, -1) {
		ciphers = append(ciphers, m[1])
	}
	want := []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
		"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"}
	slices.Sort(ciphers)
	slices.Sort(want)
	if !slices.Equal(ciphers, want) || !strings.Contains(out, "Server supports TLS Fallback SCSV") || strings.Contains(out, "vulnerable to heartbleed\n") &&
		!strings.Contains(out, "not vulnerable") {
		t.Errorf("sslscan:\n%s", out)
	}
}

// finding is one of testssl.sh's.
type finding struct{ ID, Severity, Finding string }

// TestInboundTLS_Testssl: no protocol, cipher or vulnerability finding out of
// the box.
func TestInboundTLS_Testssl(t *testing.T) {
	need(t, "testssl")
	_, addr := tlsGateway(t, 9)
	report := filepath.Join(t.TempDir(), "report.json")
	out := output(t, "", "testssl", "--starttls", "smtp", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--jsonfile", report, "-p", "-s", "-f", "-U", addr)
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var findings []finding
	if err := json.Unmarshal(text, &findings); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	fine := 0
	for _, f := range findings {
		switch {
		case f.ID == "engine_problem": // of the scanner's own OpenSSL
		case f.Severity == "OK" || f.Severity == "INFO":
			fine++
		default:
			t.Errorf("%s: %s (%s)", f.ID, f.Finding, f.Severity)
		}
	}
	t.Logf("%d findings that are none", fine)
	if fine < 30 {
		t.Errorf("testssl.sh has looked at little:\n%s", out)
	}
}

// TestInboundTLS_HalfOpen: attack T4. A thousand clients stop in the middle of
// the handshake; another is served, and the memory they take is bounded.
func TestInboundTLS_HalfOpen(t *testing.T) {
	const clients, perClient = 1000, 100 // KB
	g, addr := tlsGateway(t, 9, "listenerconfig setup tls_connections=5000", "listenerconfig edit OutgoingMail connections=5000",
		"listenerconfig edit OutgoingMail hostaccess edit default --max_conn 5000")
	before := g.memory()
	for i := range clients {
		conn, err := net.DialTimeout("tcp", addr, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "220 ") {
			t.Fatalf("client %d is greeted %q, %v", i, line, err)
		}
		if _, err := io.WriteString(conn, "STARTTLS\r\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "220 ") {
			t.Fatalf("STARTTLS of client %d is answered %q, %v", i, line, err)
		}
		// The header of a record that promises 16 KB, and of a ClientHello of 64 KB.
		if _, err := conn.Write([]byte{0x16, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff, 3, 3}); err != nil {
			t.Fatal(err)
		}
	}
	if out := openssl(t, addr); !strings.Contains(out, "250 sender <a@example.org> ok") {
		t.Errorf("among %d half-open handshakes:\n%s", clients, out)
	}
	grown := g.memory() - before
	t.Logf("%d KB for each half-open handshake", grown/clients)
	if grown > clients*perClient {
		t.Errorf("memory grew by %d KB", grown)
	}
	g.logged(`TLS failed: \(110, 'handshake timed out'\)$`)
}

// memory is what the gateway has resident, in KB.
func (g *gateway) memory() int {
	g.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	if err != nil {
		g.t.Fatal(err)
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		g.t.Fatalf("no VmRSS in %s", status)
	}
	var kb int
	if _, err := fmt.Sscan(string(m[1]), &kb); err != nil {
		g.t.Fatal(err)
	}
	return kb
}
