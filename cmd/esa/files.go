package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"esa/commands"
	"esa/shell/files"
	"esa/shell/sshd"
)

// subsystemSFTP is the one subsystem of the session server.
const subsystemSFTP = "sftp"

// wantsFiles tells the sessions of file clients from those of operators.
func wantsFiles(s *sshd.Session) bool {
	return s.Subsystem == subsystemSFTP || s.IsExec && files.IsSCP(s.Command)
}

// serveFiles runs the session of a file client and returns its exit status.
func (c *console) serveFiles(s *sshd.Session) int {
	c.opened(s.ID, commands.SessionInfo{User: s.User, Source: s.Source, Method: method(s), Started: time.Now()})
	defer c.ended(s.ID)
	diag := c.process.diag.With("user", s.User, "source", s.Source, "method", method(s))
	may := func() error {
		running, _ := c.process.store.Running()
		return commands.MayUseFiles(running, s.User)
	}
	if err := may(); err != nil {
		diag.Warn("no files for this user", "error", err)
		if _, err := fmt.Fprintln(s.Stderr(), err); err != nil {
			diag.Info("file client lost", "error", err)
		}
		return 1
	}
	tree, err := files.Open(files.Options{
		Configuration: filepath.Join(c.process.dir.path, "configuration"),
		Logs:          filepath.Join(c.process.dir.path, "logs"),
		May:           may,
		Note: func(e files.Event) {
			if e.Err != nil {
				diag.Warn("file not transferred", "action", e.Action, "path", e.Path, "error", e.Err)
				return
			}
			diag.Info("file transferred", "action", e.Action, "path", e.Path, "bytes", e.Size)
		},
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
	client := struct {
		io.Reader
		io.Writer
	}{activity{s, func() { c.active(s.ID) }}, s}
	if s.IsExec {
		return tree.SCP(client, s.Command)
	}
	if err := tree.SFTP(client); err != nil {
		diag.Info("file client lost", "error", err)
		return 1
	}
	return 0
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
