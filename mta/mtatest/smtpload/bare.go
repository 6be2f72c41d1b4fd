package smtpload

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"time"
)

// ServeBare is one connection of a bare server: it says as little of SMTP as
// STARTTLS takes, makes the handshake with crypto/tls and ends with QUIT, which is
// what any Go server has to do. Its caller closes the connection.
func ServeBare(conn net.Conn, config *tls.Config) error {
	const most = 10 * time.Second
	if err := conn.SetDeadline(time.Now().Add(most)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "220 bare.example ESMTP\r\n"); err != nil {
		return err
	}
	return bareDialogue(conn, config)
}

// bareDialogue answers until QUIT; config is nil once TLS is spoken.
func bareDialogue(conn net.Conn, config *tls.Config) error {
	for in := bufio.NewReader(conn); ; {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		command, reply := strings.TrimSpace(string(line)), "502 not here\r\n"
		secure := command == "STARTTLS" && config != nil
		switch {
		case strings.HasPrefix(command, "EHLO"):
			reply = "250-bare.example\r\n250 STARTTLS\r\n"
		case secure:
			reply = "220 go ahead\r\n"
		case command == "QUIT":
			reply = "221 bye\r\n"
		}
		if _, err := io.WriteString(conn, reply); err != nil || command == "QUIT" {
			return err
		}
		if !secure {
			continue
		}
		secured := tls.Server(conn, config)
		defer secured.Close()
		if err := secured.Handshake(); err != nil {
			return err
		}
		return bareDialogue(secured, nil)
	}
}
