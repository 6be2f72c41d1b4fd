package attach_test

import (
	"context"
	"io"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"esa/shell/attach"
	"esa/shell/sshd"
)

// One command on the console of a running gateway, login included.
func BenchmarkCommand(b *testing.B) {
	benchmark(b, []byte("ok\n"))
}

// A long listing, 32 MB.
func BenchmarkOutput(b *testing.B) {
	listing := make([]byte, 32<<20)
	b.SetBytes(int64(len(listing)))
	benchmark(b, listing)
}

// benchmark runs a command with that output.
func benchmark(b *testing.B, output []byte) {
	key, err := sshd.LoadOrCreateKey(b.TempDir() + "/key")
	if err != nil {
		b.Fatal(err)
	}
	s := &sshd.Server{
		HostKeys:     []ssh.Signer{key},
		Authenticate: onlyUs,
		Handle: func(_ context.Context, s *sshd.Session) int {
			s.Write(output)
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
		if _, err := attach.Run(b.Context(), client, attach.Options{User: "admin", IsExec: true, Command: "version", Stdout: io.Discard}); err != nil {
			b.Fatal(err)
		}
	}
}
