package dnssec

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"esa/mta/mtatest"

	"github.com/miekg/dns"
)

// part gives the records of a type in a section, without signatures.
func part(section []dns.RR, rrtype uint16) []dns.RR {
	var set []dns.RR
	for _, rr := range section {
		if rr.Header().Rrtype == rrtype {
			set = append(set, rr)
		}
	}
	return set
}

// resign gives every set of the answer one signature, changed, by a zone.
func (w *world) resign(m *dns.Msg, zone string, change func(*dns.RRSIG)) {
	set := part(m.Answer, m.Question[0].Qtype)
	m.Answer = append(set, w.Sign(zone, set, change))
}

func sigOf(m *dns.Msg) *dns.RRSIG { return part(m.Answer, dns.TypeRRSIG)[0].(*dns.RRSIG) }

func TestSignatures(t *testing.T) {
	w := newWorld(t, root, tld, plain, mtatest.Zone{Name: "xex.test.", Text: "@ MX 10 mx\n"})
	for _, tt := range []struct {
		id     string
		change func(*dns.Msg)
		want   string
	}{
		{"V-02: a bad one before the good one", func(m *dns.Msg) {
			bad := dns.Copy(sigOf(m)).(*dns.RRSIG)
			bad.Expiration++
			m.Answer = append([]dns.RR{bad}, m.Answer...)
		}, "secure"},
		{"V-02: all bad", func(m *dns.Msg) { sigOf(m).Expiration++ }, "bogus: the signature of MX ex.test. by key"},
		{"V-03: of an unknown key", func(m *dns.Msg) { sigOf(m).KeyTag++ }, "bogus: no key of ex.test."},
		{"V-04: of another type", func(m *dns.Msg) { sigOf(m).TypeCovered = dns.TypeA }, "bogus: MX ex.test. has no signature"},
		{"V-04, V-15: of another name", func(m *dns.Msg) { sigOf(m).Hdr.Name = "mx.ex.test." }, "bogus: MX ex.test. has no signature"},
		{"V-05: by the parent", func(m *dns.Msg) { w.resign(m, "test.", nil) }, "bogus: MX ex.test. is signed by test., but the zone ex.test. begins between"},
		{"V-05: by a zone beside", func(m *dns.Msg) { w.resign(m, "xex.test.", nil) }, "bogus: MX ex.test. has no signature"},
		{"V-06: a suffix that is no zone", func(m *dns.Msg) { w.resign(m, "ex.test.", func(s *dns.RRSIG) { s.SignerName = "x.test." }) }, "bogus"},
		{"V-07: too many labels", func(m *dns.Msg) { sigOf(m).Labels = 3 }, "bogus: the signature of MX ex.test. counts more"},
		{"V-12: twice, in other case", func(m *dns.Msg) {
			twin := dns.Copy(m.Answer[0])
			twin.Header().Name = "eX.TEST."
			m.Answer = append(m.Answer, twin)
		}, "secure"},
		{"V-13: an old copy", func(m *dns.Msg) {
			for _, rr := range m.Answer {
				rr.Header().Ttl = 7
			}
		}, "secure"},
		{"V-14: none", func(m *dns.Msg) { m.Answer = part(m.Answer, dns.TypeMX) }, "bogus: MX ex.test. has no signature, but the zone ex.test. is signed"},
		{"V-16: unsigned records beside", func(m *dns.Msg) {
			m.Ns = append(m.Ns, rr(t, "ex.test. NS evil.example."))
			m.Extra = append(m.Extra, rr(t, "mx.ex.test. A 127.6.6.6"))
		}, "secure"},
		{"V-17: half a signature", func(m *dns.Msg) {
			raw, _ := base64.StdEncoding.DecodeString(sigOf(m).Signature)
			sigOf(m).Signature = base64.StdEncoding.EncodeToString(raw[:32])
		}, "bogus: the signature of MX ex.test. by key"},
		{"changed data", func(m *dns.Msg) { m.Answer[0].(*dns.MX).Preference++ }, "bogus"},
		{"added data", func(m *dns.Msg) { m.Answer = append(m.Answer, rr(t, "ex.test. MX 5 evil.example.")) }, "bogus"},
		{"V-20, V-23: at its first second", func(m *dns.Msg) {
			w.resign(m, "ex.test.", func(s *dns.RRSIG) { s.Inception = at(noon.Add(DefaultSkew)) })
		}, "secure"},
		{"V-20, V-23: at its last second", func(m *dns.Msg) {
			w.resign(m, "ex.test.", func(s *dns.RRSIG) { s.Expiration = at(noon.Add(-DefaultSkew)) })
		}, "secure"},
		{"V-21: not yet valid", func(m *dns.Msg) {
			w.resign(m, "ex.test.", func(s *dns.RRSIG) { s.Inception = at(noon.Add(DefaultSkew + time.Second)) })
		}, "bogus: the signature of MX ex.test. is not valid before 2026-11-22 12:05:01 UTC"},
		{"V-21: expired", func(m *dns.Msg) {
			w.resign(m, "ex.test.", func(s *dns.RRSIG) { s.Expiration = at(noon.Add(-DefaultSkew - time.Second)) })
		}, "bogus: the signature of MX ex.test. expired at 2026-11-22 11:54:59 UTC"},
		{"V-22: ends before it begins", func(m *dns.Msg) {
			w.resign(m, "ex.test.", func(s *dns.RRSIG) { s.Inception, s.Expiration = at(noon.Add(time.Second)), at(noon) })
		}, "bogus: the signature of MX ex.test. ends before"},
	} {
		w.tamper("ex.test.", dns.TypeMX, tt.change)
		t.Run(tt.id, func(t *testing.T) { w.expect(t, "ex.test.", dns.TypeMX, tt.want) })
	}
}

