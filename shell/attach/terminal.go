package attach

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"
)

// terminal is the one an interactive session runs on. A nil *terminal has
// nothing to restore.
type terminal struct {
	in, out descriptor
	kind    string
	saved   *term.State
	changes chan os.Signal
	done    chan struct{}
	once    sync.Once
	err     error
}

// descriptor is what a file is known by to the system.
type descriptor interface{ Fd() uintptr }

// terminalOf gives the terminal if the session is to be interactive. Changes
// of its size are noted from here on, so that none is missed between asking
// for the size and following it.
func terminalOf(o Options) (*terminal, error) {
	in, isFile := o.Stdin.(*os.File)
	out, hasOne := o.Stdout.(descriptor)
	if o.IsExec || !isFile || !hasOne || !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
		return nil, nil
	}
	saved, err := term.GetState(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("asking for the state of the terminal: %w", err)
	}
	t := &terminal{
		in:      in,
		out:     out,
		kind:    o.Term,
		saved:   saved,
		changes: make(chan os.Signal, 1),
		done:    make(chan struct{}),
	}
	if t.kind == "" {
		t.kind = os.Getenv("TERM")
	}
	signal.Notify(t.changes, syscall.SIGWINCH)
	return t, nil
}

// raw gives every key to the session as it is typed.
func (t *terminal) raw() error {
	if _, err := term.MakeRaw(int(t.in.Fd())); err != nil {
		return fmt.Errorf("setting the terminal: %w", err)
	}
	return nil
}

// size is 0 by 0 if the terminal does not know.
func (t *terminal) size() (cols, rows int) {
	cols, rows, err := term.GetSize(int(t.out.Fd()))
	if err != nil {
		return 0, 0
	}
	return cols, rows
}

// follow tells the session every new size, until restore.
func (t *terminal) follow(session *ssh.Session) error {
	for {
		select {
		case <-t.done:
			return nil
		case <-t.changes:
		}
		cols, rows := t.size()
		if err := session.WindowChange(rows, cols); err != nil {
			return nil // the session is over, of which Wait knows more
		}
	}
}

// restore sets the terminal back to what it was. It may be called again.
func (t *terminal) restore() error {
	if t == nil {
		return nil
	}
	t.once.Do(func() {
		signal.Stop(t.changes)
		close(t.done)
		if err := term.Restore(int(t.in.Fd()), t.saved); err != nil {
			t.err = fmt.Errorf("restoring the terminal: %w", err)
		}
	})
	return t.err
}
