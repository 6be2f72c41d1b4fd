package smtpd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"

	"esa/mta/counters"
	"esa/mta/message"
	"esa/mta/tlsconf"
)

// textBuffer is how much of a text is in memory at a time.
const textBuffer = 64 << 10

// prepare makes the draft, so that what cannot be kept is refused before the
// client sends it.
func (s *session) prepare() error {
	switch tx := s.tx; {
	case tx == nil:
		return refuse(503, "#5.5.1 MAIL first")
	case len(tx.Recipients) == 0:
		return refuse(503, "#5.5.1 RCPT first")
	case tx.draft == nil:
		draft, err := s.srv.Queue.Begin(tx.Message)
		if err != nil {
			s.Reset()
			return s.fault(err)
		}
		tx.draft = draft
	}
	return nil
}

// Data receives the text of the message: r gives it without stuffing, and
// ends with io.EOF only where the end of data stood. Whatever comes of it,
// the transaction is over.
func (s *session) Data(r io.Reader) error {
	if err := s.prepare(); err != nil {
		return err
	}
	tx := s.tx
	t := &text{session: s, tx: tx, store: counted{w: tx.draft}, lines: message.LineEnds{Mode: tx.set.BareLines}}
	t.header = message.NewHeader(&t.store, message.HeaderLimits{Bytes: s.limits.HeaderBytes, Lines: s.limits.HeaderLines})
	err := t.receive(r)
	if err == nil {
		err = t.accept()
	}
	// A panic on the way leaves the transaction to Logout, which aborts it.
	s.tx = nil
	if err != nil {
		s.discard(tx)
		return err
	}
	s.messages++
	s.injected = time.Now()
	s.said = answer{250, fmt.Sprintf("ok:  Message %d accepted", tx.MID)}
	return nil
}

// text is the text of one message on its way into the draft.
type text struct {
	*session
	tx      *transaction
	lines   message.LineEnds
	header  *message.Header
	got     int64 // bytes as sent, without stuffing
	store   counted
	refused error // why it will not be accepted; the rest is read and dropped
}

// receive reads the text to its end. An error says why it is not accepted.
// Only when the client does not come to an end, or breaks off, does it
// return before the end of data.
func (t *text) receive(r io.Reader) error {
	buf := t.srv.buffers.Get().(*[textBuffer]byte)
	defer t.srv.buffers.Put(buf)
	t.begin()
	for {
		n, err := r.Read(buf[:])
		t.got += int64(n)
		most := t.tx.param.MaxSize
		if most >= 0 && t.got > most {
			t.refuse(552, textTooBig, "Message size exceeds limit")
		}
		t.keep(buf[:n])
		switch {
		case err == io.EOF:
			return t.refused
		case err != nil:
			return t.broken(err)
		case most >= 0 && t.got > most+mostExcess:
			return t.refused
		}
	}
}

// begin writes what stands before the client's text.
func (t *text) begin() {
	now, set := t.srv.Clock(), t.tx.set
	if t.tx.Relay || set.AddMessageID {
		t.header.Missing = fmt.Sprintf("Message-ID: <%x$%x@%s>\r\n", now.UnixNano(), uint64(t.tx.MID), set.Hostname)
	}
	if !set.Received {
		return
	}
	field := message.Received{HELO: t.helo, Addr: t.client.Addr, By: set.Hostname, Protocol: "SMTP", At: now}
	if t.client.Verified {
		field.Host = t.client.Host
	}
	if t.esmtp {
		field.Protocol = "ESMTP"
	}
	if t.secured != nil {
		field.Protocol += "/TLS/" + tlsconf.CipherName(t.secured.CipherSuite)
	}
	t.write([]byte(field.String()), &t.store)
}

// keep writes one piece of the text, until the message is refused.
func (t *text) keep(p []byte) {
	if t.refused != nil {
		return
	}
	p = t.lines.Convert(p)
	t.tx.EightBit = t.tx.EightBit || message.IsEightBit(p)
	t.write(p, t.header)
	t.check()
}

func (t *text) write(p []byte, to io.Writer) {
	if t.refused != nil || len(p) == 0 {
		return
	}
	if _, err := to.Write(p); err != nil {
		t.refused = t.fault(err)
	}
}

// counted counts what is stored.
type counted struct {
	w io.Writer
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// check refuses what is known to be wrong by now.
func (t *text) check() {
	switch {
	case t.lines.Bare && t.lines.Mode == message.Reject:
		t.refuse(554, "message body contains illegal bare CR/LF characters.", "Protocol error")
	case t.header.TooLarge:
		t.refuse(552, "#5.3.4 message header size exceeds limit", "Message header size exceeds limit")
	case t.header.Received > t.limits.Hops:
		t.refuse(554, "Too many hops", "Message loop")
	}
}

// refuse notes the first reason.
func (t *text) refuse(code int, reply, why string) {
	if t.refused == nil {
		t.refused = refuse(code, reply)
		t.srv.Log.ReceivingFailed(t.icid, why)
	}
}

// broken is the end of a text that has none.
func (t *text) broken(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return refuse(421, "#4.4.2 Timed out waiting for message text")
	}
	return refuse(421, "#4.4.2 Connection lost")
}

// accept completes the message and commits it. The reply comes after; a crash
// before Commit returns leaves no message, one after it a message that the
// client may send again.
func (t *text) accept() error {
	t.keep(t.lines.End())
	if t.refused == nil {
		if err := t.header.Close(); err != nil {
			t.refused = t.fault(err)
		}
	}
	t.check()
	if t.refused != nil {
		return t.refused
	}
	m := &t.tx.Message
	m.Received = t.srv.Clock()
	m.Size = t.store.n
	m.Subject = t.header.Subject()
	t.srv.Log.MessageID(m.MID, t.header.MessageID())
	t.srv.Log.Subject(m.MID, m.Subject)
	t.srv.Log.Ready(m.MID, m.Size, m.Sender)
	if err := t.tx.draft.Commit(*m); err != nil {
		return t.fault(err)
	}
	t.srv.Counters.Add(counters.InjMsgs, 1)
	t.srv.Counters.Add(counters.InjRecips, int64(len(m.Recipients)))
	return nil
}

// fault is the answer to what is not the client's doing.
func (s *session) fault(err error) *smtp.SMTPError {
	s.srv.Diag.Error("keeping a message failed", "icid", uint64(s.icid), "revision", s.set.Revision, "err", err)
	if errors.Is(err, ErrNoSpace) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		s.srv.Log.ReceivingFailed(s.icid, "Queue full")
		return refuse(452, textQueueFull)
	}
	s.srv.Log.ReceivingFailed(s.icid, "Queue error")
	return refuse(451, textServerError)
}
