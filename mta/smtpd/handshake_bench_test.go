package smtpd

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"esa/mta/policy"
	"esa/mta/tlsconf"
)

// BenchmarkHandshake counts STARTTLS handshakes with a certificate of RSA 2048:
// of esa, and of a bare Go server that says the same lines and does nothing
// else. Clients are in the same process and share its processors, so what esa
// adds weighs less than it would alone; the goal is 90 % of the bare server.
func BenchmarkHandshake(b *testing.B) {
	config := tlsconf.Server(tlsconf.Options{Certificate: rsaCertificate(b)})
	b.Run("bare", func(b *testing.B) {
		benchHandshakes(b, func(conn net.Conn) {
			defer conn.Close()
			if _, err := bareDialogue(conn, config); err != nil {
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
		benchHandshakes(b, func(conn net.Conn) { own.srv.ServeConn(context.Background(), conn, own.settings) })
	})
}

// benchHandshakes serves b.N clients.
func benchHandshakes(b *testing.B, serve func(net.Conn)) {
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
	b.SetParallelism(4)
	before := processorTime(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := shakeOnce(l.Addr().String()); err != nil {
				b.Error(err)
				return
			}
		}
	})
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

// shakeOnce is one client: EHLO, STARTTLS, handshake, QUIT.
func shakeOnce(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for _, command := range []string{"", "EHLO bench.test\r\n", "STARTTLS\r\n"} {
		if err := exchange(conn, in, command); err != nil {
			return err
		}
	}
	secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	if err := secured.Handshake(); err != nil {
		return err
	}
	return exchange(secured, bufio.NewReader(secured), "QUIT\r\n")
}

// exchange sends a command, if any, and reads a reply.
func exchange(conn net.Conn, in *bufio.Reader, command string) error {
	if _, err := io.WriteString(conn, command); err != nil {
		return err
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil || line[3] == ' ' {
			return err
		}
	}
}

// bareDialogue is the least that a server can say.
func bareDialogue(conn net.Conn, config *tls.Config) (*tls.Conn, error) {
	in := bufio.NewReader(conn)
	for _, reply := range []string{"220 bare ESMTP\r\n", "250-bare\r\n250 STARTTLS\r\n", "220 Go ahead with TLS\r\n"} {
		if !strings.HasPrefix(reply, "220 bare") {
			if _, err := in.ReadString('\n'); err != nil {
				return nil, err
			}
		}
		if _, err := io.WriteString(conn, reply); err != nil {
			return nil, err
		}
	}
	secured := tls.Server(conn, config)
	if err := secured.Handshake(); err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(secured).ReadString('\n'); err != nil {
		return nil, err
	}
	_, err := io.WriteString(secured, "221 bare\r\n")
	return secured, err
}

// rsaCertificate is such as most mail servers have.
func rsaCertificate(t testing.TB) *tls.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gw.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
