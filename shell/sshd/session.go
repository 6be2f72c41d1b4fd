package sshd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"

	"golang.org/x/crypto/ssh"
)

// Session is one shell, one command line or one subsystem. The fields do not change while
// the handler runs. Read is for one goroutine at a time; everything else may
// be called from several.
type Session struct {
	User   string // as authenticated
	Source string // where it comes from: "console", or an address
	ID     string // unique, over restarts and servers too

	Local netip.AddrPort // the address and port it came in by; invalid where it is no TCP connection

	Interactive bool   // the client asked for a terminal: its lines end in CR LF, its input is single keys
	Term        string // type of that terminal, "" if unknown
	IsExec      bool   // Command is to be run, and nothing else
	Command     string
	Subsystem   string            // one of Server.Subsystems is to be served, and nothing else; "" for none
	Env         map[string]string // those of Server.AcceptEnv that the client sent

	log     *slog.Logger
	conn    *connection
	ch      ssh.Channel
	ctx     context.Context
	cancel  context.CancelCauseFunc
	input   *io.PipeReader
	feed    *io.PipeWriter
	started bool // only used by the goroutine that answers requests

	window struct {
		sync.Mutex
		cols, rows int
	}
	resized chan struct{}

	out, err output
}

// maxPiece is how much is written under one StallTimeout: a long listing may
// take its time, a client that takes none of it may not.
const maxPiece = 32 << 10

// output is one of the two streams to the client: the channel below takes
// one writer at a time.
type output struct {
	sync.Mutex
	ended bool
}

func (s *Session) open(ctx context.Context) {
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.input, s.feed = io.Pipe()
}

// End ends the session's context, and with it its input, for a reason of the
// handler's. What is under way in Read gets the reason as its error.
func (s *Session) End(reason error) { s.cancel(reason) }

// Window is the size of the client's terminal in characters. 0 by 0 is what
// some clients say who do not know.
func (s *Session) Window() (cols, rows int) {
	s.window.Lock()
	defer s.window.Unlock()
	return s.window.cols, s.window.rows
}

// Resized gets a value after the window has changed. Several changes may
// come as one.
func (s *Session) Resized() <-chan struct{} { return s.resized }

func (s *Session) resize(cols, rows uint32) {
	s.window.Lock()
	s.window.cols, s.window.rows = int(min(cols, maxWindow)), int(min(rows, maxWindow))
	s.window.Unlock()
	select {
	case s.resized <- struct{}{}:
	default:
	}
}

// Read gives what the client sends. It ends with io.EOF only where the client
// said that there is no more input; with the cause of the session's context
// where the session itself has ended, which comes before input not yet read.
func (s *Session) Read(p []byte) (int, error) { return s.input.Read(p) }

// Write sends to the client's standard output as is. It waits while the
// client takes nothing, up to Server.StallTimeout.
func (s *Session) Write(p []byte) (int, error) { return s.write(&s.out, s.ch, p) }

// Stderr is the client's standard error; with a terminal it is the same as
// standard output, so that the order of the two is kept.
func (s *Session) Stderr() io.Writer {
	if s.Interactive {
		return s
	}
	return stderr{s}
}

type stderr struct{ s *Session }

// Write sends to the client's standard error.
func (e stderr) Write(p []byte) (int, error) { return e.s.write(&e.s.err, e.s.ch.Stderr(), p) }

func (s *Session) write(o *output, w io.Writer, p []byte) (n int, err error) {
	o.Lock()
	defer o.Unlock()
	if o.ended {
		return 0, io.ErrClosedPipe
	}
	for n < len(p) && err == nil {
		piece := p[n:min(len(p), n+maxPiece)]
		err = s.conn.send(func() error {
			k, err := w.Write(piece)
			n += k
			return err
		})
	}
	if err != nil {
		s.cancel(err)
	}
	return n, err
}

// pump moves input from the channel to Read, so that a Read that waits can
// be ended by the context. It ends with the channel.
func (s *Session) pump() {
	_, err := io.Copy(s.feed, s.ch)
	if err == nil && !s.closed() {
		s.feed.Close()
		return
	}
	s.cancel(s.conn.wire.reason())
	s.feed.CloseWithError(context.Cause(s.ctx))
}

// closed tells, at the end of input, a client that has gone from one that only
// has no more to say. The channel reports both as io.EOF and the first by its
// closed requests too, but later: a handler would see the script end that was
// cut off. A gone connection is known by its wire, a closed channel by its
// refusing to send.
func (s *Session) closed() bool {
	if s.conn.wire.gone.Load() {
		return true
	}
	return s.conn.send(func() error {
		_, err := s.ch.SendRequest(keepalive, false, nil)
		return err
	}) != nil
}

// run calls the handler and tells the client how it ended, whatever happens.
func (s *Session) run() {
	// Input ends with the context: Read waits for no client then.
	defer context.AfterFunc(s.ctx, func() { s.feed.CloseWithError(context.Cause(s.ctx)) })()
	status := StatusBroken
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("session panicked", "panic", v, "stack", string(debug.Stack()))
			s.apologise()
		}
		s.finish(status)
	}()
	status = s.conn.server.Handle(s.ctx, s)
}

func (s *Session) apologise() {
	end := "\n"
	if s.Interactive {
		end = "\r\n"
	}
	if _, err := fmt.Fprintf(s.Stderr(), "Internal error, this session ends.%s", end); err != nil {
		s.log.Debug("writing to a broken session", "error", err)
	}
}

// finish sends exit status, end of output and close, in this order: a client
// that has ended its own input closes the channel as soon as it has read the end
// of ours, and nothing can be sent after that.
func (s *Session) finish(status int) {
	s.input.Close()
	err := s.conn.send(func() error {
		s.out.Lock()
		defer s.out.Unlock()
		s.err.Lock()
		defer s.err.Unlock()
		s.out.ended, s.err.ended = true, true
		if _, err := s.ch.SendRequest("exit-status", false, ssh.Marshal(exitStatus{uint32(status)})); err != nil {
			return err
		}
		if err := s.ch.CloseWrite(); err != nil {
			return err
		}
		return s.ch.Close()
	})
	if err != nil {
		s.log.Info("client did not wait for the end of its session", "status", status, "error", err)
	}
	s.cancel(nil)
}
