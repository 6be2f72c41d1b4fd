package smtpd

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"esa/mta/mtatest"
	"esa/mta/policy"
	"esa/mta/tlsconf"
)

// world is the certificates of a bench: an authority that listeners trust to
// certify clients, and one they do not.
type world struct {
	ours, stranger *mtatest.Authority
}

func newWorld(t testing.TB) world {
	return world{mtatest.NewAuthority(t, "Our CA"), mtatest.NewAuthority(t, "Their CA")}
}

// listenerTLS makes what a listener has that was given a certificate.
func (w world) listenerTLS(t testing.TB, o tlsconf.Options) *TLS {
	t.Helper()
	cert := w.ours.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"gw.test"}})
	o.Certificate, o.Roots = &cert, w.ours.Pool()
	with := func(c tlsconf.ClientCertificate) *tls.Config {
		o.Clients = c
		return tlsconf.Server(o)
	}
	return &TLS{NotAsked: with(tlsconf.NotAsked), IfGiven: with(tlsconf.IfGiven), Needed: with(tlsconf.Needed)}
}

// tlsModes are the modes by the words of the host access table.
func tlsModes() map[string]policy.TLSMode {
	return map[string]policy.TLSMode{"off": policy.TLSOff, "on": policy.TLSPreferred, "require": policy.TLSRequired,
		"on_verify": policy.TLSPreferredVerify, "require_verify": policy.TLSRequiredVerify}
}

// tunnel is the client's connection while a goroutine reads it: what it reads
// goes to TLS from the moment that TLS is there.
type tunnel struct {
	net.Conn
	mu   sync.Mutex
	into *io.PipeWriter
	from *io.PipeReader
}

func (u *tunnel) Read(p []byte) (int, error) { return u.from.Read(p) }

// sink is where the reader's bytes go; nil: they are lines in clear.
func (u *tunnel) sink() *io.PipeWriter {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.into
}

// startTLS shakes hands. The 220 has been read.
func (c *client) startTLS(config *tls.Config) error {
	c.tunnel.mu.Lock()
	c.tunnel.from, c.tunnel.into = io.Pipe()
	c.tunnel.mu.Unlock()
	secured := tls.Client(c.tunnel, config)
	if err := secured.Handshake(); err != nil {
		c.tunnel.from.CloseWithError(err)
		close(c.got)
		return err
	}
	c.secured = secured
	go c.readLines(secured)
	return nil
}

// readLines gives the server's lines over TLS, and closes what they go to.
func (c *client) readLines(from io.Reader) {
	defer close(c.got)
	r := bufio.NewReader(from)
	for {
		line, err := r.ReadString('\n')
		if line != "" {
			c.got <- line
		}
		if err != nil {
			c.tunnel.from.CloseWithError(err)
			return
		}
	}
}

// secure reads the greeting, says EHLO and STARTTLS and shakes hands.
func (c *client) secure(config *tls.Config) error {
	c.t.Helper()
	c.greet()
	c.want("STARTTLS", "220 Go ahead with TLS")
	return c.startTLS(config)
}

// preferred makes a bench whose listener offers STARTTLS to everybody.
func preferred(t testing.TB) (*bench, world) {
	b, w := newBench(t), newWorld(t)
	b.change(func(s *Settings) {
		s.TLS = w.listenerTLS(t, tlsconf.Options{})
		setTLSMode(s, policy.TLSPreferred)
	})
	return b, w
}

// setTLSMode sets the mode of every policy.
func setTLSMode(s *Settings, mode policy.TLSMode) { setTLS(s, func(t *policy.TLS) { t.Mode = mode }) }

// setTLS changes what every policy says of TLS.
func setTLS(s *Settings, change func(*policy.TLS)) {
	s.HAT.Groups = slices.Clone(s.HAT.Groups)
	for i := range s.HAT.Groups {
		change(&s.HAT.Groups[i].Params.TLS)
	}
	change(&s.HAT.Default.TLS)
}

