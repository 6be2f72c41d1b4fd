package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"esa/mta"
	"esa/shell/attach"
	"esa/shell/logins"
	"esa/store"
)

// configFile is the configuration database in the data directory.
const configFile = "config.db"

// loginsFile is the list of logins there.
const loginsFile = "logins"

// process is a gateway with its console: what owns a data directory.
type process struct {
	dir     *dataDir
	diag    *slog.Logger
	diagLog *os.File // nil: diagnostics go nowhere
	store   *store.Store
	gateway *mta.Gateway
	console *console
	logins  *logins.Log
	door    *door // where the gateway hands over who comes by SSH
	gauges  *gauges
}

// openProcess opens a data directory, with a gateway that moves mail or
// offline.
func openProcess(ctx context.Context, inv invocation, live bool) (_ *process, err error) {
	// A core would hold every private key.
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return nil, fmt.Errorf("forbidding cores: %w", err)
	}
	p := &process{gauges: newGauges(inv.dir), door: newDoor()}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	purpose := forCommand
	if live {
		purpose = forGateway
	}
	if p.dir, err = openDir(ctx, inv.dir, purpose, lockWait); err != nil {
		return nil, err
	}
	for _, name := range []string{"configuration", "logs"} {
		if err := makeDir(filepath.Join(inv.dir, name)); err != nil {
			return nil, err
		}
	}
	if err := clearUploads(filepath.Join(inv.dir, "configuration")); err != nil {
		return nil, fmt.Errorf("clearing configuration/: %w", err)
	}
	if err := p.openDiag(); err != nil {
		return nil, err
	}
	serial, err := p.dir.serial()
	if err != nil {
		return nil, err
	}
	p.store, err = store.Open(filepath.Join(inv.dir, configFile), store.Options{
		Factory: func() *store.Config { return factory(p.diag) },
	})
	if err != nil {
		return nil, err
	}
	if p.logins, err = logins.Open(filepath.Join(inv.dir, loginsFile), time.Now); err != nil {
		return nil, err
	}
	if p.console, err = newConsole(p, serial); err != nil {
		return nil, err
	}
	authorities, err := store.SystemAuthorities()
	if err != nil {
		// Only peers whose certificates are to be verified will notice.
		p.diag.Warn("no certificate authorities", "err", err)
	}
	options := mta.Options{Dir: inv.dir, Store: p.store, Version: productVersion(inv.dir).Version, Serial: serial,
		Diag: p.diag, Authorities: authorities, ConfigFile: archiveFile(p.console.version), Console: p.door.hand}
	if !live {
		p.gateway = mta.Offline(options)
		return p, p.gateway.OpenAudit()
	}
	// Last, for close does not know how to end it.
	p.gateway, err = mta.Open(options)
	return p, err
}

// openDiag opens our own diagnostics, apart from the operators' logs.
func (p *process) openDiag() error {
	f, err := os.OpenFile(filepath.Join(p.dir.path, "logs", "diagnostics.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening diagnostics: %w", err)
	}
	p.diagLog = f
	p.diag = slog.New(slog.NewTextHandler(f, nil))
	return nil
}

// close closes what was opened.
func (p *process) close() error {
	var errs []error
	if p.gateway != nil {
		errs = append(errs, p.gateway.Close())
	}
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	if p.logins != nil {
		errs = append(errs, p.logins.Close())
	}
	if p.diagLog != nil {
		errs = append(errs, p.diagLog.Close())
	}
	if p.dir != nil {
		errs = append(errs, p.dir.close())
	}
	return errors.Join(errs...)
}

// serve is `esa serve`: the gateway until a signal ends it.
func serve(ctx context.Context, inv invocation) (int, error) {
	syscall.Umask(0o077)
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	p, err := openProcess(ctx, inv, true)
	if err != nil {
		return statusFailed, err
	}
	socket, err := attach.Listen(inv.dir)
	if err != nil {
		return statusFailed, errors.Join(err, p.abandon(ctx))
	}
	p.gateway.Listening = func() {
		fmt.Printf("The gateway is running; its console is %s.\n", filepath.Join(inv.dir, attach.SocketName))
	}
	if err := p.run(ctx, socket); err != nil {
		return statusFailed, err
	}
	return 0, nil
}

