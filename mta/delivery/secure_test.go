package delivery

import (
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"esa/mta/envelope"
	"esa/mta/mtatest"
)

// modes lists all, in the order of the columns of tests.
func modes() []TLSMode {
	return []TLSMode{NoTLS, PreferTLS, PreferVerified, RequireTLS, RequireVerified, RequireVerifiedHosted}
}

// bell keeps alerts.
type bell struct {
	mu   sync.Mutex
	rung []string
}

func (b *bell) TLSRequired(domain, host string, why envelope.Failure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rung = append(b.rung, fmt.Sprintf("%s %s %s", domain, host, why.Reason))
}

// secured puts a TLS mode in force for everybody, with an authority to trust.
func (w *world) secured(mode TLSMode, a *mtatest.Authority) *bell {
	b := &bell{}
	w.client.opt.Alerts = b
	w.configure(func(s *Settings) {
		s.Destination = func(string) Destination { return Destination{TLS: mode} }
		s.TLS.Roots = a.Pool()
	})
	return b
}

// server is the TLS of a peer. Over a pipe nobody reads a session ticket while
// the next command is written.
func server(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true}
}

// speaks makes a peer with a certificate.
func speaks(cert tls.Certificate) mtatest.PeerScript { return mtatest.PeerScript{TLS: server(cert)} }

// after220 makes a peer that says 220 to STARTTLS and then something of its
// own, when the client has begun.
func after220(act func(c *mtatest.PeerConn) string) mtatest.PeerScript {
	return mtatest.PeerScript{Hello: []string{"STARTTLS"}, Answer: func(c *mtatest.PeerConn, line string) string {
		if line != "STARTTLS" {
			return ""
		}
		c.Send("220 go ahead")
		if _, err := c.Read(make([]byte, 16<<10)); err != nil {
			return mtatest.PeerDrop
		}
		return act(c)
	}}
}

// starttls makes a peer that offers STARTTLS and answers it so.
func starttls(reply string) mtatest.PeerScript {
	return mtatest.PeerScript{Hello: []string{"STARTTLS"}, Answer: replies(map[string]string{"STARTTLS": reply})}
}

// within makes a peer that answers one command so once the connection is
// encrypted.
func within(cert tls.Certificate, command, reply string) mtatest.PeerScript {
	s := speaks(cert)
	s.Answer = func(c *mtatest.PeerConn, line string) string {
		if c.State != nil && strings.HasPrefix(line, command) {
			return reply
		}
		return ""
	}
	return s
}

// faulty is one way in which a host may behave. cells say for each mode what
// becomes of the mail: in clear, by TLS, or to the next host; "!" is an alert.
type faulty struct {
	name   string
	script mtatest.PeerScript
	cells  string
	alone  string // what becomes of the mail without a next host
	// log holds what is logged about TLS by PreferTLS, by PreferVerified where
	// that differs, and by the modes that require and do not get it.
	prefer, unverified, require string
}

const (
	noSupport = "DCID 1 STARTTLS command not supported\n"
	required  = "DCID 1 IP 192.0.2.1 TLS was required but could not be successfully negotiated\n"
	success   = "DCID 1 TLS success protocol TLSv1.3 cipher TLS_AES_128_GCM_SHA256\n"
)

func connectionError(details, reason string) string {
	return "Connection Error: DCID 1 domain: d.test IP:192.0.2.1 port: 25 details: " + details + " interface: unknown reason: " + reason + "\n"
}

func tlsFailed(why string) string { return "DCID 1 TLS failed: " + why + "\n" }

