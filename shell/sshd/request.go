package sshd

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	keepalive = "keepalive@openssh.com" // asked by OpenSSH clients; no answer of substance

	maxWindow = 1<<24 - 1 // columns or rows: scripts ask for 16777215 rows to have no pager
	maxEnv    = 1024      // bytes of one value
	maxTerm   = 64        // bytes of a terminal type
)

// Payloads of RFC 4254, in the order of their fields on the wire.
type (
	envRequest struct{ Name, Value string } // §6.4

	ptyRequest struct { // §6.2
		Term                      string
		Cols, Rows, Width, Height uint32
		Modes                     []byte `ssh:"rest"`
	}

	windowChange struct{ Cols, Rows, Width, Height uint32 } // §6.7

	execRequest struct{ Command string } // §6.5

	subsystemRequest struct{ Name string } // §6.5

	exitStatus struct{ Status uint32 } // §6.10
)

// request decides what to answer to a channel request, and whether it is the
// one that starts the handler (§6.5: one per channel). What we do not know, or
// what comes too late, is refused.
func (s *Session) request(r *ssh.Request) (ok, start bool) {
	if s.started {
		switch r.Type {
		case "window-change":
			return s.windowChange(r.Payload), false
		case keepalive:
			return true, false
		}
		return false, false
	}
	switch r.Type {
	case "env":
		return s.setEnv(r.Payload), false
	case "pty-req":
		return s.setPty(r.Payload), false
	case "window-change":
		return s.windowChange(r.Payload), false
	case "shell":
		s.started = true
	case "exec":
		s.started = s.setCommand(r.Payload)
	case "subsystem":
		s.started = s.setSubsystem(r.Payload)
	case keepalive:
		return true, false
	}
	return s.started, s.started
}

func (s *Session) setEnv(payload []byte) bool {
	var e envRequest
	if ssh.Unmarshal(payload, &e) != nil || len(e.Value) > maxEnv || !slices.Contains(s.conn.server.AcceptEnv, e.Name) {
		return false
	}
	s.Env[e.Name] = e.Value
	return true
}

func (s *Session) setPty(payload []byte) bool {
	var p ptyRequest
	if s.Interactive || ssh.Unmarshal(payload, &p) != nil {
		return false
	}
	s.Interactive = true
	if len(p.Term) <= maxTerm && strings.IndexFunc(p.Term, notInTerm) < 0 {
		s.Term = p.Term
	}
	s.window.cols, s.window.rows = int(min(p.Cols, maxWindow)), int(min(p.Rows, maxWindow))
	return true
}

// notInTerm keeps out what no terminal type is made of, so that Term can be
// printed and looked up without care.
func notInTerm(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	}
	return !strings.ContainsRune("-._+", r)
}

func (s *Session) windowChange(payload []byte) bool {
	var w windowChange
	if !s.Interactive || ssh.Unmarshal(payload, &w) != nil {
		return false
	}
	s.resize(w.Cols, w.Rows)
	return true
}

func (s *Session) setSubsystem(payload []byte) bool {
	var r subsystemRequest
	if ssh.Unmarshal(payload, &r) != nil || !slices.Contains(s.conn.server.Subsystems, r.Name) {
		return false
	}
	s.Subsystem = r.Name
	return true
}

func (s *Session) setCommand(payload []byte) bool {
	var e execRequest
	if ssh.Unmarshal(payload, &e) != nil {
		return false
	}
	s.IsExec, s.Command = true, e.Command
	return true
}
