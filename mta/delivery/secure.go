package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"esa/mta/dane"
	"esa/mta/envelope"
	"esa/mta/identity"
	"esa/mta/route"
	"esa/mta/tlsconf"
)

// TLSMode is what a destination wants of the connections to its hosts. What
// each does is the table of guard.
type TLSMode int

// The modes, in the order of destination controls.
const (
	NoTLS TLSMode = iota
	PreferTLS
	RequireTLS
	PreferVerified
	RequireVerified
	RequireVerifiedHosted
)

// requires reports whether nothing goes out in clear.
func (m TLSMode) requires() bool {
	return m == RequireTLS || m == RequireVerified || m == RequireVerifiedHosted
}

// verifies reports whether the certificate is looked at.
func (m TLSMode) verifies() bool { return m >= PreferVerified }

// guard is what the connection to one host must be like. It is decided for
// each host, from the mode of the destination:
//
//	mode              STARTTLS missing or refused   handshake fails    certificate does not hold
//	NoTLS             never asked for               -                  -
//	PreferTLS         in clear, same connection     next host          not looked at
//	PreferVerified    in clear, same connection     next host          logged, goes on
//	RequireTLS        next host, alert              next host, alert   not looked at
//	RequireVerified*  next host, alert              next host, alert   next host, alert
//
// Once the host has said 220 nothing goes back to clear text, whatever the
// mode. A host that hangs up or answers nonsense to STARTTLS has ended the
// connection: the next host is tried.
//
// Where DANE demands TLS of a host (RFC 7672 §2.2), RequireTLS is the least,
// with TLS 1.2 or later; a certificate that fits the TLSA records satisfies
// every mode. No session is resumed: each connection is held against the
// records of its own time.
type guard struct {
	mode  TLSMode
	sni   string // the host's name for the server (RFC 6066 §3); empty for an address
	by    identity.Algorithm
	speak []string // for whom the certificate must: the mail domain, and hosts of it; empty where it is not looked at
	dane  dane.Decision
}

// verifies reports whether the certificate is looked at.
func (g guard) verifies() bool { return g.mode.verifies() || g.dane.Action == dane.Authenticate }

// guard decides what the connection to a hop must be like, of whose host DANE
// demands d.
func (a *attempt) guard(hop route.NextHop, d dane.Decision) guard {
	g := guard{mode: a.to.TLS, sni: identity.HostName(hop.Host), dane: d}
	if d.Action != dane.ByTLSMode {
		g.sni = d.Base
	}
	switch {
	case d.Action == dane.Authenticate:
		g.mode = RequireTLS
	case d.Action == dane.Encrypt && !g.mode.requires():
		g.mode = RequireTLS
	}
	if g.mode.verifies() {
		g.speak = append(g.speak, a.job.Domain)
	}
	if g.mode == RequireVerifiedHosted {
		g.by = identity.Hosted
		g.speak = append(g.speak, a.hosts...)
	}
	return g
}

// security is the part of a connection's key that guard and settings decide.
// Connections in clear under PreferTLS and encrypted ones share it: another
// would be made the same way.
type security struct {
	mode  TLSMode
	setup *setup // nil where TLS is not tried
	speak string
	dane  string
}

func (r *running) security(g guard) security {
	if g.mode == NoTLS {
		return security{}
	}
	// Hosts of equal preference come in another order each time.
	speak := strings.Join(slices.Sorted(slices.Values(g.speak)), "\n")
	return security{mode: g.mode, setup: r.tls, speak: speak, dane: demanded(g.dane)}
}

// TLS says how connections are encrypted where they are. The zero TLS has the
// versions and ciphers of tlsconf, presents no certificate and trusts nobody.
type TLS struct {
	Min, Max    uint16           // protocol versions; 0: as tlsconf.Options
	Ciphers     []uint16         // up to TLS 1.2; nil: as tlsconf.Options
	Certificate *tls.Certificate // shown to hosts that ask; nil: none
	Roots       *x509.CertPool   // who certifies hosts; nil: nobody
	// Revoked says why a chain that leads to Roots must not be trusted after
	// all; nil: nothing is revoked. It is called from many goroutines.
	Revoked func(chain []*x509.Certificate) error
}

// setup is TLS made ready. It outlives a configuration that says the same, and
// its sessions with it.
type setup struct {
	TLS
	config *tls.Config
	clock  func() time.Time
}

// maxSessions bounds the TLS sessions kept to be resumed.
const maxSessions = 1000

func newSetup(t TLS, clock func() time.Time) *setup {
	s := &setup{TLS: t, clock: clock}
	s.config = tlsconf.Client(tlsconf.Options{
		Min: t.Min, Max: t.Max, Ciphers: t.Ciphers, Certificate: t.Certificate, Clock: clock,
	})
	s.config.ClientSessionCache = tls.NewLRUClientSessionCache(maxSessions)
	return s
}

