package dnssec

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"esa/mta/lookup"
	"esa/mta/mtatest"

	"github.com/miekg/dns"
)

// onlyDS makes DS records the answer of a zone's DS question, signed.
func (w *world) onlyDS(t *testing.T, parent string, lines ...string) func(*dns.Msg) {
	return func(m *dns.Msg) {
		m.Answer = nil
		for _, line := range lines {
			m.Answer = append(m.Answer, rr(t, line))
		}
		m.Answer = append(m.Answer, w.Sign(parent, slices.Clone(m.Answer), nil))
	}
}

func TestDelegations(t *testing.T) {
	w := newWorld(t, root, tld, plain)
	good := w.Anchor("ex.test.")
	zeros := strings.Repeat("00", 32)
	for _, tt := range []struct {
		id     string
		change func(*dns.Msg)
		want   string
	}{
		{"V-40: an unknown algorithm only", w.onlyDS(t, "test.", "ex.test. 60 DS 1 200 2 "+zeros), "insecure"},
		{"V-40, V-4B: private algorithms only", w.onlyDS(t, "test.", "ex.test. 60 DS 1 253 2 "+zeros, "ex.test. 60 DS 1 254 2 "+zeros), "insecure"},
		{"V-40: an unknown digest only", w.onlyDS(t, "test.", "ex.test. 60 DS 1 13 200 "+zeros), "insecure"},
		{"V-41: unknown and known, known breaks", w.onlyDS(t, "test.", "ex.test. 60 DS 1 200 2 "+zeros, "ex.test. 60 DS 1 13 2 "+zeros), "bogus: no key of ex.test. is one"},
		{"V-42: one of two works", w.onlyDS(t, "test.", "ex.test. 60 DS 1 13 2 "+zeros, good), "secure"},
		{"V-47: SHA-1 beside SHA-256 counts for nothing", func(m *dns.Msg) {
			sha1 := w.answerKey("ex.test.").ToDS(dns.SHA1).String()
			w.onlyDS(t, "test.", sha1, "ex.test. 60 DS 1 13 2 "+zeros)(m)
		}, "bogus: no key of ex.test. is one"},
		{"V-48: SHA-1 alone", func(m *dns.Msg) { w.onlyDS(t, "test.", w.answerKey("ex.test.").ToDS(dns.SHA1).String())(m) }, "secure"},
		{"a digest of another length", w.onlyDS(t, "test.", strings.TrimSuffix(good, good[len(good)-2:])), "bogus: no key of ex.test. is one"},
		{"V-11: unsigned DS", func(m *dns.Msg) { m.Answer = part(m.Answer, dns.TypeDS) }, "bogus: DS ex.test. has no signature"},
		{"V-11: badly signed DS", func(m *dns.Msg) { sigOf(m).Expiration++ }, "bogus: the signature of DS ex.test."},
		{"V-45: neither DS nor proof", func(m *dns.Msg) { m.Answer, m.Ns = nil, nil }, "bogus: nothing proves that DS ex.test."},
		{"V-44: no delegation", func(m *dns.Msg) {
			m.Answer = nil
			w.prove(m, "test.", rr(t, "ex.test. 300 IN NSEC zz.test. TXT RRSIG NSEC"))
		}, "bogus: MX ex.test. is signed by ex.test., which is not a zone"},
		{"V-43: a proven insecure delegation", func(m *dns.Msg) {
			m.Answer = nil
			w.prove(m, "test.", rr(t, "ex.test. 300 IN NSEC zz.test. NS RRSIG NSEC"))
		}, "insecure"},
		{"V-4A: an unsigned alias", func(m *dns.Msg) { m.Answer = []dns.RR{rr(t, "ex.test. CNAME evil.test.")} }, "bogus: CNAME ex.test. has no signature"},
		{"V-4A, V-66: by the child", func(m *dns.Msg) {
			m.Answer = nil
			w.prove(m, "ex.test.", rr(t, "ex.test. 300 IN NSEC a.ex.test. NS SOA MX RRSIG NSEC DNSKEY"))
		}, "bogus: nothing proves that DS ex.test."},
		{"DS out of a wildcard", func(m *dns.Msg) {
			star := rr(t, strings.Replace(good, "ex.test.", "*.test.", 1))
			sig := w.Sign("test.", []dns.RR{star}, nil)
			star.Header().Name, sig.Hdr.Name = "ex.test.", "ex.test."
			m.Answer = []dns.RR{star, sig}
		}, "bogus: the DS records of ex.test. come from a wildcard"},
	} {
		w.tamper("ex.test.", dns.TypeDS, tt.change)
		t.Run(tt.id, func(t *testing.T) { w.expect(t, "ex.test.", dns.TypeMX, tt.want) })
	}
}

