package dnssec

import (
	"crypto"
	"slices"
	"strings"
	"testing"
	"time"

	"esa/mta/mtatest"

	"github.com/miekg/dns"
)

// ksk is a key signing key of the root with its private half.
type ksk struct {
	*dns.DNSKEY
	signer crypto.Signer
}

func newKSK(t *testing.T) ksk {
	t.Helper()
	k := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: ".", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 172800},
		Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256,
	}
	return ksk{k, mtatest.NewSigner(t, k, 256)}
}

// revoked is the same key with the REVOKE flag.
func (k ksk) revoked() ksk {
	c := dns.Copy(k.DNSKEY).(*dns.DNSKEY)
	c.Flags |= dns.REVOKE
	return ksk{c, k.signer}
}

// keySet is an answer with keys, signed by some of them.
func keySet(t *testing.T, now time.Time, keys []ksk, signers ...ksk) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	for _, k := range keys {
		m.Answer = append(m.Answer, k.DNSKEY)
	}
	set := slices.Clone(m.Answer)
	for _, k := range signers {
		sig := &dns.RRSIG{
			Hdr: dns.RR_Header{Name: ".", Ttl: 172800}, Algorithm: k.Algorithm, KeyTag: k.KeyTag(), SignerName: ".",
			Inception: at(now.Add(-time.Hour)), Expiration: at(now.AddDate(0, 0, 20)),
		}
		if err := sig.Sign(k.signer, set); err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, sig)
	}
	return m
}

// point is a trust point under test with a moving clock.
type point struct {
	*TrustPoint
	t   *testing.T
	now time.Time
}

