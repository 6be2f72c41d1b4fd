package queue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"esa/mta/envelope"
)

// The file of a message, version 1, made to be read by people too:
//
//	header    128 bytes, one line of text padded with blanks:
//	          esa-message 1 envelope OFFSET LENGTH CRC body OFFSET LENGTH CRC …MARK CRC\n
//	envelope  JSON; behind the body if it outgrew the place kept before it
//	body      as it came, CRLF line ends
//
// CRCs are CRC-32C in hexadecimal; the last one is of the header before it.
// Until a message is committed its header says "esa-draft", and once it is
// finished "esa-spare" (spare.go). No rename: the checksums tell a whole file.
//
// The mark is one byte, a blank until the first attempt of a message begins
// that has nothing else to tell, then "+": most messages are delivered by it
// and never need a journal. For the checksum it counts as a blank, so that
// writing it can harm nothing: one byte is written whole or not at all.
const (
	version      = 1
	headerSize   = 128
	markOffset   = headerSize - 10
	messageMagic = "esa-message"
	draftMagic   = "esa-draft"
	spareMagic   = "esa-spare"
	attemptMark  = '+'
)

// maxEnvelope bounds what is read as an envelope: 50,000 recipients with
// addresses of the longest kind and everything RFC 3461 allows.
const maxEnvelope = 64 << 20

// castagnoli is made at its first use, and not by every command that only asks
// the gateway.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli()) }

// errDamaged is a file that does not check; errDraft one that was never
// committed; errSpare one that is waiting to be used again, whose message is
// gone.
var (
	errDamaged = errors.New("damaged")
	errDraft   = errors.New("never committed")
	errSpare   = fmt.Errorf("%w: %w since the file was last used", os.ErrNotExist, errDraft)
)

// span is a part of a file.
type span struct {
	offset, length int64
	crc            uint32
}

func (s span) end() int64 { return s.offset + s.length }

// header is the first line of a file.
type header struct {
	envelope, body span
	attempted      bool // marked
}

// encode gives the header of a committed message, not marked.
func (h header) encode() []byte {
	return seal(fmt.Sprintf("%s %d envelope %d %d %08x body %d %d %08x", messageMagic, version,
		h.envelope.offset, h.envelope.length, h.envelope.crc, h.body.offset, h.body.length, h.body.crc))
}

// draftHeader is the header until then.
func draftHeader() []byte { return seal(fmt.Sprintf("%s %d", draftMagic, version)) }

// spareHeader is the header of a file that is waiting to be used again.
func spareHeader() []byte { return seal(fmt.Sprintf("%s %d", spareMagic, version)) }

// seal pads text to a header and adds its checksum.
func seal(text string) []byte {
	line := fmt.Appendf(nil, "%-*s", headerSize-9, text)
	return fmt.Appendf(line, "%08x\n", checksum(line))
}

// decodeHeader reads a header. Errors wrap errDamaged, errDraft or ErrNewer.
func decodeHeader(line []byte) (header, error) {
	if len(line) < headerSize {
		return header{}, fmt.Errorf("%w: header cut short", errDamaged)
	}
	line = bytes.Clone(line[:headerSize])
	attempted := line[markOffset] == attemptMark
	if attempted {
		line[markOffset] = ' '
	}
	words := strings.Fields(string(line))
	if len(words) > 1 && slices.Contains([]string{messageMagic, draftMagic, spareMagic}, words[0]) {
		// Before the checksum: a newer version may compute another.
		if v, err := strconv.Atoi(words[1]); err == nil && v > version {
			return header{}, fmt.Errorf("version %d: %w", v, ErrNewer)
		}
	}
	sum, err := strconv.ParseUint(string(line[headerSize-9:headerSize-1]), 16, 32)
	if err != nil || uint32(sum) != checksum(line[:headerSize-9]) {
		return header{}, fmt.Errorf("%w: header checksum", errDamaged)
	}
	switch words[0] {
	case draftMagic:
		return header{}, errDraft
	case spareMagic:
		return header{}, errSpare
	}
	if len(words) != 11 || words[0] != messageMagic || words[2] != "envelope" || words[6] != "body" {
		return header{}, fmt.Errorf("%w: header", errDamaged)
	}
	h := header{attempted: attempted}
	h.envelope, err = decodeSpan(words[3:6])
	if err == nil {
		h.body, err = decodeSpan(words[7:10])
	}
	if err != nil || h.envelope.length > maxEnvelope {
		return header{}, fmt.Errorf("%w: header", errDamaged)
	}
	return h, nil
}

func decodeSpan(words []string) (span, error) {
	offset, err1 := strconv.ParseInt(words[0], 10, 64)
	length, err2 := strconv.ParseInt(words[1], 10, 64)
	crc, err3 := strconv.ParseUint(words[2], 16, 32)
	s := span{offset: offset, length: length, crc: uint32(crc)}
	if err := errors.Join(err1, err2, err3); err != nil {
		return span{}, err
	}
	if offset < headerSize || length < 0 || s.end() < offset {
		return span{}, errDamaged
	}
	return s, nil
}

