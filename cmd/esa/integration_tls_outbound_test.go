//go:build integration

package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"esa/mta/mtatest"
)

// This file delivers to Postfix over TLS, with an authority made by OpenSSL:
//
//	swaks ─► esa ──STARTTLS──► Postfix ─► folder

// set changes settings of a Postfix that runs.
func (p *postfix) set(t *testing.T, settings ...string) {
	t.Helper()
	etc := filepath.Join(p.dir, "etc")
	p.command(t, "postconf", append([]string{"-c", etc, "-e"}, settings...)...)
	p.command(t, "postfix", "-c", etc, "reload")
}

// certify makes an authority in Postfix's folder and a certificate for a name,
// has Postfix use it, and gives the file of the authority.
func (p *postfix) certify(t *testing.T, name string) (ca string) {
	t.Helper()
	need(t, "openssl")
	dir := filepath.Join(p.dir, "tls")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	openssl := authority{t: t, dir: dir}.openssl
	newKey := []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"}
	openssl(append([]string{"req", "-x509", "-subj", "/CN=Mail CA", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"}, newKey...)...)
	openssl(append([]string{"req", "-subj", "/CN=postfix.example", "-addext", "subjectAltName=DNS:" + name, "-keyout", "key.pem", "-out", "csr.pem"}, newKey...)...)
	openssl("x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-copy_extensions", "copy", "-days", "2", "-out", "cert.pem")
	p.set(t, "smtpd_tls_security_level=may", "smtpd_tls_cert_file="+dir+"/cert.pem", "smtpd_tls_key_file="+dir+"/key.pem",
		"smtpd_tls_ask_ccert=yes", "smtpd_tls_received_header=yes", "smtpd_tls_session_cache_database=")
	return filepath.Join(dir, "ca.pem")
}

// message gives the file of the folder that holds a text, "" if there is none.
func message(t *testing.T, folder, text string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil && strings.Contains(string(data), text) {
			return string(data)
		}
	}
	return ""
}

// TestOutboundTLS_Postfix: encrypted with a client certificate; then verified,
// which fails until the authority is trusted; tlsverify and posttls-finger say
// the same.
func TestOutboundTLS_Postfix(t *testing.T) {
	need(t, "posttls-finger")
	port := listenPort(t)
	peer := startPostfix(t, port)
	authority := peer.certify(t, "in.example")
	g := startGateway(t, t.TempDir())
	g.script(relayScript(port, freePort(t, "127.0.0.1"))...)
	hop := fmt.Sprintf("127.0.0.3:%d", peer.port)
	g.script("smtproutes new in.example "+hop, "destconfig new in.example use_tls=require", "destconfig setup certificate=Demo", `commit "encrypt"`)
	send := func(subject string) { swaks(t, fmt.Sprintf("127.0.0.2:%d", port), "user@in.example", subject) }

	send("encrypted")
	waitFor(t, "the message in Postfix's folder", func() bool { return message(t, peer.box, "Subject: encrypted") != "" })
	text := message(t, peer.box, "Subject: encrypted")
	for _, want := range []string{"(using TLSv1.3 with cipher TLS_AES_128_GCM_SHA256", `(Client CN "esa Gateway Demo"`, "with ESMTPS id"} {
		if !strings.Contains(text, want) {
			t.Errorf("Postfix does not say %q:\n%s", want, text)
		}
	}
	g.logged(`DCID \d+ TLS success protocol TLSv1\.3 cipher TLS_AES_128_GCM_SHA256$`)

	g.script("destconfig edit in.example use_tls=require_verify", `commit "verify"`)
	send("nobody vouches")
	g.logged(`DCID \d+ TLS failed: verify error: unable to get the certificate of the issuer Mail CA: it is not trusted, or an intermediate is missing$`)
	g.logged(`DCID \d+ IP 127\.0\.0\.3 TLS was required but could not be successfully negotiated$`)
	if out, err := g.try("tlsverify in.example " + hop); err == nil || !strings.Contains(out, "TLS connection to 127.0.0.3 failed: certificate-not-trusted.") {
		t.Errorf("tlsverify: %v\n%s", err, out)
	}

	pem, err := os.ReadFile(authority)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(g.dir, "configuration", "ca.pem"), pem, 0o600); err != nil {
		t.Fatal(err)
	}
	g.script("certconfig certauthority custom import ca.pem", "certconfig certauthority custom enable", `commit "trust"`)
	send("verified")
	waitFor(t, "the verified message", func() bool { return message(t, peer.box, "Subject: verified") != "" })
	g.script("delivernow all")
	waitFor(t, "the message that waited", func() bool { return message(t, peer.box, "Subject: nobody vouches") != "" })
	if out := g.script("tlsverify in.example " + hop); !strings.Contains(out, "TLS certificate match in.example\nTLS certificate verified.\n") {
		t.Errorf("tlsverify:\n%s", out)
	}
	if out := output(t, "", "posttls-finger", "-c", "-l", "verify", "-F", authority, "["+strings.Replace(hop, ":", "]:", 1), "in.example"); !strings.Contains(out, "Verified TLS connection established") {
		t.Errorf("posttls-finger does not agree:\n%s", out)
	}
	g.stop()
}

// TestOutboundTLS_BesidePostfix measures the relay of messages of 1 KB with 20
// sessions to a host that takes them by TLS, and Postfix doing the same. The
// figures are printed and not judged: the machine has other work.
//
//	smtp-source ─► esa     ──STARTTLS──► a sink
//	smtp-source ─► Postfix ──STARTTLS──► the same sink
func TestOutboundTLS_BesidePostfix(t *testing.T) {
	const messages, sessions = relayMessages, 20
	var taken atomic.Int64
	cert := mtatest.NewAuthority(t, "Mail CA").Issue(t, mtatest.CertificateSpec{DNSNames: []string{"example.net"}})
	sink := mtatest.StartPeer(t, mtatest.PeerScript{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}, Hello: []string{"PIPELINING"},
		Answer: func(c *mtatest.PeerConn, line string) string {
			if line == "." && c.State != nil {
				taken.Add(1)
			}
			return ""
		}})
	port := listenPort(t)
	peer := startPostfix(t, port)
	peer.set(t, "relayhost=[127.0.0.1]:"+fmt.Sprint(sink.Addr().Port()), "smtp_bind_address=127.0.0.1", "smtp_tls_security_level=encrypt", "in_flow_delay=0")
	g := startGateway(t, t.TempDir())
	g.script(relayScript(port, int(sink.Addr().Port()))...)
	g.script("destconfig edit default use_tls=require", "deliveryconfig setup tls_concurrency=100", `commit "encrypt"`)

	for _, system := range []struct {
		name string
		addr string
	}{{"the gateway", fmt.Sprintf("127.0.0.2:%d", port)}, {"Postfix", fmt.Sprintf("127.0.0.3:%d", peer.port)}} {
		taken.Store(0)
		began := time.Now()
		cmd := exec.Command("smtp-source", "-s", fmt.Sprint(sessions), "-m", fmt.Sprint(messages), "-l", "1024",
			"-f", "sender@example.org", "-t", "rcpt@example.net", "inet:"+system.addr)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("smtp-source to %s: %v\n%s", system.name, err, out)
		}
		for came := taken.Load(); came < messages; came = taken.Load() {
			waitFor(t, "more messages from "+system.name, func() bool { return taken.Load() > came })
		}
		t.Logf("%s: %.0f messages a second by TLS", system.name, float64(messages)/time.Since(began).Seconds())
	}
	g.stop()
}
