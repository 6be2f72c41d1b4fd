package smtpd

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"esa/mta/mtatest/smtpload"
	"esa/mta/policy"
	"esa/mta/tlsconf"
)

// BenchmarkHandshake counts STARTTLS handshakes with a certificate of RSA 2048:
// of esa, and of a bare Go server that says the same lines and does nothing
// else. Clients are in the same process and share its processors, so what esa
// adds weighs less than it would alone; the goal is 90 % of the bare server.
func BenchmarkHandshake(b *testing.B) {
	cert := rsaCertificate(b)
	config := tlsconf.Server(tlsconf.Options{Certificate: cert})
	b.Run("bare", func(b *testing.B) {
		benchHandshakes(b, cert, func(conn net.Conn) {
			defer conn.Close()
			if err := smtpload.ServeBare(conn, config); err != nil {
				b.Error(err)
			}
		})
	})
	b.Run("esa", func(b *testing.B) {
		own := newBench(b)
		own.change(func(s *Settings) {
			relax(s)
			s.TLS = &TLS{NotAsked: config}
			setTLSMode(s, policy.TLSPreferred)
		})
		benchHandshakes(b, cert, func(conn net.Conn) { own.srv.ServeConn(context.Background(), conn, own.settings) })
	})
}

// benchHandshakes serves b.N clients.
func benchHandshakes(b *testing.B, cert *tls.Certificate, serve func(net.Conn)) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() { serve(conn) })
		}
	})
	load := smtpload.Load{Addr: l.Addr().String(), Sessions: 4 * runtime.GOMAXPROCS(0), Messages: b.N}
	before := processorTime(b)
	b.ResetTimer()
	if _, err := load.Handshake(context.Background(), cert.Certificate[0]); err != nil {
		b.Error(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "handshakes/s")
	b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/handshake")
	l.Close()
	served.Wait()
}

// processorTime is what the process has used: on a machine with other work it
// says more than the clock.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// rsaCertificate is such as most mail servers have.
func rsaCertificate(t testing.TB) *tls.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := smtpload.SelfSigned(key)
	if err != nil {
		t.Fatal(err)
	}
	return &cert
}
