package sshd

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// The client of these tests stays connected, so that it is the server that ends.
func TestStopTakesNoLongerThanTheSessions(t *testing.T) {
	for _, tt := range []struct {
		name     string
		sessions int
		goodbye  time.Duration // what a handler does after its context has ended
		want     time.Duration
	}{
		{"idle connection", 0, 0, 0},
		{"sessions that end at once", 2, 0, 0},
		{"sessions with something to finish", 2, 3 * time.Second, 3 * time.Second},
		{"sessions that take too long", 1, 7 * time.Second, 7 * time.Second}, // the connection ends before
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				client, served := stoppable(ctx, t, func(ctx context.Context, _ *Session) int {
					<-ctx.Done()
					time.Sleep(tt.goodbye)
					return 0
				})
				for range tt.sessions {
					shell(t, client)
				}
				synctest.Wait()
				begun := time.Now()
				cancel()
				<-served
				if d := time.Since(begun); d != tt.want {
					t.Errorf("ended after %v, want %v", d, tt.want)
				}
			})
		})
	}
}

func TestNoNewSessionWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		finish := make(chan struct{})
		client, served := stoppable(ctx, t, func(context.Context, *Session) int {
			<-finish
			return 0
		})
		shell(t, client)
		cancel()
		synctest.Wait()
		_, _, err := client.OpenChannel("session", nil)
		if e, ok := errors.AsType[*ssh.OpenChannelError](err); !ok || e.Reason != ssh.ResourceShortage {
			t.Errorf("got %v", err)
		}
		close(finish)
		<-served
	})
}

func TestSessionThatDoesNotEndIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		writing := make(chan struct{})
		client, served := stoppable(ctx, t, func(_ context.Context, s *Session) int {
			close(writing)
			s.Write(make([]byte, 16<<20)) // does not look at its context
			return 0
		})
		shell(t, client)
		<-writing
		synctest.Wait()
		begun := time.Now()
		cancel()
		<-served
		if d := time.Since(begun); d != 5*time.Second {
			t.Errorf("ended after %v", d)
		}
	})
}

// stoppable is a client of a server in this process that serves until ctx
// ends. The channel is closed when it has ended.
func stoppable(ctx context.Context, t *testing.T, handle handler) (*ssh.Client, <-chan struct{}) {
	t.Helper()
	srv := newServer(t, handle)
	near, far := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		srv.ServeConn(ctx, near)
	}()
	return handshake(t, buffer(far)), served
}

// shell starts a session whose output is not read.
func shell(t *testing.T, client *ssh.Client) {
	t.Helper()
	ch, reqs, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	if ok, err := ch.SendRequest("shell", true, nil); !ok || err != nil {
		t.Fatal(ok, err)
	}
}
