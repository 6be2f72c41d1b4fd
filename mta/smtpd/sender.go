package smtpd

import (
	"strings"

	"esa/mta/envelope"
	"esa/mta/policy"
)

// This file decides about envelope senders: the domain exception table first,
// then what DNS says of the domain, each where the policy wants it.

// verify refuses a sender that the policy does not take.
func (s *session) verify(sender envelope.Address) error {
	p := s.decision.Params
	if p.UseExceptions {
		if e, ok := s.set.Exceptions.Find(sender); ok {
			if e.Allow {
				s.srv.Log.SenderAllowed(s.icid, sender, "envelope sender matched domain exception")
				return nil
			}
			s.srv.Log.SenderRejected(s.icid, sender, "envelope sender matched domain exception")
			return refuse(553, "Envelope sender <"+sender.String()+"> rejected")
		}
	}
	_, literal := envelope.Literal(sender.Domain)
	if !p.SenderCheck.On || sender.IsNull() || literal || s.resolve == nil {
		return nil
	}
	switch s.resolve(sender.Domain) {
	case policy.DomainUnresolved:
		s.srv.Log.SenderRejected(s.icid, sender, "envelope sender domain could not be resolved")
		return custom(p.SenderCheck.Unresolved, 451, "#4.1.8 Domain of sender address <"+sender.String()+"> does not resolve")
	case policy.DomainNonexistent:
		s.srv.Log.SenderRejected(s.icid, sender, "envelope sender domain does not exist")
		return custom(p.SenderCheck.Nonexistent, 553, "#5.1.8 Domain of sender address <"+sender.String()+"> does not exist")
	}
	return nil
}

// malformed refuses what cannot be a sender, with reply unless the policy
// verifies senders.
func (s *session) malformed(reply string) error {
	check := s.decision.Params.SenderCheck
	if !check.On {
		return refuse(501, reply)
	}
	return custom(check.Malformed, 553, "#5.5.4 Domain required for sender address")
}

// rejects reports whether the client is one that is turned away at its
// recipients: it is greeted and heard, but nothing that it sends is taken.
func (s *session) rejects() bool { return s.decision.Behavior == policy.Reject }

// rejection is the verdict on every recipient of such a client.
func (s *session) rejection(to envelope.Address) policy.Verdict {
	s.srv.Log.RelayDenied(s.tx.MID, s.icid, to)
	own := s.tx.param.RejectReply
	if own.Code == 0 || own.Code == 421 {
		return policy.Verdict{Code: 554, Text: textPoorReputation}
	}
	return policy.Verdict{Code: own.Code, Text: strings.TrimRight(own.Text, "\n")}
}
