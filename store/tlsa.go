package store

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"
)

// TLSARecord is a TLSA record to publish (RFC 6698 §2.1): selector and matching
// type are 1, the SHA-256 of a public key.
type TLSARecord struct {
	Usage int // 3: the certificate's own key; 2: that of its issuer
	Sum   [sha256.Size]byte
}

// String gives the data of the record as in a zone file.
func (r TLSARecord) String() string { return fmt.Sprintf("%d 1 1 %x", r.Usage, r.Sum) }

// TLSAService is where senders look for the TLSA records of a listener
// (RFC 7672 §2.2.3).
type TLSAService struct {
	Name        string // "_25._tcp.mx.example.com"
	Host        string // of the listener's interface
	Listener    string
	Certificate string // the profile
	Records     []TLSARecord
	Chain       []*x509.Certificate // as the listener presents it
}

// PublishedTLSA is what DNS says of a service.
type PublishedTLSA struct {
	TLSAService
	Published []string // records as in a zone file, whatever they are
	State     TLSAState
	Why       string // of TLSAUnknown
}

// TLSAState compares published records with a certificate.
type TLSAState string

// The states, in the words that operators see.
const (
	TLSANone      TLSAState = "not published"
	TLSAFits      TLSAState = "published, and the certificate fits"
	TLSAUnusable  TLSAState = "published, but not protected by DNSSEC: nobody uses them"
	TLSABroken    TLSAState = "published, and the certificate does not fit"
	TLSAUnknown   TLSAState = "not known"
	tlsaBrokenFix           = "certconfig -> TLSA"
)

// TLSAServices gives what there is to publish for listeners that mail comes to
// from anywhere, one for each name and certificate: hosts of one name may be
// several listeners, and what is published has to fit each.
func (c *Config) TLSAServices() []TLSAService {
	var all []TLSAService
	seen := map[[2]string]bool{}
	for _, l := range c.Listeners {
		cert := c.Certificate(l.Certificate)
		on, ok := c.Interface(l.Interface)
		if l.Type != Public || l.Certificate == "" || cert == nil || !ok {
			continue
		}
		chain, err := cert.Chain.Certificates()
		host := strings.ToLower(on.Hostname)
		s := TLSAService{Name: fmt.Sprintf("_%d._tcp.%s", l.Port, host), Host: host, Listener: l.Name, Certificate: l.Certificate, Chain: chain}
		key := [2]string{s.Name, s.Certificate}
		if err != nil || len(chain) == 0 || seen[key] {
			continue
		}
		seen[key] = true
		s.Records = []TLSARecord{{Usage: 3, Sum: sha256.Sum256(chain[0].RawSubjectPublicKeyInfo)}}
		if len(chain) > 1 { // what is named must be presented (RFC 7671 §5.2.2)
			s.Records = append(s.Records, TLSARecord{Usage: 2, Sum: sha256.Sum256(chain[1].RawSubjectPublicKeyInfo)})
		}
		all = append(all, s)
	}
	return all
}

// TLSAVerdicts warns of certificates that break what is published.
func TLSAVerdicts(found []PublishedTLSA) []Verdict {
	var all []Verdict
	for _, p := range found {
		if p.State != TLSABroken {
			continue
		}
		all = append(all, Verdict{Certificate: p.Certificate, Problem: Problem{
			Place: fmt.Sprintf("certificate %q", p.Certificate),
			Text: fmt.Sprintf("The TLSA records published at %s do not fit it: hosts that use DANE will not deliver to listener %q. Publish the new ones beside the old before the certificate changes.",
				p.Name, p.Listener),
			Fix: tlsaBrokenFix,
		}})
	}
	return all
}