// T2: what is no handshake ends the connection; not one byte follows the 220
// in clear.
func TestNoHandshake(t *testing.T) {
	for _, tt := range []struct{ name, sends, log string }{
		{"garbage", "NOOP\r\nNOOP\r\n", "TLS failed: (0, 'first record does not look like a TLS handshake')"},
		{"a long message", "\x16\x03\x01\x40\x00" + "\x01\xff\xff\xff" + strings.Repeat("x", 1<<14-4),
			"TLS failed: (0, 'handshake message of length 16777215 bytes exceeds maximum of 65536 bytes')"},
		{"nothing", "", "TLS failed: (-1, 'Unexpected EOF')"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, _ := preferred(t)
			c := b.dial(strangerAddr)
			c.greet()
			c.want("STARTTLS", "220 Go ahead with TLS")
			c.send(tt.sends)
			if tt.sends == "" {
				c.close()
			}
			rest := ""
			for line := range c.got {
				rest += line
			}
			if strings.ContainsAny(rest, "\n") || len(rest) > 7 { // an alert has seven bytes
				t.Errorf("after the 220: %q", rest)
			}
			c.close()
			contains(t, b.log(), tt.log)
			if strings.Contains(b.log(), "Start MID") {
				t.Error("a message began")
			}
		})
	}
}

// T4: a handshake has as many bytes as one may need, and no more: here
// messages of no use that the library would read for ever.
func TestHandshakeIsBounded(t *testing.T) {
	c := &shakeConn{Conn: &feed{in: bytes.NewReader(make([]byte, 100))}, left: 10}
	got, err := io.ReadAll(c)
	if len(got) != 10 || !errors.Is(err, errLongShake) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	c.over = true
	if rest, err := io.ReadAll(c); len(rest) != 90 || err != nil {
		t.Errorf("after the handshake %d bytes, %v", len(rest), err)
	}
}

// T5: a ticket of one listener, or of one mode, or of before a commit, opens
// nothing elsewhere.
func TestTicketsAreOfOneSettings(t *testing.T) {
	b, w := preferred(t)
	cache := tls.NewLRUClientSessionCache(8)
	config := &tls.Config{RootCAs: w.ours.Pool(), ServerName: "gw.test", ClientSessionCache: cache}
	resumed := func(config *tls.Config) (bool, error) {
		c := b.dial(strangerAddr)
		defer c.close()
		if err := c.secure(config); err != nil {
			return false, err
		}
		if got := c.ask("EHLO probe.test"); !strings.HasPrefix(got, "250-") {
			return false, errors.New("refused: " + got)
		}
		return c.secured.ConnectionState().DidResume, nil
	}
	for i, want := range []bool{false, true} {
		if got, err := resumed(config); got != want || err != nil {
			t.Fatalf("connection %d resumed: %v, %v", i, got, err)
		}
	}
	b.change(func(s *Settings) { s.TLS = w.listenerTLS(t, tlsconf.Options{}) })
	if got, err := resumed(config); got || err != nil {
		t.Errorf("after a commit resumed: %v, %v", got, err)
	}
	b.change(func(s *Settings) { setTLSMode(s, policy.TLSRequiredVerify) })
	if got, err := resumed(config); got || err == nil {
		t.Errorf("where a certificate is needed resumed: %v, %v", got, err)
	}
}

