package dnssec

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// KeyState is where a key stands on its way to be trusted and out of it
// (RFC 5011 §4). A key that is not tracked is in the state Start.
type KeyState string

// The states.
const (
	AddPend KeyState = "AddPend" // seen, not trusted yet
	Valid   KeyState = "Valid"   // trusted
	Missing KeyState = "Missing" // trusted, but not in the last set
	Revoked KeyState = "Revoked" // never trusted again
	Removed KeyState = "Removed" // revoked, and gone for long
)

// Timers of RFC 5011 §2.3 and §2.4.
const (
	holdDown   = 30 * 24 * time.Hour
	minRefresh = time.Hour
	maxRefresh = 15 * 24 * time.Hour
	maxRetry   = 24 * time.Hour
	maxTracked = 32 // keys; at least 5 (§2.4.3)
)

// TrackedKey is a key of a trust point. It is known by its material: tags are
// not unique and change with revocation.
type TrackedKey struct {
	Key      string    // in zone-file form, without the REVOKE flag
	State    KeyState  //
	Since    time.Time // in this state
	Until    time.Time // of AddPend: trusted if it is seen after this
	Vouchers []string  // of AddPend: the trusted keys that had signed, as in Key
}

// TrustPoint follows the keys of one zone by RFC 5011. The zero value with a
// Zone knows what was configured and nothing else. It is not safe for
// concurrent use.
type TrustPoint struct {
	Zone string // with final dot
	Keys []TrackedKey

	configured Anchors
}

// NewTrustPoint begins with anchors that are built in or configured.
func NewTrustPoint(zone string, configured Anchors) *TrustPoint {
	return &TrustPoint{Zone: one(zone), configured: configured}
}

// Clone gives a copy that can be changed without t.
func (t *TrustPoint) Clone() *TrustPoint {
	c := *t
	c.Keys = slices.Clone(t.Keys)
	return &c
}

// Encode gives the state of the keys as it is kept over restarts.
func (t *TrustPoint) Encode() ([]byte, error) { return json.MarshalIndent(t, "", "\t") }

// Decode takes up what Encode wrote. An error leaves t as it was.
func (t *TrustPoint) Decode(data []byte) error {
	var read TrustPoint
	if err := json.Unmarshal(data, &read); err != nil {
		return fmt.Errorf("reading the state of trust anchors: %w", err)
	}
	if read.Zone != t.Zone || len(read.Keys) > maxTracked {
		return errors.New("reading the state of trust anchors: it is of another zone, or too long")
	}
	for _, k := range read.Keys {
		if _, err := k.parse(); err != nil {
			return err
		}
		if !slices.Contains([]KeyState{AddPend, Valid, Missing, Revoked, Removed}, k.State) {
			return fmt.Errorf("reading the state of trust anchors: unknown state %q", k.State)
		}
	}
	t.Keys = read.Keys
	return nil
}

func (k TrackedKey) parse() (*dns.DNSKEY, error) {
	rr, err := dns.NewRR(k.Key)
	if err != nil {
		return nil, fmt.Errorf("reading a trusted key: %w", err)
	}
	key, ok := rr.(*dns.DNSKEY)
	if !ok {
		return nil, errors.New("reading a trusted key: no DNSKEY record")
	}
	return key, nil
}

// trusted reports whether a key in this state is an anchor.
func (s KeyState) trusted() bool { return s == Valid || s == Missing }

// Anchors gives the keys to be trusted now: those tracked as trusted, and the
// configured ones that were not seen yet or whose key was not revoked. None
// are left when all were revoked: then nothing below is protected (RFC 5011 §5).
func (t *TrustPoint) Anchors() Anchors {
	a := Anchors{zones: make(map[string][]dns.RR)}
	for _, rr := range t.configured.zones[t.Zone] {
		known := slices.ContainsFunc(t.Keys, func(k TrackedKey) bool {
			key, err := k.parse()
			return err == nil && k.State != AddPend && names(rr, key)
		})
		if !known {
			a.zones[t.Zone] = append(a.zones[t.Zone], rr)
		}
	}
	for _, k := range t.Keys {
		if key, err := k.parse(); err == nil && k.State.trusted() {
			a.zones[t.Zone] = append(a.zones[t.Zone], key)
		}
	}
	return a
}

