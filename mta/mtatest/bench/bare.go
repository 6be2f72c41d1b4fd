package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"esa/mta/mtatest/smtpload"
)

// bareWord, as first argument, makes this program the bare server; the address
// and a file with key and certificate follow.
const bareWord = "bare-server"

// bareServer says as little of SMTP as STARTTLS takes, makes the handshake with
// crypto/tls and ends with QUIT: what any Go server has to do. It is this program
// in a process of its own.
type bareServer struct{ self, addr, pair string }

// newBareServer writes key and certificate into a file for one.
func newBareServer(pair string, text []byte) (*bareServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return &bareServer{self: self, addr: fmt.Sprintf("127.0.0.1:%d", freePort()), pair: pair}, os.WriteFile(pair, text, 0o600)
}

func (s *bareServer) name() string { return "the bare Go server" }

// daemon is as much of the name as the kernel tells.
func (s *bareServer) daemon() string {
	const most = 15
	name := filepath.Base(s.self)
	return name[:min(len(name), most)]
}

func (s *bareServer) command() *exec.Cmd { return exec.Command(s.self, bareWord, s.addr, s.pair) }

func (s *bareServer) peak(of *process) int64 { return of.highest() }

// fill fails: there is no queue.
func (s *bareServer) fill(context.Context, int) error { return errors.ErrUnsupported }

// bareMain is the program of that process; SIGTERM ends it.
func bareMain(args []string) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serveBare(ctx, args); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// serveBare serves until the context ends.
func serveBare(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("the bare server takes an address and a file")
	}
	cert, err := tls.LoadX509KeyPair(args[1], args[1])
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	// The versions are the gateway's.
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		conn, err := l.Accept()
		if err != nil && ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		serving.Go(func() {
			defer conn.Close()
			// The client tells what fails: it ends the measurement.
			_ = smtpload.ServeBare(conn, config)
		})
	}
}
