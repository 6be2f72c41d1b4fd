package smtpd

import (
	"bytes"
	"cmp"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"esa/mta/message"
	"esa/mta/policy"
)

// conversation is the dialogue with one client: commands in, replies out.
// Whether it goes on after a command is what the commands return.
type conversation struct {
	*session
	wire      *wire
	announced int64          // SIZE, negative for none
	offered   policy.TLSMode // by the policy of the accept
	commands  int            // lines read
	unknown   int
	junk      int // commands that lead to no message, since the last one accepted
	refused   int // refusals, since the last message accepted
}

// run greets and serves until the conversation ends.
func (c *conversation) run() {
	if c.wire.pending() {
		// Who speaks before the greeting does not speak SMTP (RFC 5321 §3.1).
		c.srv.Log.UnknownCommand(c.icid, "input before the greeting")
		return
	}
	greeting := c.bannerHost() + " ESMTP"
	if own := c.decision.Params.AcceptReply; own.Code != 0 {
		greeting += "\n" + own.Text
	}
	c.wire.reply(220, greeting)
	for c.next() {
	}
}

// bannerHost is the name in the greeting, which a policy may choose.
func (c *conversation) bannerHost() string {
	return cmp.Or(c.decision.Params.BannerHost, c.at.Hostname)
}

// turnAway holds the dialogue with a client that the HAT rejects: it may go
// (RFC 5321 §3.1).
func (c *conversation) turnAway() {
	own := c.decision.Params.RejectReply
	if own.Code == 0 {
		own = policy.Reply{Code: 554, Text: textPoorReputation}
	}
	c.wire.reply(own.Code, c.bannerHost()+"\n"+own.Text)
	until := time.Now().Add(time.Minute)
	for range c.limits.Unknown {
		line, err := c.wire.readLine(until, true)
		switch {
		case errors.Is(err, errDraining):
			c.close(421, c.at.Hostname+" "+textUnavailable)
			return
		case err != nil && err != errLongLine && err != errBareLF:
			c.lost = true
			_ = c.wire.flush()
			return
		}
		if verb, _ := cutVerb(line); verb == "QUIT" {
			c.close(221, c.at.Hostname)
			return
		}
		c.wire.reply(503, "#5.5.1 bad sequence of commands")
	}
	c.close(421, textBadCommands)
}

// close says the last word. The seat is free before the client can read it
// and connect again.
func (c *conversation) close(code int, text string) bool {
	c.leave()
	c.wire.reply(code, text)
	c.wire.farewell()
	return false
}

// next reads a command and answers it.
func (c *conversation) next() bool {
	line, err := c.wire.readLine(c.deadline(), c.tx == nil)
	if err == nil && c.tx == nil && c.wire.woken() {
		err = errDraining
	}
	switch {
	case err == nil:
		c.commands++
		return c.command(line)
	case errors.Is(err, errDraining):
		return c.close(421, c.at.Hostname+" "+textUnavailable)
	case errors.Is(err, errBareLF):
		return c.fail(501, "#5.5.2 syntax error, line ended by a bare LF")
	case errors.Is(err, errLongLine):
		return c.fail(500, "Line too long")
	case errors.Is(err, errEndless):
		return c.close(500, "Line too long")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return c.late()
	}
	c.lost = true
	if c.commands == 0 {
		c.srv.Log.LostEarly(c.injection(), time.Since(c.begun), c.asked)
	}
	return false
}

// deadline is when the next command must be there. No message under way is
// cut by the total time.
func (c *conversation) deadline() time.Time {
	until := time.Now().Add(c.limits.Command)
	if t := c.injected.Add(c.limits.Unsuccessful); t.Before(until) {
		until = t
	}
	if t := c.begun.Add(c.limits.Total); c.tx == nil && t.Before(until) {
		until = t
	}
	return until
}

// late ends a connection whose client did not speak in time.
func (c *conversation) late() bool {
	if c.tx == nil && time.Since(c.begun) >= c.limits.Total {
		c.srv.Log.TooLong(c.icid, c.client.Addr)
		return c.close(421, textTooLong)
	}
	c.srv.Log.NoInjection(c.icid, c.client.Addr)
	return c.close(421, textNoInjection)
}

