package sshd

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Accounts knows who may log in over a network. Its methods are called by many
// connections at once.
type Accounts interface {
	// Passphrase says, by its error, that it is not the passphrase of user, or
	// that the user may not log in. It takes as long for a user that does not
	// exist: the client must not learn which it was.
	// ctx ends with the server.
	Passphrase(ctx context.Context, user, passphrase string) error

	// Keys gives the public keys of a user as lines of authorized_keys
	// (sshd(8)), or says why the user may not log in. A line that has options
	// is nobody's key.
	Keys(user string) ([]string, error)
}

// Events is told who logs in and out. Its methods must not wait, and are
// called by many connections at once. What a client says its user is called is
// in Login.User as it came, though not longer than 64 bytes.
type Events interface {
	LoginAccepted(l Login)
	LoginRefused(l Login, reason string)
	Logout(l Login, after time.Duration) // after: how long it was logged in
}

// Login is one client that logs in.
type Login struct {
	User   string
	Source string         // where it comes from: "console", or an address
	Local  netip.AddrPort // the address and port it came in by; invalid where it is no TCP connection
	Method string         // "password", "publickey"; "none" where the connection itself is enough
	Key    string         // the fingerprint of the key that signed
}

// Bounds of what a client sends to log in.
const (
	maxTries      = 6
	maxPassphrase = 1024 // bytes
	maxUser       = 64
)

// login is what has become of the attempts of one connection. It serves no
// decision about rights: those are the Permissions of the attempt that
// succeeded, or else the rights of a key that was only shown would be those of
// the key that signed.
type login struct {
	in        bool   // logged in
	passwords int    // that were wrong
	keys      int    // that were refused
	keyWhy    error  // why the last of them was
	user      string // of the attempts
	tried     bool   // there was one by password or key
	why       error  // why the handshake failed
}

func (l *login) failed(err error) { l.why = err }

// errOtherUser refuses to go on as somebody else, as OpenSSH does: a login of
// one's own at the end would make guesses at another's passphrase free.
var errOtherUser = errors.New("the user name was changed")

// tries notes whom an attempt is for. It is false if that is not the user of
// those before.
func (l *login) tries(user string) bool {
	if l.tried && l.user != user {
		return false
	}
	l.tried, l.user = true, user
	return true
}

// fingerprint names the extension of Permissions that has the key that signed.
const fingerprint = "fingerprint"

// config is how the client may log in. Every callback is called by the
// handshake, one after the other. The user is that of the attempt: what a
// callback saw of an earlier one is never used.
func (c *connection) config(ctx context.Context) *ssh.ServerConfig {
	s := c.server
	config := &ssh.ServerConfig{
		Config:                  c.settings.Algorithms.config(),
		PublicKeyAuthAlgorithms: c.settings.Algorithms.signatures(),
		ServerVersion:           "SSH-2.0-" + cmp.Or(s.Version, "esa"),
		MaxAuthTries:            maxTries,
		NoClientAuth:            s.Authenticate != nil,
		NoClientAuthCallback:    c.byConnection,
		BannerCallback: func(ssh.ConnMetadata) string {
			return strings.ReplaceAll(c.settings.Banner, "\n", "\r\n")
		},
	}
	if s.Accounts != nil {
		config.AuthLogCallback = c.sawAttempt
		config.PasswordCallback = func(m ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			return c.byPassword(ctx, m, password)
		}
		config.PublicKeyCallback = c.byKey
	}
	for _, key := range s.HostKeys {
		if bits := rsaBits(key.PublicKey()); bits == 0 || bits >= c.settings.MinRSABits {
			config.AddHostKey(key)
		}
	}
	return config
}

// byConnection lets in whom the connection itself shows to be the user.
func (c *connection) byConnection(m ssh.ConnMetadata) (*ssh.Permissions, error) {
	if err := c.server.Authenticate(c.wire.Conn, m.User()); err != nil {
		c.login.user = m.User()
		c.refused(m.User(), "none", err.Error())
		return nil, &ssh.BannerError{Err: err, Message: "You may not log in as this user here.\n"}
	}
	return &ssh.Permissions{Extensions: map[string]string{"method": "none"}}, nil
}

func (c *connection) byPassword(ctx context.Context, m ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
	err := errors.New("the passphrase is too long")
	if !c.login.tries(m.User()) {
		err = errOtherUser
	} else if len(password) <= maxPassphrase && len(m.User()) <= maxUser {
		err = c.server.Accounts.Passphrase(ctx, m.User(), string(password))
	}
	if err != nil {
		c.login.passwords++
		c.refused(m.User(), "password", err.Error())
		return nil, err
	}
	return &ssh.Permissions{Extensions: map[string]string{"method": "password"}}, nil
}