// TestPendingOverTLS: what was sent with DATA is seen although TLS has read it
// from the socket, in the same record or the next.
func TestPendingOverTLS(t *testing.T) {
	for _, apart := range []bool{false, true} {
		b, w := preferred(t)
		conn := b.tcp()
		r := bufio.NewReader(conn)
		line(t, r, "220 ")
		for _, command := range []string{"EHLO probe.test\r\n", "STARTTLS\r\n"} {
			if _, err := io.WriteString(conn, command); err != nil {
				t.Fatal(err)
			}
			for last := ""; !strings.HasPrefix(last, "250 ") && !strings.HasPrefix(last, "220 "); {
				var err error
				if last, err = r.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
		}
		var both heldConn
		both.Conn = conn
		secured := tls.Client(&both, &tls.Config{RootCAs: w.ours.Pool(), ServerName: "gw.test"})
		if err := secured.Handshake(); err != nil {
			t.Fatal(err)
		}
		both.hold = true
		parts := []string{"MAIL FROM:<a@sender.test>\r\nRCPT TO:<ok@ours.test>\r\nDATA\r\nSubject: smuggled\r\n\r\n.\r\n"}
		if apart {
			parts = []string{"MAIL FROM:<a@sender.test>\r\nRCPT TO:<ok@ours.test>\r\nDATA\r\n", "Subject: smuggled\r\n\r\n.\r\n"}
		}
		for _, part := range parts {
			if _, err := io.WriteString(secured, part); err != nil {
				t.Fatal(err)
			}
		}
		if err := both.release(); err != nil {
			t.Fatal(err)
		}
		answers := bufio.NewReader(secured)
		line(t, answers, "250 ")
		line(t, answers, "250 ")
		line(t, answers, "503 #5.5.0 improper use of SMTP command pipelining")
		if _, err := answers.ReadByte(); err != io.EOF {
			t.Errorf("after the last reply: %v", err)
		}
	}
}

// heldConn gathers what is written, to send it in one segment.
type heldConn struct {
	net.Conn
	hold bool
	kept []byte
}

func (c *heldConn) Write(p []byte) (int, error) {
	if !c.hold {
		return c.Conn.Write(p)
	}
	c.kept = append(c.kept, p...)
	return len(p), nil
}

func (c *heldConn) release() error {
	c.hold = false
	_, err := c.Conn.Write(c.kept)
	return err
}

// Settings that a commit makes stricter close the session at its next MAIL,
// where it does not have what they ask for, and not before.
func TestCommitTightensTLS(t *testing.T) {
	w := newWorld(t)
	ours := w.ours.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"client.test"}})
	modern := func(s *Settings) { s.TLS = w.listenerTLS(t, tlsconf.Options{}) }
	for _, tt := range []struct {
		name     string
		secure   bool
		most     uint16
		shows    bool // where it is asked for
		from, to policy.TLSMode
		change   func(s *Settings)
		closes   bool
	}{
		{"certificate swapped", true, 0, false, policy.TLSRequired, policy.TLSRequired, modern, false},
		{"required, in clear", false, 0, false, policy.TLSPreferred, policy.TLSRequired, modern, true},
		{"required, over TLS", true, 0, false, policy.TLSPreferred, policy.TLSRequired, modern, false},
		{"verified, none shown", true, 0, false, policy.TLSPreferred, policy.TLSRequiredVerify, modern, true},
		{"verified, shown", true, 0, true, policy.TLSPreferredVerify, policy.TLSRequiredVerify, modern, false},
		{"verified, authority given up", true, 0, true, policy.TLSRequiredVerify, policy.TLSRequiredVerify,
			func(s *Settings) { s.TLS = newWorld(t).listenerTLS(t, tlsconf.Options{}) }, true},
		{"version given up", true, tls.VersionTLS12, false, policy.TLSPreferred, policy.TLSPreferred,
			func(s *Settings) { s.TLS = w.listenerTLS(t, tlsconf.Options{Min: tls.VersionTLS13}) }, true},
		{"newer version given up", true, 0, false, policy.TLSPreferred, policy.TLSPreferred,
			func(s *Settings) { s.TLS = w.listenerTLS(t, tlsconf.Options{Max: tls.VersionTLS12}) }, true},
		{"cipher given up", true, tls.VersionTLS12, false, policy.TLSPreferred, policy.TLSPreferred,
			func(s *Settings) {
				s.TLS = w.listenerTLS(t, tlsconf.Options{Ciphers: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}})
			}, true},
		{"certificate taken away", true, 0, false, policy.TLSRequired, policy.TLSRequired, func(s *Settings) { s.TLS = nil }, false},
		{"certificate taken away, verified", true, 0, false, policy.TLSPreferred, policy.TLSRequiredVerify, func(s *Settings) { s.TLS = nil }, true},
		{"given up altogether", true, 0, false, policy.TLSRequired, policy.TLSOff, modern, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.change(func(s *Settings) { modern(s); setTLSMode(s, tt.from) })
			c := b.dial(strangerAddr)
			defer c.close()
			config := &tls.Config{RootCAs: w.ours.Pool(), ServerName: "gw.test", MaxVersion: tt.most}
			if tt.shows {
				config.Certificates = []tls.Certificate{ours}
			}
			if !tt.secure {
				c.greet()
			} else if err := c.secure(config); err != nil {
				t.Fatal(err)
			}
			c.want("MAIL FROM:<a@sender.test>", "250 ")
			b.change(func(s *Settings) { setTLSMode(s, tt.to); tt.change(s) })
			c.want("RCPT TO:<ok@ours.test>", "250 ")
			c.want("RSET", "250 ")
			if got := c.ask("MAIL FROM:<a@sender.test>"); strings.HasPrefix(got, "421 #4.3.2 ") != tt.closes {
				t.Errorf("answered %q", got)
			}
		})
	}
}