// answerKey gives the key signing key of a zone.
func (w *world) answerKey(zone string) *dns.DNSKEY {
	return part(w.Answer(question(zone, dns.TypeDNSKEY)).Answer, dns.TypeDNSKEY)[0].(*dns.DNSKEY)
}

func TestKeySets(t *testing.T) {
	w := newWorld(t, root, tld, plain)
	for _, tt := range []struct {
		id     string
		change func(*dns.Msg)
		want   string
	}{
		{"V-10: the key that matches did not sign", func(m *dns.Msg) {
			set := part(m.Answer, dns.TypeDNSKEY)
			sig := w.Sign("ex.test.", set, nil)
			sig.KeyTag = set[1].(*dns.DNSKEY).KeyTag()
			m.Answer = append(set, sig)
		}, "bogus"},
		{"no keys", func(m *dns.Msg) { m.Answer = nil }, "bogus: the zone ex.test. has no DNSKEY records"},
		{"unsigned keys", func(m *dns.Msg) { m.Answer = part(m.Answer, dns.TypeDNSKEY) }, "bogus: DNSKEY ex.test. has no signature"},
		{"an added key", func(m *dns.Msg) {
			extra := dns.Copy(m.Answer[0]).(*dns.DNSKEY)
			extra.Flags = 256
			m.Answer = append(m.Answer, extra)
		}, "bogus: the signature of DNSKEY ex.test."},
	} {
		w.tamper("ex.test.", dns.TypeDNSKEY, tt.change)
		t.Run(tt.id, func(t *testing.T) { w.expect(t, "ex.test.", dns.TypeMX, tt.want) })
	}
}

// V-5E, V-5J and signatures that an unsigned zone shows.
func TestForgedIslands(t *testing.T) {
	w := newWorld(t, root, tld, plain, mtatest.Zone{Name: "un.test.", Unsigned: true, Text: "mx A 127.0.0.1\n"},
		mtatest.Zone{Name: "al.test.", Text: "out CNAME mx.un.test.\nbad CNAME mx.ex.test.\n"})
	w.tamper("out.al.test.", dns.TypeA, func(m *dns.Msg) {
		fake := w.Sign("ex.test.", part(m.Answer, dns.TypeA), func(s *dns.RRSIG) { s.SignerName = "un.test." })
		m.Answer = append(m.Answer, fake)
	})
	w.expect(t, "out.al.test.", dns.TypeA, "insecure")
	w.tamper("bad.al.test.", dns.TypeA, func(m *dns.Msg) { m.Answer[len(m.Answer)-1].(*dns.RRSIG).Expiration++ })
	w.expect(t, "bad.al.test.", dns.TypeA, "bogus")
}

