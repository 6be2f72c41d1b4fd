package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"esa/commands"
	"esa/mta"
	"esa/mta/counters"
	"esa/mta/maillog"
	"esa/mta/tlsconf"
	"esa/shell"
	"esa/shell/files"
	"esa/store"
)

// environment is what the commands of one session see and do.
func (c *console) environment(who store.Who, pending *store.Session, started time.Time) commands.Env {
	return commands.Env{
		Who:        who,
		Started:    started,
		Session:    pending,
		Store:      c.process.store,
		Gateway:    gatewayView{c.process.gateway, c.process.gauges, c.noSSH},
		Look:       lookView{c.process.gateway},
		TLS:        lookView{c.process.gateway},
		Revocation: revocationView{c.process.gateway},
		Archives:   archiveView{c.process.gateway},
		DNSSEC:     dnssecView{c.process.gateway},
		DANE:       daneView{c.process.gateway},
		Mail:       mailView{c.process.gateway},
		Service:    serviceView{c.process.gateway},
		Logs:       logView{c.process.gateway},
		Machine:    machine{},
		Files:      commands.GuardFiles(folder(filepath.Join(c.process.dir.path, "configuration")), c.process.store, who.User),
		Ciphers:    tlsconf.Catalogue{},
		SSH:        sshKeys{c},
		Sessions:   c.list,
		Logins:     c.logins,
		Clock:      time.Now,
		Random:     rand.Reader,
		NewKey:     store.NewKey,
		FileKey:    c.process.dir.fileKey,
		Wait:       wait,
		Version:    c.version,
	}
}

// gatewayView is the gateway as commands see it.
type gatewayView struct {
	*mta.Gateway
	gauges *gauges
	noSSH  func() []string // why nobody can log in by SSH, whatever the port
}

// Commit refuses what needs a gateway that runs.
func (g gatewayView) Commit(ctx context.Context, r store.CommitRequest) (store.CommitReport, error) {
	report, err := g.Gateway.Commit(ctx, r)
	return report, readable(err)
}

// Check is as Commit.
func (g gatewayView) Check(ctx context.Context, r store.CommitRequest) (store.CommitReport, error) {
	report, err := g.Gateway.Check(ctx, r)
	return report, readable(err)
}

// Status gives the numbers of the status command.
func (g gatewayView) Status() commands.Status {
	s := g.Gateway.Status()
	state := "Online"
	if !s.Running {
		state = "Offline"
	}
	view := commands.Status{
		At: s.At, Since: s.Counters.Started, LastReset: s.Counters.LastReset, State: state,
		OldestMID: s.Queue.Oldest.MID, Oldest: s.Queue.Oldest.Received,
		MID: s.Counters.MID, ICID: s.Counters.ICID, DCID: s.Counters.DCID,
		Inbound: s.Inbound, Outbound: s.Outbound, Active: s.Queue.ActiveRecipients,
		Unattempted: s.Queue.UnattemptedRecipients, Attempted: s.Queue.AttemptedRecipients, Destinations: s.Queue.Destinations,
		KBUsed: s.Queue.Bytes / 1024, KBFree: s.Queue.FreeBytes / 1024,
		Unbound: s.Unbound, NoSSH: slices.Concat(s.NoSSH, g.noSSH()), Damaged: s.Queue.Damaged, Unread: s.Queue.Unread, Unreadable: s.Queue.Unreadable, Possible: s.Possible,
		Suspended: commands.Suspension(s.Suspended), Counters: map[string]commands.Counter{},
		Rates: map[string]commands.Rate{},
	}
	if s.Queue.Refusing != nil {
		view.Refusing = s.Queue.Refusing.Error()
	}
	if s.Running {
		view.System = g.gauges.system()
		if s.Full {
			view.System.Conservation = refusesMail
		}
	}
	for name, rate := range g.Rates() {
		view.Rates[name.String()] = commands.Rate(rate)
	}
	for name, value := range s.Counters.Counters {
		view.Counters[counters.Name(name).String()] = commands.Counter(value)
	}
	return view
}

