package policy

import "esa/mta/envelope"

// TLSMode is what a mail flow policy says about encryption. The zero value
// offers none.
type TLSMode int

// The modes (reference esa-cli-config 7.6). Verify means the certificate of
// the client.
const (
	TLSOff             TLSMode = iota
	TLSPreferred               // offered
	TLSRequired                // nothing is taken in clear
	TLSPreferredVerify         // offered; a certificate that is shown must be good
	TLSRequiredVerify          // nothing is taken without a good certificate
)

// Required reports whether nothing is taken in clear.
func (m TLSMode) Required() bool { return m == TLSRequired || m == TLSRequiredVerify }

// TLS is what a mail flow policy says about encryption and about whom.
type TLS struct {
	Mode    TLSMode
	Senders *RAT // envelope senders it accepts must use TLS; nil: nobody in particular
}

// Requires reports whether a message of this envelope sender is taken only
// over TLS.
func (t TLS) Requires(sender envelope.Address) bool {
	return t.Mode.Required() || t.Senders != nil && !sender.IsNull() && t.Senders.Decide(sender).Accept
}
