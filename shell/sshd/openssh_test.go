package sshd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
)

// The client that operators have.
func TestOpenSSHClient(t *testing.T) {
	program, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("no OpenSSH client here:", err)
	}
	r := start(t, func(_ context.Context, s *Session) int {
		in, err := io.ReadAll(s)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(s, "user %s command %q terminal %v lang %q input %q\n", s.User, s.Command, s.Interactive, s.Env["LANG"], in)
		io.WriteString(s.Stderr(), "told\n")
		if s.Command == "panic" {
			panic("as asked")
		}
		return 42
	})
	for _, tt := range []struct {
		name    string
		options []string
		command []string
		status  int
		out     string
		err     string
	}{
		{"exec", nil, []string{"status; version"}, 42, `user admin command "status; version" terminal false lang "C.UTF-8" input "typed\n"` + "\n", "told\n"},
		{"batch", []string{"-T"}, nil, 42, `user admin command "" terminal false lang "C.UTF-8" input "typed\n"` + "\n", "told\n"},
		{"terminal asked for", []string{"-tt"}, nil, 42, `user admin command "" terminal true lang "C.UTF-8" input "typed\n"` + "\ntold\n", ""},
		{"panic", nil, []string{"panic"}, StatusBroken, `user admin command "panic" terminal false lang "C.UTF-8" input "typed\n"` + "\n", "told\nInternal error, this session ends.\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			options := append(tt.options, "-o", "LogLevel=ERROR", "127.0.0.1")
			cmd := openSSH(t, program, r.addr, append(options, tt.command...))
			cmd.Stdin = strings.NewReader("typed\n")
			var out, errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errs
			got := 0
			if e, ok := errors.AsType[*exec.ExitError](cmd.Run()); ok {
				got = e.ExitCode()
			}
			if got != tt.status || out.String() != tt.out || errs.String() != tt.err {
				t.Errorf("status %d\noutput %s\nerrors %s", got, out.String(), errs.String())
			}
		})
	}
}

// openSSH is the program asked to log in at addr, without anybody's
// configuration and keys.
func openSSH(t *testing.T, program, addr string, args []string) *exec.Cmd {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	base := []string{
		"-F", "none", "-p", port, "-l", "admin",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "IdentitiesOnly=yes", "-o", "IdentityFile=none", "-o", "IdentityAgent=none", "-o", "SendEnv=LANG LC_*",
	}
	cmd := exec.CommandContext(t.Context(), program, append(base, args...)...)
	cmd.Env = append(cmd.Environ(), "LANG=C.UTF-8", "LC_ALL=C")
	return cmd
}

// OpenSSH closes a session whose input has ended when it reads the end of output.
// Of twenty sessions at a time on one connection one in a hundred did so before
// the status, which came next, had been sent: all of its output, and 255.
func TestStatusComesBeforeTheEndOfOutput(t *testing.T) {
	program, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("no OpenSSH client here:", err)
	}
	r := start(t, func(context.Context, *Session) int { return 0 })
	trace, err := openSSH(t, program, r.addr, []string{"-n", "-o", "LogLevel=DEBUG2", "127.0.0.1", "version"}).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, trace)
	}
	rest := string(trace)
	for _, event := range []string{"rtype exit-status", "rcvd eof", "rcvd close"} {
		_, after, found := strings.Cut(rest, event)
		if !found {
			t.Fatalf("no %q in its place:\n%s", event, trace)
		}
		rest = after
	}
}