// cutVerb gives the first word of a line in capitals, and what follows.
func cutVerb(line []byte) (verb, arg string) {
	word, rest, _ := bytes.Cut(line, []byte(" "))
	if len(word) > 16 { // no command is that long
		word = word[:16]
	}
	return strings.ToUpper(string(word)), strings.Trim(string(rest), " ")
}

// command answers one command line.
func (c *conversation) command(line []byte) bool {
	verb, arg := cutVerb(line)
	if isForeign(verb, line) {
		c.srv.Log.UnknownCommand(c.icid, printable(string(line)))
		_ = c.wire.flush() // to what it may still read
		return false
	}
	if bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return c.syntax(line, "#5.5.2 syntax error, control character")
	}
	if answered, goOn := c.mustTLS(verb); answered {
		return goOn
	}
	switch verb {
	case "HELO", "EHLO":
		return c.hello(verb, arg)
	case "MAIL":
		return c.mail(line, arg)
	case "RCPT":
		return c.rcpt(line, arg)
	case "DATA":
		return c.data(line, arg)
	case "RSET":
		c.Reset()
		return c.idle(250, "reset")
	case "NOOP":
		return c.idle(250, "ok")
	case "VRFY":
		return c.idle(252, "Cannot verify the address, but will take a message for it")
	case "HELP":
		return c.help()
	case "STARTTLS":
		return c.startTLS(line, arg)
	case "AUTH":
		return c.fail(503, "#5.3.3 AUTH not available")
	case "QUIT":
		return c.close(221, c.at.Hostname)
	case "BDAT":
		// CHUNKING is not offered; the chunk must not be read as commands.
		return c.close(500, "#5.5.1 command not recognized")
	default:
		return c.strange(line)
	}
}

// help answers HELP (reference 4.4).
func (c *conversation) help() bool {
	last := "rcpt   rset   vrfy"
	if c.offersTLS() {
		last = "rcpt   rset   starttls   vrfy"
	}
	return c.idle(214, "The following commands are recognized\n"+
		"    auth   data   ehlo   helo\n    help   mail   noop   quit\n    "+last)
}

// isForeign recognizes other protocols by their first word: the methods of
// HTTP, and header fields, which are in no command but in texts that somebody
// wants to be taken for commands.
func isForeign(verb string, line []byte) bool {
	switch verb {
	case "GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS", "DELETE", "TRACE", "PATCH", "PRI":
		return true
	}
	word, _, _ := bytes.Cut(line, []byte(" "))
	return bytes.HasSuffix(word, []byte(":"))
}

// strange answers an unknown command.
func (c *conversation) strange(line []byte) bool {
	c.srv.Log.UnknownCommand(c.icid, printable(string(line)))
	if c.unknown++; c.unknown >= c.limits.Unknown {
		return c.close(421, textBadCommands)
	}
	c.wire.reply(500, "#5.5.1 command not recognized")
	return true
}

// idle answers a command that leads to no message.
func (c *conversation) idle(code int, text string) bool {
	if c.junk++; c.junk > c.limits.Junk {
		return c.close(421, textBadCommands)
	}
	c.wire.reply(code, text)
	return true
}

// syntax answers a command with a syntax error.
func (c *conversation) syntax(line []byte, text string) bool {
	c.srv.Log.BadSyntax(c.icid, printable(string(line)))
	return c.fail(501, text)
}

// fail answers what is refused for good. Beyond the soft limit the answer is
// late, at the hard limit it is the last.
func (c *conversation) fail(code int, text string) bool {
	c.refused++
	switch {
	case c.refused >= c.limits.Hard:
		return c.close(421, textBadCommands)
	case c.refused > c.limits.Soft && c.wire.flush() != nil:
		c.lost = true
		return false
	case c.refused > c.limits.Soft:
		c.pause()
	}
	c.wire.reply(code, text)
	return true
}

func (c *conversation) pause() {
	select {
	case <-time.After(c.limits.Pause):
	case <-c.srv.draining:
	}
}