// V-67: nobody's answer is no proof of anything, and is not kept.
func TestNobodyAnswers(t *testing.T) {
	w := newWorld(t, root, tld, plain)
	v := New(func() time.Time { return noon }, w.policy)
	q := question("ex.test.", dns.TypeMX)
	for _, sub := range []dns.Question{question(".", dns.TypeDNSKEY), question("test.", dns.TypeDS), question("ex.test.", dns.TypeDNSKEY)} {
		w.fails[sub] = errors.New("timeout")
		_, err := v.Begin(w, nil).Judge(t.Context(), q, w.answer(q), nil)
		if err == nil || errors.As(err, new(*BogusError)) {
			t.Errorf("no answer to %s: %v", sub.String(), err)
		}
		delete(w.fails, sub)
	}
	if steps, err := v.Begin(w, nil).Judge(t.Context(), q, w.answer(q), nil); verdict(steps, err) != "secure" {
		t.Errorf("afterwards: %v, %v", steps, err)
	}
	asked := len(w.asked)
	w.asked = make(map[dns.Question]int)
	if steps, err := v.Begin(w, nil).Judge(t.Context(), q, w.answer(q), nil); verdict(steps, err) != "secure" || len(w.asked) > 0 || asked == 0 {
		t.Errorf("with all keys known: %v, %v, asked %v", steps, err, w.asked)
	}
}

// The keys of a zone are not used beyond their TTL.
func TestKeysExpire(t *testing.T) {
	w := newWorld(t, root, tld, plain)
	now := noon
	v := New(func() time.Time { return now }, w.policy)
	q := question("ex.test.", dns.TypeMX)
	for _, tt := range []struct {
		later time.Duration
		asked bool
	}{{0, true}, {59 * time.Minute, false}, {time.Hour, true}} {
		now = noon.Add(tt.later)
		w.asked = make(map[dns.Question]int)
		if steps, err := v.Begin(w, nil).Judge(t.Context(), q, w.answer(q), nil); verdict(steps, err) != "secure" {
			t.Errorf("after %v: %v, %v", tt.later, steps, err)
		}
		if asked := w.asked[question(".", dns.TypeDNSKEY)] > 0; asked != tt.asked {
			t.Errorf("after %v asked again: %v", tt.later, asked)
		}
	}
}

// Section 4.9: what is made to be costly ends soon, without a verdict.
func TestWorkIsBounded(t *testing.T) {
	w := newWorld(t, root, tld, plain)
	for _, tt := range []struct {
		id     string
		rrtype uint16
		name   string
		change func(*dns.Msg)
	}{
		{"many signatures", dns.TypeMX, "ex.test.", func(m *dns.Msg) {
			good := sigOf(m)
			m.Answer = part(m.Answer, dns.TypeMX)
			for i := range 100 {
				bad := dns.Copy(good).(*dns.RRSIG)
				bad.Inception += uint32(i + 1)
				m.Answer = append(m.Answer, bad)
			}
			m.Answer = append(m.Answer, good)
		}},
		{"many keys of one tag", dns.TypeDNSKEY, "ex.test.", func(m *dns.Msg) {
			set := part(m.Answer, dns.TypeDNSKEY)
			k := set[len(set)-1].(*dns.DNSKEY)
			for i := range 30 {
				set = append([]dns.RR{twin(t, k, i)}, set...)
			}
			m.Answer = append(set, w.Sign("ex.test.", set, nil))
		}},
	} {
		t.Run(tt.id, func(t *testing.T) {
			w.change = map[dns.Question]func(*dns.Msg){question(tt.name, tt.rrtype): tt.change}
			began := time.Now()
			_, err := w.judge("ex.test.", dns.TypeMX)
			if !errors.Is(err, ErrTooMuchWork) {
				t.Errorf("%v, want %v", err, ErrTooMuchWork)
			}
			if took := time.Since(began); took > 20*time.Second { // a busy machine takes its time
				t.Errorf("it took %v", took)
			}
		})
	}
	var many strings.Builder
	for i := range 3500 { // as many as a message holds
		fmt.Fprintf(&many, "big A 10.0.%d.%d\n", i/250, i%250)
	}
	large := newWorld(t, root, tld, mtatest.Zone{Name: "ex.test.", Text: many.String()})
	large.expect(t, "big.ex.test.", dns.TypeA, "secure")
	large.tamper("big.ex.test.", dns.TypeA, func(m *dns.Msg) {
		good := sigOf(m)
		for i := range maxSignatures - 1 {
			bad := dns.Copy(good).(*dns.RRSIG)
			bad.Inception += uint32(i + 1)
			m.Answer = append([]dns.RR{bad}, m.Answer...)
		}
	})
	large.expect(t, "big.ex.test.", dns.TypeA, "error: "+ErrTooMuchWork.Error())
	deep := newWorld(t, root, tld, withNSEC3(plain, mtatest.NSEC3{Iterations: maxIterations}))
	name := strings.Repeat("a.", 110) + "ex.test."
	deep.expect(t, name, dns.TypeA, "secure")
	deep.tamper(name, dns.TypeA, func(m *dns.Msg) { without(m, "") })
	deep.expect(t, name, dns.TypeA, "bogus")
}