// follows gives the setup for new settings: the one there is if it says the
// same. A function cannot be compared: one that revokes is always new.
func (s *setup) follows(t TLS) *setup {
	same := s.Min == t.Min && s.Max == t.Max && fmt.Sprint(s.Ciphers) == fmt.Sprint(t.Ciphers) &&
		sameCertificate(s.Certificate, t.Certificate) && samePool(s.Roots, t.Roots) && s.Revoked == nil && t.Revoked == nil
	if same {
		return s
	}
	return newSetup(t, s.clock)
}

func sameCertificate(a, b *tls.Certificate) bool {
	if a == nil || b == nil {
		return a == b
	}
	return fmt.Sprint(a.Certificate) == fmt.Sprint(b.Certificate)
}

func samePool(a, b *x509.CertPool) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(b)
}

// encrypted is what came of a handshake.
type encrypted struct {
	state      tls.ConnectionState
	name       string          // of the certificate that speaks for the destination, if it was looked at
	unverified *identity.Fault // why the certificate does not hold, where that does not end the connection
}

// protocol and cipher are OpenSSL's names.
func (e *encrypted) protocol() string { return tlsconf.ProtocolName(e.state.Version) }
func (e *encrypted) cipher() string   { return tlsconf.CipherName(e.state.CipherSuite) }

// upgrade asks for STARTTLS, makes the handshake and begins anew on the
// encrypted connection (RFC 3207 §4). A failure with ReasonNoSTARTTLS or
// ReasonNoTLS leaves the connection as it was; any other ends it. Of a handshake
// that came as far as the certificate there is a state all the same.
func (c *conn) upgrade(ctx context.Context, g guard, set *running) (*encrypted, *envelope.Failure) {
	if !c.ext.has("STARTTLS") {
		return nil, noSTARTTLS(c)
	}
	r, err := c.ask("STARTTLS", set.Timeouts.Hello)
	if err != nil {
		return nil, broken(err)
	}
	if f := judge(atSTARTTLS, r); f != nil {
		if !closing(f) {
			f.Reason = envelope.ReasonNoTLS
		}
		return nil, transient(f)
	}
	// What came with the 220 was not encrypted and is nobody's word: it is
	// dropped with the reader (RFC 3207 §4.2).
	e, err := c.shake(ctx, g, set)
	if err != nil {
		return e, noHandshake(c, err)
	}
	f := c.hello(set)
	if f != nil && (f.Reason == envelope.ReasonLost || f.Reason == envelope.ReasonConnect) {
		// In TLS 1.3 a host judges our certificate after our handshake is over.
		f = noHandshake(c, f.Err)
	}
	return e, f
}

// shake makes the handshake. The certificate is judged within it, so that the
// host is told by an alert.
func (c *conn) shake(ctx context.Context, g guard, set *running) (*encrypted, error) {
	e := &encrypted{}
	config := c.key.security.setup.config.Clone()
	config.ServerName = g.sni
	if g.dane.Action != dane.ByTLSMode {
		config.MinVersion, config.ClientSessionCache = max(config.MinVersion, tls.VersionTLS12), nil
	}
	if g.verifies() {
		config.VerifyConnection = func(s tls.ConnectionState) error {
			e.state = s
			var fault *identity.Fault
			e.name, fault = c.certify(ctx, g, s.PeerCertificates)
			switch {
			case fault == nil:
				return nil
			case g.mode.requires():
				return fault
			}
			e.unverified = fault
			return nil
		}
	}
	c.leash.arm(set.Timeouts.Handshake)
	secure := tls.Client(c.net, config)
	if err := secure.Handshake(); err != nil {
		return e, err
	}
	e.state = secure.ConnectionState()
	c.over(secure)
	return e, nil
}

// certify looks at the certificate of the host and gives the name that speaks
// for the destination.
func (c *conn) certify(ctx context.Context, g guard, presented []*x509.Certificate) (string, *identity.Fault) {
	s := c.key.security.setup
	if g.dane.Action == dane.Authenticate {
		match, fault := dane.Verify(presented, g.dane.Records, g.dane.Names, s.clock())
		return match.Name, fault
	}
	chain, fault := identity.Trust(presented, s.Roots, s.clock())
	if fault != nil {
		return "", fault
	}
	if s.Revoked != nil {
		if err := s.Revoked(chain); err != nil {
			return "", &identity.Fault{Reason: envelope.ReasonCertRevoked, Text: err.Error()}
		}
	}
	name, ok := identity.Match(presented[0], g.by, identity.Reference{
		Domain: g.speak[0], Hosts: g.speak[1:], Reverse: func() []string { return c.client.reverse(ctx, c.key.Remote.Addr()) },
	})
	if !ok {
		return "", identity.Mismatch(presented[0], g.speak[0])
	}
	return name, nil
}

