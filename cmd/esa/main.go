// Command esa is the mail gateway and its console.
//
// One process owns a data directory: `esa serve` or `esa run`. Everything else
// attaches to it, or works on the directory while no gateway does.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"esa/commands"
	"esa/shell"
	"esa/shell/attach"
)

// Exit statuses of esa itself; a command's own is 0 or 1.
const (
	statusFailed = 1
	statusUsage  = 2
)

const usage = `usage: esa [--data DIR] [--user NAME] [--go-on]               console
       esa [--data DIR] [--user NAME] COMMAND [WORD...]        one command
       esa [--data DIR] [--user NAME] 'COMMAND...; COMMAND...' a line of commands
       esa [--data DIR] [--user NAME] [--go-on] < SCRIPT       commands from a script
       esa [--data DIR] run                                    gateway with a console here
       esa [--data DIR] serve                                  gateway alone
       esa [--data DIR] restore                                from the copy, where the configuration database is damaged

'esa help' lists the commands.
`

// invocation is the command line taken apart.
type invocation struct {
	dir   string
	user  string
	goOn  bool
	words []string // what is to be done; empty for a console or a script
}

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	inv, err := parse(args)
	if errors.Is(err, errHelp) {
		fmt.Print(usage)
		return 0
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "esa: %v\n%s", err, usage)
		return statusUsage
	}
	status, err := inv.do(context.Background())
	if err != nil {
		fmt.Fprintf(os.Stderr, "esa: %v\n", err)
	}
	return status
}

var errHelp = errors.New("help asked for")

// parse reads the options before the first other word; what follows belongs
// to the command.
func parse(args []string) (invocation, error) {
	inv := invocation{user: "admin"}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		name, value, joined := strings.Cut(strings.TrimPrefix(args[0], "-"), "=")
		name = strings.TrimPrefix(name, "-")
		args = args[1:]
		switch name {
		case "help", "h":
			return inv, errHelp
		case "version":
			args = []string{"version"}
			continue
		case "go-on":
			inv.goOn = true
			continue
		case "data", "user":
		default:
			return inv, fmt.Errorf("unknown option --%s", name)
		}
		if !joined {
			if len(args) == 0 {
				return inv, fmt.Errorf("--%s needs a value", name)
			}
			value, args = args[0], args[1:]
		}
		if value == "" {
			return inv, fmt.Errorf("--%s needs a value", name)
		}
		if name == "data" {
			inv.dir = value
		} else {
			inv.user = value
		}
	}
	inv.words = args
	if inv.dir == "" {
		inv.dir = defaultDir()
	}
	dir, err := filepath.Abs(inv.dir)
	inv.dir = dir
	return inv, err
}

// defaultDir is $ESA_DATA, else /var/lib/esa for root and a directory of
// their own for others.
func defaultDir() string {
	if dir := os.Getenv("ESA_DATA"); dir != "" {
		return dir
	}
	if os.Geteuid() == 0 {
		return "/var/lib/esa"
	}
	if state := os.Getenv("XDG_STATE_HOME"); state != "" {
		return filepath.Join(state, "esa")
	}
	return filepath.Join(os.Getenv("HOME"), ".local", "state", "esa")
}

// do does what was asked for and gives the exit status.
func (inv invocation) do(ctx context.Context) (int, error) {
	if inv.isGateway() {
		if err := inv.leaveRoot(os.Stderr); err != nil {
			return statusFailed, err
		}
		if inv.words[0] == "serve" {
			return serve(ctx, inv)
		}
		return runHere(ctx, inv)
	}
	if len(inv.words) == 1 && inv.words[0] == "restore" {
		return restore(ctx, inv)
	}
	conn, err := attach.Dial(inv.dir)
	switch {
	case err == nil:
		return attach.Run(ctx, conn, inv.session())
	case !errors.Is(err, attach.ErrNotRunning):
		return statusFailed, err
	case inv.needsNoData():
		return inv.withoutData(ctx), nil
	}
	if err := inv.leaveRoot(os.Stderr); err != nil {
		return statusFailed, err
	}
	if inv.interactive() && askToRun(inv.dir) {
		return runHere(ctx, inv)
	}
	status, err := offline(ctx, inv)
	if errors.Is(err, errServed) {
		if conn, err = attach.Dial(inv.dir); err == nil {
			return attach.Run(ctx, conn, inv.session())
		}
	}
	return status, err
}

// session is what to ask a session server for.
func (inv invocation) session() attach.Options {
	return attach.Options{
		User:    inv.user,
		Command: inv.line(),
		IsExec:  len(inv.words) > 0,
		GoOn:    inv.goOn,
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
	}
}

// line is the exec line: a single word is one already, several are the words
// of one command.
func (inv invocation) line() string {
	if len(inv.words) == 1 {
		return inv.words[0]
	}
	quoted := make([]string, len(inv.words))
	for i, word := range inv.words {
		quoted[i] = shell.Quote(word)
	}
	return strings.Join(quoted, " ")
}

func (inv invocation) interactive() bool {
	return len(inv.words) == 0 && term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))
}

// needsNoData reports whether all that is to be done works, and leaves nothing
// behind, where there is no data directory. Where one has a configuration that
// can be read, lookups go by its servers and anchors.
func (inv invocation) needsNoData() bool {
	if len(inv.words) == 0 {
		return false
	}
	dataless := []string{"help", "version"}
	if !inv.configured() {
		dataless = append(dataless, "dnssecverify", "dig", "daneverify")
	}
	for _, statement := range shell.Statements(inv.line()) {
		words, err := shell.Words(statement)
		if err != nil || len(words) == 0 {
			return false
		}
		c := shell.Lookup(commands.Table(), words[0])
		if c == nil || !slices.Contains(dataless, c.Name) {
			return false
		}
		if c.Name == "daneverify" && len(words) > 1 && strings.EqualFold(words[1], "destinations") {
			return false
		}
	}
	return true
}

// configured reports whether the data directory has a configuration that we may
// read.
func (inv invocation) configured() bool {
	f, err := os.Open(filepath.Join(inv.dir, configFile))
	if err == nil {
		f.Close()
	}
	return err == nil
}

func (inv invocation) withoutData(ctx context.Context) int {
	console := shell.NewPlain(strings.NewReader(""), os.Stdout, shell.PlainOptions{})
	defer console.Close()
	sh := shell.Shell[commands.Env]{
		Commands: commands.Table(),
		Env: commands.Env{
			Version: productVersion(inv.dir),
			Files:   folder(filepath.Join(inv.dir, "configuration")),
			DNSSEC:  dnssecView{stub{systemServers("/etc/resolv.conf")}},
			DANE:    stubDANE{systemServers("/etc/resolv.conf")},
			Clock:   time.Now,
		},
		Console: console,
		Prompt:  func() string { return "esa" },
	}
	return sh.Exec(ctx, inv.line())
}

// askToRun asks a person who finds no gateway. This is before any session, so
// it is a plain question on the terminal.
func askToRun(dir string) bool {
	fmt.Printf("No gateway is running on %s.\nDo you want to run it in this session? [N]> ", dir)
	var answer string
	if _, err := fmt.Fscanln(io.LimitReader(os.Stdin, 64), &answer); err != nil {
		return false
	}
	answer = strings.ToLower(answer)
	return answer == "y" || answer == "yes"
}