// hostsThatFail are all of a fault table, by what they do before the 220 to
// STARTTLS, after it, and with their certificate.
func hostsThatFail(t *testing.T, a *mtatest.Authority) []faulty {
	cert := func(change func(*mtatest.CertificateSpec)) tls.Certificate {
		spec := mtatest.CertificateSpec{CommonName: "mx.d.test", DNSNames: []string{"mx.d.test", "d.test"}}
		change(&spec)
		return a.Issue(t, spec)
	}
	good := cert(func(*mtatest.CertificateSpec) {})
	incomplete := a.Intermediate(t, "Middle CA").Issue(t, mtatest.CertificateSpec{DNSNames: []string{"d.test"}})
	incomplete.Certificate = incomplete.Certificate[:1]
	ancient := speaks(good)
	ancient.TLS.MaxVersion, ancient.TLS.MinVersion = tls.VersionTLS10, tls.VersionTLS10
	twelve := speaks(good)
	twelve.TLS.MaxVersion = tls.VersionTLS12
	injects := within(good, "none", "")
	injects.Answer = replies(map[string]string{"STARTTLS": "220 go ahead\n250-evil\n250 SIZE 1"})
	const (
		allTLS   = "clear TLS TLS TLS TLS TLS"
		clear    = "clear clear clear next! next! next!"
		next     = "clear next next next! next! next!"
		verified = "clear TLS TLS TLS next! next!"
	)
	refused := func(code, text string) faulty {
		return faulty{cells: clear, alone: "deferred 4.7.4 " + code + " starttls-refused",
			prefer:  tlsFailed("STARTTLS unexpected response"),
			require: connectionError(code+"-'"+text+"'", "unexpected SMTP response") + tlsFailed("STARTTLS unexpected response") + required}
	}
	named := func(name string, script mtatest.PeerScript, f faulty) faulty {
		f.name, f.script = name, script
		return f
	}
	broken := func(alone, line string) faulty {
		return faulty{cells: next, alone: alone, prefer: line, require: line + required}
	}
	handshake := func(why string) faulty { return broken("deferred 4.7.5 0 tls-handshake-failed", tlsFailed(why)) }
	untrue := func(reason, why string) faulty {
		return faulty{cells: verified, alone: "deferred 4.7.5 0 " + reason, prefer: success,
			unverified: success + "DCID 1 TLS certificate not verified: " + why + "\n",
			require:    tlsFailed("verify error: "+why) + required}
	}
	missing := faulty{cells: clear, alone: "deferred 4.7.4 0 starttls-not-supported", prefer: noSupport, require: noSupport + required}
	return []faulty{
		named("nothing wrong", speaks(good), faulty{cells: allTLS, prefer: success}),
		named("TLS 1.2 only", twelve, faulty{cells: allTLS, prefer: "DCID 1 TLS success protocol TLSv1.2 cipher ECDHE-ECDSA-AES128-GCM-SHA256\n"}),
		named("text injected behind the 220", injects, faulty{cells: allTLS, prefer: success}),

		named("STARTTLS not offered, or stripped", mtatest.PeerScript{}, missing),
		named("no ESMTP", says("EHLO", "500 what"), missing),
		named("STARTTLS before the greeting line",
			says("EHLO", "250-STARTTLS\n250-mail.domain1.com\n250-8BITMIME\n250 HELP"), missing),
		named("454", starttls("454 TLS not available due to temporary reason"), refused("454", "TLS not available due to temporary reason")),
		named("not understood", starttls("500 what"), refused("500", "what")),

		named("421 to STARTTLS", starttls("421 busy"), broken("deferred 4.3.2 421 deferred", connectionError("421-'busy'", "unexpected SMTP response"))),
		named("250 to STARTTLS", starttls("250 fine"), broken("deferred 4.5.0 250 protocol-error", connectionError("250-'fine'", "unexpected SMTP response"))),
		named("silent at STARTTLS", starttls(mtatest.PeerSilence), broken("deferred 4.4.0 0 timeout", connectionError("timeout", "network error"))),
		named("hangs up at STARTTLS", starttls(mtatest.PeerDrop), broken("deferred 4.4.0 0 connection-lost", connectionError("EOF", "network error"))),
		named("garbage for an answer", starttls("what?"), broken("deferred 4.5.0 0 protocol-error", connectionError(`not an SMTP reply: "what?"`, "unexpected SMTP response"))),

		named("silent after the 220", after220(func(*mtatest.PeerConn) string { return mtatest.PeerSilence }), handshake("handshake timed out")),
		named("hangs up after the 220", after220(func(*mtatest.PeerConn) string { return mtatest.PeerDrop }), handshake("Unexpected EOF")),
		named("garbage after the 220", after220(func(c *mtatest.PeerConn) string {
			io.WriteString(c, "250 you are welcome\r\n")
			return mtatest.PeerDrop
		}), handshake("first record does not look like a TLS handshake")),
		named("TLS 1.0 only", ancient, handshake("alert from the peer: protocol version not supported")),
		named("hangs up after the handshake", within(good, "EHLO", mtatest.PeerDrop),
			broken("deferred 4.7.5 0 tls-handshake-failed", success+tlsFailed("Unexpected EOF"))),
		named("refuses EHLO after the handshake", within(good, "EHLO", "421 no"),
			broken("deferred 4.3.2 421 deferred", success+connectionError("421-'no'", "unexpected SMTP response"))),

		named("expired", speaks(cert(func(s *mtatest.CertificateSpec) { s.NotAfter = time.Date(1999, 7, 1, 0, 0, 0, 0, time.UTC) })),
			untrue("certificate-expired", "the certificate expired on 1999-07-01")),
		named("misnamed", speaks(cert(func(s *mtatest.CertificateSpec) { s.DNSNames = []string{"other.test"} })),
			untrue("certificate-host-mismatch", "the certificate is for other.test, not for d.test")),
		named("self-signed", speaks(cert(func(s *mtatest.CertificateSpec) { s.SelfSigned = true })),
			untrue("certificate-not-trusted", "self-signed certificate")),
		named("incomplete chain", speaks(incomplete),
			untrue("certificate-not-trusted", "unable to get the certificate of the issuer Middle CA: it is not trusted, or an intermediate is missing")),
	}
}

