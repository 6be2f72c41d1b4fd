package smtpd

import (
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"esa/mta/counters"
	"esa/mta/envelope"
	"esa/mta/policy"
)

// session is what the gateway knows and decides of one connection. It speaks
// go-smtp's types and implements its Session, so that any server can drive
// it; it does not see the network.
type session struct {
	srv      *Server
	load     func() *Settings
	leave    func()                                  // gives the seat back; does it once
	learn    func(policy.HAT)                        // asks what a table wants to know of the client
	resolve  func(domain string) policy.SenderDomain // nil: nobody is asked
	at       *Settings                               // of the accept: banner and what EHLO announced
	set      *Settings                               // of the last MAIL
	limits   Limits
	client   policy.Client
	decision policy.Decision // by set

	secured *tls.ConnectionState // by STARTTLS; nil: in clear
	shaken  bool                 // STARTTLS was taken, whatever came of it
	inClear bool                 // something was refused because it came in clear

	icid  envelope.ICID
	helo  string
	esmtp bool

	begun    time.Time
	asked    time.Duration // the lookup of the name took
	injected time.Time     // the last message was accepted, or begun
	messages int           // accepted
	tx       *transaction
	said     answer // to the last command that was taken
	lost     bool   // the client went without QUIT
	killed   bool   // we cut the connection
}

var _ smtp.Session = (*session)(nil)

// answer is the reply to a command that was taken.
type answer struct {
	code int
	text string
}

// transaction is one message from MAIL to its reply, judged by the settings
// and the decision its MAIL saw.
type transaction struct {
	envelope.Message
	set      *Settings
	param    policy.Params
	rejected bool  // whatever its recipients
	draft    Draft // from DATA on
}

// refuse makes the error of a refused command. The text is the whole reply:
// the ESA writes its codes into it.
func refuse(code int, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode, Message: text}
}

// Mail begins a transaction. from is a path without its brackets; empty is
// the null sender.
func (s *session) Mail(from string, o *smtp.MailOptions) error {
	if s.tx != nil {
		return refuse(503, "#5.5.1 sender already specified")
	}
	if err := s.renew(); err != nil {
		return err
	}
	if err := s.requireTLS(s.decision.Params.TLS.Mode.Required(), textMustTLS); err != nil {
		return err
	}
	sender, err := s.address(from)
	if err != nil {
		s.srv.Log.InvalidSender(s.icid, reason(err), from)
		return s.malformed("#5.5.2 syntax error in sender address")
	}
	if !sender.IsASCII() && !o.UTF8 {
		return refuse(553, "#5.6.7 SMTPUTF8 is needed for this address")
	}
	if o.Body == smtp.BodyBinaryMIME || !isPrintable(o.EnvelopeID) {
		return refuse(501, "Unknown value of MAIL option")
	}
	if err := s.requireTLS(s.decision.Params.TLS.Requires(sender), textSenderMustTLS); err != nil {
		return err
	}
	if most := s.decision.Params.MaxSize; most >= 0 && o.Size > most {
		s.srv.Log.ReceivingFailed(s.icid, "Message size exceeds limit")
		return refuse(552, "size limit exceeded")
	}
	if !s.rejects() {
		if err := s.verify(sender); err != nil {
			return err
		}
	}
	if err := s.srv.Queue.Room(o.Size); err != nil {
		return s.fault(err)
	}
	mid := s.srv.Counters.NextMID()
	s.tx = &transaction{set: s.set, param: s.decision.Params, rejected: s.rejects(), Message: envelope.Message{
		MID: mid, ICID: s.icid, Sender: sender, Listener: s.set.Listener, BounceProfile: s.set.BounceProfile,
		Relay: s.decision.Behavior == policy.Relay, EightBit: o.Body == smtp.Body8BitMIME, UTF8: o.UTF8,
		Return: string(o.Return), EnvelopeID: o.EnvelopeID,
	}}
	s.srv.Log.Started(mid, s.icid)
	s.srv.Log.From(mid, s.icid, sender)
	s.said = answer{250, "sender <" + sender.String() + "> ok"}
	return nil
}

// renew loads the settings for the transaction that begins, and closes the
// session where it has no place in them or has used up its own.
func (s *session) renew() error {
	set := s.load()
	if set == nil {
		return refuse(421, "#4.3.2 "+textUnavailable)
	}
	if set != s.set {
		if s.learn != nil {
			s.learn(set.HAT)
		}
		decision := set.HAT.Decide(s.client)
		if !set.admits(decision) || !s.satisfies(set, decision.Params.TLS) {
			return refuse(421, "#4.3.2 "+textUnavailable)
		}
		s.set, s.decision, s.limits = set, decision, set.Limits.orFactory()
	}
	if time.Since(s.begun) >= s.limits.Total*mayEnd/100 {
		s.srv.Log.TooLong(s.icid, s.client.Addr)
		return refuse(421, textTooLong)
	}
	if most := s.decision.Params.MaxMessages; most >= 0 && s.messages >= most {
		s.srv.Log.ReceivingFailed(s.icid, "Too Many Messages")
		return refuse(421, "#4.x.2 Too many messages for this session")
	}
	return nil
}

// address reads a path without its brackets and completes it.
func (s *session) address(path string) (envelope.Address, error) {
	a, rest, err := envelope.ParsePath("<" + path + ">")
	if err == nil && rest != "" {
		err = fmt.Errorf("%w: > in the path", envelope.ErrAddress)
	}
	if err != nil || a.IsNull() || a.Domain != "" {
		return a, err
	}
	a.Domain = s.set.DefaultDomain
	if a.Domain == "" && isPostmaster(a.Local) {
		a.Domain = strings.ToLower(s.set.Hostname)
	}
	if a.Domain == "" {
		return a, fmt.Errorf("%w: no domain", envelope.ErrAddress)
	}
	return a, nil
}

