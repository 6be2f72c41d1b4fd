package dns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	mdns "github.com/miekg/dns"
)

// What is wrong with bytes that came where an answer was waited for.
var (
	errForeign   = errors.New("not an answer to the question") // to be ignored
	errCase      = errors.New("answer with another spelling of the name")
	errTruncated = errors.New("truncated answer")
)

// fault is a server that did not answer as it should: the next one is asked.
// said is how the mail log calls it, empty when the server did not say
// anything. A fault that may pass is worth a second question to that server.
type fault struct {
	why    string // for operators: "ServFail", "timeout asking 192.0.2.1"
	said   string // "SERVER FAILED"
	passes bool
	bogus  bool // what it said does not hold against the chain of trust
	err    error
}

func (f *fault) Error() string {
	if f.err != nil {
		return f.why + ": " + f.err.Error()
	}
	return f.why
}

func (f *fault) Unwrap() error { return f.err }

func malformed(err error) *fault {
	return &fault{why: "malformed answer", said: "MALFORMED", err: err}
}

const (
	ednsSize   = 1232 // DNS flag day 2020: no fragments on any path
	headerSize = 12
)

// query is a question as it was sent, in bytes.
type query struct {
	question
	id   uint16
	sent string // the name with its final dot, as spelt this time
	raw  []byte
}

// newQuery packs a question with a fresh id and spelling: RD, DO and CD set
// (RFC 6840 §5.9), EDNS (RFC 6891).
func newQuery(q question, random func() uint64) (*query, error) {
	sent := mixCase(q.name, random) + "."
	m := &mdns.Msg{Question: []mdns.Question{{Name: sent, Qtype: q.qtype, Qclass: mdns.ClassINET}}}
	m.Id = uint16(random() >> 48)
	m.RecursionDesired = true
	m.CheckingDisabled = true
	m.SetEdns0(ednsSize, true)
	raw, err := m.Pack()
	if err != nil {
		return nil, fmt.Errorf("packing a question: %w", err)
	}
	return &query{question: q, id: m.Id, sent: sent, raw: raw}, nil
}

// read takes raw as the answer to q (RFC 5452 §9.1). The error is errForeign
// for what must be ignored because anybody could have sent it; errCase where
// all is right but the spelling, which is ignored too but told apart because
// some servers change it; errTruncated; or a fault of the server.
func (q *query) read(raw []byte) (*mdns.Msg, error) {
	if len(raw) < headerSize || binary.BigEndian.Uint16(raw) != q.id {
		return nil, errForeign
	}
	flags := binary.BigEndian.Uint16(raw[2:])
	const response, opcode, truncated = 1 << 15, 15 << 11, 1 << 9
	if flags&response == 0 || flags&opcode != 0 {
		return nil, errForeign
	}
	if err := q.sameQuestion(raw, int(flags&15)); err != nil {
		return nil, err
	}
	if flags&truncated != 0 {
		return nil, errTruncated
	}
	m := new(mdns.Msg)
	if err := m.Unpack(raw); err != nil {
		return nil, malformed(err)
	}
	if err := whole(m, raw); err != nil {
		return nil, malformed(err)
	}
	if err := refusal(m); err != nil {
		return nil, err
	}
	return m, nil
}

// sameQuestion compares the question section. A server that does not even
// read questions may leave it out of a refusal, but of nothing else.
func (q *query) sameQuestion(raw []byte, rcode int) error {
	switch binary.BigEndian.Uint16(raw[4:]) {
	case 0:
		switch rcode {
		case mdns.RcodeFormatError, mdns.RcodeServerFailure, mdns.RcodeNotImplemented, mdns.RcodeRefused:
			return refusal(&mdns.Msg{MsgHdr: mdns.MsgHdr{Rcode: rcode}})
		}
		return errForeign
	case 1:
	default:
		return errForeign
	}
	name, off, err := mdns.UnpackDomainName(raw, headerSize)
	if err != nil || off+4 > len(raw) {
		return errForeign
	}
	if binary.BigEndian.Uint16(raw[off:]) != q.qtype || binary.BigEndian.Uint16(raw[off+2:]) != mdns.ClassINET {
		return errForeign
	}
	if name == q.sent {
		return nil
	}
	if strings.EqualFold(name, q.sent) {
		return errCase
	}
	return errForeign
}

// whole reports what miekg/dns lets pass: sections shorter than their counts,
// and records without data, which would read as the root name or no address.
func whole(m *mdns.Msg, raw []byte) error {
	for i, section := range [][]mdns.RR{m.Answer, m.Ns, m.Extra} {
		if want := int(binary.BigEndian.Uint16(raw[6+2*i:])); want != len(section) {
			return fmt.Errorf("%d records where %d are announced", len(section), want)
		}
	}
	for _, section := range [][]mdns.RR{m.Answer, m.Ns} {
		for _, rr := range section {
			if rr.Header().Rdlength == 0 {
				return fmt.Errorf("a record of type %s without data", mdns.Type(rr.Header().Rrtype))
			}
		}
	}
	return nil
}

// refusal gives the fault that the response code stands for, nil for answers.
func refusal(m *mdns.Msg) error {
	switch m.Rcode {
	case mdns.RcodeSuccess, mdns.RcodeNameError:
		return nil
	case mdns.RcodeServerFailure:
		return &fault{why: "ServFail", said: "SERVER FAILED"}
	case mdns.RcodeRefused:
		return &fault{why: "Refused", said: "REFUSED"}
	case mdns.RcodeFormatError:
		return &fault{why: "FormErr", said: "FORMAT ERROR"}
	case mdns.RcodeNotImplemented:
		return &fault{why: "NotImp", said: "NOT IMPLEMENTED"}
	default:
		code := fmt.Sprintf("response code %d", m.Rcode)
		return &fault{why: code, said: strings.ToUpper(code)}
	}
}

// shown gives a server as operators know it: the port only where it is not
// that of DNS.
func shown(server netip.AddrPort) string {
	if server.Port() == 53 {
		return server.Addr().String()
	}
	return server.String()
}