func newPoint(t *testing.T, configured ...ksk) *point {
	t.Helper()
	var lines []string
	for _, k := range configured {
		lines = append(lines, k.ToDS(dns.SHA256).String())
	}
	anchors, err := ParseAnchors(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return &point{TrustPoint: NewTrustPoint(".", anchors), t: t, now: noon}
}

// sees lets time pass and shows a set; it tells whether the set was believed.
func (p *point) sees(after time.Duration, keys []ksk, signers ...ksk) bool {
	p.t.Helper()
	p.now = p.now.Add(after)
	_, _, err := p.Observe(p.now, keySet(p.t, p.now, keys, signers...))
	return err == nil
}

// expect holds the states of keys; "" is Start.
func (p *point) expect(when string, states map[*ksk]KeyState) {
	p.t.Helper()
	for k, want := range states {
		got := KeyState("")
		for _, tracked := range p.Keys {
			if tracked.Key == material(k.DNSKEY) {
				got = tracked.State
			}
		}
		if got != want {
			p.t.Errorf("%s: key %d is %q, want %q", when, k.KeyTag(), got, want)
		}
		trusted := slices.ContainsFunc(p.Anchors().zones["."], func(rr dns.RR) bool { return names(rr, k.DNSKEY) })
		if trusted != want.trusted() {
			p.t.Errorf("%s: key %d trusted: %v", when, k.KeyTag(), trusted)
		}
	}
}

const day = 24 * time.Hour

func TestRollover(t *testing.T) {
	old, fresh, third := newKSK(t), newKSK(t), newKSK(t)
	p := newPoint(t, old)
	p.sees(0, []ksk{old}, old)
	p.expect("at the start", map[*ksk]KeyState{&old: Valid})
	p.sees(day, []ksk{old, fresh}, old)
	p.expect("first seen", map[*ksk]KeyState{&old: Valid, &fresh: AddPend})
	if p.sees(day, []ksk{old, fresh, third}, fresh) {
		t.Error("V-70: a set that only the pending key signed is believed")
	}
	p.expect("V-71", map[*ksk]KeyState{&fresh: AddPend, &third: ""})
	p.sees(27*day, []ksk{old, fresh}, old)
	p.expect("before the time is over", map[*ksk]KeyState{&fresh: AddPend})
	p.sees(2*day, []ksk{old, fresh}, old)
	p.expect("after it", map[*ksk]KeyState{&fresh: Valid})
	p.sees(day, []ksk{fresh}, fresh)
	p.expect("the old one is gone", map[*ksk]KeyState{&old: Missing, &fresh: Valid})
	p.sees(400*day, []ksk{old, fresh}, old)
	p.expect("V-7A: and back after long", map[*ksk]KeyState{&old: Valid, &fresh: Valid})
	if p.sees(day, []ksk{old.revoked(), fresh}, fresh) == false {
		t.Error("a set with a revoked key is not believed")
	}
	p.expect("V-73: REVOKE without its signature", map[*ksk]KeyState{&old: Valid})
	p.sees(day, []ksk{old.revoked(), fresh}, fresh, old.revoked())
	p.expect("revoked", map[*ksk]KeyState{&old: Revoked, &fresh: Valid})
	p.sees(29*day, []ksk{old, fresh}, old, fresh)
	p.expect("V-74: shown again without the flag", map[*ksk]KeyState{&old: Revoked})
	p.sees(29*day, []ksk{fresh}, fresh)
	p.sees(2*day, []ksk{fresh}, fresh)
	p.expect("gone for long", map[*ksk]KeyState{&old: Removed, &fresh: Valid})
	p.sees(day, []ksk{old, fresh}, old, fresh)
	p.expect("and never trusted again", map[*ksk]KeyState{&old: Removed, &fresh: Valid})
}

func TestPendingKeys(t *testing.T) {
	old, second, fresh := newKSK(t), newKSK(t), newKSK(t)
	p := newPoint(t, old, second)
	p.sees(0, []ksk{old, second}, old)
	p.sees(day, []ksk{old, second, fresh}, old)
	p.sees(day, []ksk{old, second}, old)
	p.expect("gone in between: Start", map[*ksk]KeyState{&fresh: ""})
	p.sees(30*day, []ksk{old, second, fresh}, old)
	p.expect("the time begins anew", map[*ksk]KeyState{&fresh: AddPend})
	p.sees(31*day, []ksk{old.revoked(), second, fresh}, old.revoked(), second)
	p.expect("all that vouched are revoked: Start", map[*ksk]KeyState{&old: Revoked, &fresh: ""})
	p.sees(day, []ksk{second, fresh}, second)
	p.sees(31*day, []ksk{second, fresh}, second) // V-78: the clock may have jumped, but it was seen twice
	p.expect("V-78", map[*ksk]KeyState{&fresh: Valid})
}

// V-72, V-79: what no trusted key signed changes nothing.
func TestUnsignedSets(t *testing.T) {
	old, stranger := newKSK(t), newKSK(t)
	p := newPoint(t, old)
	p.sees(0, []ksk{old}, old)
	for name, m := range map[string]*dns.Msg{
		"unsigned":       keySet(t, p.now, []ksk{old, stranger}),
		"by a stranger":  keySet(t, p.now, []ksk{old, stranger}, stranger),
		"expired":        keySet(t, p.now.AddDate(0, 0, -40), []ksk{old, stranger}, old),
		"rolled over":    keySet(t, p.now, []ksk{stranger}, stranger),
		"empty":          new(dns.Msg),
		"revoked by all": keySet(t, p.now, []ksk{stranger.revoked()}, stranger.revoked()),
	} {
		if _, next, err := p.Observe(p.now, m); err == nil || next < minRefresh || next > maxRetry {
			t.Errorf("%s: %v, again in %v", name, err, next)
		}
		p.expect(name, map[*ksk]KeyState{&old: Valid, &stranger: ""})
	}
}

// V-75: when all are revoked nobody is trusted.
func TestAllRevoked(t *testing.T) {
	old := newKSK(t)
	p := newPoint(t, old)
	p.sees(0, []ksk{old.revoked()}, old.revoked()) // never seen before, but configured
	p.expect("revoked at first sight", map[*ksk]KeyState{&old: Revoked})
	if got := p.Anchors().Lines(); len(got) > 0 {
		t.Errorf("anchors: %q", got)
	}
}

func TestRefreshTimers(t *testing.T) {
	old := newKSK(t)
	p := newPoint(t, old)
	_, next, err := p.Observe(noon, keySet(t, noon, []ksk{old}, old))
	if err != nil || next != day { // half of the TTL of 2 days
		t.Errorf("asked again in %v, %v", next, err)
	}
	old.Hdr.Ttl = 60
	if _, next, _ = p.Observe(noon, keySet(t, noon, []ksk{old}, old)); next != minRefresh {
		t.Errorf("with a short TTL: in %v", next)
	}
}

// V-76, V-77: the state is kept whole or not at all.
func TestTrustPointState(t *testing.T) {
	old, fresh := newKSK(t), newKSK(t)
	p := newPoint(t, old)
	p.sees(0, []ksk{old}, old)
	p.sees(day, []ksk{old, fresh}, old)
	data, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again := newPoint(t, old)
	again.now = p.now
	if err := again.Decode(data); err != nil {
		t.Fatal(err)
	}
	again.sees(31*day, []ksk{old, fresh}, old)
	again.expect("after a restart", map[*ksk]KeyState{&old: Valid, &fresh: Valid})
	for _, bad := range []string{"", "{", `{"Zone":"test."}`, strings.Replace(string(data), "AddPend", "Trusted", 1),
		strings.Replace(string(data), "DNSKEY", "A", 1), string(data[:len(data)/2])} {
		if err := again.Decode([]byte(bad)); err == nil {
			t.Errorf("Decode(%.40q) succeeds", bad)
		}
	}
	again.expect("after damaged states", map[*ksk]KeyState{&old: Valid, &fresh: Valid})
}

// V-7B: the root changes its algorithm. A new key of one that is known is taken
// up like any other; one that is not known is passed over and keeps nobody from
// the rest.
func TestAlgorithmRollover(t *testing.T) {
	old, known, unknown := newKSK(t), newKSK(t), newKSK(t)
	known.DNSKEY = dns.Copy(known.DNSKEY).(*dns.DNSKEY)
	known.Algorithm = dns.ED25519
	known.signer = mtatest.NewSigner(t, known.DNSKEY, 256)
	unknown.Algorithm = 200
	p := newPoint(t, old)
	p.sees(0, []ksk{old}, old)
	p.sees(day, []ksk{old, known, unknown}, old)
	p.expect("first seen", map[*ksk]KeyState{&old: Valid, &known: AddPend, &unknown: ""})
	p.sees(31*day, []ksk{old, known, unknown}, old)
	p.expect("after its time", map[*ksk]KeyState{&old: Valid, &known: Valid, &unknown: ""})
	if !p.sees(day, []ksk{known, unknown}, known) {
		t.Error("a set that only the key of the new algorithm signed is not believed")
	}
	p.expect("the old one is gone", map[*ksk]KeyState{&old: Missing, &known: Valid, &unknown: ""})

	// Both algorithms are unknown in the end: what was trusted stays, nothing is believed.
	if p.sees(day, []ksk{unknown}) {
		t.Error("a set of unknown algorithms is believed")
	}
	p.expect("only unknown ones", map[*ksk]KeyState{&old: Missing, &known: Valid, &unknown: ""})
}