func isPostmaster(local string) bool { return strings.EqualFold(local, "postmaster") }

// reason is what an address error says beyond being one.
func reason(err error) string {
	return strings.TrimPrefix(err.Error(), envelope.ErrAddress.Error()+": ")
}

// Rcpt adds a recipient. to is a path without its brackets.
func (s *session) Rcpt(to string, o *smtp.RcptOptions) error {
	tx := s.tx
	if tx == nil {
		return refuse(503, "#5.5.1 MAIL first")
	}
	most := tx.param.MaxRecipients
	if most < 0 || most > mostRecipients {
		most = mostRecipients
	}
	if len(tx.Recipients) >= most {
		return refuse(452, "#4.5.3 Too many recipients")
	}
	a, err := s.address(to)
	if err == nil && a.IsNull() {
		err = fmt.Errorf("%w: empty", envelope.ErrAddress)
	}
	if err != nil {
		s.srv.Log.InvalidRecipient(s.icid, tx.MID, reason(err), to)
		return refuse(501, "#5.5.2 syntax error in recipient address")
	}
	if !a.IsASCII() && !tx.UTF8 {
		return refuse(553, "#5.6.7 SMTPUTF8 is needed for this address")
	}
	r := envelope.Recipient{RID: envelope.RID(len(tx.Recipients)), Address: a}
	var ok bool
	if r.Notify, ok = notify(o.Notify); !ok {
		return refuse(501, "Unknown value of RCPT option")
	}
	if r.Original, ok = original(o); !ok {
		return refuse(501, "Unknown value of RCPT option")
	}
	if err := s.harvest(a); err != nil {
		return err
	}
	verdict := s.judge(a, isPostmaster(to))
	if !verdict.Accept {
		s.srv.Counters.Add(counters.RejectedRecips, 1)
		return refuse(verdict.Code, verdict.Text)
	}
	if err := s.meter(a, verdict); err != nil {
		return err
	}
	tx.Recipients = append(tx.Recipients, r)
	s.srv.Log.To(tx.MID, s.icid, r)
	s.said = answer{verdict.Code, verdict.Text}
	return nil
}

// judge says whether a recipient is taken, with the reply. Who may relay may
// send anywhere. A private listener has no recipient access table and takes
// nothing from others; postmaster without domain is always local (RFC 5321
// §4.5.1).
func (s *session) judge(a envelope.Address, postmaster bool) policy.Verdict {
	tx := s.tx
	v := policy.Verdict{Accept: tx.Relay}
	switch {
	case tx.rejected:
		return s.rejection(a)
	case tx.Relay:
	case !tx.set.Public:
		s.srv.Log.RelayDenied(tx.MID, s.icid, a)
	default:
		v = tx.set.RAT.Decide(a)
		v.Accept = v.Accept || postmaster
		if !v.Accept {
			s.srv.Log.RejectedByRAT(tx.MID, s.icid, a)
			s.invalid()
		}
	}
	if v.Accept && (v.Code < 200 || v.Code > 299) {
		v.Code, v.Text = 250, "recipient <"+a.String()+"> ok"
	}
	if !v.Accept && (v.Code < 400 || v.Code > 599 || v.Code == 421) {
		v.Code, v.Text = 550, "#5.1.0 Address rejected."
	}
	return v
}

// notify reads NOTIFY= (RFC 3461 §4.1): NEVER stands alone.
func notify(words []smtp.DSNNotify) (n envelope.Notify, ok bool) {
	for _, word := range words {
		switch word {
		case smtp.DSNNotifySuccess:
			n |= envelope.NotifySuccess
		case smtp.DSNNotifyFailure:
			n |= envelope.NotifyFailure
		case smtp.DSNNotifyDelayed:
			n |= envelope.NotifyDelay
		case smtp.DSNNotifyNever:
			n |= envelope.NotifyNever
		default:
			return 0, false
		}
	}
	return n, n&envelope.NotifyNever == 0 || n == envelope.NotifyNever
}

// original gives ORCPT= as "type;address" (RFC 3461 §4.2, RFC 6533 §3).
func original(o *smtp.RcptOptions) (string, bool) {
	if o.OriginalRecipientType == "" {
		return "", true
	}
	ok := isPrintable(o.OriginalRecipient)
	if o.OriginalRecipientType == smtp.DSNAddressTypeUTF8 {
		ok = isPrintableUTF8(o.OriginalRecipient)
	}
	return strings.ToLower(string(o.OriginalRecipientType)) + ";" + o.OriginalRecipient, ok
}

// Reset gives up the transaction.
func (s *session) Reset() {
	if tx := s.tx; tx != nil {
		s.tx = nil
		s.discard(tx)
	}
}

// discard ends a message that is not accepted.
func (s *session) discard(tx *transaction) {
	if tx.draft != nil {
		tx.draft.Abort()
	}
	s.srv.Log.Aborted(tx.MID, "Receiving aborted")
}

// Logout ends the session.
func (s *session) Logout() error {
	s.Reset()
	if s.icid == 0 {
		return nil
	}
	if s.inClear && !s.shaken {
		s.srv.Log.TLSNotInitiated(s.icid)
	}
	switch {
	case s.killed:
		s.srv.Log.InjectionKilled(s.icid)
	case s.lost:
		s.srv.Log.InjectionLost(s.icid)
	default:
		s.srv.Log.InjectionClosed(s.icid)
	}
	s.icid = 0
	return nil
}
