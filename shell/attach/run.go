package attach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// GoOn is the environment variable that tells the session to go on after a
// command of a batch has failed.
const GoOn = "ESA_GO_ON"

// Stay is the environment variable that keeps an interactive session from being
// ended for being idle. Only the console on the machine itself obeys it.
const Stay = "ESA_STAY"

// Errors of Run, for errors.Is.
var (
	ErrLost    = errors.New("the connection to the gateway was lost")
	ErrRefused = errors.New("the gateway refused the login")
	ErrHungUp  = errors.New("the terminal has gone")
)

// Options says what session to open.
type Options struct {
	User    string
	Command string // run if IsExec
	IsExec  bool
	GoOn    bool   // set GoOn for the session
	Stay    bool   // set Stay for the session
	Term    string // type of the terminal; "" means that of the environment

	// If Stdin and Stdout are terminals and there is no command, the session
	// is interactive. A Stdin that is no file may still be in a Read when Run
	// returns, which is then its owner's to end.
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// Run opens one session on conn and returns its exit status when it has ended
// and all its output is written. It closes conn.
//
// There are three kinds of session: interactive, with the terminal in raw mode,
// which is restored whatever happens; a command; and a batch, whose input is
// the commands. Input is passed on in all of them, and its end in the
// last two. While a session is interactive, SIGTERM, SIGHUP and SIGINT end Run
// instead of the process. If there is an error, the status is not 0 and not
// the session's.
func Run(ctx context.Context, conn net.Conn, o Options) (status int, err error) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	client, err := login(conn, o.User)
	if err != nil {
		return 1, because(ctx, err)
	}
	defer client.Wait() // its error is that of the close before
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return 1, because(ctx, fmt.Errorf("opening a session: %w", err))
	}
	c := &call{options: o, client: client, session: session, failed: make(chan error, 1)}
	status, err = c.run(ctx)
	return status, because(ctx, err)
}

// because prefers the reason for which the caller ended ctx to the broken
// connection that this caused.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// KeyExchanges are those to offer on the socket, on both its ends. What goes
// through it is nobody's to record: the exchange that costs least comes first.
func KeyExchanges() []string {
	return []string{ssh.KeyExchangeECDHP256, ssh.KeyExchangeCurve25519, ssh.KeyExchangeMLKEM768X25519}
}

// login shakes hands as user. There is nothing to prove: the server asks the
// kernel who we are. Nor is there to the host key: it says who the server is
// only to somebody who got it on a safe way before, and the safe way here is
// the socket itself, whose other end Dial has asked for (or it is this process).
func login(conn net.Conn, user string) (*ssh.Client, error) {
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, fmt.Errorf("bounding the login: %w", err)
	}
	start := &opening{Conn: conn}
	var said string
	c, chans, reqs, err := ssh.NewClientConn(start, SocketName, &ssh.ClientConfig{
		Config:          ssh.Config{KeyExchanges: KeyExchanges()},
		User:            user,
		ClientVersion:   "SSH-2.0-esa",
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		BannerCallback: func(text string) error {
			said = text
			return nil
		},
	})
	if err != nil {
		return nil, refusal(said+start.notice(), user, err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		c.Close()
		return nil, fmt.Errorf("lifting the bound of the login: %w", err)
	}
	return ssh.NewClient(c, chans, reqs), nil
}

// call is a session under way.
type call struct {
	options  Options
	client   *ssh.Client
	session  *ssh.Session
	terminal *terminal // nil if the session is not interactive
	input    *input
	failed   chan error     // the first thing that makes it pointless to go on
	outputs  sync.WaitGroup // ends with the channel
	others   sync.WaitGroup // ends when the connection is closed and input stopped
}

func (c *call) run(ctx context.Context) (status int, err error) {
	c.input, err = newInput(c.options.Stdin)
	if err != nil {
		return 1, err
	}
	c.terminal, err = terminalOf(c.options)
	if err != nil {
		return 1, errors.Join(err, c.input.close())
	}
	defer c.terminal.restore() // of use in a panic: else finish has done it
	streams, err := c.start()
	if err != nil {
		return 1, errors.Join(err, c.input.close())
	}

	// From here a signal ends Run; before, it found the terminal as it was.
	signals := make(chan os.Signal, 1)
	if c.terminal != nil {
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
		defer signal.Stop(signals)
		if err := c.terminal.raw(); err != nil {
			return 1, errors.Join(err, c.input.close())
		}
	}
	ended := c.copy(streams)
	select {
	case err = <-ended:
	case err = <-c.failed:
	case s := <-signals:
		err = fmt.Errorf("ended by signal: %v", s)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	select {
	case err = <-c.failed: // output that was not written outweighs the status
	default:
	}
	return c.finish(err)
}

// streams are the three of the session's channel.
type streams struct {
	in       io.WriteCloser
	out, err io.Reader
}

// start asks for the session: environment, terminal, then what is to run.
func (c *call) start() (streams, error) {
	in, err1 := c.session.StdinPipe()
	out, err2 := c.session.StdoutPipe()
	errs, err3 := c.session.StderrPipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		return streams{}, fmt.Errorf("opening a session: %w", err)
	}
	if c.options.GoOn {
		if err := c.session.Setenv(GoOn, "1"); err != nil {
			return streams{}, fmt.Errorf("asking the gateway to go on after failures: %w", err)
		}
	}
	if c.options.Stay {
		if err := c.session.Setenv(Stay, "1"); err != nil {
			return streams{}, fmt.Errorf("asking the gateway for a session without end: %w", err)
		}
	}
	if c.terminal != nil {
		cols, rows := c.terminal.size()
		if err := c.session.RequestPty(c.terminal.kind, rows, cols, ssh.TerminalModes{}); err != nil {
			return streams{}, fmt.Errorf("asking for a terminal: %w", err)
		}
	}
	var err error
	if c.options.IsExec {
		err = c.session.Start(c.options.Command)
	} else {
		err = c.session.Shell()
	}
	if err != nil {
		return streams{}, fmt.Errorf("opening a session: %w", err)
	}
	return streams{in: in, out: out, err: errs}, nil
}

