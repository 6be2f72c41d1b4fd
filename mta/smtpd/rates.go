package smtpd

import (
	"esa/mta/counters"
	"esa/mta/envelope"
	"esa/mta/policy"
)

// This file holds a session to the limits that outlive it: recipients per hour
// of a host, recipients of an envelope sender, recipients that do not exist.

// source is where the recipients of the transaction come from.
func (s *session) source() policy.Source {
	tx := s.tx
	from := policy.Source{Listener: tx.set.Listener, Addr: s.client.Addr, Window: s.limits.RateWindow}
	if !tx.Sender.IsNull() {
		from.Sender = tx.Sender.Key()
		except := tx.param.SenderRate.Exceptions
		from.Exempt = except != nil && except.Decide(tx.Sender).Accept
	}
	return from
}

// harvest refuses whatever recipient a host names that has asked for too many
// that do not exist: it shall not learn more.
func (s *session) harvest(to envelope.Address) error {
	p := s.tx.param
	s.srv.mu.Lock()
	harvests := s.srv.rates.Harvests(p, s.source(), s.srv.Clock())
	s.srv.mu.Unlock()
	if !harvests {
		return nil
	}
	s.srv.Log.Harvest(s.tx.MID, s.icid, to)
	s.srv.Counters.Add(counters.RejectedRecips, 1)
	if p.DropHarvester {
		return refuse(421, "#4.7.1 Too many invalid recipients")
	}
	return custom(p.HarvestReply, 550, "#5.7.1 Too many invalid recipients")
}

// invalid counts a recipient that does not exist.
func (s *session) invalid() {
	s.srv.mu.Lock()
	defer s.srv.mu.Unlock()
	s.srv.rates.Invalid(s.tx.param, s.source(), s.srv.Clock())
}

// meter counts a recipient that is taken, or refuses it.
func (s *session) meter(to envelope.Address, v policy.Verdict) error {
	if v.Uncounted {
		return nil
	}
	tx := s.tx
	s.srv.mu.Lock()
	excess := s.srv.rates.Recipient(tx.param, s.source(), s.srv.Clock())
	s.srv.mu.Unlock()
	switch excess {
	case policy.HostRate:
		s.srv.Log.RateLimited(tx.MID, s.icid, to, "host")
		return custom(tx.param.LimitReply, 452, "#4.7.1 Too many recipients received this hour")
	case policy.SenderLimit:
		s.srv.Log.RateLimited(tx.MID, s.icid, to, "envelope sender")
		return custom(tx.param.SenderRate.Reply, 452, "#4.7.1 Too many recipients received from the sender")
	}
	return nil
}

// custom is the policy's own reply, or the standard one.
func custom(r policy.Reply, code int, text string) error {
	if r.Code == 0 {
		return refuse(code, text)
	}
	return refuse(r.Code, r.Text)
}
