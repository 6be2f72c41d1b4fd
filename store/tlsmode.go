package store

import (
	"slices"
	"strconv"
	"strings"
)

// TLSMode says whether a connection is encrypted and whether the peer's
// certificate is verified, in the words of the text forms.
type TLSMode string

// The modes in the order of the menus. The empty mode says "as in the
// default"; in a default it is TLSOff.
const (
	TLSInherit              TLSMode = ""
	TLSOff                  TLSMode = "off"
	TLSPreferred            TLSMode = "on"
	TLSRequired             TLSMode = "require"
	TLSPreferredVerify      TLSMode = "on_verify"
	TLSRequiredVerify       TLSMode = "require_verify"
	TLSRequiredVerifyHosted TLSMode = "require_verify_hosted" // destinations only
)

// PolicyTLSModes lists what a mail flow policy can choose, in the order of the
// menu.
func PolicyTLSModes() []TLSMode {
	return []TLSMode{TLSOff, TLSPreferred, TLSRequired, TLSPreferredVerify, TLSRequiredVerify}
}

// DestinationTLSModes lists what a destination can choose, in the order of the
// menu.
func DestinationTLSModes() []TLSMode { return append(PolicyTLSModes(), TLSRequiredVerifyHosted) }

// Text gives the words of the menus.
func (m TLSMode) Text() string {
	switch m {
	case TLSOff:
		return "No"
	case TLSPreferred:
		return "Preferred"
	case TLSRequired:
		return "Required"
	case TLSPreferredVerify:
		return "Preferred - Verify"
	case TLSRequiredVerify:
		return "Required - Verify"
	case TLSRequiredVerifyHosted:
		return "Required - Verify Hosted Domains"
	}
	return "Default"
}

// Required reports whether nothing may go in clear.
func (m TLSMode) Required() bool {
	return m == TLSRequired || m == TLSRequiredVerify || m == TLSRequiredVerifyHosted
}

// Verified reports whether the peer's certificate is looked at.
func (m TLSMode) Verified() bool {
	return m == TLSPreferredVerify || m == TLSRequiredVerify || m == TLSRequiredVerifyHosted
}

// PolicyTLS is what a mail flow policy says about TLS. With TLSPreferred, the
// envelope senders in Addresses, as ParseExceptions gives them, must use it.
type PolicyTLS struct {
	Mode      TLSMode
	Addresses string
}

func (t PolicyTLS) String() string {
	if t.Addresses == "" {
		return t.Mode.Text()
	}
	return t.Mode.Text() + "; required for " + t.Addresses
}

func (t PolicyTLS) check() error {
	if t.Mode != TLSInherit && !slices.Contains(PolicyTLSModes(), t.Mode) {
		return refuse("The mode %q is not known.", string(t.Mode))
	}
	if t.Addresses == "" {
		return nil
	}
	if t.Mode != TLSPreferred {
		return refuse("Only where TLS is Preferred can addresses be named that must use it.")
	}
	parsed, err := ParseExceptions(t.Addresses)
	if err == nil && parsed != t.Addresses {
		err = refuse("%q must be written %q.", t.Addresses, parsed)
	}
	return err
}

// ParsePolicyTLS reads the mode of a mail flow policy; case does not matter.
func ParsePolicyTLS(text string) (TLSMode, error) { return parseTLSMode(text, PolicyTLSModes()) }

// ParseDestinationTLS reads the mode of a destination; case does not matter,
// and the numbers of the text form, from 0, are taken too.
func ParseDestinationTLS(text string) (TLSMode, error) {
	modes := DestinationTLSModes()
	if n, err := strconv.Atoi(text); err == nil && n >= 0 && n < len(modes) {
		return modes[n], nil
	}
	if strings.EqualFold(text, "required") {
		return TLSRequired, nil
	}
	return parseTLSMode(text, modes)
}

func parseTLSMode(text string, modes []TLSMode) (TLSMode, error) {
	words := make([]string, len(modes))
	for i, m := range modes {
		if words[i] = string(m); strings.EqualFold(strings.TrimSpace(text), words[i]) {
			return m, nil
		}
	}
	return "", refuse("The value must be %s or %s.", strings.Join(words[:len(words)-1], ", "), words[len(words)-1])
}
