package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"esa/commands"
	"esa/mta/maillog"
	"esa/shell"
	"esa/shell/files"
	"esa/shell/sshd"
	"esa/store"
)

// subsystemSFTP is the one subsystem of the session server.
const subsystemSFTP = "sftp"

// wantsFiles tells the sessions of file clients from those of operators.
func wantsFiles(s *sshd.Session) bool {
	return s.Subsystem == subsystemSFTP || s.IsExec && files.IsSCP(s.Command)
}

// serveFiles runs the session of a file client and returns its exit status.
func (c *console) serveFiles(ctx context.Context, s *sshd.Session) int {
	who := store.Who{User: s.User, Source: s.Source, Method: method(s), Local: s.Local}
	op := maillog.Operator{User: s.User, Source: s.Source}
	op.Session = c.opened(s.ID, commands.SessionInfo{User: s.User, Source: s.Source, Method: who.Method, Started: time.Now()})
	defer c.ended(s.ID)
	defer c.record(who)()
	log := c.process.gateway.Log()
	log.SessionBegan(op, s.Source)
	defer log.SessionEnded(op)
	client, release := c.fileClient(ctx, s, who)
	defer release()

	diag := c.process.diag.With("user", s.User, "method", who.Method)
	may := func() error {
		running, _ := c.process.store.Running()
		return commands.MayUseFiles(running, s.User)
	}
	running, _ := c.process.store.Running()
	if err := cmp.Or(may(), commands.PassphraseDue(running, who, time.Now())); err != nil {
		log.FileUsed(op, maillog.FileUse{Action: who.Method, Path: "/", Err: err})
		if _, err := fmt.Fprintln(s.Stderr(), err); err != nil {
			diag.Info("file client lost", "error", err)
		}
		return 1
	}
	tree, err := files.Open(files.Options{
		Configuration: filepath.Join(c.process.dir.path, "configuration"),
		Logs:          filepath.Join(c.process.dir.path, "logs"),
		May:           may,
		Note:          func(e files.Event) { log.FileUsed(op, maillog.FileUse(e)) },
	})
	if err != nil {
		diag.Error("opening the folders of a file client", "error", err)
		return 1
	}
	defer func() {
		if err := tree.Close(); err != nil {
			diag.Error("closing the folders of a file client", "error", err)
		}
	}()
	if s.IsExec {
		return tree.SCP(client, s.Command)
	}
	if err := tree.SFTP(client); err != nil {
		diag.Info("file client lost", "error", err)
		return 1
	}
	return 0
}

// fileClient is the stream of a file client. Its session ends when the user is
// removed or locked, and when nothing went either way for as long as a session
// may be idle. release is called when it is over.
func (c *console) fileClient(ctx context.Context, s *sshd.Session, who store.Who) (client io.ReadWriter, release func()) {
	pending := c.process.store.NewSession(who)
	ctx, stop := c.untilExpelled(ctx, s, pending)
	unhook := context.AfterFunc(ctx, func() { s.End(context.Cause(ctx)) })
	running, _ := c.process.store.Running()
	w := newWatched(s, sessionTimeout(running), func() { s.End(shell.ErrIdle) })
	w.moved = func() { c.active(s.ID) }
	return w, func() {
		w.idle.Stop()
		unhook()
		stop()
		if err := pending.Close(false); err != nil {
			c.process.diag.Error("ending a session", "user", s.User, "error", err)
		}
	}
}

// watched is a stream that notices when nothing goes either way.
type watched struct {
	io.ReadWriter
	limit time.Duration
	idle  *time.Timer
	moved func() // told when something did; may be nil
}

func newWatched(rw io.ReadWriter, limit time.Duration, ended func()) *watched {
	return &watched{ReadWriter: rw, limit: limit, idle: time.AfterFunc(limit, ended)}
}

// Read and Write are those of the stream.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadWriter.Read(p)
	w.note()
	return n, err
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.ReadWriter.Write(p)
	w.note()
	return n, err
}

func (w *watched) note() {
	w.idle.Reset(w.limit)
	if w.moved != nil {
		w.moved()
	}
}

// clearUploads removes what a crash left of files on their way.
func clearUploads(configuration string) error {
	root, err := os.OpenRoot(configuration)
	if err != nil {
		return err
	}
	defer root.Close()
	return files.Clear(root)
}