// TestTLSModes crosses the modes with all that may go wrong (reliability R16,
// E7): where the mail goes, what is logged, and who is alarmed.
func TestTLSModes(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	fine := speaks(a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"d.test"}}))
	for _, f := range hostsThatFail(t, a) {
		for i, cell := range strings.Fields(f.cells) {
			mode := modes()[i]
			t.Run(fmt.Sprintf("%s/%d", f.name, mode), func(t *testing.T) {
				inWorld(t, func(w *world) {
					bell := w.secured(mode, a)
					check(t, w.deliver(job(plainText, "a")), "delivered")
					if got := w.where(bell); got != cell {
						t.Errorf("the mail went %s, want %s", got, cell)
					}
					if mode == NoTLS && strings.Contains(strings.Join(w.peers[0].Commands(), " "), "STARTTLS") {
						t.Error("STARTTLS was tried")
					}
					if got, want := w.tlsLog(), f.log(mode, cell); got != want {
						t.Errorf("log:\n%swant:\n%s", got, want)
					}
				}, f.script, fine)
				if !strings.HasPrefix(cell, "next") {
					return
				}
				inWorld(t, func(w *world) {
					bell := w.secured(mode, a)
					out := w.deliver(job(plainText, "a"))
					check(t, out, f.alone)
					if len(w.peers[0].Messages()) > 0 {
						t.Error("the mail went out")
					}
					if want := "d.test 192.0.2.1 " + string(out[0].Failure.Reason); mode.requires() && (len(bell.rung) != 1 || bell.rung[0] != want) {
						t.Errorf("alerts %q, want %q", bell.rung, want)
					}
				}, f.script)
			})
		}
	}
}

// where says by which way the mail went, and whether somebody was alarmed.
func (w *world) where(b *bell) string {
	way := "nowhere"
	switch first, second := w.peers[0].Messages(), w.peers[1].Messages(); {
	case len(first) == 1 && first[0].TLS != "":
		way = "TLS"
	case len(first) == 1:
		way = "clear"
	case len(second) == 1:
		way = "next"
	}
	if len(b.rung) > 0 {
		way += "!"
	}
	return way
}

// tlsLog gives what is logged of the first connection beside its delivery.
func (w *world) tlsLog() string {
	var out strings.Builder
	for line := range strings.Lines(w.log()) {
		ours := strings.Contains(line, "DCID 1 ")
		if ours && !strings.Contains(line, "New SMTP") && !strings.Contains(line, "close") && !strings.Contains(line, "MID") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// log is what belongs in the log for a cell of the table.
func (f faulty) log(mode TLSMode, cell string) string {
	switch {
	case mode == NoTLS:
		return ""
	case strings.HasSuffix(cell, "!"):
		return f.require
	case mode == PreferVerified && f.unverified != "":
		return f.unverified
	}
	return f.prefer
}
