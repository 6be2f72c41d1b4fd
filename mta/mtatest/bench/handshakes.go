package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"esa/mta/mtatest/smtpload"
)

// handshakes is how many clients a second come as far as a full handshake of
// TLS 1.3 by STARTTLS: to the gateway, and to a Go server that does nothing else.
// Both have the same certificate and the same versions. The clients share the
// processors with either, so the processor time of the servers alone is told too.
func (b *bench) handshakes() error {
	// What certconfig makes unless it is told otherwise.
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	cert, err := smtpload.SelfSigned(key)
	if err != nil {
		return err
	}
	return errors.Join(b.handshakesWith("RSA 2048", cert), b.handshakesWith("ECDSA P-256", b.sink.Certificate()))
}

func (b *bench) handshakesWith(algorithm string, cert tls.Certificate) error {
	progress("handshakes by STARTTLS, %s", algorithm)
	p, err := b.newHandshakePlace(cert)
	if err != nil {
		return err
	}
	var rates, costs pair
	err = b.during(p, b.plainly, func(both [2]*running) error {
		for n := range b.rounds + 1 {
			for i, r := range both {
				rate, cost, err := b.shake(r, cert)
				if err != nil {
					return err
				}
				if n > 0 {
					rates[i], costs[i] = append(rates[i], rate), append(costs[i], cost)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.columns("esa", "bare Go server")
	return errors.Join(
		b.figure("connect, EHLO, STARTTLS, handshake ("+algorithm+"), QUIT, 20 sessions", "a second", rates),
		b.figure("the same, processor time of the server", "ms each", costs))
}

// shake is one round: handshakes a second, and milliseconds of the server's
// processor time for each. One that fails fails the round.
func (b *bench) shake(r *running, cert tls.Certificate) (rate, cost float64, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	cpu, begun := r.process.cpu(), time.Now()
	made, err := smtpload.Load{Addr: r.addr, Sessions: 20, Time: b.length}.Handshake(ctx, cert.Certificate[0])
	took := time.Since(begun)
	if err != nil {
		return 0, 0, fmt.Errorf("handshake with %s: %w", r.name(), err)
	}
	return float64(made) / took.Seconds(), (r.process.cpu() - cpu).Seconds() * 1000 / float64(made), nil
}

// newHandshakePlace makes both servers, with one certificate.
func (b *bench) newHandshakePlace(cert tls.Certificate) (*place, error) {
	dir, err := os.MkdirTemp(b.root, "handshakes")
	if err != nil {
		return nil, err
	}
	key, shown, err := pemOf(cert)
	if err != nil {
		return nil, err
	}
	g, err := newGateway(b.binary, filepath.Join(dir, "esa"), ports{own: freePort(), sink: b.sink.Addr().Port, dead: freePort()})
	if err != nil {
		return nil, err
	}
	if err := g.offerTLS(string(key), string(shown)); err != nil {
		return nil, err
	}
	bare, err := newBareServer(filepath.Join(dir, "bare.pem"), append(key, shown...))
	if err != nil {
		return nil, err
	}
	return &place{
		gateway: g, both: [2]system{g, bare},
		addr: [2]string{fmt.Sprintf("127.0.0.1:%d", g.port), bare.addr},
	}, nil
}

// offerTLS has the listener offer STARTTLS with a certificate.
func (g *gateway) offerTLS(key, shown string) error {
	return g.script("certconfig", "certificate", "paste", "bench",
		strings.TrimSpace(shown), ".", strings.TrimSpace(key), ".", "n", "", "",
		"listenerconfig edit OutgoingMail certificate=bench",
		"listenerconfig edit OutgoingMail hostaccess edit policy RELAYED --tls on",
		`commit "STARTTLS"`)
}
