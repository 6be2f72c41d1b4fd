package delivery

import (
	"errors"
	"fmt"
	"io"
	"time"

	"esa/mta/envelope"
)

// verdict is what a transaction means for what comes next.
type verdict int

const (
	ended   verdict = iota // every recipient of it has its outcome, or may come again on this host
	refused                // the host does not take it now: the next host may
	lost                   // the connection is of no use any more: the next host may
	stale                  // the connection had died while it was idle: a new one to the same host
)

// transaction is one MAIL with its recipients.
type transaction struct {
	a        *attempt
	c        *conn
	batch    []int // of the attempt's recipients
	text     io.Reader
	piped    bool // MAIL, RCPT and DATA are written together (RFC 2920)
	accepted []int
}

// transact carries as many of the pending recipients as one transaction may.
func (a *attempt) transact(c *conn) verdict {
	if f := a.check(c); f != nil {
		a.settleAll(a.pending, c, f)
		return ended
	}
	batch := a.batch(c)
	if len(batch) == 0 {
		return ended
	}
	text, err := a.job.Body()
	if err != nil {
		a.settleAll(a.pending, c, localFailure(fmt.Errorf("opening message text: %w", err)))
		return ended
	}
	defer text.Close()
	if !c.leash.begin(a.job.Message.Size) {
		return lost
	}
	defer c.leash.end()
	t := transaction{a: a, c: c, batch: batch, text: text, piped: c.ext.has("PIPELINING")}
	return t.run()
}

// batch takes the next recipients for a transaction. Those whose address the
// host cannot take are settled.
func (a *attempt) batch(c *conn) []int {
	room := a.set.RecipientsPerMessage
	if c.ext.rcpts > 0 {
		room = min(room, c.ext.rcpts)
	}
	if a.ticket.counts {
		room = min(room, a.ticket.left)
	}
	var batch, unable []int
	for _, i := range a.pending {
		if len(batch) == room {
			break
		}
		if _, ok := wireAddress(a.job.Recipients[i].Address, c.ext.has("SMTPUTF8")); ok {
			batch = append(batch, i)
		} else {
			unable = append(unable, i)
		}
	}
	a.settleAll(unable, c, unfit("5.6.7", envelope.ReasonNotRepresented, c.host+" does not offer SMTPUTF8, which the address needs"))
	return batch
}

func (t *transaction) run() verdict {
	if t.c.in.pending() {
		return t.broke(errUnasked)
	}
	if t.c.open {
		if v := t.reset(); v != ended {
			return v
		}
	}
	t.c.uses++
	t.a.client.opt.Log.DeliveryStarted(t.c.dcid, t.a.job.Message.MID, t.a.rids(t.batch))
	mail := mailCommand(t.a.job.Message, t.c.ext)
	if t.piped {
		if err := t.write(mail); err != nil {
			return t.broke(err)
		}
	}
	if v, goOn := t.mail(mail); !goOn {
		return v
	}
	t.a.ticket.left -= len(t.batch)
	if v, goOn := t.recipients(); !goOn {
		return v
	}
	if v, goOn := t.data(); !goOn {
		return v
	}
	return t.body()
}

// errUnasked is a reply to nothing: the next one would be taken for the answer
// to something else, at worst for that to the final dot.
var errUnasked = fmt.Errorf("%w: one more than was asked for", errProtocol)

// write buffers the whole of a pipelined envelope; the first ask sends it.
func (t *transaction) write(mail string) error {
	t.c.leash.arm(t.a.set.Timeouts.Mail)
	if err := t.c.put(mail); err != nil {
		return err
	}
	for _, i := range t.batch {
		if err := t.c.put(rcptCommand(t.a.job.Recipients[i], t.c.ext)); err != nil {
			return err
		}
	}
	return t.c.put("DATA")
}

// ask gives the reply to a command, which in a pipelined envelope has been
// written already.
func (t *transaction) ask(command string, d time.Duration) (reply, error) {
	if !t.piped {
		return t.c.ask(command, d)
	}
	if t.c.out.Buffered() > 0 {
		if err := t.c.flush(d); err != nil {
			return reply{}, err
		}
	}
	return t.c.read(d)
}

func (t *transaction) reset() verdict {
	r, err := t.c.ask("RSET", t.a.set.Timeouts.Hello)
	if err != nil {
		return t.broke(err)
	}
	if f := judge(atReset, r); f != nil {
		if t.c.reused {
			return stale
		}
		return t.closes(transient(f))
	}
	t.c.open = false
	return ended
}

func (t *transaction) mail(command string) (v verdict, goOn bool) {
	r, err := t.ask(command, t.a.set.Timeouts.Mail)
	if err != nil {
		return t.broke(err), false
	}
	f := judge(atMail, r)
	if closing(f) {
		return t.closes(f), false
	}
	t.c.reused = false
	if f == nil {
		t.c.open = true
		return ended, true
	}
	t.drain(len(t.batch))
	if f.Permanent {
		t.a.settleAll(t.batch, t.c, f)
		return ended, false
	}
	t.a.note(t.batch, t.c, f)
	return refused, false
}

