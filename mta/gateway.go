// Package mta is the gateway: it holds what outlives a configuration and puts
// one configuration after the other into effect.
//
// What outlives a configuration: listening sockets, the queue, the DNS cache,
// ids and counters, the mail log, idle delivery connections, and what operators
// have suspended (suspension.go). Everything else is a generation
// (generation.go), built from one store.Config and never changed.
//
// A commit (commit.go), in order:
//
//	Merge      the session's edits with what others committed
//	Validate   everything that is wrong with the whole
//	prepare    build the generation, bind what is new: all that can fail
//	Save       one transaction: from here on a restart comes up with it
//	swap       one pointer, then the settings of queue, delivery, DNS, log: cannot fail
//	retire     sockets that are no longer wanted are emptied and closed
//
// The life of the gateway: Open, Run until its context ends, which drains.
// Opened offline it has no mail to move: a commit is checked and saved for the
// start to come.
package mta

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"esa/mta/alert"
	"esa/mta/archive"
	"esa/mta/counters"
	"esa/mta/crl"
	"esa/mta/delivery"
	"esa/mta/dns"
	"esa/mta/maillog"
	"esa/mta/queue"
	"esa/mta/smtpd"
	"esa/mta/socket"
	"esa/store"
)

// Options are what a gateway needs of the world.
type Options struct {
	Dir     string // data directory; whose lock the caller holds
	Store   *store.Store
	Version string // for the header of log files
	Serial  string
	// Authorities are those that the machine trusts to certify peers, for
	// configurations that trust them too.
	Authorities []*x509.Certificate
	Clock       func() time.Time // nil: time.Now
	Diag        *slog.Logger     // nil: nobody
	// ConfigFile writes a configuration as the file that an archive gets. The
	// error wraps archive.ErrDamaged where no file can hold the configuration.
	ConfigFile func(w io.Writer, c *store.Config, a store.Archive) error
	// Console takes a connection to an SSH port of the configuration: it closes
	// it in the end, and returns soon. nil: such connections are closed.
	Console func(net.Conn)
	// Listening is called by Run once every listener that can be had is
	// there; nil: nobody is told.
	Listening func()
}

// Bounds of the gateway's own waiting.
const (
	drainTime = 30 * time.Second // for sessions and attempts under way when the gateway stops
	bindRetry = 5 * time.Second  // between attempts to bind what could not be bound at start
	probeTime = 2 * time.Second  // for a DNS server to answer a probe
)

// Gateway is a relay MTA. Its methods are safe for concurrent use.
type Gateway struct {
	Options
	current    atomic.Pointer[generation]
	live       *live                // nil offline
	audit      *maillog.Log         // offline, from OpenAudit on
	bindRetry  time.Duration        // bindRetry; tests shorten it
	trialLook  time.Duration        // trialLook; tests shorten it
	ran        func() time.Duration // how long the gateway runs, whatever the clock is set to
	trialBegun atomic.Int64         // how long it had run when the last trial began
	taken      store.Revision       // with which the start took a trial back; 0: it did not
	overdue    uint64               // a revision on trial that the start could not take back

	suspending sync.Mutex // guards suspended and its file
	suspended  Suspension

	mu      sync.Mutex // held by what changes the generation or the sockets
	unbound []error    // why listeners and SSH ports could not be bound since the start
	revoked bool       // no key of the DNS root is trusted, and operators were told
}

// live is what runs.
type live struct {
	counters *counters.Counters
	log      *maillog.Log
	resolver *dns.Resolver
	trust    *rootTrust
	client   *delivery.Client
	alerts   *alert.Alerts
	courier  *delivery.Client // of alerts: nobody is told of what fails there
	lists    *crl.Lists       // of revoked certificates
	archives *archive.Archives
	queue    *queue.Queue
	server   *smtpd.Server
	sockets  *socket.Set
	// endSessions ends what Drain has left of the sessions: they outlast the
	// context of Run.
	endSessions context.CancelFunc
}

// Offline makes a gateway that moves no mail: commits are checked and saved.
func Offline(o Options) *Gateway {
	began := time.Now()
	g := &Gateway{
		Options: o.withDefaults(), bindRetry: bindRetry,
		trialLook: trialLook, ran: func() time.Duration { return time.Since(began) },
	}
	config, revision := o.Store.Running()
	generation, _ := build(config, revision, g.trust())
	g.current.Store(generation)
	g.keepCopy()
	return g
}