// copy moves everything both ways. The channel it returns gets the session's
// end, once its output is written.
func (c *call) copy(s streams) <-chan error {
	c.outputs.Go(c.watched(func() error { return deliver(c.options.Stdout, s.out) }))
	c.outputs.Go(c.watched(func() error { return deliver(c.options.Stderr, s.err) }))
	if c.terminal != nil {
		c.others.Go(c.watched(func() error { return c.terminal.follow(c.session) }))
	}
	forward := c.watched(func() error { return c.forward(s.in) })
	if c.input.stoppable() {
		c.others.Go(forward)
	} else {
		go forward()
	}
	ended := make(chan error, 1)
	c.others.Go(func() {
		err := c.session.Wait()
		c.outputs.Wait()
		ended <- err
	})
	return ended
}

// watched makes a failure of f that of the session, and takes a panic
// along to the goroutine that has the terminal to restore.
func (c *call) watched(f func() error) func() {
	return func() {
		var err error
		defer func() {
			if v := recover(); v != nil {
				err = &panicked{value: v, stack: debug.Stack()}
			}
			if err != nil {
				select {
				case c.failed <- err:
				default:
				}
			}
		}()
		err = f()
	}
}

type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("%v\n\n%s", p.value, p.stack) }

// deliver writes the session's output. That reading fails is the session's
// end, of which Wait knows more.
func deliver(w io.Writer, r io.Reader) error {
	if w == nil {
		w = io.Discard
	}
	if _, err := transfer(w, r); err != nil {
		return fmt.Errorf("writing output: %w", err)
	}
	return nil
}

// forward passes input on. Only a true end of it is passed on as such: the
// gateway takes what it has got by then for the whole of a batch.
func (c *call) forward(w io.WriteCloser) error {
	read, write := transfer(w, c.input)
	switch {
	case write != nil: // the session takes no more: it is over or will be
		return nil
	case read == errStopped:
		return nil
	case c.terminal != nil:
		return ErrHungUp
	case read != io.EOF:
		return fmt.Errorf("reading input: %w", read)
	}
	if err := w.Close(); err != nil && err != io.EOF {
		return fmt.Errorf("ending input: %w", err)
	}
	return nil
}

// transfer copies until one side fails, and says which. There is always an
// error; the end of input is io.EOF in read.
func transfer(w io.Writer, r io.Reader) (read, write error) {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return nil, err
			}
		}
		if err != nil {
			return err, nil
		}
	}
}

// finish ends everything that runs and says how the session ended.
func (c *call) finish(cause error) (int, error) {
	restored := c.terminal.restore()
	c.input.stop()
	c.client.Close()
	if c.settled() {
		restored = errors.Join(restored, c.input.close())
	}
	if p, ok := errors.AsType[*panicked](cause); ok {
		panic(p.Error())
	}
	status, err := exit(cause)
	if err = errors.Join(err, restored); err != nil && status == 0 {
		status = 1
	}
	return status, err
}

// settled waits for what was started. Nothing ends a write to a terminal or a
// pipe that its reader has stopped taking from: it is left behind, since who
// ended us by a signal does not want to wait for that reader.
func (c *call) settled() bool {
	all := make(chan struct{})
	go func() {
		c.outputs.Wait()
		c.others.Wait()
		close(all)
	}()
	patience := time.NewTimer(2 * time.Second)
	defer patience.Stop()
	select {
	case <-all:
		return true
	case <-patience.C:
		return false
	}
}

// exit is the status of a session that has one, else the error.
func exit(err error) (int, error) {
	if err == nil {
		return 0, nil
	}
	if e, ok := errors.AsType[*ssh.ExitError](err); ok {
		return e.ExitStatus(), nil
	}
	if _, ok := errors.AsType[*ssh.ExitMissingError](err); ok {
		return 1, ErrLost
	}
	return 1, err
}
