package store

import (
	"slices"
	"strings"
)

// DANEMode says whether mail to a destination is authenticated by DANE
// (RFC 7672), in the words of the text form.
type DANEMode string

// The modes in the order of the menus. The empty mode says "as in the
// default"; in the default it is DANEOff.
const (
	DANEInherit       DANEMode = ""
	DANEOff           DANEMode = "none"
	DANEOpportunistic DANEMode = "opportunistic"
	DANEMandatory     DANEMode = "mandatory"
)

// DANEModes lists what a destination can choose, in the order of the menu.
func DANEModes() []DANEMode { return []DANEMode{DANEOff, DANEOpportunistic, DANEMandatory} }

// Text gives the words of the menus.
func (m DANEMode) Text() string {
	switch m {
	case DANEOff:
		return "No"
	case DANEOpportunistic:
		return "Opportunistic"
	case DANEMandatory:
		return "Mandatory"
	}
	return "Default"
}

// Wanted reports whether DANE is looked for at all.
func (m DANEMode) Wanted() bool { return m == DANEOpportunistic || m == DANEMandatory }

// ParseDANE reads a mode; case does not matter.
func ParseDANE(text string) (DANEMode, error) {
	m := DANEMode(strings.ToLower(strings.TrimSpace(text)))
	if m == "no" || m == "off" {
		m = DANEOff
	}
	if m == DANEInherit || !slices.Contains(DANEModes(), m) {
		return "", refuse("The value must be none, opportunistic or mandatory.")
	}
	return m, nil
}

// DANE are the rulings that hold for all destinations with DANE (reference
// dane-dnssec 1.8).
type DANE struct {
	RouteHosts bool `label:"DANE for the hosts of SMTP routes (RFC 7672)"`       // C2; else the check fails and mail waits
	InsecureMX bool `label:"DANE for hosts that insecure MX records name"`       // C8
	SHA1       bool `label:"Rely on DNSSEC signatures of algorithms with SHA-1"` // C9: 5 and 7
}
