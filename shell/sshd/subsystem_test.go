package sshd

import (
	"context"
	"errors"
	"io"
	"testing"

	"golang.org/x/crypto/ssh"
)

// subsystem opens a channel and asks for a subsystem; status gets the exit
// status, if one is told.
func subsystem(t *testing.T, client *ssh.Client, name string) (ch ssh.Channel, status chan uint32, ok bool) {
	t.Helper()
	ch, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	status = make(chan uint32, 1)
	go func() {
		defer close(status)
		for r := range requests {
			var exit exitStatus
			if r.Type == "exit-status" && ssh.Unmarshal(r.Payload, &exit) == nil {
				status <- exit.Status
			}
		}
	}()
	if ok, err = ch.SendRequest("subsystem", true, ssh.Marshal(subsystemRequest{name})); err != nil {
		t.Fatal(err)
	}
	return ch, status, ok
}

func TestSubsystem(t *testing.T) {
	client := start(t, func(_ context.Context, s *Session) int {
		if _, err := io.Copy(s, s); err != nil {
			t.Error(err)
		}
		if s.Subsystem != "echo" || s.IsExec || s.Interactive {
			t.Errorf("subsystem %q, exec %v, terminal %v", s.Subsystem, s.IsExec, s.Interactive)
		}
		return 7
	}, func(s *Server) { s.Subsystems = []string{"echo"} }).dial(t)
	if _, _, ok := subsystem(t, client, "netconf"); ok {
		t.Error("a subsystem that is not served was started")
	}
	ch, status, ok := subsystem(t, client, "echo")
	if !ok {
		t.Fatal("the subsystem was refused")
	}
	if ok, err := ch.SendRequest("shell", true, nil); ok || err != nil {
		t.Errorf("a shell beside it: %v, %v", ok, err)
	}
	if _, err := io.WriteString(ch, "\x00\xffbytes\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := ch.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(ch); string(text) != "\x00\xffbytes\r\n" || err != nil {
		t.Errorf("came back: %q, %v", text, err)
	}
	if got, told := <-status; got != 7 || !told {
		t.Errorf("status %d, told %v", got, told)
	}
}

// A handler that waits for input is let go by End, with its reason.
func TestEnd_InputEndsWithTheReason(t *testing.T) {
	reason := errors.New("time is up")
	client := start(t, func(ctx context.Context, s *Session) int {
		go s.End(reason)
		if _, err := io.ReadAll(s); !errors.Is(err, reason) || !errors.Is(context.Cause(ctx), reason) {
			t.Errorf("read: %v, cause %v", err, context.Cause(ctx))
		}
		if _, err := io.WriteString(s, "goodbye"); err != nil {
			t.Error(err)
		}
		return 3
	}, func(s *Server) { s.Subsystems = []string{"echo"} }).dial(t)
	ch, status, ok := subsystem(t, client, "echo")
	if !ok {
		t.Fatal("the subsystem was refused")
	}
	if text, err := io.ReadAll(ch); string(text) != "goodbye" || err != nil {
		t.Errorf("said: %q, %v", text, err)
	}
	if got := <-status; got != 3 {
		t.Errorf("status %d", got)
	}
}
