package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"esa/commands"
	"esa/mta/maillog"
	"esa/shell"
	"esa/shell/attach"
	"esa/shell/sshd"
	"esa/store"
)

// console makes a shell of every session that the session server hands it.
type console struct {
	process *process
	version commands.Version
	table   []commands.Command // of all sessions; nobody changes it
	server  *sshd.Server

	makingKeys sync.Mutex            // held while host keys are read or made
	keyFault   atomic.Pointer[error] // of the last try to have them

	mu       sync.Mutex
	sessions map[string]*session
	number   int64                     // of the last session
	closed   chan struct{}             // gets a value when a session has ended
	history  map[string]*shell.History // by user
}

// session is one open session.
type session struct {
	info commands.SessionInfo
	last time.Time // when it last had input
}

func newConsole(p *process, serial string) (*console, error) {
	key, err := sshd.LoadOrCreateKey(filepath.Join(p.dir.path, "ssh", "host_ed25519"))
	if err != nil {
		return nil, err
	}
	c := &console{
		process: p, version: productVersion(p.dir.path), table: commands.Table(),
		sessions: map[string]*session{}, closed: make(chan struct{}, 1), history: map[string]*shell.History{},
	}
	c.version.Serial = serial
	c.server = &sshd.Server{
		HostKeys: sshd.HostKeys{key}, Diag: p.diag, Source: store.LocalSource, AcceptEnv: []string{attach.GoOn, attach.Stay},
		Subsystems: []string{subsystemSFTP}, Authenticate: c.authenticate, Handle: c.handle, Events: events{p},
		Settings: func() sshd.Settings {
			return sshd.Settings{Algorithms: sshd.Algorithms{KEX: attach.KeyExchanges()}}
		},
	}
	return c, nil
}

// authenticate lets root and the owner of this process in, as any user there
// is: whoever can reach the socket otherwise is nobody here. The kernel's word
// counts, and not the account's passphrase or lock.
func (c *console) authenticate(conn net.Conn, user string) error {
	uid, err := attach.PeerUID(conn)
	if err != nil {
		return err
	}
	if uid != 0 && uid != os.Geteuid() {
		return fmt.Errorf("uid %d is neither root nor the owner of the gateway", uid)
	}
	running, _ := c.process.store.Running()
	if _, ok := running.User(user); !ok {
		return fmt.Errorf("there is no user %q", user)
	}
	return nil
}

// errExpelled ends the session of a user who may not be logged in any more.
var errExpelled = errors.New("the account was removed or locked")

// handle runs one session and returns its exit status.
func (c *console) handle(ctx context.Context, s *sshd.Session) int {
	if !c.welcome(s) {
		_, _ = fmt.Fprintf(s.Stderr(), "Your account was removed or locked.\r\n")
		return 1
	}
	if wantsFiles(s) {
		return c.serveFiles(ctx, s)
	}
	who := store.Who{User: s.User, Source: s.Source, Method: method(s), Interactive: s.Interactive && !s.IsExec, Local: s.Local}
	pending := c.process.store.NewSession(who)
	started := time.Now()
	op := maillog.Operator{User: s.User, Source: s.Source}
	op.Session = c.opened(s.ID, commands.SessionInfo{User: s.User, Source: s.Source, Method: who.Method, Started: started})
	defer c.ended(s.ID)
	defer c.record(who)()
	log := c.process.gateway.Log()
	log.SessionBegan(op, entrance(s))
	defer log.SessionEnded(op)

	ctx, stop := c.untilExpelled(ctx, s, pending)
	defer stop()
	lost := true
	defer func() {
		if err := pending.Close(lost); err != nil {
			c.process.diag.Error("ending a session", "user", s.User, "error", err)
		}
	}()
	env := c.environment(who, pending, started).LoggedIn()
	env.Idle = c.idleTime(s)
	sh := c.shell(s, env)
	sh.Heard = func(prompt, line string) { log.Typed(op, line, prompt) }
	status, err := c.run(ctx, s, sh)
	lost = err != nil
	if errors.Is(err, errExpelled) {
		farewell(s)
	}
	return status
}

// untilExpelled gives a context that ends when the session has to. stop waits
// for what watches it.
func (c *console) untilExpelled(ctx context.Context, s *sshd.Session, pending *store.Session) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	if !c.welcome(s) {
		// A commit has locked the user before the store knew of the session.
		cancel(errExpelled)
	}
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-pending.Expelled():
			cancel(errExpelled)
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel(nil)
		watch.Wait()
	}
}