// Open makes a gateway on a data directory. It takes back a commit that was not
// confirmed, opens log, counters and queue and listens to nothing yet: Run does.
// Close ends the logs.
func Open(o Options) (*Gateway, error) {
	o = o.withDefaults()
	trial, taken := revertAtStart(o)
	g := Offline(o)
	l, err := g.open()
	if err != nil {
		return nil, fmt.Errorf("opening the gateway: %w", err)
	}
	g.live = l
	now := g.current.Load()
	if err := l.log.Configure(now.logs, now.logSettings); err != nil {
		// Run tries again.
		g.Diag.Error("configuring logs", "error", err)
	}
	if g.taken = taken; taken.Number > 0 {
		alerting{g}.tookBack(trial, "The gateway started anew before it was confirmed.")
	} else {
		g.overdue = trial.Revision
	}
	return g, nil
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Diag == nil {
		o.Diag = slog.New(slog.DiscardHandler)
	}
	return o
}

// open makes the parts that live; if one fails, those before it are closed.
func (g *Gateway) open() (_ *live, err error) {
	l := &live{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
			if l.log != nil {
				err = errors.Join(err, l.log.Close())
			}
		}
	}()
	l.log, err = maillog.Open(filepath.Join(g.Dir, logsDir), maillog.Options{
		Clock: g.Clock, Version: g.Version, Serial: g.Serial, Diag: g.Diag,
	})
	if err != nil {
		return nil, err
	}
	if l.counters, err = counters.Open(filepath.Join(g.Dir, "counters"), g.Clock); err != nil {
		return nil, err
	}
	if damage := l.counters.Damage(); damage != nil {
		g.Diag.Error("the counters begin anew", "error", damage)
	}
	l.resolver = dns.New(dns.Options{Clock: g.Clock, Log: l.log, Diag: g.Diag, Watch: alerting{g}})
	l.trust = openRootTrust(g.rootKeysPath(), g.Diag)
	l.countDNS()
	l.client = delivery.New(delivery.Options{
		Resolver: l.resolver, Checked: l.resolver.Checked(), Log: l.log, Counters: l.counters, Clock: g.Clock, Alerts: alerting{g}, Diag: g.Diag,
	})
	if err := g.openAlerts(l); err != nil {
		return nil, err
	}
	l.lists = g.openLists(l)
	l.archives = g.openArchives(l)
	l.queue, err = queue.Open(queue.Options{
		Dir: filepath.Join(g.Dir, "queue"), Courier: l.client, Log: l.log, Counters: l.counters,
		Clock: g.Clock, Diag: g.Diag, Hostname: func() string { return g.current.Load().config.Hostname },
		KeepOpen: keepOpen(),
		Fault:    alerting{g}.queueFault,
	})
	if err != nil {
		return nil, err
	}
	l.server = smtpd.New(smtpd.Options{
		MaxConnections: connectionLimit(),
		Queue:          spool{l.queue}, Names: names{g, l.resolver}, Lists: names{g, l.resolver}, Domains: names{g, l.resolver}, Log: l.log, Counters: l.counters, Clock: g.Clock, Diag: g.Diag,
	})
	if g.suspended, err = readSuspension(g.suspensionFile()); err != nil {
		return nil, err
	}
	l.suspend(g.suspended)
	var sessions context.Context
	sessions, l.endSessions = context.WithCancel(context.Background())
	l.sockets = socket.NewSet(func(addr netip.AddrPort, conn net.Conn) {
		if g.current.Load().consoles[addr] != "" {
			g.takeConsole(conn)
			return
		}
		l.server.ServeConn(sessions, conn, func() *smtpd.Settings { return g.current.Load().listener(addr) })
	}, g.Diag)
	return l, nil
}

// takeConsole hands over a connection to an SSH port. Consoles are not drained
// with mail: they show how it goes.
func (g *Gateway) takeConsole(conn net.Conn) {
	if g.Console == nil {
		conn.Close()
		return
	}
	g.Console(conn)
}

// keepOpen is how many descriptors the queue may keep to save itself the opening
// of files: few enough that connections and deliveries have theirs.
func keepOpen() int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 0
	}
	return max(2, int(min(files.Cur/8, 256)))
}

// openAlerts makes what tells operators of trouble: it delivers as all mail is
// delivered, and its own trouble ends there.
func (g *Gateway) openAlerts(l *live) error {
	l.courier = delivery.New(delivery.Options{
		Resolver: l.resolver, Checked: l.resolver.Checked(), Log: l.log, Counters: l.counters, Clock: g.Clock, Diag: g.Diag,
	})
	var err error
	l.alerts, err = alert.Open(alert.Options{
		Path: filepath.Join(g.Dir, alertsFile), Courier: l.courier, NextMID: l.counters.NextMID, Log: l.log,
		Version: g.Version, Serial: g.Serial, Clock: g.Clock, Diag: g.Diag,
	})
	if err != nil {
		return err
	}
	if damage := l.alerts.Damage(); damage != nil {
		g.Diag.Error("the alerts begin anew", "error", damage)
	}
	return nil
}

