package store

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
)

// Bounds of the settings of administrative access.
const (
	MinSessionMinutes     = 5
	MaxSessionMinutes     = 1440
	defaultSessionMinutes = 30
	MaxAccessText         = 8 << 10 // bytes of a banner or a welcome message
	maxAccessLine         = 1 << 10 // bytes of one of its lines
	MaxAccessSources      = 1000
)

// AdminAccess is how operators are received: what they are shown, how long a
// session may be idle and where they may come from. The console on the machine
// itself knows only the welcome message and the time.
type AdminAccess struct {
	Banner   string   `label:"Login banner" zero:"None"`    // before login; in lines that end in LF
	Welcome  string   `label:"Welcome message" zero:"None"` // after login; likewise
	Timeout  int      `label:"CLI inactivity timeout in minutes"`
	Restrict bool     `label:"Allow listed addresses only"`
	Sources  []string `label:"Allowed addresses"` // of ParseAccessSource; obeyed where Restrict is set
}

func factoryAdminAccess() AdminAccess { return AdminAccess{Timeout: defaultSessionMinutes} }

const errSource = ValueError("Invalid IP or IP range. (Ex: 10.1.1.1, 10.1.1.0/24, 10.1.1.10-20, 2001:db8::/32)")

// ParseAccessSource reads an address, a network or a range of addresses, and
// gives its one form.
func ParseAccessSource(text string) (string, error) {
	host, err := ParseSenderHost(text)
	if err != nil {
		return "", errSource
	}
	if _, _, ok := senderRange(host); !ok {
		return "", errSource
	}
	return host, nil
}

// Allows reports whether an operator may log in from an address over the
// network.
func (a AdminAccess) Allows(from netip.Addr) bool {
	if !a.Restrict {
		return true
	}
	from = from.Unmap().WithZone("")
	return slices.ContainsFunc(a.Sources, func(source string) bool {
		first, last, ok := senderRange(source)
		return ok && first.Is4() == from.Is4() && first.Compare(from) <= 0 && from.Compare(last) <= 0
	})
}

// CutsOff gives, one a line, what of a change keeps a session from coming in
// the same way again: the change may be meant, but its operator may also find
// out too late. The session itself goes on.
func CutsOff(from, to *Config, who Who) []string {
	if !who.Local.IsValid() {
		return nil
	}
	var ways []string
	if from.SSHInterface(who.Local) != "" && to.SSHInterface(who.Local) == "" {
		ways = append(ways, fmt.Sprintf("You are logged in by SSH on %s port %d, which will be gone", who.Local.Addr(), who.Local.Port()))
	}
	source, err := netip.ParseAddr(who.Source)
	if err == nil && from.AdminAccess.Allows(source) && !to.AdminAccess.Allows(source) {
		ways = append(ways, fmt.Sprintf("You are logged in from %s, which will no longer be allowed", source))
	}
	return ways
}

// ParseAccessText reads the lines of a banner or a welcome message and gives
// them with the line ends of the store. Blank lines at the end are dropped.
func ParseAccessText(text string) (string, error) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	lines := strings.Split(strings.TrimRight(text, "\n\t "), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \t")
	}
	text = strings.Join(lines, "\n")
	if text == "" {
		return "", errBlank
	}
	return text + "\n", checkAccessText(text + "\n")
}

func checkAccessText(text string) error {
	if len(text) > MaxAccessText {
		return refuse("The text cannot be longer than %d bytes.", MaxAccessText)
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		return refuse("The text must end with the end of a line.")
	}
	for line := range strings.SplitSeq(text, "\n") {
		if len(line) > maxAccessLine {
			return refuse("A line of the text cannot be longer than %d bytes.", maxAccessLine)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r != '\t' && !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
			return refuse("The text may only have printable characters.")
		}
	}
	return nil
}

func (c *Config) validateAdminAccess(p *problems) {
	a := c.AdminAccess
	for _, text := range []struct{ what, text, fix string }{
		{"Login banner", a.Banner, "adminaccessconfig -> BANNER"},
		{"Welcome message", a.Welcome, "adminaccessconfig -> WELCOME"},
	} {
		if err := checkAccessText(text.text); err != nil {
			p.at("administrative access", text.fix)("%s: %v", text.what, err)
		}
	}
	if err := inRange(int64(a.Timeout), MinSessionMinutes, MaxSessionMinutes); err != nil {
		p.at("administrative access", "adminaccessconfig -> TIMEOUT")("CLI inactivity timeout: %v", err)
	}
	report := p.at("administrative access", "adminaccessconfig -> IPACCESS")
	if len(a.Sources) > MaxAccessSources {
		report("There is a maximum of %d allowed addresses.", MaxAccessSources)
	}
	if a.Restrict && len(a.Sources) == 0 {
		report("The list of allowed addresses is empty: nobody could log in by SSH.")
	}
	for _, source := range a.Sources {
		if one, err := ParseAccessSource(source); err != nil || one != source {
			report("%q: %v", source, errSource)
		}
	}
}
