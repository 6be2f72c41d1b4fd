package queue

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"esa/mta/envelope"
)

// The journal of a message lies beside it: one line per event, appended and
// not synced. The first attempt of a message with one lot is not told here but
// by the mark in the message's file, so a message that it settles has none.
//
//	CRC {"at":…,"event":…,"rids":[…],…}\n
//
// Each append begins with a line end, so that one that was torn off by a
// crash ends there and spoils no other. A line that does not check is
// skipped. Losing the tail means that something is done twice, never that
// something is not done.

// What a journal line tells.
const (
	eventAttempt   = "attempt"   // is about to be made
	eventDelivered = "delivered" // final, like the next two
	eventBounced   = "bounced"
	eventDeleted   = "deleted"
	eventDeferred  = "deferred" // until Next
	eventWarned    = "warned"   // the sender was told of the delay
	eventPanic     = "panic"    // the attempt ended in a fault of ours
	eventCrowded   = "crowded"  // there was no attempt to speak of: limits of the destination, or a stop
	eventMoved     = "moved"    // an operator sends it to Via
)

// entry is one line of a journal.
type entry struct {
	At     time.Time         `json:"at"`
	Event  string            `json:"event"`
	RIDs   []envelope.RID    `json:"rids"`
	Next   time.Time         `json:"next,omitzero"`
	Reason envelope.Reason   `json:"reason,omitempty"`
	Code   int               `json:"code,omitempty"`
	Reply  string            `json:"reply,omitempty"`
	Host   string            `json:"host,omitempty"`
	Via    *envelope.Machine `json:"via,omitempty"`
	Alone  bool              `json:"alone,omitempty"` // an attempt of a suspect, see suspectAfter
}

// maxLine bounds a journal line: a lot's recipients and one reply.
const maxLine = 64 << 10

// maxReply is how much of a peer's reply the journal keeps.
const maxReply = 256

// encodeEntries gives the bytes of one append.
func encodeEntries(entries []entry) ([]byte, error) {
	all := []byte{'\n'}
	for _, e := range entries {
		e.Reply = e.Reply[:min(len(e.Reply), maxReply)]
		text, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("encoding journal: %w", err)
		}
		all = fmt.Appendf(all, "%08x %s\n", checksum(text), text)
	}
	return all, nil
}

// readJournal calls each for every line that checks and counts the others;
// an unfinished last line is not damage.
func readJournal(r io.Reader, each func(entry)) (damaged int, err error) {
	in := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		switch {
		case err == nil:
			if len(line) == 1 {
				continue
			}
			if e, ok := decodeEntry(line[:len(line)-1]); ok {
				each(e)
			} else {
				damaged++
			}
		case errors.Is(err, bufio.ErrBufferFull):
			damaged++
			if err := skipLine(in); err != nil {
				return damaged, err
			}
		case err == io.EOF:
			return damaged, nil
		default:
			return damaged, err
		}
	}
}

func skipLine(in *bufio.Reader) error {
	for {
		_, err := in.ReadSlice('\n')
		if err == nil || err == io.EOF {
			return nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

func decodeEntry(line []byte) (entry, bool) {
	sum, text, ok := bytes.Cut(line, []byte(" "))
	if !ok || len(sum) != 8 {
		return entry{}, false
	}
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || uint32(want) != checksum(text) {
		return entry{}, false
	}
	var e entry
	if json.Unmarshal(text, &e) != nil {
		return entry{}, false
	}
	return e, true
}

// recipientState is what the journal says of one recipient.
type recipientState struct {
	done     string    // the final event, empty while it waits
	attempts int       // ended without being final
	open     int       // begun in a row and never ended: the process died each time
	alone    int       // of those, as a suspect
	panics   int       // ended in a fault of ours
	next     time.Time // of the next attempt; zero: as soon as possible
	via      *envelope.Machine
	warned   int
	warnedAt time.Time
	last     entry // the last failure
}

// apply takes one line into account.
func (s *recipientState) apply(e entry) {
	switch e.Event {
	case eventAttempt:
		s.open++
		if e.Alone {
			s.alone++
		}
	case eventDelivered, eventBounced, eventDeleted:
		s.done = e.Event
	case eventDeferred:
		s.attempts++
		s.open, s.alone = 0, 0
		s.next, s.last = e.Next, e
	case eventPanic:
		s.attempts++
		s.panics++
		s.open, s.alone = 0, 0
		s.next, s.last = e.Next, e
	case eventCrowded:
		s.open, s.alone = max(0, s.open-1), max(0, s.alone-1)
	case eventMoved:
		s.via, s.next = e.Via, time.Time{}
	case eventWarned:
		s.warned++
		s.warnedAt = e.At
	}
}

// record is a message with the state of its recipients: the envelope as it is
// on disk, the state as the journal has it and the attempts since.
type record struct {
	message envelope.Message
	states  []recipientState // one per recipient, in their order
	lots    [][]int          // indexes of the recipients of each lot
	body    span
	file    diskFile // of a fresh message until its first attempt has ended; else nil
	size    int64    // of the file, 0 if not known
	touched bool     // an attempt was begun: the file is marked, or there is a journal
	damaged int      // journal lines that do not check
}

func newRecord(m envelope.Message) *record {
	return &record{message: m, states: make([]recipientState, len(m.Recipients)), lots: split(m.Recipients)}
}

// state gives the state of a recipient, nil if the message has no such.
func (r *record) state(id envelope.RID) *recipientState {
	if i := int(id); i >= 0 && i < len(r.states) && r.message.Recipients[i].RID == id {
		return &r.states[i]
	}
	for i := range r.message.Recipients {
		if r.message.Recipients[i].RID == id {
			return &r.states[i]
		}
	}
	return nil
}

// rids gives all recipients.
func (r *record) rids() []envelope.RID {
	ids := make([]envelope.RID, len(r.message.Recipients))
	for i := range ids {
		ids[i] = r.message.Recipients[i].RID
	}
	return ids
}

// apply takes one journal line, or the mark, into account.
func (r *record) apply(e entry) {
	r.touched = true
	for _, id := range e.RIDs {
		if s := r.state(id); s != nil {
			s.apply(e)
		}
	}
}

// waiting gives the indexes of the recipients of a lot that are not done.
func (r *record) waiting(lot int) []int {
	var open []int
	for _, i := range r.lots[lot] {
		if r.states[i].done == "" {
			open = append(open, i)
		}
	}
	return open
}