// twin makes another key of the same tag: two bytes at even distance are
// exchanged.
func twin(t *testing.T, k *dns.DNSKEY, nth int) *dns.DNSKEY {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	i, j := 0, 2*nth+2
	raw[i], raw[j] = raw[j], raw[i]
	c := dns.Copy(k).(*dns.DNSKEY)
	c.PublicKey = base64.StdEncoding.EncodeToString(raw)
	if c.KeyTag() != k.KeyTag() {
		t.Fatalf("the twin has tag %d, not %d", c.KeyTag(), k.KeyTag())
	}
	return c
}

func TestCacheIsBounded(t *testing.T) {
	v := New(func() time.Time { return noon }, Policy{})
	for i := range maxZones + 100 {
		v.keep(fmt.Sprintf("z%d.", i), &cut{expires: noon.Add(time.Hour)}, noon)
	}
	if len(v.zones) != maxZones {
		t.Errorf("%d zones kept, want %d", len(v.zones), maxZones)
	}
}

// honest is an asker that never lies, for the fuzz target below.
type honest struct{ *mtatest.Lab }

func (h honest) Ask(_ context.Context, q dns.Question, accept func(*dns.Msg) error) error {
	return accept(h.Answer(q))
}

// FuzzJudge changes signed answers: whatever comes out, no data that the
// zones do not hold is ever secure, and nothing panics.
func FuzzJudge(f *testing.F) {
	lab := mtatest.NewLab(f, noon, root, tld, withNSEC3(plain, mtatest.NSEC3{}))
	anchors, err := ParseAnchors(lab.Anchor("."))
	if err != nil {
		f.Fatal(err)
	}
	v := New(func() time.Time { return noon }, Policy{Anchor: anchors})
	questions := []dns.Question{
		question("ex.test.", dns.TypeMX), question("_25._tcp.mx.ex.test.", dns.TypeTLSA), question("www.ex.test.", dns.TypeA),
		question("any.wild.ex.test.", dns.TypeTXT), question("x.sub.ex.test.", dns.TypeA), question("none.ex.test.", dns.TypeA),
	}
	truth := make(map[string]bool)
	for i, q := range questions {
		m := lab.Answer(q)
		for _, s := range sorted(m.Answer).all {
			truth[setText(s.records)] = true
		}
		raw, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i, raw)
	}
	f.Fuzz(func(t *testing.T, i int, raw []byte) {
		m := new(dns.Msg)
		if m.Unpack(raw) != nil {
			return
		}
		q := questions[uint(i)%uint(len(questions))]
		steps, err := v.Begin(honest{lab}, nil).Judge(t.Context(), q, m, nil)
		if err != nil {
			return
		}
		for _, s := range steps {
			if s.Status == lookup.Secure && len(s.Records) > 0 && s.Type != dns.TypeDNAME && !truth[setText(s.Records)] {
				t.Errorf("secure, but not in the zone: %v", s.Records)
			}
		}
	})
}

// setText gives records in one form, without names and TTL.
func setText(records []dns.RR) string {
	var lines []string
	for _, rr := range records {
		lines = append(lines, strings.ToLower(strings.TrimPrefix(rr.String(), rr.Header().String())))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