// run serves mail and console until ctx ends and all is drained.
func (p *process) run(ctx context.Context, socket net.Listener) error {
	var working sync.WaitGroup
	var consoleErr, sshErr error
	consoles, endConsoles := context.WithCancelCause(context.WithoutCancel(ctx))
	working.Go(func() { consoleErr = p.console.server.Serve(consoles, socket) })
	working.Go(func() { sshErr = p.console.serveSSH(consoles, p.door) })
	err := p.gateway.Run(ctx)
	endConsoles(errors.New("the gateway stops"))
	working.Wait()
	return errors.Join(err, consoleErr, sshErr, p.close())
}

// abandon closes a gateway that never ran.
func (p *process) abandon(ctx context.Context) error {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	return errors.Join(p.gateway.Run(ended), p.close())
}

// restore is `esa restore`: it starts the configuration anew from the copy of
// what ran last.
func restore(ctx context.Context, inv invocation) (int, error) {
	syscall.Umask(0o077)
	if err := inv.leaveRoot(os.Stderr); err != nil {
		return statusFailed, err
	}
	dir, err := openDir(ctx, inv.dir, forGateway, lockWait)
	if err != nil {
		return statusFailed, err
	}
	kept, aside, err := store.Restore(filepath.Join(inv.dir, configFile), time.Now())
	if err = errors.Join(err, dir.close()); err != nil {
		return statusFailed, err
	}
	fmt.Printf("The configuration is that of revision %d, which %s committed on %s.\n", kept.Revision, kept.User, kept.Time.Local().Format(time.ANSIC))
	if aside != "" {
		fmt.Printf("What was in its place is now %s.\n", aside)
	}
	return 0, nil
}

// runHere is `esa run`: the gateway and a console in this terminal. When that
// console ends, the gateway ends too, after all others.
func runHere(ctx context.Context, inv invocation) (int, error) {
	syscall.Umask(0o077)
	signals, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	gatewayCtx, endGateway := context.WithCancel(signals)
	defer endGateway()
	p, err := openProcess(gatewayCtx, inv, true)
	if err != nil {
		return statusFailed, err
	}
	socket, err := attach.Listen(inv.dir)
	if err != nil {
		return statusFailed, errors.Join(err, p.abandon(ctx))
	}
	done := make(chan error, 1)
	go func() { done <- p.run(gatewayCtx, socket) }()

	inv.words = nil
	status, err := p.attachHere(gatewayCtx, inv)
	if others := p.console.open(); others > 0 && gatewayCtx.Err() == nil {
		fmt.Printf("The gateway goes on until %d other session(s) end; Ctrl-C stops it now.\n", others)
		p.console.wait(gatewayCtx)
	}
	endGateway()
	return status, errors.Join(err, <-done)
}

// attachHere is a console of this terminal on a gateway in this process.
func (p *process) attachHere(ctx context.Context, inv invocation) (int, error) {
	conn, err := attach.Dial(inv.dir)
	if err != nil {
		return statusFailed, err
	}
	session := inv.session()
	session.Stay = true
	return attach.Run(ctx, conn, session)
}

// offline works on the data directory alone.
func offline(ctx context.Context, inv invocation) (int, error) {
	syscall.Umask(0o077)
	p, err := openProcess(ctx, inv, false)
	if err != nil {
		return statusFailed, err
	}
	client, server, err := attach.Pipe()
	if err != nil {
		return statusFailed, errors.Join(err, p.close())
	}
	serving, end := context.WithCancel(ctx)
	var console sync.WaitGroup
	console.Go(func() { p.console.server.ServeConn(serving, server) })
	status, err := attach.Run(ctx, client, inv.session())
	// The session ends by itself now that its client has gone.
	console.Wait()
	end()
	return status, errors.Join(err, p.close())
}
