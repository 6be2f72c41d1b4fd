package mta

import (
	"errors"
	"fmt"

	"esa/mta/envelope"
	"esa/mta/queue"
	"esa/mta/smtpd"
)

// spool is the queue as receiving sees it.
type spool struct{ queue *queue.Queue }

// Room asks for more than the reserve that Begin keeps: a client that
// announces a size hears at once that there is no room for it.
func (s spool) Room(size int64) error { return noSpace(s.queue.Room(size)) }

func (s spool) Begin(m envelope.Message) (smtpd.Draft, error) {
	d, err := s.queue.Begin(m)
	if err != nil {
		return nil, noSpace(err)
	}
	return draft{d}, nil
}

type draft struct{ *queue.Draft }

func (d draft) Write(p []byte) (int, error) {
	n, err := d.Draft.Write(p)
	return n, noSpace(err)
}

func (d draft) Commit(m envelope.Message) error { return noSpace(d.Draft.Commit(m)) }

// Abort drops the draft. What cannot be removed now is found and removed at
// the next start: a draft is not a message.
func (d draft) Abort() { _ = d.Draft.Abort() }

// noSpace gives the queue's error the meaning that receiving knows.
func noSpace(err error) error {
	if errors.Is(err, queue.ErrNoSpace) {
		return fmt.Errorf("%w: %w", smtpd.ErrNoSpace, err)
	}
	return err
}
