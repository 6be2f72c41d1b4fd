package queue

import (
	"errors"
	"fmt"
	"hash/crc32"

	"esa/mta/envelope"
)

// draftBuffer is how much of a body is held before it is written. A message
// that fits is written at once, when it is committed.
const draftBuffer = 32 << 10

// envelopeSlack is what an envelope may grow between the first flush and the
// commit without being written behind the body: a subject.
const envelopeSlack = 1024

// draft is a message on its way into the store.
type draft struct {
	s      *store
	begun  envelope.Message
	path   string
	file   diskFile // nil until the first flush
	sync   *syncer  // that it will wait for
	epoch  uint64   // of it, before anything was written
	buf    *[]byte
	length int64 // of the body so far
	crc    uint32
	room   int64 // kept for the envelope
	end    int64 // of what is written
	sealed bool  // the header of a committed message was written, perhaps in part
	body   span  // where the body is, once committed
	size   int64 // of a file that was written at once, else 0
	err    error // the first; the draft is then worth nothing
	ended  bool
}

func (d *draft) write(p []byte) (int, error) {
	if d.ended {
		return 0, errors.New("writing message: it has ended")
	}
	d.crc = crc32.Update(d.crc, castagnoli(), p)
	d.length += int64(len(p))
	for rest := p; len(rest) > 0 && d.err == nil; {
		n := min(cap(*d.buf)-len(*d.buf), len(rest))
		*d.buf = append(*d.buf, rest[:n]...)
		rest = rest[n:]
		if len(*d.buf) == cap(*d.buf) {
			d.err = d.flush()
		}
	}
	if d.err != nil {
		return 0, d.err
	}
	return len(p), nil
}

// flush writes what is buffered. The first time it creates the file, with a
// header that says that it is not committed.
//
// After a crash here: the file says that it was never committed, and is
// removed at the next start; no client has been told 250.
func (d *draft) flush() error {
	if d.file == nil {
		text, err := encodeEnvelope(&d.begun)
		if err != nil {
			return err
		}
		d.room = int64(len(text) + envelopeSlack)
		front := make([]byte, headerSize+d.room)
		copy(front, draftHeader())
		if err := d.create(); err != nil {
			return err
		}
		if err := d.put(front); err != nil {
			return err
		}
	}
	err := d.put(*d.buf)
	*d.buf = (*d.buf)[:0]
	return err
}

// again takes a file that has been used before, if there is one.
func (d *draft) again() bool {
	d.sync, d.epoch = d.s.durability(d.begun.MID)
	d.file = d.s.reuse(d.path, d.size)
	return d.file != nil
}

func (d *draft) create() error {
	d.sync, d.epoch = d.s.durability(d.begun.MID)
	f, err := d.s.disk.create(d.path)
	if err != nil {
		return fmt.Errorf("creating message file: %w", noSpace(err))
	}
	d.file = f
	return nil
}

func (d *draft) put(b []byte) error {
	n, err := d.file.Write(b)
	d.end += int64(n)
	if err != nil {
		return fmt.Errorf("writing message: %w", noSpace(err))
	}
	return nil
}

// commit makes the message durable under the complete envelope. After an
// error nothing of it is kept.
func (d *draft) commit(m envelope.Message) error {
	file, err := d.commitOpen(m)
	if err == nil {
		d.s.letGo(file, m.MID)
	}
	return err
}

// commitOpen is commit that leaves the file open, for the first attempt: the
// caller closes it.
func (d *draft) commitOpen(m envelope.Message) (diskFile, error) {
	if d.ended {
		return nil, errors.New("committing message: it has ended")
	}
	if m.MID != d.begun.MID || len(m.Recipients) == 0 {
		return nil, errors.Join(errors.New("committing message: not its envelope"), d.abort())
	}
	if d.err == nil {
		d.err = d.finish(&m)
	}
	if d.err != nil {
		return nil, errors.Join(d.err, d.abort())
	}
	file := d.file
	d.release()
	return file, nil
}

// finish writes what is missing and waits for stable storage.
//
// After a crash before the header is written: the file says that it was never
// committed (or is not there), and is removed at the next start.
// After a crash between the header and the sync: the message is there whole,
// or does not check and is set aside; its client has no answer and sends it
// again.
// After a crash behind the sync: the message is there whole.
func (d *draft) finish(m *envelope.Message) error {
	text, err := encodeEnvelope(m)
	if err != nil {
		return err
	}
	if d.file == nil {
		d.room = int64(len(text))
	}
	h := header{
		envelope: span{offset: headerSize, length: int64(len(text)), crc: checksum(text)},
		body:     span{offset: headerSize + d.room, length: d.length, crc: d.crc},
	}
	if d.file == nil {
		err = d.finishSmall(h, text)
	} else {
		err = d.finishLarge(h, text)
	}
	if err != nil {
		return err
	}
	d.body = h.body
	return d.s.settle(d)
}

// finishSmall writes a message that is still in the buffer, in one write.
func (d *draft) finishSmall(h header, text []byte) error {
	whole := make([]byte, 0, headerSize+len(text)+len(*d.buf))
	whole = append(append(append(whole, h.encode()...), text...), *d.buf...)
	d.size, d.sealed = int64(len(whole)), true
	if d.again() {
		if _, err := d.file.WriteAt(whole, 0); err != nil {
			return fmt.Errorf("writing message: %w", noSpace(err))
		}
		return nil
	}
	if err := d.create(); err != nil {
		return err
	}
	return d.put(whole)
}

// finishLarge ends a file that holds the body, the header last.
func (d *draft) finishLarge(h header, text []byte) error {
	if err := d.flush(); err != nil {
		return err
	}
	if h.envelope.length > d.room {
		h.envelope.offset = d.end
	}
	if _, err := d.file.WriteAt(text, h.envelope.offset); err != nil {
		return fmt.Errorf("writing envelope: %w", noSpace(err))
	}
	d.sealed = true
	if _, err := d.file.WriteAt(h.encode(), 0); err != nil {
		return fmt.Errorf("writing header: %w", noSpace(err))
	}
	return nil
}

// abort removes what was written.
func (d *draft) abort() error {
	if d.ended {
		return nil
	}
	var err error
	if d.file != nil {
		err = errors.Join(d.withdraw(), d.file.Close())
	}
	d.release()
	return err
}

// withdraw removes the file. One that may look like a message to the next
// start says first that it is none, durably if the disk still can: its client
// is told that it was not taken (R6).
//
// After a crash before the removal is durable: the file says that it was never
// committed. If the disk takes neither that nor the removal, the message may
// come back, and its client sends it again: twice, but not lost.
func (d *draft) withdraw() error {
	var marking error
	if d.sealed {
		if _, marking = d.file.WriteAt(draftHeader(), 0); marking == nil {
			marking = d.file.Sync()
		}
	}
	if err := d.s.disk.remove(d.path); err != nil {
		// It cannot be removed: at least it must not be taken for a message.
		_, mark := d.file.WriteAt(draftHeader(), 0)
		return errors.Join(fmt.Errorf("removing message file: %w", err), mark)
	}
	if marking == nil {
		return nil
	}
	if err := syncDir(d.s.disk, d.s.shard(shardOf(d.begun.MID))); err != nil {
		return fmt.Errorf("a refused message may come back after a power cut: %w", errors.Join(marking, err))
	}
	return nil
}

func (d *draft) release() {
	d.ended = true
	d.s.putBuffer(d.buf)
	d.buf, d.file = nil, nil
}