// farewell tells a person why the session ends.
func farewell(s *sshd.Session) {
	if s.Interactive {
		_, _ = fmt.Fprint(s, "\r\nYour account was removed or locked. This session ends.\r\n")
	}
}

// record notes a login, and with the function that it gives its end. That it
// cannot be written keeps nobody out.
func (c *console) record(who store.Who) (end func()) {
	note := func(err error) {
		if err != nil {
			c.process.diag.Error("noting a login", "user", who.User, "error", err)
		}
	}
	out, err := c.process.logins.Begin(who.User, who.Source, who.Method)
	note(err)
	return func() { note(out()) }
}

// logins gives who was logged in, the newest first.
func (c *console) logins() []commands.Login {
	kept := c.process.logins.List()
	list := make([]commands.Login, len(kept))
	for i, l := range kept {
		list[i] = commands.Login(l)
	}
	return list
}

// shell is what a session talks to.
func (c *console) shell(s *sshd.Session, env commands.Env) *shell.Shell[commands.Env] {
	return &shell.Shell[commands.Env]{
		Commands: c.table,
		Env:      env,
		Prompt:   c.prompt,
		May:      env.May,
		Begin:    commands.Welcome,
		End:      commands.Farewell,
		Idle:     env.Idle,
		Diag: func(command string, err error) {
			c.process.diag.Error("command failed", "user", s.User, "command", command, "error", err)
		},
	}
}

// run holds the session until it is left (no error) or lost.
func (c *console) run(ctx context.Context, s *sshd.Session, sh *shell.Shell[commands.Env]) (int, error) {
	input := activity{s, func() { c.active(s.ID) }}
	if s.Interactive && !s.IsExec {
		terminal := shell.NewTerminal(input, s, shell.TerminalOptions{Size: s.Window, History: c.historyOf(s.User)})
		defer terminal.Close()
		sh.Console = terminal
		if err := sh.Interactive(ctx); err != nil {
			return 1, err
		}
		return 0, nil
	}
	plain := shell.NewPlain(input, s, shell.PlainOptions{CRLF: s.Interactive, Discard: s.Interactive})
	defer plain.Close()
	sh.Console = plain
	if s.IsExec {
		return sh.Exec(ctx, s.Command), nil
	}
	return sh.Batch(ctx, s.Env[attach.GoOn] != ""), nil
}

// prompt is the host name that runs: a pending one shows after its commit.
func (c *console) prompt() string {
	running, _ := c.process.store.Running()
	return running.Hostname
}

func method(s *sshd.Session) string {
	switch {
	case s.Subsystem != "":
		return s.Subsystem
	case wantsFiles(s):
		return "scp"
	case s.IsExec:
		return "exec"
	case s.Interactive:
		return "cli"
	default:
		return "batch"
	}
}

func (c *console) historyOf(user string) *shell.History {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.history[user] == nil {
		c.history[user] = &shell.History{}
	}
	return c.history[user]
}

func (c *console) opened(id string, info commands.SessionInfo) (number int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions[id] = &session{info: info, last: info.Started}
	c.number++
	return c.number
}

func (c *console) active(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.sessions[id]; s != nil {
		s.last = time.Now()
	}
}

func (c *console) ended(id string) {
	c.mu.Lock()
	delete(c.sessions, id)
	c.mu.Unlock()
	select {
	case c.closed <- struct{}{}:
	default:
	}
}

// open counts the open sessions.
func (c *console) open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions)
}

// wait returns when no session is open any more, or ctx ends.
func (c *console) wait(ctx context.Context) {
	for c.open() > 0 {
		select {
		case <-c.closed:
		case <-ctx.Done():
			return
		}
	}
}

// list gives the open sessions, the oldest first.
func (c *console) list() []commands.SessionInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	all := make([]commands.SessionInfo, 0, len(c.sessions))
	for _, s := range c.sessions {
		info := s.info
		info.Idle = now.Sub(s.last)
		all = append(all, info)
	}
	slices.SortFunc(all, func(a, b commands.SessionInfo) int { return a.Started.Compare(b.Started) })
	return all
}

// activity tells of every input.
type activity struct {
	session *sshd.Session
	note    func()
}

func (a activity) Read(p []byte) (int, error) {
	n, err := a.session.Read(p)
	a.note()
	return n, err
}
