package dnssec

import (
	"slices"
	"strings"
	"testing"

	"esa/mta/mtatest"

	"github.com/miekg/dns"
)

// without removes the records of absence at a name, with their signatures.
func without(m *dns.Msg, owner string) {
	m.Ns = slices.DeleteFunc(m.Ns, func(rr dns.RR) bool {
		sig, ok := rr.(*dns.RRSIG)
		absence := ok && (sig.TypeCovered == dns.TypeNSEC || sig.TypeCovered == dns.TypeNSEC3) ||
			rr.Header().Rrtype == dns.TypeNSEC || rr.Header().Rrtype == dns.TypeNSEC3
		return absence && (owner == "" || rr.Header().Name == owner)
	})
}

// prove makes records the only proof of a message, signed by a zone.
func (w *world) prove(m *dns.Msg, zone string, records ...dns.RR) {
	without(m, "")
	for _, rr := range records {
		m.Ns = append(m.Ns, rr, w.Sign(zone, []dns.RR{rr}, nil))
	}
}

// nsec makes an NSEC record of "OWNER NEXT TYPES".
func nsec(t *testing.T, text string) dns.RR {
	t.Helper()
	owner, rest, _ := strings.Cut(text, " ")
	return rr(t, owner+" 300 IN NSEC "+rest)
}

// spoilt is an answer that is changed, and the first words of the verdict.
type spoilt struct {
	id     string
	name   string
	rrtype uint16
	change func(*dns.Msg)
	want   string
}

// judged holds each answer, spoilt alone, against its verdict.
func (w *world) judged(t *testing.T, all []spoilt) {
	for _, s := range all {
		w.change = map[dns.Question]func(*dns.Msg){question(s.name, s.rrtype): s.change}
		t.Run(s.id, func(t *testing.T) { w.expect(t, s.name, s.rrtype, s.want) })
	}
}

