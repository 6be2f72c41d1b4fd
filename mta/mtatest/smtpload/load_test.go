package smtpload

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"
)

// listens is a sink for a test, and the time for it.
func listens(t *testing.T) (context.Context, *Sink) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	s, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return ctx, s
}

func TestLoadReachesSink(t *testing.T) {
	ctx, s := listens(t)
	for _, size := range []int{1 << 10, 1 << 20} {
		before := s.Count()
		l := Load{Addr: s.Addr().String(), Sessions: 3, Messages: 20, Size: size, PerConnection: 4}
		if n, err := l.Send(ctx); n != 20 || err != nil {
			t.Fatalf("sent %d of 20: %v", n, err)
		}
		if _, err := s.Await(ctx, before+20); err != nil {
			t.Fatalf("%d of 20 messages of %d bytes: %v", s.Count()-before, size, err)
		}
	}
	before := s.Count()
	if n, err := (Load{Addr: s.Addr().String(), Sessions: 3, Messages: 10}).Greet(ctx); n != 10 || err != nil {
		t.Fatalf("greeted %d times: %v", n, err)
	}
	// How often there is time for it is the machine's affair.
	if _, err := (Load{Addr: s.Addr().String(), Sessions: 3, Time: 50 * time.Millisecond}).Greet(ctx); err != nil {
		t.Fatal(err)
	}
	if s.Count() != before {
		t.Error("a greeting brought a message")
	}
}

func TestHandshake(t *testing.T) {
	ctx, s := listens(t)
	l := Load{Addr: s.Addr().String(), Sessions: 3, Messages: 20}
	shown := s.Certificate().Certificate[0]
	if n, err := l.Handshake(ctx, shown); n != 20 || err != nil {
		t.Errorf("%d of 20 handshakes: %v", n, err)
	}
	if _, err := l.Handshake(ctx, shown[1:]); err == nil || !strings.Contains(err.Error(), "another certificate") {
		t.Errorf("the server shows another certificate: %v", err)
	}
	s.tls.MaxVersion = tls.VersionTLS12
	if _, err := l.Handshake(ctx, shown); err == nil {
		t.Error("the server has no TLS 1.3, and no error")
	}
}

func TestHandshakeTellsOfRefusal(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for _, reply := range []string{"220 server.example\r\n", "250 STARTTLS\r\n", "454 not now\r\n"} {
			if _, err := conn.Write([]byte(reply)); err != nil {
				return
			}
			if _, err := in.ReadString('\n'); err != nil {
				return
			}
		}
	}()
	_, err = Load{Addr: l.Addr().String(), Sessions: 1, Messages: 1}.Handshake(context.Background(), nil)
	if err == nil || !strings.Contains(err.Error(), "454 not now") {
		t.Errorf("refused with 454: %v", err)
	}
	l.Close()
	<-served
}

func TestText(t *testing.T) {
	for _, size := range []int{0, 180, 181, 500, 1 << 10, 10 << 10, 1<<20 + 1} {
		text := Text(size)
		if got := len(text) - len(".\r\n"); got != size && (size > 200 || got > 200) {
			t.Errorf("%d bytes instead of %d", got, size)
		}
		if string(text[len(text)-5:]) != "\r\n.\r\n" {
			t.Errorf("a text of %d bytes ends with %q", size, text[len(text)-5:])
		}
	}
}

func TestSendTellsOfRefusal(t *testing.T) {
	s, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := s.Addr().String()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := (Load{Addr: addr, Sessions: 2, Messages: 2, Size: 1024}).Send(context.Background()); err == nil {
		t.Error("nobody listened, and no error")
	}
}
