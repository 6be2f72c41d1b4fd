package delivery

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"esa/mta/envelope"
	"esa/mta/lookup"
)

// check holds what the host announced against what the message needs and
// gives the failure of a message that it cannot take, permanent by its nature.
func (a *attempt) check(c *conn) *envelope.Failure {
	m := a.job.Message
	if c.ext.size > 0 && m.Size > c.ext.size {
		return unfit("5.3.4", envelope.ReasonTooLarge,
			fmt.Sprintf("message of %d bytes is over the size limit of %d bytes of %s", m.Size, c.ext.size, c.host))
	}
	wide := c.ext.has("SMTPUTF8")
	if _, ok := wireAddress(m.Sender, wide); !ok {
		return unfit("5.6.7", envelope.ReasonNotRepresented, c.host+" does not offer SMTPUTF8, which the sender address needs")
	}
	// BODY=8BITMIME and SMTPUTF8 are said of plain ASCII messages too, so the
	// text is looked at before it is returned.
	if !m.EightBit || c.ext.has("8BITMIME") && (wide || !m.UTF8) {
		return nil
	}
	header, body, err := a.eightBit()
	switch {
	case err != nil:
		return localFailure(fmt.Errorf("reading message text: %w", err))
	case header && m.UTF8 && !wide:
		return unfit("5.6.9", envelope.ReasonNotRepresented, c.host+" does not offer SMTPUTF8, which the header needs")
	case (header || body) && !c.ext.has("8BITMIME"):
		return unfit("5.6.3", envelope.ReasonNotRepresented, c.host+" does not offer 8BITMIME, which the message needs")
	}
	return nil
}

// eightBit reports whether the header and the body of the message hold bytes
// beyond ASCII.
func (a *attempt) eightBit() (header, body bool, err error) {
	text, err := a.job.Body()
	if err != nil {
		return false, false, err
	}
	defer text.Close()
	block := a.client.blocks.Get().(*[]byte)
	defer a.client.blocks.Put(block)
	inBody, matched := false, 2 // bytes of CRLF CRLF; an empty header begins with the second CRLF
	for {
		n, err := text.Read(*block)
		for _, b := range (*block)[:n] {
			if inBody {
				body = body || b >= utf8.RuneSelf
				continue
			}
			header = header || b >= utf8.RuneSelf
			switch {
			case b == "\r\n\r\n"[matched]:
				matched++
			case b == '\r':
				matched = 1
			default:
				matched = 0
			}
			inBody = matched == 4
		}
		if errors.Is(err, io.EOF) {
			return header, body, nil
		}
		if err != nil {
			return false, false, err
		}
	}
}

// wireAddress is how an address is written to a host. Without SMTPUTF8 a
// domain has an ASCII form, a local part has none.
func wireAddress(addr envelope.Address, wide bool) (string, bool) {
	if wide || addr.IsASCII() {
		return addr.String(), true
	}
	addr.Domain, _ = lookup.ASCII(addr.Domain)
	return addr.String(), addr.IsASCII()
}

// mailCommand gives MAIL with the parameters that the host takes.
func mailCommand(m *envelope.Message, ext extensions) string {
	wide := ext.has("SMTPUTF8")
	sender, _ := wireAddress(m.Sender, wide)
	var b strings.Builder
	b.WriteString("MAIL FROM:<" + sender + ">")
	if ext.has("SIZE") && m.Size > 0 {
		fmt.Fprintf(&b, " SIZE=%d", m.Size)
	}
	if ext.has("8BITMIME") && m.EightBit {
		b.WriteString(" BODY=8BITMIME")
	}
	if wide && (m.UTF8 || !m.Sender.IsASCII() || slices.ContainsFunc(m.Recipients, wideRecipient)) {
		b.WriteString(" SMTPUTF8")
	}
	if ext.has("DSN") {
		if m.Return != "" {
			b.WriteString(" RET=" + m.Return)
		}
		if m.EnvelopeID != "" {
			b.WriteString(" ENVID=" + xtext(m.EnvelopeID))
		}
	}
	return b.String()
}

func wideRecipient(r envelope.Recipient) bool { return !r.Address.IsASCII() }

// rcptCommand gives RCPT with the parameters that the host takes (RFC 3461
// §4.1, §4.2).
func rcptCommand(r envelope.Recipient, ext extensions) string {
	addr, _ := wireAddress(r.Address, ext.has("SMTPUTF8"))
	command := "RCPT TO:<" + addr + ">"
	if !ext.has("DSN") {
		return command
	}
	if r.Notify != 0 {
		command += " NOTIFY=" + notify(r.Notify)
	}
	if kind, original, ok := strings.Cut(r.Original, ";"); ok {
		command += " ORCPT=" + kind + ";" + originalText(kind, original)
	}
	return command
}

func notify(n envelope.Notify) string {
	if n&envelope.NotifyNever != 0 {
		return "NEVER"
	}
	var words []string
	for _, w := range []struct {
		bit  envelope.Notify
		word string
	}{{envelope.NotifySuccess, "SUCCESS"}, {envelope.NotifyFailure, "FAILURE"}, {envelope.NotifyDelay, "DELAY"}} {
		if n&w.bit != 0 {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, ",")
}

// xtext encodes as RFC 3461 §4 says: what is not printable ASCII, "+" and "="
// as "+" and two hexadecimal digits.
func xtext(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c > ' ' && c <= '~' && c != '+' && c != '=' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "+%02X", c)
		}
	}
	return b.String()
}

// originalText encodes the address of ORCPT. One of type utf-8 has its own
// escape, which needs no SMTPUTF8 (RFC 6533 §3, utf-8-addr-xtext).
func originalText(kind, addr string) string {
	if !strings.EqualFold(kind, "utf-8") {
		return xtext(addr)
	}
	var b strings.Builder
	for _, r := range addr {
		if r > ' ' && r <= '~' && r != '+' && r != '=' && r != '\\' {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\x{%X}`, r)
		}
	}
	return b.String()
}