// Alerts gives the alerts that are kept.
func (g gatewayView) Alerts() ([]commands.Alert, error) {
	stored, err := g.Gateway.Alerts()
	alerts := make([]commands.Alert, len(stored))
	for i, a := range stored {
		alerts[i] = commands.Alert{At: a.At, Severity: string(a.Severity), Text: a.Text}
	}
	return alerts, err
}

// refusesMail is the degree of resource conservation at which no mail is taken.
const refusesMail = 999

// logView is the logs as commands see them.
type logView struct{ gateway *mta.Gateway }

func (l logView) Follow(ctx context.Context, name string, w io.Writer) error {
	return readable(l.gateway.FollowLog(ctx, name, w))
}

func (l logView) Grep(ctx context.Context, q commands.GrepQuery, w io.Writer) (int, error) {
	n, err := l.gateway.GrepLog(ctx, maillog.Search(q), w)
	return n, readable(err)
}

func (l logView) Rollover(name string) error { return readable(l.gateway.RolloverLog(name)) }

// readable makes a refusal of what an operator can do something about.
func readable(err error) error {
	if errors.Is(err, mta.ErrOffline) {
		return shell.Refusedf("The gateway is not running. Start it first.")
	}
	return err
}

// folder is configuration/ of the data directory. Every access goes through
// os.Root: no name leads out of it.
type folder string

// checkName takes base names only.
func checkName(name string) error {
	if files.CheckName(name) != nil {
		return shell.Refusedf("The file name is not valid: symbols such as / are not allowed.")
	}
	return nil
}

func (f folder) Read(name string) ([]byte, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, shell.Refusedf("Error: the folder %s does not exist. Make it and put the file %q there.", f, name)
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, shell.Refusedf("Error: the file %q does not exist.", name)
	}
	if err != nil {
		return nil, shell.Refusedf("Error: the file %q cannot be read: %w.", name, err)
	}
	if !info.Mode().IsRegular() || info.Size() > files.MaxFile {
		return nil, shell.Refusedf("Error: %q is not a file of at most %d MB.", name, files.MaxFile>>20)
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, shell.Refusedf("Error: the file %q cannot be read: %w.", name, err)
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, files.MaxFile))
}

// Write replaces the file as a whole: a crash leaves the old or the new one.
func (f folder) Write(name string, data []byte) error {
	return f.Save(name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// Save is Write for what is written piece by piece.
func (f folder) Save(name string, write func(io.Writer) error) error {
	return f.put(name, files.Create, write)
}

// SaveNew is Save for a file that replaces nothing.
func (f folder) SaveNew(name string, write func(io.Writer) error) error {
	return f.put(name, files.CreateNew, write)
}

func (f folder) put(name string, create func(*os.Root, string) (*files.Upload, error), write func(io.Writer) error) error {
	if err := checkName(name); err != nil {
		return err
	}
	root, err := os.OpenRoot(string(f))
	if err != nil {
		return err
	}
	defer root.Close()
	file, err := create(root, name)
	switch {
	case errors.Is(err, fs.ErrExist):
		return err
	case err != nil:
		return shell.Refusedf("Error: the file %q cannot be written: %w.", name, err)
	}
	if err := write(file); err != nil {
		file.Abort()
		return notTaken(name, fmt.Errorf("writing %q: %w", name, err))
	}
	return notTaken(name, file.Commit())
}

// notTaken makes a refusal of what an operator can do something about in the
// folder.
func notTaken(name string, err error) error {
	for _, bound := range []error{files.ErrFull, files.ErrTooLarge} {
		if errors.Is(err, bound) {
			return shell.Refusedf("Error: the file %q cannot be written: %w.", name, bound)
		}
	}
	return err
}