// answerError replies with what the session said about a command.
func (c *conversation) answerError(err error) bool {
	switch e := c.asReply(err); {
	case e.Code == 421:
		return c.close(e.Code, e.Message)
	case e.Code == 503:
		return c.idle(e.Code, e.Message)
	case e.Code >= 500:
		return c.fail(e.Code, e.Message)
	default:
		c.wire.reply(e.Code, e.Message)
		return true
	}
}

// asReply gives the reply in an error of the session. It returns no others;
// should it, the fault is ours.
func (c *conversation) asReply(err error) *smtp.SMTPError {
	var e *smtp.SMTPError
	if errors.As(err, &e) {
		return e
	}
	c.srv.Diag.Error("unexpected session error", "icid", uint64(c.icid), "err", err)
	return refuse(451, textServerError)
}

// taken replies to a command that the session took.
func (c *conversation) taken() bool {
	c.wire.reply(c.said.code, c.said.text)
	return true
}

// hello answers HELO and EHLO (RFC 5321 §4.1.1.1). What it announces is of
// the settings the connection was accepted under.
func (c *conversation) hello(verb, arg string) bool {
	if arg == "" || len(arg) > 255 {
		return c.fail(501, "#5.0.0 "+verb+" requires domain address")
	}
	c.Reset()
	c.helo, c.esmtp = message.SafeHELO(arg), verb == "EHLO"
	if !c.esmtp {
		return c.idle(250, c.at.Hostname)
	}
	text := c.at.Hostname + "\nPIPELINING\n8BITMIME\nSMTPUTF8\nDSN\nSIZE"
	if c.announced >= 0 {
		text += " " + strconv.FormatInt(c.announced, 10)
	}
	if c.offersTLS() {
		text += "\nSTARTTLS"
	}
	return c.idle(250, text)
}

func (c *conversation) mail(line []byte, arg string) bool {
	path, options, bad := parseMail(arg)
	if bad != nil && bad.address != nil && c.tx == nil {
		c.srv.Log.InvalidSender(c.icid, reason(bad.address), printable(bad.part))
		return c.answerError(c.malformed(bad.reply))
	}
	if bad != nil {
		return c.badArgument(line, bad)
	}
	if err := c.Mail(path, options); err != nil {
		return c.answerError(err)
	}
	return c.taken()
}

func (c *conversation) rcpt(line []byte, arg string) bool {
	path, options, bad := parseRcpt(arg)
	if bad != nil {
		return c.badArgument(line, bad)
	}
	if err := c.Rcpt(path, options); err != nil {
		return c.answerError(err)
	}
	return c.taken()
}

// badArgument answers a MAIL or RCPT that cannot be taken apart.
func (c *conversation) badArgument(line []byte, bad *argumentError) bool {
	switch {
	case bad.address == nil:
		c.srv.Log.BadSyntax(c.icid, printable(string(line)))
	case c.tx == nil:
		c.srv.Log.InvalidSender(c.icid, reason(bad.address), printable(bad.part))
	default:
		c.srv.Log.InvalidRecipient(c.icid, c.tx.MID, reason(bad.address), printable(bad.part))
	}
	return c.fail(501, bad.reply)
}

// data receives a text (RFC 5321 §4.1.1.4).
func (c *conversation) data(line []byte, arg string) bool {
	if arg != "" {
		return c.syntax(line, "#5.5.2 syntax error DATA")
	}
	if c.wire.pending() {
		// It did not wait for the reply: what follows may be a text or
		// commands, and nobody knows which, least of all if we refuse.
		c.Reset()
		return c.close(503, "#5.5.0 improper use of SMTP command pipelining")
	}
	if err := c.prepare(); err != nil {
		return c.answerError(err)
	}
	c.wire.reply(354, "go ahead")
	r := &dataReader{wire: c.wire, pace: newPace(c.limits.Data, c.limits.MinRate)}
	err := c.Data(r)
	if err == nil {
		c.junk, c.refused = 0, 0
		return c.taken()
	}
	if r.ended {
		return c.answerError(err)
	}
	// Whatever comes now belongs to a text: not one byte of it is a command.
	c.lost = r.err != nil && !errors.Is(r.err, os.ErrDeadlineExceeded)
	e := c.asReply(err)
	return c.close(e.Code, e.Message)
}
