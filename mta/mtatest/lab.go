package mtatest

import (
	"cmp"
	"crypto"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

// Zone is a zone of a Lab, as text. SOA and NS records, keys, signatures,
// proofs of absence, and the DS records of the zones below it are made by the
// lab.
type Zone struct {
	Name      string // "example.com."
	Text      string // records in zone-file form, names relative to the zone
	Unsigned  bool
	NoDS      bool   // its parent shows no DS record for it, signed or not
	Algorithm uint8  // 0: 13, ECDSA P-256
	Digest    uint8  // of its DS record; 0: 2, SHA-256
	DS        DSName // what its DS record says of it, whatever it is
	NSEC3     *NSEC3 // nil: NSEC

	NS   string // its name server; "": "ns.", which has no address
	Glue string // address of NS, in its parent too

	ZSK func(*mdns.DNSKEY) // if not nil, changes the key that signs all but keys
}

// DSName is the algorithm and the digest that a DS record names; 0: the true one.
type DSName struct{ Algorithm, Digest uint8 }

// NSEC3 are the parameters of a zone's proofs of absence.
type NSEC3 struct {
	Iterations uint16
	Salt       string // in hexadecimal digits
	OptOut     bool
}

// Lab is a tree of zones that it signs itself. It answers as an honest
// recursive server does that was asked with DO and CD.
type Lab struct {
	Inception, Expiration time.Time // of the signatures

	t     testing.TB
	zones map[string]*labZone
}

// labZone is a zone with its keys and records.
type labZone struct {
	Zone
	records []mdns.RR
	ksk     labKey
	zsk     labKey
}

// labKey is a key pair of a zone.
type labKey struct {
	*mdns.DNSKEY
	signer crypto.Signer
}

// NewLab makes keys for the zones. Signatures are valid from one day before
// now to 30 days after it. A parent must be listed before its children.
func NewLab(t testing.TB, now time.Time, zones ...Zone) *Lab {
	t.Helper()
	l := &Lab{t: t, zones: make(map[string]*labZone), Inception: now.Add(-24 * time.Hour), Expiration: now.Add(30 * 24 * time.Hour)}
	for _, z := range zones {
		l.add(z)
	}
	return l
}

func (l *Lab) add(z Zone) {
	l.t.Helper()
	z.Name = oneForm(z.Name)
	if z.Algorithm == 0 {
		z.Algorithm = mdns.ECDSAP256SHA256
	}
	if z.Digest == 0 {
		z.Digest = mdns.SHA256
	}
	made := &labZone{Zone: z}
	ns := "ns."
	if z.NS != "" {
		ns = z.NS
	}
	glue := ""
	if z.Glue != "" {
		glue = ns + " 3600 IN A " + z.Glue + "\n"
	}
	made.parse(l.t, "@ 3600 IN SOA ns. admin. 1 7200 3600 1209600 300\n@ 3600 IN NS "+ns+"\n"+glue+z.Text)
	if !z.Unsigned {
		made.ksk, made.zsk = l.newKey(z, 257), l.newKey(z, 256)
		if z.ZSK != nil {
			z.ZSK(made.zsk.DNSKEY)
		}
		made.records = append(made.records, made.ksk.DNSKEY, made.zsk.DNSKEY)
	}
	l.zones[z.Name] = made
	if above := l.above(z.Name); above != nil {
		above.parse(l.t, z.Name+" 3600 IN NS "+ns+"\n"+glue)
		if !z.Unsigned && !z.NoDS {
			ds := made.ksk.ToDS(z.Digest)
			ds.Algorithm, ds.DigestType = cmp.Or(z.DS.Algorithm, ds.Algorithm), cmp.Or(z.DS.Digest, ds.DigestType)
			above.records = append(above.records, ds)
		}
	}
}

// parse adds records in zone-file form.
func (z *labZone) parse(t testing.TB, text string) {
	t.Helper()
	p := mdns.NewZoneParser(strings.NewReader(text), z.Name, z.Name)
	p.SetDefaultTTL(3600)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		rr.Header().Name = oneForm(rr.Header().Name)
		z.records = append(z.records, rr)
	}
	if err := p.Err(); err != nil {
		t.Fatalf("reading zone: %v", err)
	}
}

