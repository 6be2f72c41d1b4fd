package dnssec

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// zone is a zone on the way down from the anchor. One without keys is
// insecure: the chain has ended at it or above it.
type zone struct {
	name    string
	keys    []key
	why     string // why it is insecure
	expires time.Time
}

func (z *zone) insecure() bool { return len(z.keys) == 0 }

// vouchers are what is trusted to say which keys a zone has: the DS records
// of the parent, or trust anchors of either form.
type vouchers struct {
	digests []*dns.DS
	keys    []*dns.DNSKEY
}

func (v vouchers) none() bool { return len(v.digests) == 0 && len(v.keys) == 0 }

// relied gives those of supported algorithms and digests. SHA-1 digests are
// left out beside better ones (RFC 4509 §3).
func (p Policy) relied(v vouchers) vouchers {
	var r vouchers
	better := false
	for _, ds := range v.digests {
		if p.supported(ds.Algorithm) && digestLength(ds.DigestType) > 0 {
			r.digests = append(r.digests, ds)
			better = better || ds.DigestType != dns.SHA1
		}
	}
	if better {
		r.digests = slices.DeleteFunc(r.digests, func(ds *dns.DS) bool { return ds.DigestType == dns.SHA1 })
	}
	for _, k := range v.keys {
		if p.usable(k) == nil {
			r.keys = append(r.keys, k)
		}
	}
	return r
}

// digestLength gives the length of a digest in bytes, 0 for what is not
// supported.
func digestLength(kind uint8) int {
	switch kind {
	case dns.SHA1:
		return 20
	case dns.SHA256:
		return 32
	case dns.SHA384:
		return 48
	default:
		return 0
	}
}

// keysOf asks for the keys of a zone and takes them if one that is vouched for
// signed them all (RFC 4035 §5.2). Vouchers of which none is supported make
// the zone insecure.
func (l *Lookup) keysOf(ctx context.Context, name string, v vouchers) (*zone, error) {
	relied := l.v.policy.relied(v)
	if relied.none() {
		return &zone{name: name, why: "the zone " + name + " is signed only with algorithms or digests that are not supported"}, nil
	}
	var z *zone
	err := l.ask(ctx, name, dns.TypeDNSKEY, func(m *dns.Msg) error {
		var err error
		z, err = l.vouched(name, relied, m)
		return err
	})
	return z, err
}

// vouched reads the keys of a zone out of an answer.
func (l *Lookup) vouched(name string, v vouchers, m *dns.Msg) (*zone, error) {
	answer := sorted(m.Answer)
	set := answer.at(name, dns.TypeDNSKEY)
	if set == nil {
		return nil, bogus("the zone %s has no DNSKEY records, though it must be signed", name)
	}
	all, err := l.v.policy.zoneKeys(set)
	if err != nil {
		return nil, err
	}
	why := bogus("no key of %s is one that its parent or a trust anchor names", name)
	for _, k := range all {
		ok, err := l.entrusted(k, v)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		p, err := l.verify(set, &zone{name: name, keys: []key{k}})
		if errors.Is(err, ErrTooMuchWork) {
			return nil, err
		}
		if err != nil {
			why = err
			continue
		}
		l.tell("DNSKEY %s: signed by key %d (%s), which is vouched for; %d usable keys", name, k.tag, dns.AlgorithmToString[k.Algorithm], len(all))
		return &zone{name: name, keys: all, expires: l.now.Add(p.ttl)}, nil
	}
	return nil, why
}

// zoneKeys gives the keys of a set that can make signatures. A set with none
// is bogus, with the fault of the last.
func (p Policy) zoneKeys(set *rrset) ([]key, error) {
	var keys []key
	why := "has no fault"
	for _, rr := range set.records {
		k := rr.(*dns.DNSKEY)
		if err := p.usable(k); err != nil {
			why = err.Error()
			continue
		}
		keys = append(keys, key{DNSKEY: k, tag: k.KeyTag()})
	}
	if len(keys) == 0 {
		return nil, bogus("no key of %s can be used: the last %s", set.owner, why)
	}
	return keys, nil
}

// entrusted reports whether one of the vouchers names the key.
func (l *Lookup) entrusted(k key, v vouchers) (bool, error) {
	for _, anchor := range v.keys {
		if anchor.Algorithm == k.Algorithm && anchor.PublicKey == k.PublicKey {
			return true, nil
		}
	}
	for _, ds := range v.digests {
		if ds.KeyTag != k.tag || ds.Algorithm != k.Algorithm || len(ds.Digest) != 2*digestLength(ds.DigestType) {
			continue
		}
		if err := spend(&l.left.digests, 1); err != nil {
			return false, err
		}
		if made := k.ToDS(ds.DigestType); made != nil && strings.EqualFold(made.Digest, ds.Digest) {
			return true, nil
		}
	}
	return false, nil
}