func (t *transaction) recipients() (v verdict, goOn bool) {
	var waiting []int
	for _, i := range t.batch {
		var command string
		if !t.piped {
			command = rcptCommand(t.a.job.Recipients[i], t.c.ext)
		}
		r, err := t.ask(command, t.a.set.Timeouts.Recipient)
		if err != nil {
			return t.broke(err), false
		}
		f := judge(atRecipient, r)
		switch one := []int{i}; {
		case f == nil:
			t.accepted = append(t.accepted, i)
		case closing(f):
			return t.closes(f), false
		case f.Permanent:
			t.a.settleAll(one, t.c, f)
		default:
			t.a.note(one, t.c, f)
			if len(t.accepted) == 0 || !tooMany(f) {
				waiting = append(waiting, i)
			}
		}
	}
	switch {
	case len(t.accepted) > 0:
		t.a.settle(waiting)
		return ended, true
	case len(waiting) > 0:
		t.drain(0)
		return refused, false
	default:
		t.drain(0)
		return ended, false
	}
}

// drain reads the replies to the rest of a pipelined envelope whose transaction
// will not be: so many RCPT, and DATA. A host that wants a body although it
// refused every recipient gets an empty one (RFC 2920 §3.1); one that refused
// MAIL may have taken recipients, and gets none.
func (t *transaction) drain(rcpts int) {
	if !t.piped {
		return
	}
	times := t.a.set.Timeouts
	t.c.open = true
	for range rcpts {
		if _, err := t.c.read(times.Recipient); err != nil {
			t.c.dead = true
			return
		}
	}
	r, err := t.c.read(times.Data)
	wantsBody := err == nil && r.code == 354
	if wantsBody && rcpts == 0 {
		r, err = t.c.ask(".", times.Data)
	}
	t.c.dead = err != nil || r.code == 421 || wantsBody && rcpts > 0
}

func (t *transaction) data() (v verdict, goOn bool) {
	r, err := t.ask("DATA", t.a.set.Timeouts.Data)
	if err != nil {
		return t.broke(err), false
	}
	f := judge(atData, r)
	switch {
	case f == nil:
		return ended, true
	case closing(f):
		return t.closes(f), false
	}
	t.a.settleAll(t.accepted, t.c, f)
	return ended, false
}

// errText is a message text that could not be read: the connection is closed
// without the final dot, so that the peer keeps nothing.
var errText = errors.New("reading message text")

func (t *transaction) body() verdict {
	if t.c.in.pending() {
		return t.broke(errUnasked)
	}
	err := t.send()
	switch {
	case errors.Is(err, errText):
		t.c.dead = true
		t.a.settleAll(t.a.pending, t.c, localFailure(err))
		return ended
	case err != nil:
		if f := t.early(); f != nil {
			t.c.dead = true
			t.a.settleAll(t.accepted, t.c, f)
			return ended
		}
		return t.broke(err)
	}
	t.c.leash.armFinal()
	r, err := t.c.in.read()
	if err != nil {
		return t.unanswered(err)
	}
	f := judge(atFinal, r)
	switch {
	case f == nil:
		t.c.open = false
		t.a.deliver(t.accepted, t.c, r.text())
		return ended
	case f.Code == 421:
		return t.closes(f)
	case closing(f):
		t.a.broke(t.c, f)
		t.a.settleAll(t.accepted, t.c, f)
		return lost
	}
	t.c.open = false
	t.a.settleAll(t.accepted, t.c, f)
	return ended
}

// send writes the text and the final dot.
func (t *transaction) send() error {
	t.c.leash.beginBody()
	block := t.a.client.blocks.Get().(*[]byte)
	defer t.a.client.blocks.Put(block)
	out := newStuffer(t.c.out)
	for {
		n, err := t.text.Read(*block)
		if _, werr := out.Write((*block)[:n]); werr != nil {
			return werr
		}
		switch {
		case errors.Is(err, io.EOF):
			if err := out.Close(); err != nil {
				return err
			}
			return t.c.out.Flush()
		case err != nil:
			return fmt.Errorf("%w: %w", errText, err)
		}
	}
}

// earlyWait is how long a refusal is waited for after a body could not be
// written: it was sent before the connection was closed, or not at all.
const earlyWait = time.Second

// early gives the reply of a host that refused while the body was on its way.
func (t *transaction) early() *envelope.Failure {
	r, err := t.c.read(earlyWait)
	if err != nil || t.c.leash.cancelled() {
		return nil
	}
	if f := judge(atFinal, r); f != nil && !closing(f) {
		return f
	}
	return nil
}

// unanswered is the end of a transaction whose final dot got no answer: the
// message may be there or not. "Possible Delivery" takes it as delivered. A
// wait that we cut ourselves proves nothing.
func (t *transaction) unanswered(err error) verdict {
	f := t.a.broke(t.c, broken(err))
	possible := f.Reason == envelope.ReasonTimeout || f.Reason == envelope.ReasonLost
	if t.a.set.Possible && possible {
		t.a.client.possible.Add(int64(len(t.accepted)))
		t.a.deliver(t.accepted, t.c, "Possible Delivery: "+f.Reply[0]+" after the final dot")
	} else {
		t.a.settleAll(t.accepted, t.c, f)
	}
	return lost
}

// broke is a connection that failed before the final dot.
func (t *transaction) broke(err error) verdict {
	f := broken(err)
	if t.c.reused && f.Reason == envelope.ReasonLost {
		return stale
	}
	t.a.broke(t.c, f)
	return lost
}

// closes is a reply after which the connection is of no use.
func (t *transaction) closes(f *envelope.Failure) verdict {
	if t.c.reused && f.Code == 421 {
		return stale
	}
	t.a.broke(t.c, f)
	return lost
}