func TestDenialNSEC(t *testing.T) {
	w := newWorld(t, root, tld, plain, mtatest.Zone{Name: "kid.ex.test.", Text: "@ MX 10 mx\n"})
	nsec := func(text string) dns.RR { return nsec(t, text) }
	w.judged(t, []spoilt{
		{"no proof", "mx.ex.test.", dns.TypeTLSA, func(m *dns.Msg) { without(m, "") }, "bogus: nothing proves"},
		{"unsigned proof", "mx.ex.test.", dns.TypeTLSA, func(m *dns.Msg) {
			m.Ns = slices.DeleteFunc(m.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeRRSIG })
		}, "bogus: nothing proves"},
		{"V-37: an alias stands there", "mx.ex.test.", dns.TypeTLSA, func(m *dns.Msg) {
			w.prove(m, "ex.test.", nsec("mx.ex.test. sub.ex.test. CNAME RRSIG NSEC"))
		}, "bogus: the answer has no TLSA"},
		{"V-36: the type stands there", "mx.ex.test.", dns.TypeTLSA, func(m *dns.Msg) {
			w.prove(m, "ex.test.", nsec("mx.ex.test. sub.ex.test. RRSIG NSEC TLSA"))
		}, "bogus: the answer has no TLSA"},
		{"V-38: the name is not covered", "nothing.ex.test.", dns.TypeA, func(m *dns.Msg) {
			w.prove(m, "ex.test.", nsec("ex.test. c.ex.test. NS SOA RRSIG NSEC"))
		}, "bogus: no NSEC record proves"},
		{"V-38: the wildcard is not covered", "nothing.ex.test.", dns.TypeA, func(m *dns.Msg) {
			w.prove(m, "ex.test.", nsec("mx.ex.test. other.ex.test. A RRSIG NSEC"))
		}, "bogus: nothing proves that the wildcard *.ex.test. does not exist"},
		{"V-39: an empty name called missing", "b.c.ex.test.", dns.TypeA, func(m *dns.Msg) { m.Rcode = dns.RcodeNameError },
			"bogus: b.c.ex.test. is said not to exist"},
		{"V-3A: from the parent's side of a cut", "kid.ex.test.", dns.TypeMX, func(m *dns.Msg) {
			m.Answer = nil
			w.prove(m, "ex.test.", nsec("kid.ex.test. mx.ex.test. NS DS RRSIG NSEC"))
		}, "bogus: the proof that there is no MX kid.ex.test. is of the parent"},
		{"V-3A: of a cut above the name", "mx.kid.ex.test.", dns.TypeA, func(m *dns.Msg) {
			m.Answer = nil
			m.Rcode = dns.RcodeNameError
			w.prove(m, "ex.test.", nsec("kid.ex.test. mx.ex.test. NS DS RRSIG NSEC"), nsec("ex.test. a.ex.test. NS SOA RRSIG NSEC"))
		}, "bogus: no NSEC record proves"},
		{"V-3B: from the child's side", "kid.ex.test.", dns.TypeDS, func(m *dns.Msg) {
			m.Answer = nil
			w.prove(m, "kid.ex.test.", nsec("kid.ex.test. mx.kid.ex.test. NS SOA MX RRSIG NSEC DNSKEY"))
		}, "bogus"},
		{"V-3C: of a DNAME above the name", "x.sub.ex.test.", dns.TypeA, func(m *dns.Msg) {
			m.Answer = nil
			m.Rcode = dns.RcodeNameError
			w.prove(m, "ex.test.", nsec("sub.ex.test. www.ex.test. DNAME RRSIG NSEC"), nsec("ex.test. a.ex.test. NS SOA RRSIG NSEC"))
		}, "bogus: no NSEC record proves"},
		{"V-3D: a next name outside the zone", "nothing.ex.test.", dns.TypeA, func(m *dns.Msg) {
			w.prove(m, "ex.test.", nsec("mx.ex.test. zz.test. A RRSIG NSEC"), nsec("ex.test. a.ex.test. NS SOA RRSIG NSEC"))
		}, "bogus: no NSEC record proves"},
		{"V-3D: the only name of a zone", "nothing.ex.test.", dns.TypeA, func(m *dns.Msg) {
			w.prove(m, "ex.test.", nsec("ex.test. ex.test. NS SOA RRSIG NSEC"))
		}, "secure"},
		{"V-3E: the wildcard's record is missing", "any.wild.ex.test.", dns.TypeA, func(m *dns.Msg) {
			w.prove(m, "ex.test.", nsec("*.wild.ex.test. www.ex.test. TXT RRSIG NSEC")) // also spans the name
		}, "secure"},
		{"V-3E: the wildcard has the type", "any.wild.ex.test.", dns.TypeA, func(m *dns.Msg) {
			w.prove(m, "ex.test.", nsec("*.wild.ex.test. www.ex.test. A RRSIG NSEC"))
		}, "bogus: the answer has no A"},
	})
}

func TestWildcardsNSEC(t *testing.T) {
	aliased := plain
	aliased.Text += "to CNAME any.wild\n"
	w := newWorld(t, root, tld, aliased, mtatest.Zone{Name: "kid.ex.test.", Text: "@ MX 10 mx\n"})
	nsec := func(text string) dns.RR { return nsec(t, text) }
	w.judged(t, []spoilt{
		{"a name called missing that exists", "mx.ex.test.", dns.TypeTLSA, func(m *dns.Msg) { m.Rcode = dns.RcodeNameError },
			"bogus: mx.ex.test. is said not to exist"},
		{"a missing name called empty", "nothing.ex.test.", dns.TypeA, func(m *dns.Msg) { m.Rcode = dns.RcodeSuccess }, "bogus"},
		{"V-31: an expansion without proof", "any.wild.ex.test.", dns.TypeTXT, func(m *dns.Msg) { without(m, "") },
			"bogus: TXT any.wild.ex.test. comes from a wildcard, and nothing proves"},
		{"V-31: the name exists", "any.wild.ex.test.", dns.TypeTXT, func(m *dns.Msg) {
			w.prove(m, "ex.test.", nsec("*.wild.ex.test. b.any.wild.ex.test. TXT RRSIG NSEC"))
		}, "bogus"},
		{"V-32: a closer name exists", "a.any.wild.ex.test.", dns.TypeTXT, func(m *dns.Msg) {
			w.prove(m, "ex.test.", nsec("any.wild.ex.test. www.ex.test. TXT RRSIG NSEC"))
		}, "bogus: a.any.wild.ex.test. comes from a wildcard that does not reach it"},
		{"V-5H: the proof after an alias is of its target", "to.ex.test.", dns.TypeTXT, nil, "secure"},
		{"V-5H: not of the name that was asked for", "to.ex.test.", dns.TypeTXT, func(m *dns.Msg) {
			w.prove(m, "ex.test.", nsec("sub.ex.test. www.ex.test. DNAME RRSIG NSEC")) // holds "to", not "any.wild"
		}, "bogus: any.wild.ex.test. comes from a wildcard that does not reach it"},
		{"V-34: a proof out of a wildcard", "nothing.ex.test.", dns.TypeA, func(m *dns.Msg) {
			star := nsec("*.ex.test. zz.ex.test. TXT RRSIG NSEC")
			sig := w.Sign("ex.test.", []dns.RR{star}, nil)
			m.Rcode = dns.RcodeSuccess
			without(m, "")
			star.Header().Name, sig.Hdr.Name = "nothing.ex.test.", "nothing.ex.test."
			m.Ns = append(m.Ns, star, sig)
		}, "bogus: NSEC nothing.ex.test. comes from a wildcard and proves nothing"},
		{"a denial by a zone beside", "mx.ex.test.", dns.TypeTLSA, func(m *dns.Msg) {
			w.prove(m, "kid.ex.test.", nsec("mx.ex.test. sub.ex.test. A RRSIG NSEC"))
		}, "bogus: nothing proves"},
	})
}

