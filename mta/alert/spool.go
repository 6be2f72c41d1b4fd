package alert

import (
	"cmp"
	"slices"
	"time"

	"esa/mta/envelope"
	"esa/mta/maillog"
)

// Bounds of the spool.
const (
	maxSpool   = 50 // mails that wait
	maxPerHour = 60 // mails that leave
	maxSenders = 5  // attempts at once
	lifetime   = 24 * time.Hour
	firstRetry = time.Minute // doubling to maxRetry
	maxRetry   = time.Hour
)

// mail is an alert to one recipient.
type mail struct {
	ID       uint64
	To       envelope.Address
	From     envelope.Address
	Hostname string // of the gateway when it was raised
	Class    Class
	Severity Severity
	Summary  string
	Text     string
	Raised   time.Time
	Begun    bool // an attempt was made: it is counted among those that leave
	Attempts int  // that failed
	Next     time.Time
	Lost     int // alerts that there was no room for before this one
}

// logged is the mail as the lines of the log have it.
func (m *mail) logged() maillog.AlertMail {
	return maillog.AlertMail{Class: string(m.Class), Severity: string(m.Severity), To: m.To, Subject: m.subject()}
}

// spool takes a mail. Of more than there is room for, the one that matters
// least is given back: of the mildest severity the youngest that no attempt
// was made for.
func (s *state) spool(m mail) (dropped *mail) {
	s.LastID++
	m.ID = s.LastID
	s.Mails = append(s.Mails, m)
	if len(s.Mails) <= maxSpool {
		return nil
	}
	least := len(s.Mails) - 1
	for i := least - 1; i >= 0; i-- {
		if !s.Mails[i].Begun && s.Mails[i].Severity.rank() < s.Mails[least].Severity.rank() {
			least = i
		}
	}
	out := s.Mails[least]
	s.Mails = slices.Delete(s.Mails, least, least+1)
	return &out
}

// find gives the index of a mail, -1 if it is gone.
func (s *state) find(id uint64) int {
	return slices.IndexFunc(s.Mails, func(m mail) bool { return m.ID == id })
}

// room is how many more mails may leave now.
func (s *state) room(now time.Time) int {
	s.Left = slices.DeleteFunc(s.Left, func(at time.Time) bool { return now.Sub(at) >= time.Hour || at.After(now.Add(time.Hour)) })
	return max(0, maxPerHour-len(s.Left))
}

// due gives the mails to be tried now, the worst first, and notes that they
// leave. busy are those under way.
func (s *state) due(now time.Time, busy map[uint64]bool) []mail {
	room := s.room(now)
	order := make([]int, 0, len(s.Mails))
	for i := range s.Mails {
		if m := &s.Mails[i]; !busy[m.ID] && !m.waits(now) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(s.Mails[b].Severity.rank(), s.Mails[a].Severity.rank())
	})
	var due []mail
	for _, i := range order {
		m := &s.Mails[i]
		if len(busy)+len(due) == maxSenders {
			break
		}
		if !m.Begun {
			if room == 0 {
				continue
			}
			room--
			m.Begun = true
			s.Left = append(s.Left, now)
		}
		due = append(due, *m)
	}
	return due
}

// waits reports whether the next attempt is still to come. A time later than
// any wait is of a clock that was set back.
func (m *mail) waits(now time.Time) bool {
	return m.Next.After(now) && !m.Next.After(now.Add(maxRetry))
}

// fate is how an attempt ended.
type fate int

const (
	again fate = iota
	delivered
	dropped // by a route to /dev/null
	givenUp
)

// settle carries out what an attempt means for a mail.
func (s *state) settle(id uint64, out envelope.Outcome, now time.Time) fate {
	i := s.find(id)
	if i < 0 {
		return dropped
	}
	m := &s.Mails[i]
	ended := again
	switch {
	case out.Result == envelope.Delivered:
		ended = delivered
	case out.Result == envelope.Discarded:
		ended = dropped
	case out.Result == envelope.Bounced || now.Sub(m.Raised) >= lifetime:
		ended = givenUp
	}
	if ended != again {
		s.Mails = slices.Delete(s.Mails, i, i+1)
		return ended
	}
	m.Next = now.Add(retryDelay(m.Attempts))
	m.Attempts++
	return again
}

// retryDelay is the pause after a failed attempt that others came before.
func retryDelay(before int) time.Duration {
	return min(firstRetry<<min(before, 10), maxRetry)
}

// nextMail gives when the next mail may be tried, the zero time if none waits.
func (s *state) nextMail(now time.Time, busy map[uint64]bool) time.Time {
	var next time.Time
	for i := range s.Mails {
		m := &s.Mails[i]
		if busy[m.ID] {
			continue
		}
		at := m.Next
		if !m.Begun && len(s.Left) >= maxPerHour && s.Left[0].Add(time.Hour).After(at) {
			at = s.Left[0].Add(time.Hour)
		}
		if at.Before(now) {
			at = now
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}
