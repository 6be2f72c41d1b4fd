package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// mailer is a raw SMTP client that speaks from an address of its choice.
type mailer struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// connectFrom connects from one loopback address to a listener and reads
// nothing.
func connectFrom(t *testing.T, from string, to netip.AddrPort) *mailer {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: limit}
	conn, err := dialer.DialContext(t.Context(), "tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &mailer{t: t, conn: conn, in: bufio.NewReader(conn)}
}

// mailFrom connects and says EHLO.
func mailFrom(t *testing.T, from string, to netip.AddrPort) *mailer {
	t.Helper()
	m := connectFrom(t, from, to)
	m.want("", "220 ")
	m.want("EHLO client.test", "250")
	return m
}

// reply gives a whole reply, its lines separated by \n, "" at the end of the
// connection.
func (m *mailer) reply() string {
	m.t.Helper()
	m.patiently()
	var lines []string
	for {
		line, err := m.in.ReadString('\n')
		if err != nil {
			return strings.Join(lines, "\n")
		}
		line = strings.TrimSuffix(line, "\r\n")
		lines = append(lines, line)
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "\n")
		}
	}
}

// ask sends a command, if it is one, and gives the reply.
func (m *mailer) ask(command string) string {
	m.t.Helper()
	if command != "" {
		m.patiently()
		if _, err := io.WriteString(m.conn, command+"\r\n"); err != nil {
			m.t.Fatalf("sending %.60q: %v", command, err)
		}
	}
	return m.reply()
}

// want asks and compares the begin of the reply.
func (m *mailer) want(command, prefix string) {
	m.t.Helper()
	if got := m.ask(command); !strings.HasPrefix(got, prefix) || got == "" {
		m.t.Fatalf("%.60q is answered %q, want %q", command, got, prefix)
	}
}

// begin sends MAIL and the recipients, all of which must be taken.
func (m *mailer) begin(sender string, recipients ...string) {
	m.t.Helper()
	m.want("MAIL FROM:<"+sender+">", "250 sender <"+sender+"> ok")
	for _, r := range recipients {
		m.want("RCPT TO:<"+r+">", "250 recipient <"+r+"> ok")
	}
}

// send sends a whole message, which must be taken.
func (m *mailer) send(sender string, recipients ...string) {
	m.t.Helper()
	m.begin(sender, recipients...)
	m.want("DATA", "354 go ahead")
	m.want("Subject: test\r\n\r\nhello\r\n.", "250 ok:  Message ")
}

// quit ends the connection and waits until the other end has, too.
func (m *mailer) quit() {
	m.t.Helper()
	m.want("QUIT", "221 ")
	m.ended()
}

// patiently bounds the next step.
func (m *mailer) patiently() {
	m.t.Helper()
	if err := m.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		m.t.Fatal(err)
	}
}

// ended fails unless the other end ends the connection.
func (m *mailer) ended() {
	m.t.Helper()
	m.patiently()
	if rest, err := io.ReadAll(m.in); len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		m.t.Errorf("after the end came %q, %v", rest, err)
	}
}