// Bounds of looking up the names of an address; the handshake waits for it.
const (
	reverseTime     = 20 * time.Second
	maxReverseNames = 5
)

// reverse gives the names of an address that lead back to it.
func (c *Client) reverse(ctx context.Context, addr netip.Addr) []string {
	ctx, cancel := context.WithTimeout(ctx, reverseTime)
	defer cancel()
	names := c.opt.Resolver.PTR(ctx, addr).Names
	return slices.DeleteFunc(slices.Clone(names[:min(len(names), maxReverseNames)]), func(name string) bool {
		return !slices.Contains(c.opt.Resolver.Addrs(ctx, name, addr.Is6()).Addrs, addr)
	})
}

// noSTARTTLS is a host that does not offer what was wanted.
func noSTARTTLS(c *conn) *envelope.Failure {
	text := c.host + " does not offer STARTTLS"
	if c.ext.offered == nil {
		text = c.host + " does not know EHLO, so it cannot offer STARTTLS"
	}
	return insecure("4.7.4", envelope.ReasonNoSTARTTLS, text)
}

// verifyError begins what is said of a certificate that does not hold.
const verifyError = "verify error: "

// noHandshake is a connection that was lost to TLS, and why.
func noHandshake(c *conn, err error) *envelope.Failure {
	var fault *identity.Fault
	f := broken(err)
	switch {
	case errors.As(err, &fault):
		f = insecure("4.7.5", fault.Reason, verifyError+fault.Text)
	case c.leash.cancelled(), f.Reason == envelope.ReasonLocal, f.Reason == envelope.ReasonProtocol:
	default:
		_, text := tlsconf.Failure(err)
		f = insecure("4.7.5", envelope.ReasonHandshake, text)
	}
	f.Err = err
	return f
}

func insecure(status string, reason envelope.Reason, text string) *envelope.Failure {
	return &envelope.Failure{Enhanced: status, Phrase: phrase(status), Reason: reason, Reply: []string{text}}
}

// unprotected reports whether a failure is one of TLS: the host is there, and
// cannot be had as the destination wants it.
func unprotected(f *envelope.Failure) bool {
	switch f.Reason {
	case envelope.ReasonNoSTARTTLS, envelope.ReasonNoTLS, envelope.ReasonHandshake,
		envelope.ReasonCertHost, envelope.ReasonCertExpired, envelope.ReasonCertUntrusted, envelope.ReasonCertRevoked, envelope.ReasonCertificate,
		envelope.ReasonTLSA:
		return true
	}
	return false
}

// secure encrypts a connection as its guard wants it. A failure has been
// logged and noted, and the connection is of no more use.
func (a *attempt) secure(ctx context.Context, c *conn, g guard) *envelope.Failure {
	if g.mode == NoTLS {
		return nil
	}
	log := a.client.opt.Log
	e, f := c.upgrade(ctx, g, a.set)
	if e != nil && e.state.HandshakeComplete {
		log.DeliverySecured(c.dcid, e.protocol(), e.cipher(), g.dane.Domain)
		if e.unverified != nil {
			log.CertificateUnverified(c.dcid, e.unverified.Text)
		}
	}
	if f == nil {
		return nil
	}
	if unprotected(f) && !c.leash.cancelled() {
		if f.Reason == envelope.ReasonNoTLS && g.mode.requires() {
			a.connectionError(c, f)
		}
		a.client.logTLS(c.dcid, f)
	} else {
		f = a.broke(c, f)
	}
	if !g.mode.requires() && inClear(f) {
		return nil
	}
	if g.dane.Action != dane.ByTLSMode && unprotected(f) {
		a.missed(c, f)
	}
	a.note(a.pending, c, f)
	a.unprotected = true
	if g.mode.requires() && f.Reason != envelope.ReasonLocal {
		a.alarm(c, f)
	}
	return f
}

// logTLS says in the mail log how a connection was lost to TLS.
func (c *Client) logTLS(d envelope.DCID, f *envelope.Failure) {
	switch f.Reason {
	case envelope.ReasonNoSTARTTLS:
		c.opt.Log.NoSTARTTLS(d)
	case envelope.ReasonNoTLS:
		c.opt.Log.DeliveryTLSFailed(d, "STARTTLS unexpected response")
	default:
		c.opt.Log.DeliveryTLSFailed(d, f.Reply[0])
	}
}

// inClear reports whether a failure left the connection as it was.
func inClear(f *envelope.Failure) bool {
	return f.Reason == envelope.ReasonNoSTARTTLS || f.Reason == envelope.ReasonNoTLS
}

// alarm says that a connection had to be encrypted and was not.
func (a *attempt) alarm(c *conn, f *envelope.Failure) {
	a.client.opt.Log.TLSRequired(c.dcid, c.key.Remote.Addr())
	a.sound(c.host, f)
}