func at(t time.Time) uint32 { return uint32(t.Unix()) }

func rr(t *testing.T, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

// V-22: the time of signatures is 32 bits that begin anew in 2106.
func TestSerialTime(t *testing.T) {
	turn := time.Unix(1<<32, 0).UTC()
	for _, now := range []time.Time{turn.Add(-time.Hour), turn, turn.Add(time.Hour)} {
		w := &world{Lab: mtatest.NewLab(t, now, root, tld, plain), now: now, asked: make(map[dns.Question]int)}
		w.trust(t, w.Anchor("."))
		w.expect(t, "ex.test.", dns.TypeMX, "secure")
		w.now = now.Add(31 * 24 * time.Hour)
		w.expect(t, "ex.test.", dns.TypeMX, "bogus")
	}
}

// V-25, V-26: how long things may be kept.
func TestTTL(t *testing.T) {
	w := newWorld(t, root, tld, plain)
	for _, tt := range []struct {
		name   string
		change func(*dns.Msg)
		want   time.Duration
	}{
		{"as signed", nil, time.Hour},
		{"that of the records", func(m *dns.Msg) { m.Answer[0].Header().Ttl = 5 }, 5 * time.Second},
		{"that of the signature", func(m *dns.Msg) { sigOf(m).Hdr.Ttl = 6 }, 6 * time.Second},
		{"no more than the original", func(m *dns.Msg) { m.Answer[0].Header().Ttl, sigOf(m).Hdr.Ttl = 1<<20, 1<<20 }, time.Hour},
		{"as long as the signature is valid", func(m *dns.Msg) {
			w.resign(m, "ex.test.", func(s *dns.RRSIG) { s.Expiration = at(noon.Add(time.Minute)) })
		}, time.Minute},
		{"none within the skew", func(m *dns.Msg) {
			w.resign(m, "ex.test.", func(s *dns.RRSIG) { s.Expiration = at(noon.Add(-time.Minute)) })
		}, 0},
		{"none of a TTL with the highest bit", func(m *dns.Msg) { m.Answer[0].Header().Ttl = 1 << 31 }, 0},
	} {
		w.tamper("ex.test.", dns.TypeMX, tt.change)
		steps, err := w.judge("ex.test.", dns.TypeMX)
		if err != nil || steps[0].TTL != tt.want {
			t.Errorf("%s: %v, %v; want %v", tt.name, steps, err, tt.want)
		}
	}
	steps, err := w.judge("none.ex.test.", dns.TypeMX)
	if err != nil || steps[0].TTL != 300*time.Second {
		t.Errorf("a denial: %v, %v; want the SOA minimum", steps, err)
	}
}

func TestKeys(t *testing.T) {
	for _, tt := range []struct {
		id     string
		change func(*dns.DNSKEY)
		want   string
	}{
		{"V-09: SEP means nothing", func(k *dns.DNSKEY) { k.Flags |= dns.SEP }, "secure"},
		{"V-08: no zone key", func(k *dns.DNSKEY) { k.Flags &^= dns.ZONE }, "bogus: no key of ex.test. made"},
		{"V-08: another protocol", func(k *dns.DNSKEY) { k.Protocol = 4 }, "bogus: no key of ex.test. made"},
		{"revoked", func(k *dns.DNSKEY) { k.Flags |= dns.REVOKE }, "bogus: no key of ex.test. made"},
	} {
		zone := plain
		zone.ZSK = tt.change
		w := newWorld(t, root, tld, zone)
		t.Run(tt.id, func(t *testing.T) { w.expect(t, "ex.test.", dns.TypeMX, tt.want) })
	}
}

// V-18, V-19.
func TestUsableRSA(t *testing.T) {
	modulus := func(bits int) string {
		return strings.Repeat("\xff", bits/8)
	}
	for _, tt := range []struct {
		name, key string
		ok        bool
	}{
		{"usual", "\x03\x01\x00\x01" + modulus(2048), true},
		{"exponent 3", "\x01\x03" + modulus(2048), true},
		{"long form", "\x00\x00\x03\x01\x00\x01" + modulus(2048), true},
		{"even exponent", "\x03\x01\x00\x00" + modulus(2048), false},
		{"exponent 0", "\x01\x00" + modulus(2048), false},
		{"exponent 1", "\x01\x01" + modulus(2048), false},
		{"exponent of 32 bits", "\x04\xff\x00\x00\x01" + modulus(2048), false},
		{"512 bits", "\x03\x01\x00\x01" + modulus(512), false},
		{"4096 bits", "\x03\x01\x00\x01" + modulus(4096), true},
		{"8192 bits", "\x03\x01\x00\x01" + modulus(8192), false},
		{"no modulus", "\x03\x01\x00\x01", false},
		{"short", "\x03", false},
		{"empty", "", false},
	} {
		if err := usableRSA(base64.StdEncoding.EncodeToString([]byte(tt.key))); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
