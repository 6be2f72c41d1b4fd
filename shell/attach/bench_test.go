package attach_test

import (
	"context"
	"io"
	"sync"
	"testing"

	"esa/shell/attach"
	"esa/shell/sshd"
)

// One command on the console of a running gateway, login included.
func BenchmarkCommand(b *testing.B) {
	key, err := sshd.LoadOrCreateKey(b.TempDir() + "/key")
	if err != nil {
		b.Fatal(err)
	}
	s := &sshd.Server{
		Signer:       key,
		Authenticate: onlyUs,
		Handle: func(_ context.Context, s *sshd.Session) int {
			io.WriteString(s, "ok\n")
			return 0
		},
	}
	var served sync.WaitGroup
	defer served.Wait()
	for b.Loop() {
		client, server, err := attach.Pipe()
		if err != nil {
			b.Fatal(err)
		}
		served.Go(func() { s.ServeConn(b.Context(), server) })
		if _, err := attach.Run(b.Context(), client, attach.Options{User: "admin", IsExec: true, Command: "version"}); err != nil {
			b.Fatal(err)
		}
	}
}

// A long listing, 32 MB.
func BenchmarkOutput(b *testing.B) {
	key, err := sshd.LoadOrCreateKey(b.TempDir() + "/key")
	if err != nil {
		b.Fatal(err)
	}
	listing := make([]byte, 32<<20)
	s := &sshd.Server{
		Signer:       key,
		Authenticate: onlyUs,
		Handle: func(_ context.Context, s *sshd.Session) int {
			s.Write(listing)
			return 0
		},
	}
	b.SetBytes(int64(len(listing)))
	var served sync.WaitGroup
	defer served.Wait()
	for b.Loop() {
		client, server, err := attach.Pipe()
		if err != nil {
			b.Fatal(err)
		}
		served.Go(func() { s.ServeConn(b.Context(), server) })
		if _, err := attach.Run(b.Context(), client, attach.Options{User: "admin", IsExec: true, Command: "tail"}); err != nil {
			b.Fatal(err)
		}
	}
}
