package dns

import (
	"testing"
	"time"

	"esa/mta/dnssec"

	mdns "github.com/miekg/dns"
)

// FuzzReply reads any bytes as the answer to a question, and goes on with
// what was read as a lookup would: no panic, and nothing out of bounds. The
// id and the question are put right, or little would get beyond them.
func FuzzReply(f *testing.F) {
	for _, qtype := range []uint16{mdns.TypeMX, mdns.TypeA, mdns.TypeAAAA, mdns.TypePTR} {
		q := mustQuery(f, question{name: "example.test", qtype: qtype})
		f.Add(qtype, header(q, 0)[headerSize:])
		m := new(mdns.Msg)
		for _, text := range []string{
			"example.test. 60 IN CNAME a.test.", "a.test. 60 IN MX 10 mx.test.", "a.test. 60 IN A 192.0.2.1",
			"a.test. 60 IN AAAA 2001:db8::1", "a.test. 60 IN PTR mx.test.", "example.test. 60 IN MX 0 .",
		} {
			rr, err := mdns.NewRR(text)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		raw, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(qtype, raw[headerSize:])
	}
	f.Fuzz(func(t *testing.T, qtype uint16, rest []byte) {
		q, err := newQuery(question{name: "example.test", qtype: qtype}, func() uint64 { return 0 })
		if err != nil {
			return
		}
		raw := header(q, 0)
		if len(rest) >= 2 {
			raw[7], raw[9], raw[3] = rest[0]&15, rest[1]&3, 0x80|rest[1]>>6
			rest = rest[2:]
		}
		check(t, q, append(raw, rest...))
		if len(rest) > headerSize {
			bare := append([]byte(nil), rest...)
			bare[0], bare[1] = byte(q.id>>8), byte(q.id)
			check(t, q, bare)
		}
	})
}

func check(t *testing.T, q *query, raw []byte) {
	t.Helper()
	m, err := q.read(raw)
	if err != nil || sane(q.question, m) != nil {
		return
	}
	steps, err := dnssec.New(time.Now, dnssec.Policy{}).Begin(nil, nil).Judge(t.Context(), q.wire(), m, nil)
	trail := trail{question: q.question, ttl: maxTTL}
	if err != nil || trail.follow(steps) != nil {
		return
	}
	a := trail.answer()
	if len(a.mx) > maxRecords || len(a.addrs) > maxRecords || len(a.names) > maxRecords || trail.aliases > dnssec.MaxAliases {
		t.Errorf("out of bounds: %+v", a)
	}
	if a.TTL > maxTTL || a.TTL < noTTL {
		t.Errorf("TTL %v", a.TTL)
	}
	for _, mx := range a.mx {
		if mx.Host != "" && !isHost(mx.Host) {
			t.Errorf("host %q", mx.Host)
		}
	}
}