// KnownKey is a key of a trust point for operators.
type KnownKey struct {
	Tag   uint16
	State KeyState
	Since time.Time // zero: configured, and not seen yet
}

// Known gives the keys of the trust point: those configured that were not
// seen yet, as Valid, and those that are followed.
func (t *TrustPoint) Known() []KnownKey {
	var all []KnownKey
	for _, rr := range t.Anchors().zones[t.Zone] {
		if ds, ok := rr.(*dns.DS); ok {
			all = append(all, KnownKey{Tag: ds.KeyTag, State: Valid})
		}
	}
	for _, k := range t.Keys {
		if key, err := k.parse(); err == nil {
			all = append(all, KnownKey{Tag: key.KeyTag(), State: k.State, Since: k.Since})
		}
	}
	return all
}

// names reports whether a configured anchor, DS or DNSKEY, is of a key.
func names(anchor dns.RR, key *dns.DNSKEY) bool {
	switch anchor := anchor.(type) {
	case *dns.DNSKEY:
		return anchor.Algorithm == key.Algorithm && anchor.PublicKey == key.PublicKey
	case *dns.DS:
		if anchor.KeyTag != key.KeyTag() || digestLength(anchor.DigestType) == 0 {
			return false
		}
		made := key.ToDS(anchor.DigestType)
		return made != nil && strings.EqualFold(made.Digest, anchor.Digest)
	}
	return false
}

// Observe takes the answer to a question for the keys of the zone, at a
// moment, and gives the changes of state in words and when to ask again. An
// answer that no trusted key signed changes nothing but revocations, which
// need no other signature than their own (§2.1); the error says why.
func (t *TrustPoint) Observe(now time.Time, m *dns.Msg) (changes []string, next time.Duration, err error) {
	next = minRefresh
	answer := sorted(m.Answer)
	set := answer.at(t.Zone, dns.TypeDNSKEY)
	if set == nil {
		return nil, next, errors.New("no DNSKEY records in the answer for " + t.Zone)
	}
	o := &observation{TrustPoint: t, set: set, now: now}
	o.Lookup = New(func() time.Time { return now }, Policy{Skew: DefaultSkew}).Begin(nil, nil)
	o.revoke()
	vouchers, ttl, err := o.vouchers()
	if err != nil {
		return o.changes, within(ttl/10, maxRetry), err
	}
	o.appear(vouchers, Lifetime(set.sigs[0].OrigTtl))
	o.vanish()
	return o.changes, within(ttl/2, maxRefresh), nil
}

func within(d, most time.Duration) time.Duration { return max(minRefresh, min(d, most)) }

// observation is one set of keys held against a trust point.
type observation struct {
	*TrustPoint
	*Lookup
	set     *rrset
	now     time.Time
	changes []string
}

// signed reports whether one key signed the set, whatever its flags.
func (o *observation) signed(k *dns.DNSKEY) (proof, error) {
	return o.verify(o.set, &zone{name: o.Zone, keys: []key{{DNSKEY: k, tag: k.KeyTag()}}})
}

// material gives the record of a key as it is tracked.
func material(k *dns.DNSKEY) string {
	c := dns.Copy(k).(*dns.DNSKEY)
	c.Flags &^= dns.REVOKE
	c.Hdr.Ttl, c.Hdr.Name = 0, one(c.Hdr.Name)
	return c.String()
}

func (o *observation) tracked(name string) *TrackedKey {
	for i := range o.Keys {
		if o.Keys[i].Key == name {
			return &o.Keys[i]
		}
	}
	return nil
}

func (o *observation) to(k *TrackedKey, s KeyState) {
	key, err := k.parse()
	if err != nil || k.State == s {
		return
	}
	o.changes = append(o.changes, fmt.Sprintf("the key %d of %s is now %s, was %s", key.KeyTag(), o.Zone, s, k.State))
	k.State, k.Since, k.Until, k.Vouchers = s, o.now, time.Time{}, nil
}

// revoke takes keys that revoke themselves. One that is configured and was
// never tracked is tracked from now on, or it would be trusted again.
func (o *observation) revoke() {
	for _, rr := range o.set.records {
		k := rr.(*dns.DNSKEY)
		if k.Flags&dns.REVOKE == 0 || k.Flags&dns.SEP == 0 {
			continue
		}
		if _, err := o.signed(k); err != nil {
			continue
		}
		name := material(k)
		known := o.tracked(name)
		if known == nil && o.isConfigured(k) && len(o.Keys) < maxTracked {
			o.Keys = append(o.Keys, TrackedKey{Key: name, State: Valid, Since: o.now})
			known = o.tracked(name)
		}
		if known != nil && known.State != Removed {
			o.to(known, Revoked)
		}
	}
}