// eachNSEC3 changes all NSEC3 records of a message, signed again.
func (w *world) eachNSEC3(m *dns.Msg, zone string, change func(*dns.NSEC3)) {
	var all []dns.RR
	for _, rr := range m.Ns {
		if n, ok := rr.(*dns.NSEC3); ok {
			change(n)
			all = append(all, n)
		}
	}
	w.prove(m, zone, all...)
}

func TestDenialNSEC3(t *testing.T) {
	zone := withNSEC3(plain, mtatest.NSEC3{Iterations: 1, Salt: "ab"})
	w := newWorld(t, root, tld, zone, mtatest.Zone{Name: "kid.ex.test.", Text: "@ MX 10 mx\n"})
	hashed := func(name string) string { return one(dns.HashName(name, 1, 1, "ab") + ".ex.test.") }
	w.judged(t, []spoilt{
		{"no proof", "nothing.ex.test.", dns.TypeA, func(m *dns.Msg) { without(m, "") }, "bogus: nothing proves"},
		{"V-50: no closest encloser", "nothing.ex.test.", dns.TypeA, func(m *dns.Msg) { without(m, hashed("ex.test.")) }, "bogus"},
		{"V-51: the type stands there", "mx.ex.test.", dns.TypeTLSA, func(m *dns.Msg) {
			w.eachNSEC3(m, "ex.test.", func(n *dns.NSEC3) { n.TypeBitMap = []uint16{dns.TypeTLSA} })
		}, "bogus: the answer has no TLSA"},
		{"V-51: an alias stands there", "mx.ex.test.", dns.TypeTLSA, func(m *dns.Msg) {
			w.eachNSEC3(m, "ex.test.", func(n *dns.NSEC3) { n.TypeBitMap = []uint16{dns.TypeCNAME} })
		}, "bogus: the answer has no TLSA"},
		{"V-57: the encloser is a DNAME", "nothing.ex.test.", dns.TypeA, func(m *dns.Msg) {
			w.eachNSEC3(m, "ex.test.", func(n *dns.NSEC3) {
				if n.Hdr.Name == hashed("ex.test.") {
					n.TypeBitMap = []uint16{dns.TypeSOA, dns.TypeDNAME}
				}
			})
		}, "bogus: the NSEC3 record of ex.test. says nothing"},
		{"V-57: the encloser is a cut", "nothing.ex.test.", dns.TypeA, func(m *dns.Msg) {
			w.eachNSEC3(m, "ex.test.", func(n *dns.NSEC3) { n.TypeBitMap = []uint16{dns.TypeNS} })
		}, "bogus: the NSEC3 record of ex.test. says nothing"},
		{"V-58: an unknown hash", "nothing.ex.test.", dns.TypeA, func(m *dns.Msg) {
			w.eachNSEC3(m, "ex.test.", func(n *dns.NSEC3) { n.Hash = 2 })
		}, "bogus: the NSEC3 records of ex.test. cannot be used"},
		{"V-58: unknown flags", "nothing.ex.test.", dns.TypeA, func(m *dns.Msg) {
			w.eachNSEC3(m, "ex.test.", func(n *dns.NSEC3) { n.Flags = 2 })
		}, "bogus: the NSEC3 records of ex.test. cannot be used"},
		{"V-59: another salt in the same answer", "nothing.ex.test.", dns.TypeA, func(m *dns.Msg) {
			w.eachNSEC3(m, "ex.test.", func(n *dns.NSEC3) {
				if n.Hdr.Name != hashed("ex.test.") {
					n.Salt = "cd"
				}
			})
		}, "bogus"},
		{"V-5A: too many iterations", "nothing.ex.test.", dns.TypeA, func(m *dns.Msg) {
			w.eachNSEC3(m, "ex.test.", func(n *dns.NSEC3) { n.Iterations = 151 })
		}, "bogus: the NSEC3 records of ex.test. use 151 iterations"},
		{"V-5B: in lower case", "nothing.ex.test.", dns.TypeA, func(m *dns.Msg) {
			for _, rr := range m.Ns {
				rr.Header().Name = strings.ToLower(rr.Header().Name)
				if n, ok := rr.(*dns.NSEC3); ok {
					n.NextDomain, n.Salt = strings.ToLower(n.NextDomain), strings.ToUpper(n.Salt)
				}
			}
		}, "secure"},
		{"V-55: a cover of a cut without opt-out", "kid.ex.test.", dns.TypeDS, func(m *dns.Msg) {
			m.Answer = nil
			other := w.Answer(question("nothing.ex.test.", dns.TypeDS))
			var wide []dns.RR
			for _, rr := range part(other.Ns, dns.TypeNSEC3) {
				n := rr.(*dns.NSEC3)
				if n.Hdr.Name != hashed("ex.test.") {
					n.Hdr.Name, n.NextDomain = strings.Repeat("0", 32)+".ex.test.", strings.Repeat("V", 32)
				}
				wide = append(wide, n)
			}
			w.prove(m, "ex.test.", wide...)
		}, "bogus: no NSEC3 record proves"},
		{"V-31: an expansion without proof", "any.wild.ex.test.", dns.TypeTXT, func(m *dns.Msg) { without(m, "") }, "bogus"},
	})
}