// storedMessage is an envelope as it is written. Addresses keep their two
// parts apart: no second parse may read them otherwise (attack B1).
type storedMessage struct {
	MID           envelope.MID      `json:"mid"`
	ICID          envelope.ICID     `json:"icid,omitempty"`
	Received      time.Time         `json:"received"`
	Sender        [2]string         `json:"from"`
	Recipients    []storedRecipient `json:"to"`
	Size          int64             `json:"size"`
	Subject       string            `json:"subject,omitempty"`
	Listener      string            `json:"listener,omitempty"`
	Relay         bool              `json:"relay,omitempty"`
	BounceProfile string            `json:"bounce_profile,omitempty"`
	EightBit      bool              `json:"8bit,omitempty"`
	UTF8          bool              `json:"utf8,omitempty"`
	Return        string            `json:"ret,omitempty"`
	EnvelopeID    string            `json:"envid,omitempty"`
}

type storedRecipient struct {
	RID      envelope.RID    `json:"rid"`
	Address  [2]string       `json:"addr"`
	Notify   envelope.Notify `json:"notify,omitempty"`
	Original string          `json:"orcpt,omitempty"`
}

// encodeEnvelope refuses what it could not give back as it was.
func encodeEnvelope(m *envelope.Message) ([]byte, error) {
	s := storedMessage{
		MID: m.MID, ICID: m.ICID, Received: m.Received, Size: m.Size,
		Sender:     [2]string{m.Sender.Local, m.Sender.Domain},
		Recipients: make([]storedRecipient, len(m.Recipients)),
		Subject:    strings.ToValidUTF8(m.Subject, "\uFFFD"),
		Listener:   m.Listener, Relay: m.Relay, BounceProfile: m.BounceProfile,
		EightBit: m.EightBit, UTF8: m.UTF8, Return: m.Return, EnvelopeID: m.EnvelopeID,
	}
	valid := validText(m.Sender.Local, m.Sender.Domain, m.Listener, m.BounceProfile, m.Return, m.EnvelopeID)
	for i, r := range m.Recipients {
		s.Recipients[i] = storedRecipient{
			RID: r.RID, Address: [2]string{r.Address.Local, r.Address.Domain}, Notify: r.Notify, Original: r.Original,
		}
		valid = valid && validText(r.Address.Local, r.Address.Domain, r.Original)
	}
	if !valid {
		return nil, errors.New("encoding envelope: text that is not UTF-8")
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encoding envelope: %w", err)
	}
	if len(b) > maxEnvelope {
		return nil, fmt.Errorf("encoding envelope: larger than %d bytes", maxEnvelope)
	}
	return append(b, '\n'), nil
}

func validText(all ...string) bool {
	return !slices.ContainsFunc(all, func(s string) bool { return !utf8.ValidString(s) })
}

// decodeEnvelope reads an envelope. Errors wrap errDamaged.
func decodeEnvelope(b []byte) (envelope.Message, error) {
	var s storedMessage
	if err := json.Unmarshal(b, &s); err != nil {
		return envelope.Message{}, fmt.Errorf("%w: envelope: %w", errDamaged, err)
	}
	m := envelope.Message{
		MID: s.MID, ICID: s.ICID, Received: s.Received, Size: s.Size,
		Sender:     envelope.Address{Local: s.Sender[0], Domain: s.Sender[1]},
		Recipients: make([]envelope.Recipient, len(s.Recipients)),
		Subject:    s.Subject, Listener: s.Listener, Relay: s.Relay, BounceProfile: s.BounceProfile,
		EightBit: s.EightBit, UTF8: s.UTF8, Return: s.Return, EnvelopeID: s.EnvelopeID,
	}
	seen := make(map[envelope.RID]bool, len(s.Recipients))
	for i, r := range s.Recipients {
		m.Recipients[i] = envelope.Recipient{
			RID: r.RID, Address: envelope.Address{Local: r.Address[0], Domain: r.Address[1]},
			Notify: r.Notify, Original: r.Original,
		}
		if seen[r.RID] || r.RID < 0 {
			return envelope.Message{}, fmt.Errorf("%w: envelope: recipient %d twice", errDamaged, r.RID)
		}
		seen[r.RID] = true
	}
	if len(m.Recipients) == 0 || m.MID == 0 {
		return envelope.Message{}, fmt.Errorf("%w: envelope: nobody to deliver to", errDamaged)
	}
	return m, nil
}

// readHead reads header and envelope and compares the lengths with the file,
// so that a body that was cut off shows without reading it.
func readHead(f diskReader) (header, envelope.Message, error) {
	size, err := f.size()
	if err != nil {
		return header{}, envelope.Message{}, err
	}
	if size == 0 {
		return header{}, envelope.Message{}, errDraft // created, and then the process died
	}
	// One read gets all of it for nearly every message.
	first := make([]byte, min(size, 2048))
	if _, err := f.ReadAt(first, 0); err != nil && err != io.EOF {
		return header{}, envelope.Message{}, err
	}
	h, err := decodeHeader(first)
	if err != nil {
		return header{}, envelope.Message{}, err
	}
	if max(h.envelope.end(), h.body.end()) != size {
		return header{}, envelope.Message{}, fmt.Errorf("%w: %d bytes long", errDamaged, size)
	}
	var text []byte
	if h.envelope.end() <= int64(len(first)) {
		text = first[h.envelope.offset:h.envelope.end()]
	} else {
		text = make([]byte, h.envelope.length)
		if _, err := f.ReadAt(text, h.envelope.offset); err != nil {
			return header{}, envelope.Message{}, err
		}
	}
	if checksum(text) != h.envelope.crc {
		return header{}, envelope.Message{}, fmt.Errorf("%w: envelope checksum", errDamaged)
	}
	m, err := decodeEnvelope(text)
	return h, m, err
}