func (o *observation) isConfigured(k *dns.DNSKEY) bool {
	c := dns.Copy(k).(*dns.DNSKEY)
	c.Flags &^= dns.REVOKE
	return slices.ContainsFunc(o.configured.zones[o.Zone], func(rr dns.RR) bool { return names(rr, c) })
}

// vouchers gives the trusted keys that signed the set, and how long it holds.
func (o *observation) vouchers() ([]string, time.Duration, error) {
	anchors := o.Anchors().vouchers(o.Zone)
	var all []string
	ttl := o.set.ttl
	var why error = &BogusError{"no trusted key of " + o.Zone + " is in the set"}
	for _, rr := range o.set.records {
		k := rr.(*dns.DNSKEY)
		trusted, err := o.entrusted(key{DNSKEY: k, tag: k.KeyTag()}, anchors)
		if err != nil {
			return nil, ttl, err
		}
		if !trusted || o.v.policy.usable(k) != nil {
			continue
		}
		p, err := o.signed(k)
		if err != nil {
			why = err
			continue
		}
		all, ttl = append(all, material(k)), min(ttl, p.ttl)
	}
	if len(all) == 0 {
		return nil, ttl, why
	}
	return all, ttl, nil
}

// appear takes the keys that are in the set.
func (o *observation) appear(vouchers []string, original time.Duration) {
	for _, rr := range o.set.records {
		k := rr.(*dns.DNSKEY)
		if k.Flags&dns.SEP == 0 || o.v.policy.usable(k) != nil {
			continue
		}
		name := material(k)
		known := o.tracked(name)
		switch {
		case known == nil && len(o.Keys) >= maxTracked:
		case known == nil:
			o.begin(k, name, vouchers, max(holdDown, original))
		case known.State == Missing:
			o.to(known, Valid)
		case known.State == AddPend && !o.vouched(known):
			o.forget(name)
		case known.State == AddPend && !o.now.Before(known.Until):
			o.to(known, Valid)
		}
	}
}

// begin tracks a key that is new. One that is configured is trusted already.
func (o *observation) begin(k *dns.DNSKEY, name string, vouchers []string, hold time.Duration) {
	if o.isConfigured(k) {
		o.Keys = append(o.Keys, TrackedKey{Key: name, State: Valid, Since: o.now})
		return
	}
	o.Keys = append(o.Keys, TrackedKey{Key: name, State: AddPend, Since: o.now, Until: o.now.Add(hold), Vouchers: vouchers})
	o.changes = append(o.changes, fmt.Sprintf("the key %d of %s is new: it will be trusted after %s", k.KeyTag(), o.Zone, o.now.Add(hold).UTC().Format(time.DateOnly)))
}

// vouched reports whether a key that signed when a new one was first seen has
// not been revoked since.
func (o *observation) vouched(k *TrackedKey) bool {
	return slices.ContainsFunc(k.Vouchers, func(name string) bool {
		v := o.tracked(name)
		return v != nil && v.State.trusted()
	})
}

func (o *observation) forget(name string) {
	o.Keys = slices.DeleteFunc(o.Keys, func(k TrackedKey) bool { return k.Key == name })
}

// vanish takes the keys that are not in the set.
func (o *observation) vanish() {
	var gone []string
	for i := range o.Keys {
		k := &o.Keys[i]
		present := slices.ContainsFunc(o.set.records, func(rr dns.RR) bool { return material(rr.(*dns.DNSKEY)) == k.Key })
		switch {
		case k.State == Revoked && present:
			k.Since = o.now // the time to remove it counts from its last sight
		case present:
		case k.State == AddPend:
			gone = append(gone, k.Key)
		case k.State == Valid:
			o.to(k, Missing)
		case k.State == Revoked && o.now.Sub(k.Since) >= holdDown:
			o.to(k, Removed)
		}
	}
	for _, name := range gone {
		o.forget(name)
		o.changes = append(o.changes, "a new key of "+o.Zone+" is gone before it was trusted")
	}
}
