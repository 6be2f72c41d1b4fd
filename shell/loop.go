package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"
)

// Shell is one session: a table of commands, the environment made for the
// session, and the console it talks through. One of Interactive, Batch and Exec
// is called, once.
type Shell[E any] struct {
	Commands []Command[E]
	Env      E
	Console  Console
	Prompt   func() string // without the "> " behind it; asked for every prompt
	Idle     time.Duration // a session that waits longer for its operator ends; 0: never

	// May refuses commands to the operator, before anything of them runs: their
	// dialog and every one-line form. What it refuses is not completed either. It
	// is asked anew for every line, and may be nil.
	May func(c *Command[E]) error

	// Begin runs before the first prompt of an interactive session: what is shown
	// and asked at login. It may be nil.
	Begin func(d *Dialog, env E) error

	// End runs after the last command of a batch or an exec line, and fails it
	// with what it returns. It may be nil.
	End func(d *Dialog, env E) error

	// Heard is told of everything that is entered, command lines and answers, and
	// at what prompt. Hidden answers, pasted texts and private keys come masked. It
	// may be nil.
	Heard func(prompt, line string)

	// Diag is told the cause of what the operator sees as failed, with the stack
	// of a panic. It may be nil.
	Diag func(command string, err error)

	// Panics lets a panic in a command through: for tests. Else it ends the
	// command only.
	Panics bool
}

// Interactive reads and runs commands until one returns ErrExit: then it
// returns nil. Any other way out is a lost session, and is returned: io.EOF,
// ErrIdle, the cause that ctx ended for, or why the input was cut off. Ctrl-C at
// the prompt shows it again; the end of input runs the command exit.
func (s *Shell[E]) Interactive(ctx context.Context) error {
	scr := s.screen(true)
	if s.Begin != nil {
		err := s.report(scr, "", s.perform(ctx, scr, s.Begin))
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, ErrIdle), err == io.EOF:
			return lost(scr, err)
		}
	}
	complete := func(head string) []string { return Complete(Permitted(s.Commands, s.May), head) }
	for {
		p := Prompt{Text: s.Prompt() + "> ", Complete: complete}
		line, err := scr.read(ctx, p)
		ended := errors.Is(err, io.EOF)
		switch {
		case ended && Lookup(s.Commands, "exit") != nil:
			line = "exit"
		case errors.Is(err, ErrInterrupt):
			continue
		case errors.Is(err, ErrLineTooLong):
			_ = s.report(scr, "", err)
			continue
		case err != nil:
			return lost(scr, err)
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		scr.ear.line(p, strings.TrimSpace(line))
		err = s.execute(ctx, scr, line)
		switch {
		case errors.Is(err, ErrExit):
			return nil
		case errors.Is(err, ErrIdle):
			return lost(scr, err)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case ended && err != nil && !errors.Is(err, ErrInterrupt):
			// With an input that has really ended nothing would change any more.
			return io.EOF
		}
	}
}

// lost tells why a session ends that nobody left.
func lost(scr *screen, err error) error {
	if errors.Is(err, ErrIdle) {
		_ = scr.freshLine()
		_, _ = io.WriteString(scr.Console, "\nThis session was idle for too long and ends.\n")
	}
	return err
}

// Batch runs the commands of the console's input, one a line, with a prompt
// before each. It goes on after a failure, but refuses Final commands then,
// unless goOn. The status is 1 if anything failed.
func (s *Shell[E]) Batch(ctx context.Context, goOn bool) (status int) {
	scr := s.screen(false)
	for {
		p := Prompt{Text: s.Prompt() + "> "}
		line, err := scr.read(ctx, p)
		switch {
		case errors.Is(err, io.EOF):
			return max(status, s.finish(ctx, scr))
		case errors.Is(err, ErrLineTooLong):
			_ = s.report(scr, "", err)
			status = 1
			continue
		case err != nil:
			_ = s.report(scr, "", err)
			_ = s.finish(ctx, scr)
			return 1
		case strings.TrimSpace(line) == "":
			continue
		}
		scr.ear.line(p, strings.TrimSpace(line))
		if status != 0 && !goOn && s.final(line) {
			_ = s.report(scr, line, Refusedf("An earlier command of this batch failed: %q is refused.", strings.TrimSpace(line)))
			continue
		}
		err = s.execute(ctx, scr, line)
		switch {
		case errors.Is(err, ErrExit):
			return max(status, s.finish(ctx, scr))
		case err != nil:
			status = 1
		}
	}
}