// connectionLimit is how many inbound connections the process can hold. Each
// may need a descriptor for its message too; a third of all is left for
// console, delivery and logs. It is never so small that no mail comes.
func connectionLimit() int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 0
	}
	return max(8, int(min(files.Cur, 1<<20))/3)
}

// close ends the parts in the order that none still uses another.
func (l *live) close() error {
	var errs []error
	if l.queue != nil {
		errs = append(errs, l.queue.Close())
	}
	if l.alerts != nil {
		l.alerts.Close() // what was found by whoever ended after them is kept
	}
	for _, c := range []*delivery.Client{l.client, l.courier} {
		if c != nil {
			c.Close()
		}
	}
	if l.resolver != nil {
		l.resolver.Close()
	}
	if l.counters != nil {
		errs = append(errs, l.counters.Close())
	}
	return errors.Join(errs...)
}

// Run receives and delivers mail until ctx ends, then drains: no new
// connections, what is under way ends within half a minute, what is accepted
// stays in the queue. It closes the gateway, but for its logs. Listeners that cannot be bound
// are tried again and do not keep the others from running.
func (g *Gateway) Run(ctx context.Context) error {
	l := g.live
	g.mu.Lock() // a console may commit already
	g.configure(g.current.Load())
	g.mu.Unlock()

	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	var running sync.WaitGroup
	var queueErr error
	running.Go(func() { queueErr = l.queue.Run(work) })
	running.Go(func() { l.alerts.Run(work) })
	running.Go(func() { l.lists.Run(work) })
	running.Go(func() { l.archives.Run(work) })
	running.Go(func() {
		l.counters.Run(work, func(err error) { g.Diag.Error("saving counters", "error", err) })
	})
	_, revision := g.Store.Running()
	if g.taken.Number > 0 {
		g.logCommit(g.taken)
	}
	l.log.GatewayStarted(revision)
	l.log.ServerStarting()
	l.tellSuspension(Suspension{}, g.Suspended())
	running.Go(func() { g.followRootKeys(ctx) })
	running.Go(func() { g.watchTrials(ctx) })
	running.Go(g.checkHistory)
	running.Go(func() { g.bind(ctx) }) // last: it tells that all of this runs

	<-ctx.Done()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	g.mu.Lock()
	l.sockets.Close()
	g.mu.Unlock()
	l.server.Drain(drain)
	l.endSessions()
	l.sockets.Wait()
	l.log.ServerShutDown()
	l.log.GatewayStops()
	stopWork()
	running.Wait()
	return errors.Join(queueErr, l.close())
}

// configure gives a generation's settings to everything that lives. Nothing
// of it can fail. The caller holds mu.
func (g *Gateway) configure(next *generation) {
	l := g.live
	if err := l.log.Configure(next.logs, next.logSettings); err != nil {
		// Checked by prepare: what fails now is a disk, and mail goes on.
		g.Diag.Error("configuring logs", "error", err)
	}
	resolving := l.resolving(next.dns)
	l.resolver.Configure(resolving)
	l.lists.Configure(next.revocation)
	l.archives.Configure(archivePlaces(next.config), next.revision)
	l.client.Configure(next.delivery)
	l.courier.Configure(next.alertDelivery)
	l.alerts.Configure(next.alerts)
	l.queue.Configure(next.queue)
	g.current.Store(next)
	g.tellRevokedRoot(resolving.DNSSEC.Anchor)
}

// bind opens the listeners of the configuration that the gateway starts with:
// what can be bound now. The rest, and what a commit that was taken back left
// unbound, it tries again and again until it works or a commit decides
// otherwise.
func (g *Gateway) bind(ctx context.Context) {
	tick := time.NewTicker(g.bindRetry)
	defer tick.Stop()
	g.bindAll(ctx, func() bool { return true })
	if g.Listening != nil {
		g.Listening()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		g.bindAll(ctx, func() bool { return len(g.unbound) > 0 })
	}
}

// bindAll binds what can be bound, if wanted, which is asked with mu held.
func (g *Gateway) bindAll(ctx context.Context, wanted func() bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ctx.Err() != nil || !wanted() {
		return
	}
	change, errs := g.live.sockets.PrepareWhatCan(g.current.Load().sockets)
	if change != nil {
		change.Apply()
	}
	if len(errs) > 0 && len(g.unbound) != len(errs) {
		g.Diag.Warn("not all listeners are there yet", "error", errors.Join(errs...), "again in", g.bindRetry)
	}
	g.unbound = errs
	alerting{g}.unbound(bindProblems(g.current.Load(), errs))
}
