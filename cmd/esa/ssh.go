package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"time"

	"esa/commands"
	"esa/mta/maillog"
	"esa/shell"
	"esa/shell/attach"
	"esa/shell/sshd"
	"esa/store"
)

// Bounds of sessions that come over the network.
const (
	sshSessions  = 256             // logged in at a time
	sshLogin     = 2 * time.Minute // from the connection to the login
	sshKeepalive = time.Minute     // between questions whether a client is there
	keyRetry     = 5 * time.Second // before host keys that cannot be had are tried again
)

// awaitHostKeys gives the host keys, nil when ctx ends before there are any.
// Without them nobody can log in over the network: status says why, connections
// are closed, and mail and the console on the machine go on.
func (c *console) awaitHostKeys(ctx context.Context, d *door) sshd.HostKeys {
	for {
		keys, err := c.hostKeys()
		c.keyFault.Store(&err)
		if err == nil {
			return keys
		}
		c.process.diag.Error("nobody can log in by SSH", "error", err, "again in", keyRetry)
		if !d.refuse(ctx, keyRetry) {
			return nil
		}
	}
}

// noSSH says why nobody can log in by SSH on any port, nothing where they can.
func (c *console) noSSH() []string {
	if err := c.keyFault.Load(); err != nil && *err != nil {
		return []string{(*err).Error()}
	}
	return nil
}

// hostKeys gives the keys that clients on the network know the gateway by. They
// are made when they are first needed.
func (c *console) hostKeys() (sshd.HostKeys, error) {
	c.makingKeys.Lock()
	defer c.makingKeys.Unlock()
	return sshd.LoadOrCreateKeys(filepath.Join(c.process.dir.path, "ssh"))
}

// sshKeys is keys of SSH as commands see them.
type sshKeys struct{ console *console }

func (k sshKeys) HostKeys() ([]commands.SSHKey, error) {
	keys, err := k.console.hostKeys()
	if err != nil {
		return nil, err
	}
	var all []commands.SSHKey
	for _, key := range keys.Describe() {
		all = append(all, commands.SSHKey(key))
	}
	return all, nil
}

func (sshKeys) ParseKey(text string) (commands.SSHKey, error) {
	key, err := sshd.ParseKey(text)
	if err != nil {
		err = shell.Refusedf("SSH key does not appear to be valid: %w.", err)
	}
	return commands.SSHKey(key), err
}

// serveSSH takes the connections of door until ctx ends, then waits for their
// sessions.
func (c *console) serveSSH(ctx context.Context, d *door) error {
	defer d.Close()
	keys := c.awaitHostKeys(ctx, d)
	if keys == nil {
		return nil
	}
	server := &sshd.Server{
		HostKeys: keys, Diag: c.process.diag, AcceptEnv: []string{attach.GoOn}, Subsystems: c.server.Subsystems,
		Accounts: accounts{c.process.store}, Settings: c.sshSettings, Handle: c.handle, Events: events{c.process},
		MaxConnections: sshSessions, HandshakeTimeout: sshLogin, Keepalive: sshKeepalive,
	}
	return server.Serve(ctx, d)
}

// sshSettings is what the running configuration says of SSH.
func (c *console) sshSettings() sshd.Settings {
	running, _ := c.process.store.Running()
	return sshd.Settings{
		Algorithms: sshd.Algorithms(running.SSHD.Algorithms()),
		MinRSABits: running.SSHD.MinRSABits,
		Banner:     running.AdminAccess.Banner,
		Allows:     running.AdminAccess.Allows,
		Idle:       sessionTimeout(running),
	}
}

func sessionTimeout(c *store.Config) time.Duration {
	return time.Duration(c.AdminAccess.Timeout) * time.Minute
}

// idleTime is how long a session may wait for its operator: one that the
// gateway lives as long as (esa run) as long as it takes.
func (c *console) idleTime(s *sshd.Session) time.Duration {
	if s.Env[attach.Stay] != "" {
		return 0
	}
	running, _ := c.process.store.Running()
	return sessionTimeout(running)
}

// welcome reports whether the user of a session may still be here: a connection
// over the network can outlast the account, and open session after session.
func (c *console) welcome(s *sshd.Session) bool {
	running, _ := c.process.store.Running()
	u, ok := running.User(s.User)
	return ok && (s.Source == store.LocalSource || !u.Suspended)
}

// entrance is the address of ours that a session came in by.
func entrance(s *sshd.Session) string {
	if s.Local.IsValid() {
		return s.Local.Addr().String()
	}
	return s.Source
}

// events writes who logs in and out to the authentication logs.
type events struct{ process *process }

func (e events) LoginAccepted(l sshd.Login) {
	in := loginOf(l)
	running, _ := e.process.store.Running()
	if u, ok := running.User(l.User); ok {
		in.Privilege = string(u.Role)
	}
	e.process.gateway.Log().LoginAccepted(in)
}

func (e events) LoginRefused(l sshd.Login, reason string) {
	e.process.gateway.Log().LoginRefused(loginOf(l), reason)
}

func (e events) Logout(l sshd.Login, after time.Duration) {
	e.process.gateway.Log().LoggedOut(loginOf(l), after)
}

// loginOf gives a login in the words of the log.
func loginOf(l sshd.Login) maillog.Login {
	in := maillog.Login{User: l.User, Source: l.Source, Method: l.Method}
	switch l.Method {
	case "none":
		in.Method = "local"
	case "":
		in.Method = "before-login"
	}
	return in
}

// accounts is the users of the running configuration, as logins over the
// network see them.
type accounts struct{ store *store.Store }

func (a accounts) Passphrase(ctx context.Context, user, passphrase string) error {
	_, err := a.store.Authenticate(ctx, user, passphrase)
	return err
}

func (a accounts) Keys(user string) ([]string, error) {
	running, _ := a.store.Running()
	u, ok := running.User(user)
	switch {
	case !ok:
		return nil, errors.New("there is no such user")
	case u.Suspended:
		return nil, errors.New("the user is locked")
	}
	return u.Keys, nil
}

// door is where the gateway hands over the connections to its SSH ports.
type door struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newDoor() *door { return &door{conns: make(chan net.Conn), closed: make(chan struct{})} }

// hand waits until somebody accepts the connection, and closes it when nobody
// does any more.
func (d *door) hand(conn net.Conn) {
	select {
	case d.conns <- conn:
	case <-d.closed:
		conn.Close()
	}
}

// refuse closes what is handed over for a time; false if ctx ends before.
func (d *door) refuse(ctx context.Context, during time.Duration) bool {
	over := time.NewTimer(during)
	defer over.Stop()
	for {
		select {
		case conn := <-d.conns:
			conn.Close()
		case <-over.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

func (d *door) Accept() (net.Conn, error) {
	select {
	case conn := <-d.conns:
		return conn, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

func (d *door) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

// Addr is nobody's in particular: the addresses are those of the sockets.
func (d *door) Addr() net.Addr { return &net.TCPAddr{} }