// Exec runs the commands of one line, which semicolons separate, without
// prompts. It goes on after a failure. The status is 1 if any failed. The line
// is bounded and cleaned as one that is read: it comes from a client as it is.
func (s *Shell[E]) Exec(ctx context.Context, line string) (status int) {
	scr := s.screen(false)
	if len(line) > MaxLine {
		_ = s.report(scr, "", ErrLineTooLong)
		return max(1, s.finish(ctx, scr))
	}
	for _, statement := range Statements(clean([]byte(line))) {
		scr.ear.line(Prompt{}, statement)
		err := s.execute(ctx, scr, statement)
		if errors.Is(err, ErrExit) {
			break
		}
		if err != nil {
			status = 1
		}
	}
	return max(status, s.finish(ctx, scr))
}

// final tells whether line starts a command that must not run after a failure.
func (s *Shell[E]) final(line string) bool {
	a, err := resolve(s.Commands, line)
	return err == nil && a.command.Final
}

func (s *Shell[E]) screen(paged bool) *screen {
	return &screen{Console: s.Console, ear: ear{tell: s.Heard}, idle: s.Idle, paged: paged}
}

// finish runs End.
func (s *Shell[E]) finish(ctx context.Context, scr *screen) (status int) {
	if s.End == nil {
		return 0
	}
	if err := s.report(scr, "", s.perform(ctx, scr, s.End)); err != nil {
		return 1
	}
	return 0
}

// execute runs one command line and shows why it failed, if it did.
func (s *Shell[E]) execute(ctx context.Context, scr *screen, line string) error {
	line = strings.TrimSpace(line)
	a, err := resolve(s.Commands, line)
	if a.command != nil && s.May != nil {
		if refused := s.May(a.command); refused != nil {
			err = refused
		}
	}
	if err == nil {
		err = s.perform(ctx, scr, a.run)
	}
	return s.report(scr, line, err)
}

// perform gives what runs its dialog, and a context that Ctrl-C ends.
func (s *Shell[E]) perform(ctx context.Context, scr *screen, run func(*Dialog, E) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := scr.OnInterrupt(func() { cancel(ErrInterrupt) })
	defer stop()
	scr.begin(ctx)
	defer scr.end()
	d := &Dialog{screen: scr, ctx: ctx}
	err := s.guard(func() error { return run(d, s.Env) })
	switch {
	case err == nil:
		err = d.err
	case errors.Is(err, context.Canceled):
		err = context.Cause(ctx)
	}
	if errors.Is(context.Cause(ctx), ErrInterrupt) {
		_ = scr.freshLine()
		_, _ = io.WriteString(scr.Console, "^C\n")
	}
	return err
}

// panicked is a panic of a command as an error.
type panicked struct {
	value any
	stack []byte
}

func (p panicked) Error() string { return fmt.Sprintf("panic: %v\n%s", p.value, p.stack) }

// guard turns a panic into an error.
func (s *Shell[E]) guard(run func() error) (err error) {
	if !s.Panics {
		defer func() {
			if value := recover(); value != nil {
				err = panicked{value, debug.Stack()}
			}
		}()
	}
	return run()
}

// report shows why a command failed, unless that is on the screen already, and
// returns the error if it counts as one.
func (s *Shell[E]) report(scr *screen, line string, err error) error {
	for _, silent := range []error{ErrExit, ErrFailed, ErrInterrupt, ErrIdle} {
		if errors.Is(err, silent) {
			return err
		}
	}
	var (
		text   string
		refuse refusal
		broken panicked
	)
	switch {
	case err == nil, errors.Is(err, ErrStopped):
		return nil
	case err == io.EOF: // of the console; a wrapped one is that of a file or a peer
		if scr.Interactive() {
			return err
		}
		text = "The input ended inside the command, which did nothing."
	case errors.As(err, &refuse), errors.Is(err, ErrLineTooLong):
		text = explain(err)
	case errors.As(err, &broken):
		text = "An internal error ended the command. It is in the diagnostics."
		s.diag(line, err)
	default:
		text = "The command failed: " + err.Error() + "."
		s.diag(line, err)
	}
	_ = scr.question()
	_, _ = io.WriteString(scr.Console, strings.TrimSuffix(text, "\n")+"\n")
	return err
}

func (s *Shell[E]) diag(line string, err error) {
	if s.Diag != nil {
		s.Diag(line, err)
	}
}