// The last reply over TLS is followed by the end that TLS announces, so that
// nobody who cuts the connection can pass for us.
func TestCloseIsAnnounced(t *testing.T) {
	b, w := preferred(t)
	c := b.dial(strangerAddr)
	defer c.close()
	if err := c.secure(&tls.Config{RootCAs: w.ours.Pool(), ServerName: "gw.test", MaxVersion: tls.VersionTLS12}); err != nil {
		t.Fatal(err)
	}
	c.want("QUIT", "221 ")
	if _, open := <-c.got; open {
		t.Error("something follows the 221")
	}
	<-c.ended
	const alert = 21 // RFC 5246 §6.2.1
	if wrote := c.server.written(); wrote[len(wrote)-1][0] != alert {
		t.Errorf("the last record is %x", wrote[len(wrote)-1])
	}
}

// drip sends a byte each second until the server closes.
func (s *script) drip() {
	for range 100 {
		if _, err := s.c.conn.Write([]byte{0x16}); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
	s.fatalf("the server waits after 100 seconds")
}

// steps is a connection whose input comes in parts, one a read.
type steps struct {
	feed
	parts []string
}

func (s *steps) Read(p []byte) (int, error) {
	if len(s.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.parts[0])
	if s.parts[0] = s.parts[0][n:]; s.parts[0] == "" {
		s.parts = s.parts[1:]
	}
	return n, nil
}

// hello gives the first bytes of a client.
func hello(t testing.TB, config *tls.Config) string {
	t.Helper()
	c := &steps{}
	_ = tls.Client(c, config).Handshake() // nobody answers
	return c.out.String()
}

// FuzzHandshake: whatever follows the 220, no line in clear does, and the
// session ends with nothing open.
func FuzzHandshake(f *testing.F) {
	whole := hello(f, &tls.Config{ServerName: "gw.test"})
	for _, seed := range []string{"", "NOOP\r\n", "\x16\x03\x01\x00\x02\x01\x00", whole, whole[:len(whole)/2] + whole, whole + "\x15\x03\x03\x00\x02\x02\x28",
		hello(f, &tls.Config{ServerName: "gw.test", MaxVersion: tls.VersionTLS12}), "\x80\x2e\x01\x03\x01"} {
		f.Add(seed)
	}
	b, _ := preferred(f)
	f.Fuzz(func(t *testing.T, in string) {
		c := &steps{parts: []string{"STARTTLS\r\n", in}}
		b.srv.ServeConn(t.Context(), c, b.settings)
		_, after, found := strings.Cut(c.out.String(), "220 Go ahead with TLS\r\n")
		if !found {
			t.Fatalf("answered %q", c.out.String())
		}
		if after != "" && (after[0] < 20 || after[0] > 22) { // alert, handshake, change of cipher
			t.Fatalf("%q: after the 220: %q", in, after)
		}
		if len(b.spool.messages()) != 0 || b.spool.open() != 0 || b.srv.Connections() != 0 || b.srv.secured != 0 {
			t.Fatalf("%q: something is left", in)
		}
	})
}