// byKey answers whether a key is one of the user's. It is asked before the
// client has shown that it has the key: what it returns is used only if that
// same key signs.
func (c *connection) byKey(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	err := errOtherUser
	if c.login.tries(m.User()) {
		err = c.knows(m.User(), key)
	}
	if err != nil {
		return nil, err
	}
	return &ssh.Permissions{Extensions: map[string]string{"method": "publickey", fingerprint: ssh.FingerprintSHA256(key)}}, nil
}

// sawAttempt is told of every attempt, and is the only one to hear of keys of
// an algorithm that is not spoken, and of signatures that are wrong.
func (c *connection) sawAttempt(m ssh.ConnMetadata, method string, err error) {
	if method == "publickey" && err != nil {
		c.login.keys++
		c.login.keyWhy = err
		c.login.tries(m.User())
	}
}

func (c *connection) knows(user string, key ssh.PublicKey) error {
	if bits := rsaBits(key); bits > 0 && bits < c.settings.MinRSABits {
		return fmt.Errorf("the key has only %d bits", bits)
	}
	if len(user) > maxUser {
		return errors.New("there is no such user")
	}
	lines, err := c.server.Accounts.Keys(user)
	if err != nil {
		return err
	}
	for _, line := range lines {
		known, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err == nil && len(options) == 0 && bytes.Equal(known.Marshal(), key.Marshal()) {
			return nil
		}
	}
	return errors.New("the key is not one of the user's")
}

// rsaBits gives the size of an RSA key, 0 of others.
func rsaBits(key ssh.PublicKey) int {
	if k, ok := key.(ssh.CryptoPublicKey); ok {
		if public, ok := k.CryptoPublicKey().(*rsa.PublicKey); ok {
			return public.N.BitLen()
		}
	}
	return 0
}

// entry is the connection's login, for events.
func (c *connection) entry(user, method string) Login {
	if len(user) > maxUser {
		user = user[:maxUser]
	}
	return Login{User: user, Source: c.sourceName(), Local: localAddr(c.wire.LocalAddr()), Method: method}
}

// refused tells of one attempt.
func (c *connection) refused(user, method, reason string) {
	c.diag("console login refused", "user", fmt.Sprintf("%.64q", user), "method", method, "reason", reason)
	if c.server.Events != nil {
		c.server.Events.LoginRefused(c.entry(user, method), reason)
	}
}

// diag tells Diag what becomes of a connection. Where Events are told too, and
// strangers can connect as often as they like, Diag is spared it.
func (c *connection) diag(message string, args ...any) {
	level := slog.LevelInfo
	if c.server.Events != nil {
		level = slog.LevelDebug
	}
	c.log.Log(context.Background(), level, message, args...)
}

// tell is refused where it is not one attempt that is told of, but what becomes
// of the connection or of its network: there is no user and no method.
func (c *connection) tell(reason string) {
	if c.server.Events != nil {
		c.server.Events.LoginRefused(c.entry("", ""), reason)
	}
}

// tellRefused tells of a connection that only had keys that were refused: one
// client offers many, and most logins begin so.
func (c *connection) tellRefused() {
	if c.login.keys > 0 && c.login.passwords == 0 {
		c.refused(c.login.user, "publickey", fmt.Sprintf("none of %d keys lets in: %v", c.login.keys, c.login.keyWhy))
	}
}

// accepted is the login that succeeded.
func (c *connection) accepted() Login {
	l := c.entry(c.ssh.User(), "")
	if p := c.ssh.Permissions; p != nil {
		l.Method, l.Key = p.Extensions["method"], p.Extensions[fingerprint]
	}
	return l
}

func (c *connection) tellAccepted() {
	l := c.accepted()
	c.diag("console login", "user", l.User, "method", l.Method, "key", l.Key)
	if c.server.Events != nil {
		c.server.Events.LoginAccepted(l)
	}
}

func (c *connection) tellLogout(since time.Time) {
	if c.server.Events != nil {
		c.server.Events.Logout(c.accepted(), time.Since(since))
	}
}

// now is the time that penalties are counted by.
func (s *Server) now() time.Time {
	if s.Clock == nil {
		return time.Now()
	}
	return s.Clock()
}