// V-35, V-56, D-30: what an opt-out leaves open is not protected.
func TestOptOut(t *testing.T) {
	w := newWorld(t, root, tld, withNSEC3(plain, mtatest.NSEC3{OptOut: true}))
	w.expect(t, "any.wild.ex.test.", dns.TypeTXT, "insecure")
	w.expect(t, "any.wild.ex.test.", dns.TypeA, "insecure")
	w.expect(t, "nothing.ex.test.", dns.TypeA, "insecure")
	w.expect(t, "_25._tcp.nothing.ex.test.", dns.TypeTLSA, "insecure")
	w.expect(t, "mx.ex.test.", dns.TypeTLSA, "secure")
	w.expect(t, "mx.ex.test.", dns.TypeA, "secure")
}

func TestCanonicalOrder(t *testing.T) {
	// RFC 4034 §6.1, with an underscore and a label of upper case letters (blocky issue 1969 is the underscore).
	names := []string{
		"example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", "z.example.",
		`\001.z.example.`, "*.z.example.", "_25._tcp.z.example.", "a.z.example.", `\200.z.example.`,
	}
	for i, a := range names {
		for j, b := range names {
			if got := compare(a, b); got < 0 != (i < j) || got == 0 != (i == j) {
				t.Errorf("compare(%s, %s) = %d", a, b, got)
			}
		}
	}
	for _, tt := range []struct {
		owner, next, name string
		want              bool
	}{
		{"a.", "c.", "b.", true}, {"a.", "c.", "a.", false}, {"a.", "c.", "c.", false}, {"a.", "c.", "d.", false},
		{"x.", "a.", "z.", true}, {"x.", "a.", "b.", false}, {"a.", "a.", "b.", true},
	} {
		if got := spans(tt.owner, tt.next, tt.name); got != tt.want {
			t.Errorf("spans(%s, %s, %s) = %v", tt.owner, tt.next, tt.name, got)
		}
	}
}
