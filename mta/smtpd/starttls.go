package smtpd

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"esa/mta/policy"
	"esa/mta/tlsconf"
)

// This file is STARTTLS (RFC 3207): who is offered it and who must use it, the
// handshake, and whether a session still has what newer settings ask for.

// TLS holds what a listener shakes hands with, by what it wants of the client:
// settings as tlsconf.Server makes them.
type TLS struct {
	NotAsked, IfGiven, Needed *tls.Config
}

// of gives the settings for a mode.
func (t *TLS) of(mode policy.TLSMode) *tls.Config {
	switch mode {
	case policy.TLSPreferredVerify:
		return t.IfGiven
	case policy.TLSRequiredVerify:
		return t.Needed
	default:
		return t.NotAsked
	}
}

// Replies about TLS (reference 4.4).
const (
	textMustTLS       = "#5.7.0 Must issue a STARTTLS command first"
	textSenderMustTLS = "#5.7.0 This sender must issue a STARTTLS command first"
	textNoTLS         = "TLS not available due to a temporary reason"
)

// offersTLS reports whether STARTTLS may come: a connection that was accepted
// without it does not get it by a commit, for its client will not ask again.
func (c *conversation) offersTLS() bool {
	return c.offered != policy.TLSOff && c.at.TLS != nil && c.secured == nil
}

// startTLS answers STARTTLS and holds the handshake. Whatever comes of it, no
// reply in clear follows the 220 (attack T2).
func (c *conversation) startTLS(line []byte, arg string) bool {
	switch {
	case arg != "":
		return c.syntax(line, "#5.5.2 syntax error STARTTLS")
	case c.secured != nil:
		return c.idle(503, "#5.5.1 already using TLS")
	case c.tx != nil:
		return c.idle(503, "#5.5.0 STARTTLS not permitted during a mail transaction")
	case c.wire.pending():
		// What came in clear must not be read behind the handshake, nor a
		// handshake as commands (attack T1).
		return c.close(503, "#5.5.0 improper use of SMTP command pipelining")
	case c.offered != policy.TLSOff && c.at.TLS == nil:
		return c.idle(454, textNoTLS)
	case !c.offersTLS():
		return c.strange(line)
	case !c.takeTLS(c.at.MaxTLS):
		return c.close(421, "#4.4.5 Too many TLS sessions at this time")
	}
	c.wire.reply(220, "Go ahead with TLS")
	if err := c.wire.flush(); err != nil {
		c.lost = true
		return false
	}
	c.shaken = true
	state, err := c.wire.secure(c.at.TLS.of(c.offered), time.Now().Add(c.limits.Handshake))
	if err != nil {
		number, text := tlsconf.Failure(err)
		c.srv.Log.InjectionTLSFailed(c.icid, number, text)
		c.lost = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
		return false
	}
	c.srv.Log.InjectionTLS(c.icid, tlsconf.ProtocolName(state.Version), tlsconf.CipherName(state.CipherSuite))
	// Nothing that was said in clear holds any more (RFC 3207 §4.2).
	c.secured, c.helo, c.esmtp = state, "", false
	return true
}

// mustTLS answers a command that the policy does not allow in clear, and
// reports whether it did. EHLO, NOOP, QUIT and STARTTLS it always allows
// (RFC 3207 §4). Where there is nothing to shake hands with, the fault is ours
// and no client's.
func (c *conversation) mustTLS(verb string) (answered, goOn bool) {
	if c.secured != nil || !c.decision.Params.TLS.Mode.Required() || slices.Contains([]string{"EHLO", "NOOP", "QUIT", "STARTTLS"}, verb) {
		return false, true
	}
	c.inClear = true
	if c.at.TLS == nil {
		return true, c.idle(454, textNoTLS)
	}
	return true, c.fail(530, textMustTLS)
}

// requireTLS refuses what may not come in clear: the session's own floor,
// whatever server drives it.
func (s *session) requireTLS(required bool, text string) error {
	if s.secured != nil || !required {
		return nil
	}
	s.inClear = true
	if s.at.TLS == nil {
		return refuse(454, textNoTLS)
	}
	return refuse(530, text)
}

// satisfies reports whether the connection, as it is, has what other settings
// ask of one that begins.
func (s *session) satisfies(set *Settings, t policy.TLS) bool {
	if s.secured == nil {
		return !t.Mode.Required()
	}
	if set.TLS == nil {
		return t.Mode != policy.TLSRequiredVerify // there is nothing else to compare with
	}
	config, state := set.TLS.of(t.Mode), *s.secured
	switch {
	case state.Version < config.MinVersion, config.MaxVersion != 0 && state.Version > config.MaxVersion:
		return false
	case state.Version < tls.VersionTLS13 && !slices.Contains(config.CipherSuites, state.CipherSuite):
		return false
	case t.Mode == policy.TLSRequiredVerify && len(state.PeerCertificates) == 0:
		return false
	}
	return config.VerifyConnection == nil || config.VerifyConnection(state) == nil
}

// takeTLS counts the connection as one with TLS until it leaves, if there may
// be one more; most 0 is no limit.
func (s *session) takeTLS(most int) bool {
	srv := s.srv
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if most > 0 && srv.secured >= most {
		return false
	}
	srv.secured++
	leave := s.leave
	s.leave = sync.OnceFunc(func() {
		leave()
		srv.mu.Lock()
		defer srv.mu.Unlock()
		srv.secured--
	})
	return true
}

// maxShake bounds what a client may send in a handshake: its certificates are
// most of it. The library bounds each message.
const maxShake = 256 << 10

var errLongShake = errors.New("handshake too long")

// shakeConn bounds the bytes that are read until the handshake is over.
type shakeConn struct {
	net.Conn
	left int
	over bool
}

func (c *shakeConn) Read(p []byte) (int, error) {
	if c.over {
		return c.Conn.Read(p)
	}
	if c.left <= 0 {
		return 0, errLongShake
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// secure shakes hands, by a time, and goes on over TLS. Nothing may be unread:
// what the client sent before is not of the handshake.
func (w *wire) secure(config *tls.Config, until time.Time) (*tls.ConnectionState, error) {
	if err := w.conn.SetDeadline(until); err != nil {
		return nil, err
	}
	bounded := &shakeConn{Conn: w.conn, left: maxShake}
	secured := tls.Server(bounded, config)
	if err := secured.Handshake(); err != nil {
		return nil, err
	}
	bounded.over = true
	w.secured, w.stream, w.r, w.w = secured, secured, 0, 0
	state := secured.ConnectionState()
	return &state, nil
}
