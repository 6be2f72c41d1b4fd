package queue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"esa/mta/envelope"
)

func TestHeader_RoundTripAndSize(t *testing.T) {
	h := header{
		envelope: span{1<<53 + headerSize, maxEnvelope, 0xffffffff},
		body:     span{headerSize, 1 << 53, 0xdeadbeef},
	}
	b := h.encode()
	if len(b) != headerSize || b[headerSize-1] != '\n' {
		t.Fatalf("%d bytes: %q", len(b), b)
	}
	if got, err := decodeHeader(b); err != nil || got != h {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := decodeHeader(draftHeader()); !errors.Is(err, errDraft) {
		t.Errorf("draft: %v", err)
	}
}

func TestHeader_MarkIsOneByteOfTheWidestHeader(t *testing.T) {
	widest := span{1 << 62, maxEnvelope, 0xffffffff}
	h := header{envelope: widest, body: span{1 << 62, 1<<62 - 1, 0xffffffff}}
	b := h.encode()
	if b[markOffset] != ' ' {
		t.Fatalf("no place for the mark: %q", b)
	}
	b[markOffset] = attemptMark
	kept := bytes.Clone(b)
	h.attempted = true
	if got, err := decodeHeader(b); err != nil || got != h {
		t.Errorf("got %+v, %v", got, err)
	}
	if !bytes.Equal(b, kept) {
		t.Error("reading changed the header")
	}
	b[markOffset] = '-'
	if _, err := decodeHeader(b); !errors.Is(err, errDamaged) {
		t.Errorf("another mark: %v", err)
	}
}

func TestHeader_EveryFlippedBitIsSeen(t *testing.T) {
	good := header{envelope: span{128, 10, 1}, body: span{138, 20, 2}}.encode()
	for i := range good[:headerSize-1] {
		for bit := range 8 {
			b := bytes.Clone(good)
			b[i] ^= 1 << bit
			if _, err := decodeHeader(b); err == nil && !bytes.EqualFold(b, good) {
				t.Fatalf("byte %d bit %d is not seen", i, bit)
			}
		}
	}
}

func TestEnvelope_BadOnesAreDamaged(t *testing.T) {
	for _, text := range []string{
		"", "{}", "[]", `{"mid":1,"to":[]}`, `{"mid":0,"to":[{"rid":0,"addr":["a","b"]}]}`,
		`{"mid":1,"to":[{"rid":0,"addr":["a","b"]},{"rid":0,"addr":["c","d"]}]}`,
		`{"mid":1,"to":[{"rid":-1,"addr":["a","b"]}]}`,
		`{"mid":1,"to":[{"rid":0,"addr":["a","b"]}]} trailing`,
	} {
		if _, err := decodeEnvelope([]byte(text)); !errors.Is(err, errDamaged) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// memory is a file for readHead.
type memory struct{ *bytes.Reader }

func (m memory) size() (int64, error) { return m.Size(), nil }
func (m memory) Close() error         { return nil }

func FuzzMessageFile(f *testing.F) {
	m := full(5)
	text, err := encodeEnvelope(&m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, int64(headerSize), int64(len(text)), true)
	f.Add([]byte(`{"mid":1,"to":[{"rid":0,"addr":["a","b"]}]}`), int64(1)<<62, int64(1)<<62, true)
	f.Add([]byte("esa-message 1 envelope"), int64(0), int64(0), false)
	f.Fuzz(func(t *testing.T, text []byte, offset, length int64, sealed bool) {
		file := text
		if sealed {
			h := header{envelope: span{offset, length, 0}, body: span{headerSize, 0, 0}}
			h.envelope.crc = checksum(text)
			file = append(h.encode(), text...)
		}
		_, got, err := readHead(memory{bytes.NewReader(file)})
		if err != nil {
			return
		}
		again, err := encodeEnvelope(&got)
		if err != nil {
			t.Fatalf("read and not written: %v", err)
		}
		back, err := decodeEnvelope(again)
		if err != nil || fmt.Sprintf("%#v", back.Recipients) != fmt.Sprintf("%#v", got.Recipients) || back.Sender != got.Sender {
			t.Fatalf("%v: %#v is not %#v", err, back, got)
		}
	})
}

func FuzzJournal(f *testing.F) {
	b, err := encodeEntries([]entry{
		{Event: eventAttempt, RIDs: []envelope.RID{0, 1}, Alone: true},
		{Event: eventDeferred, RIDs: []envelope.RID{1, 99, -1}, Reply: "x\n\xff"},
		{Event: eventDelivered, RIDs: []envelope.RID{0}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("\n\n00000000 {}\n" + strings.Repeat("x", maxLine*2) + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rec := newRecord(message(1, "", "a@b.test", "c@d.test"))
		if _, err := readJournal(bytes.NewReader(b), rec.apply); err != nil {
			t.Fatal(err)
		}
		more, err := encodeEntries([]entry{{Event: eventBounced, RIDs: []envelope.RID{0}}})
		if err != nil {
			t.Fatal(err)
		}
		rec = newRecord(message(1, "", "a@b.test", "c@d.test"))
		if _, err := readJournal(io.MultiReader(bytes.NewReader(b), bytes.NewReader(more)), rec.apply); err != nil {
			t.Fatal(err)
		}
		if rec.states[0].done == "" {
			t.Fatal("what is appended is not read")
		}
	})
}
