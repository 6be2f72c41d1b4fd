package commands

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"esa/shell"
	"esa/shell/shelltest"
	"esa/store"
)

// errGone is what a console gives whose client was killed.
var errGone = errors.New("the client has gone")

// typed is one command of a transcript with the answers of its dialog.
type typed struct {
	line    string
	answers []string
}

// recorder is a console that keeps what is typed.
type recorder struct {
	shell.Console
	commands []typed
}

func (r *recorder) ReadLine(ctx context.Context, p shell.Prompt) (string, error) {
	line, err := r.Console.ReadLine(ctx, p)
	switch {
	case errors.Is(err, shell.ErrInterrupt):
		line = "^C"
	case err == io.EOF && p.Complete != nil:
		line = "exit" // which is what the shell makes of it
	case err != nil:
		return line, err
	}
	if n := len(r.commands); p.Complete == nil && n > 0 {
		r.commands[n-1].answers = append(r.commands[n-1].answers, line)
	} else {
		r.commands = append(r.commands, typed{line: line})
	}
	return line, err
}

// mortal is a console at which answers are typed and whose client is killed at
// the prompt after the last.
type mortal struct {
	*shelltest.Screen
	answers []string
	kill    context.CancelCauseFunc
}

func (m *mortal) ReadLine(context.Context, shell.Prompt) (string, error) {
	if len(m.answers) == 0 {
		m.kill(errGone)
		return "", errGone
	}
	line := m.answers[0]
	m.answers = m.answers[1:]
	if line == "^C" {
		return "", shell.ErrInterrupt
	}
	return line, nil
}

// survivor is the console of the session that goes on: it types the commands
// of a transcript, after each of which was killed at every prompt.
type survivor struct {
	*shelltest.Screen
	commands []typed
	answers  []string
	attack   func(c typed)
}

func (s *survivor) ReadLine(_ context.Context, p shell.Prompt) (string, error) {
	if p.Complete == nil {
		if len(s.answers) == 0 || s.answers[0] == "^C" {
			return "", shell.ErrInterrupt
		}
		line := s.answers[0]
		s.answers = s.answers[1:]
		return line, nil
	}
	if len(s.commands) == 0 {
		return "", errGone
	}
	c := s.commands[0]
	s.commands, s.answers = s.commands[1:], c.answers
	s.attack(c)
	return c.line, nil
}

// OnInterrupt presses Ctrl-C a little later: nothing that is watched goes on.
func (s *survivor) OnInterrupt(f func()) (stop func()) {
	timer := time.AfterFunc(time.Second, f)
	return func() { timer.Stop() }
}

// TestKilledAtEveryPrompt kills the client at every prompt of every dialog that
// a transcript goes through: what runs is what ran, the session keeps what was
// pending before the command and no more of it, nothing is left running, and
// the next session finds the gateway serving. What several transcripts have in
// common is tried once.
func TestKilledAtEveryPrompt(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	before := runtime.NumGoroutine()
	tried := map[string]bool{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".txt"), func(t *testing.T) {
			killEverywhere(t, file, tried)
		})
	}
	if len(tried) < 1000 {
		t.Errorf("only %d prompts were tried", len(tried))
	}
	end := time.NewTimer(30 * time.Second)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for runtime.NumGoroutine() > before {
		select {
		case <-tick.C:
		case <-end.C:
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func killEverywhere(t *testing.T, file string, tried map[string]bool) {
	r := &recorder{}
	shelltest.Runner{Masks: masks()}.Run(t, file, func(console shell.Console) {
		w := newWorld(t)
		r.Console = console
		_ = w.shell(w.env("admin", true), r).Interactive(t.Context())
	})
	w := newWorld(t)
	main := w.env("admin", true)
	s := &survivor{Screen: shelltest.NewScreen(), commands: r.commands, attack: func(c typed) {
		for n := range c.answers {
			if key := strings.Join(append([]string{c.line}, c.answers[:n]...), "\n"); !tried[key] {
				tried[key] = true
				if len(tried)%thinning == 0 {
					w.killAt(main, c, n)
				}
			}
		}
	}}
	_ = w.shell(main, s).Interactive(t.Context())
}

// killAt runs a command in a session of its own, with what main has pending, and
// kills its client at the prompt after n answers.
func (w *world) killAt(main Env, c typed, n int) {
	w.t.Helper()
	env := w.env("admin", true)
	if main.Session.Dirty() {
		pending := main.Config().Clone()
		if err := env.Session.Edit(func(cfg *store.Config) error { *cfg = *pending; return nil }); err != nil {
			return // the transcript has broken the database
		}
	}
	kept := env.Config().Clone()
	config, revision := w.store.Running()
	ctx, kill := context.WithCancelCause(w.t.Context())
	defer kill(nil)
	m := &mortal{Screen: shelltest.NewScreen(), answers: append([]string{c.line}, c.answers[:n]...), kill: kill}
	if err := w.shell(env, m).Interactive(ctx); !errors.Is(err, errGone) {
		w.t.Errorf("%s %q: the session ended with %v", c.line, c.answers[:n], err)
	}
	if now, number := w.store.Running(); number != revision || !now.Equal(config) {
		w.t.Errorf("%s %q: revision %d runs, it was %d", c.line, c.answers[:n], number, revision)
	}
	// These two edit before their last question, which is whether to commit.
	commits := c.line == "systemsetup" || c.line == "rollbackconfig"
	if !env.Config().Equal(kept) && !commits {
		w.t.Errorf("%s %q: pending is now\n%s", c.line, c.answers[:n], store.FormatChanges(store.Diff(kept, env.Config())))
	}
	if err := env.Session.Close(false); err != nil {
		w.t.Errorf("%s %q: %v", c.line, c.answers[:n], err)
	}
}
