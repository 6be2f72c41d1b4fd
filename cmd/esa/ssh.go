package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"time"

	"esa/shell/sshd"
	"esa/store"
)

// Bounds of sessions that come over the network.
const (
	sshSessions  = 256             // logged in at a time
	sshLogin     = 2 * time.Minute // from the connection to the login
	sshKeepalive = time.Minute     // between questions whether a client is there
)

// sshFolder has the host keys in the data directory.
func (p *process) sshFolder() string { return filepath.Join(p.dir.path, "ssh") }

// serveSSH takes the connections of door until ctx ends, then waits for their
// sessions. Without host keys nobody can log in over the network: the reason
// is in the diagnostics, and mail and the console on the machine go on.
func (c *console) serveSSH(ctx context.Context, d *door) error {
	defer d.Close()
	keys, err := sshd.LoadOrCreateKeys(c.process.sshFolder())
	if err != nil {
		c.process.diag.Error("nobody can log in by SSH", "error", err)
		<-ctx.Done()
		return nil
	}
	server := &sshd.Server{
		HostKeys: keys, Diag: c.process.diag, AcceptEnv: c.server.AcceptEnv, Subsystems: c.server.Subsystems,
		Accounts: accounts{c.process.store}, Settings: c.sshSettings, Handle: c.handle,
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
		Idle:       idleTime(running),
	}
}

// idleTime is how long a session may wait for its operator.
func idleTime(c *store.Config) time.Duration {
	return time.Duration(c.AdminAccess.Timeout) * time.Minute
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