func (l *Lab) newKey(z Zone, flags uint16) labKey {
	l.t.Helper()
	k := &mdns.DNSKEY{
		Hdr:   mdns.RR_Header{Name: z.Name, Rrtype: mdns.TypeDNSKEY, Class: mdns.ClassINET, Ttl: 3600},
		Flags: flags, Protocol: 3, Algorithm: z.Algorithm,
	}
	size := 256
	switch z.Algorithm {
	case mdns.RSASHA1, mdns.RSASHA1NSEC3SHA1, mdns.RSASHA256, mdns.RSASHA512:
		size = 2048
	case mdns.ECDSAP384SHA384:
		size = 384
	}
	return labKey{DNSKEY: k, signer: NewSigner(l.t, k, size)}
}

// NewSigner makes the key pair of a DNSKEY record of so many bits. Its tag is
// not 0, nor is that of the revoked key: with one in 65,536 keys it would be, and
// the library signs with none of those.
func NewSigner(t testing.TB, k *mdns.DNSKEY, bits int) crypto.Signer {
	t.Helper()
	for {
		private, err := k.Generate(bits)
		if err != nil {
			t.Fatalf("making a key for %s: %v", k.Hdr.Name, err)
		}
		revoked := mdns.Copy(k).(*mdns.DNSKEY)
		revoked.Flags |= mdns.REVOKE
		if k.KeyTag() != 0 && revoked.KeyTag() != 0 {
			return private.(crypto.Signer)
		}
	}
}

// Anchor gives the DS record of a zone in zone-file form.
func (l *Lab) Anchor(zone string) string {
	return l.zones[oneForm(zone)].ksk.ToDS(mdns.SHA256).String()
}

// AnchorKey gives the key signing key of a zone in zone-file form.
func (l *Lab) AnchorKey(zone string) string { return l.zones[oneForm(zone)].ksk.String() }

// above gives the zone that a zone is delegated from, nil for the topmost.
func (l *Lab) above(name string) *labZone {
	if name == "." {
		return nil
	}
	return l.holding(parentName(name))
}

// holding gives the zone that a name is in.
func (l *Lab) holding(name string) *labZone {
	for {
		if z := l.zones[name]; z != nil || name == "." {
			return z
		}
		name = parentName(name)
	}
}

func parentName(name string) string {
	next, end := mdns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[next:]
}

// Sign gives the signature of a set by a zone; change, if not nil, is applied
// before it is made. Of the keys the key signing key signs DNSKEY sets, the
// other one everything else.
func (l *Lab) Sign(zone string, set []mdns.RR, change func(*mdns.RRSIG)) *mdns.RRSIG {
	z := l.zones[oneForm(zone)]
	k := z.zsk
	if set[0].Header().Rrtype == mdns.TypeDNSKEY {
		k = z.ksk
	}
	return l.signWith(k, z.Name, set, change)
}

func (l *Lab) signWith(k labKey, zone string, set []mdns.RR, change func(*mdns.RRSIG)) *mdns.RRSIG {
	sig := &mdns.RRSIG{
		Hdr:        mdns.RR_Header{Name: set[0].Header().Name, Ttl: set[0].Header().Ttl},
		Algorithm:  k.Algorithm,
		KeyTag:     k.KeyTag(),
		SignerName: zone,
		Inception:  uint32(l.Inception.Unix()),
		Expiration: uint32(l.Expiration.Unix()),
	}
	if change != nil {
		change(sig)
	}
	if err := sig.Sign(k.signer, set); err != nil {
		l.t.Fatalf("signing %s: %v", set[0].Header().Name, err)
	}
	return sig
}
