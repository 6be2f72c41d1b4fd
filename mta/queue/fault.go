package queue

import (
	"errors"

	"esa/mta/envelope"
)

// FaultKind is what is wrong with the store.
type FaultKind int

// The kinds of Fault.
const (
	FaultSpace   FaultKind = iota // there is no room for mail: it is refused until there is
	FaultWrite                    // something cannot be written or removed
	FaultRead                     // a message is in the queue and cannot be read
	FaultDamaged                  // a message was set aside, or is gone
)

// Fault is something wrong with the store that a person should look at. The
// queue has logged it and goes on.
type Fault struct {
	Kind FaultKind
	MID  envelope.MID // the message it was found at; 0: none
	Err  error
}

// fault logs what is wrong with the store and tells who wants to know.
func (q *Queue) fault(kind FaultKind, doing string, m envelope.MID, err error) {
	q.o.Diag.Error("queue: "+doing, "mid", m, "err", err)
	q.tellFault(kind, m, err)
}

// tellFault tells who wants to know of what somebody else logs.
func (q *Queue) tellFault(kind FaultKind, m envelope.MID, err error) {
	if errors.Is(err, ErrNoSpace) {
		kind = FaultSpace
	}
	if q.o.Fault != nil {
		q.o.Fault(Fault{Kind: kind, MID: m, Err: err})
	}
}
