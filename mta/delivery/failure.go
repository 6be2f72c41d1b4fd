package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	"esa/mta/envelope"
)

// step is a place in the conversation where a reply is due.
type step int

const (
	atGreeting step = iota
	atHello
	atSTARTTLS
	atReset
	atMail
	atRecipient
	atData
	atFinal
)

// expected are the replies that go on from a step. Others of class 2 and 3 mean
// nothing there (reference E5), but for the final dot: there a 2xx that we do
// not know is taken as the class says (RFC 5321 §4.2.1), for to defer would
// bring the message again and again.
var expected = [...][]int{
	atGreeting:  {220},
	atHello:     {250},
	atSTARTTLS:  {220},
	atReset:     {250},
	atMail:      {250},
	atRecipient: {250, 251, 252},
	atData:      {354},
	atFinal:     nil,
}

// judge says what a reply means at a step: nil is to go on.
func judge(at step, r reply) *envelope.Failure {
	class := r.code / 100
	if slices.Contains(expected[at], r.code) || at == atFinal && class == 2 {
		return nil
	}
	f := &envelope.Failure{Code: r.code, Reply: bounded(r.lines)}
	switch class {
	case 4:
		f.Reason = envelope.ReasonDeferred
		f.Enhanced = enhanced(at, r)
	case 5:
		f.Reason, f.Permanent = envelope.ReasonRefused, true
		f.Enhanced = enhanced(at, r)
	default:
		f.Reason = envelope.ReasonProtocol
		f.Enhanced = "4.5.0"
	}
	f.Phrase = phrase(f.Enhanced)
	return f
}

// enhanced is the enhanced status code of a 4xx or 5xx reply: the one it
// begins with (RFC 2034), else the one the mail log has for such a reply
// (reference 2.4).
func enhanced(at step, r reply) string {
	if code, ok := leadingStatus(r.lines[0]); ok && int(code[0]-'0') == r.code/100 {
		return code
	}
	tail := ".3.0"
	switch {
	case r.code == 421:
		tail = ".3.2"
	case r.code == 452:
		tail = ".3.1"
	case at == atRecipient, at == atMail:
		tail = ".1.0"
	case at == atSTARTTLS:
		tail = ".7.4"
	}
	return fmt.Sprint(r.code/100) + tail
}

// leadingStatus reads "5.1.1" at the front of a text (RFC 3463 §2): one digit,
// then twice up to three.
func leadingStatus(text string) (string, bool) {
	word, _, _ := strings.Cut(text, " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 || len(parts[0]) != 1 {
		return "", false
	}
	for _, p := range parts {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return "", false
		}
	}
	return word, true
}

// phrase gives the words of the mail log for an enhanced status code
// (reference 2.4); those of subjects it does not list follow RFC 3463 §3.
func phrase(status string) string {
	switch _, detail, _ := strings.Cut(status, "."); {
	case detail == "1.1":
		return "Bad destination email address"
	case detail == "1.2":
		return "Bad destination host"
	case detail == "3.1":
		return "Mail system full"
	case detail == "3.2":
		return "Not accepting messages at this time"
	case detail == "3.4":
		return "Message too big for system"
	case detail == "4.7":
		return "Delivery expired (message too old)"
	case strings.HasPrefix(detail, "1."):
		return "Unknown address error"
	case strings.HasPrefix(detail, "2."):
		return "Other mailbox problem"
	case strings.HasPrefix(detail, "4."):
		return "Other network problem"
	case strings.HasPrefix(detail, "5."):
		return "Other protocol problem"
	case strings.HasPrefix(detail, "6."):
		return "Other media problem"
	case strings.HasPrefix(detail, "7."):
		return "Other security problem"
	}
	return "Other mail system problem"
}

// Bounds of what a Failure keeps of a reply: the queue stores it.
const (
	keptLines = 16
	keptBytes = 512
)

func bounded(lines []string) []string {
	kept := slices.Clone(lines[:min(len(lines), keptLines)])
	for i, l := range kept {
		kept[i] = strings.Clone(l[:min(len(l), keptBytes)])
	}
	return kept
}

// broken is the failure of a connection that gave an error instead of a reply,
// or did not come to be.
func broken(err error) *envelope.Failure {
	f := &envelope.Failure{Enhanced: "4.4.0", Err: err}
	var timeout net.Error
	switch {
	case errors.Is(err, errProtocol):
		f.Reason, f.Enhanced, f.Reply = envelope.ReasonProtocol, "4.5.0", []string{err.Error()}
	case ours(err):
		f.Reason, f.Enhanced, f.Reply = envelope.ReasonLocal, "4.3.0", []string{"local error"}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		f.Reason, f.Reply = envelope.ReasonTimeout, []string{"timeout"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe):
		f.Reason, f.Reply = envelope.ReasonLost, []string{"EOF"}
	default:
		text := "network error"
		if number := syscall.Errno(0); errors.As(err, &number) {
			text = number.Error()
		}
		f.Reason, f.Reply = envelope.ReasonConnect, []string{text}
	}
	f.Phrase = phrase(f.Enhanced)
	return f
}

// ours reports whether an error is a fault of this machine rather than of the
// host or the way to it: it says nothing about the host.
func ours(err error) bool {
	for _, own := range []syscall.Errno{
		syscall.EADDRNOTAVAIL, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EACCES, syscall.EPERM,
	} {
		if errors.Is(err, own) {
			return true
		}
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, errCommand)
}

// transient is a refusal that is no verdict on the message: of a banner, of
// HELO. The code stays, the rest says that the message waits.
func transient(f *envelope.Failure) *envelope.Failure {
	f.Permanent = false
	f.Enhanced = "4" + f.Enhanced[1:]
	return f
}

// closing reports whether the conversation is over after this reply: 421, or
// one that makes no sense there.
func closing(f *envelope.Failure) bool {
	return f != nil && (f.Code == 421 || f.Reason == envelope.ReasonProtocol)
}

// tooMany reports whether a recipient was refused only because there were
// others before it (RFC 5321 §4.5.3.1.10).
func tooMany(f *envelope.Failure) bool {
	return f.Code == 452 && (strings.HasSuffix(f.Enhanced, ".5.3") || f.Enhanced == "4.3.1")
}

// localFailure is a fault of ours.
func localFailure(err error) *envelope.Failure {
	return &envelope.Failure{
		Enhanced: "4.3.0",
		Phrase:   phrase("4.3.0"),
		Reason:   envelope.ReasonLocal,
		Reply:    []string{"local error"},
		Err:      err,
	}
}

// stopped is an attempt that was given up because its context ended.
func stopped() *envelope.Failure {
	f := localFailure(context.Canceled)
	f.Reply = []string{"delivery attempt stopped"}
	return f
}

// unfit is a message that a host cannot take, which is known without asking.
func unfit(status string, reason envelope.Reason, text string) *envelope.Failure {
	f := &envelope.Failure{Permanent: true, Enhanced: status, Reason: reason, Reply: []string{text}}
	switch status {
	case "5.6.3":
		f.Phrase = "Conversion required but not supported"
	case "5.6.7":
		f.Phrase = "Non-ASCII addresses not permitted"
	case "5.6.9":
		f.Phrase = "UTF-8 header message cannot be transferred"
	default:
		f.Phrase = phrase(status)
	}
	return f
}
