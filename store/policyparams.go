package store

import (
	"fmt"
	"strconv"
	"strings"
)

// NoLimit is a limit that a policy lifts: in a policy, 0 takes the limit of
// HAT.Default.
const NoLimit = -1

// Bounds of policy parameters.
const (
	MaxPerHour         = 1000000000 // recipients
	MaxRateInterval    = 1440       // minutes
	MaxSignificantBits = 32
	MaxReplyLines      = 20
	maxReplyLine       = 450
	maxExceptions      = 1000
)

// PolicyParams are the limits and replies of a mail flow policy; what is zero
// in a policy takes the value of HAT.Default.
type PolicyParams struct {
	MaxSize         int64       `label:"Max message size"`
	MaxMessages     int         `label:"Max messages per connection"`
	MaxRecipients   int         `label:"Max recipients per message"`
	MaxConnections  int         `label:"Max concurrent connections from a single IP"`
	BannerHost      BannerHost  `label:"Hostname in the SMTP banner" zero:"Default"`
	AcceptReply     Reply       `label:"Custom SMTP acceptance response" zero:"Default"`
	RejectReply     Reply       `label:"Custom SMTP rejection response" zero:"Default"`
	MaxPerHour      int         `label:"Max recipients per hour from a host" zero:"Default"` // or NoLimit; 0 in HAT.Default: no limit
	LimitReply      Reply       `label:"Custom SMTP limit exceeded response" zero:"Default"`
	SenderRate      SenderRate  `label:"Recipients of an envelope sender"`
	MaxInvalid      int         `label:"Max invalid recipients per hour from a host" zero:"Default"` // as MaxPerHour
	DropHarvester   Tri         `label:"Drop the connection at that limit" zero:"Default"`
	HarvestReply    Reply       `label:"Custom SMTP response at that limit" zero:"Default"`
	SignificantBits int         `label:"Significant bits of IP addresses" zero:"Default"` // as MaxPerHour
	TLS             PolicyTLS   `label:"TLS" zero:"Default"`                              // in HAT.Default the empty mode is off
	SenderCheck     SenderCheck `label:"Envelope sender verification"`
	UseExceptions   Tri         `label:"Use of the domain exception table" zero:"Default"`
}

// SenderCheck refuses envelope senders without a domain that mail could be
// sent back to. Its replies stand for the standard ones.
type SenderCheck struct {
	Use         Tri   `label:"Enabled" zero:"Default"`
	Malformed   Reply `label:"Custom SMTP response to malformed senders" zero:"Default"`
	Unresolved  Reply `label:"Custom SMTP response to domains which do not resolve" zero:"Default"`
	Nonexistent Reply `label:"Custom SMTP response to domains which do not exist" zero:"Default"`
}

// SenderRate limits the recipients that one envelope sender may have within
// some minutes.
type SenderRate struct {
	Use           Tri    `label:"Limited" zero:"Default"`
	MaxRecipients int    `label:"Max recipients" zero:"Default"`
	Interval      int    `label:"Interval in minutes" zero:"Default"`
	Reply         Reply  `label:"Custom SMTP response" zero:"Default"`
	Exceptions    string `label:"Exceptions" zero:"Default"` // as ParseExceptions gives them
}

// BannerHost is a host name that stands for the one of the interface. Use No
// keeps the one of the interface though HAT.Default has another.
type BannerHost struct {
	Use  Tri
	Name string
}

func (b BannerHost) String() string {
	if b.Use.Is() {
		return b.Name
	}
	return useText(b.Use)
}

func useText(use Tri) string {
	switch use {
	case Inherit:
		return "Default"
	case No:
		return "None"
	}
	return "Yes"
}

// Reply is a reply in place of the standard one. Its text has lines.
type Reply struct {
	Use  Tri
	Code int
	Text string
}

func (r Reply) String() string {
	if r.Use.Is() {
		return fmt.Sprintf("%d %s", r.Code, strings.ReplaceAll(r.Text, "\n", " / "))
	}
	return useText(r.Use)
}

// or fills in what p leaves to defaults. A reply goes with its code and text,
// a rate with all its numbers.
func (p PolicyParams) or(defaults PolicyParams) PolicyParams {
	fill(&p.MaxSize, defaults.MaxSize)
	fill(&p.MaxMessages, defaults.MaxMessages)
	fill(&p.MaxRecipients, defaults.MaxRecipients)
	fill(&p.MaxConnections, defaults.MaxConnections)
	fill(&p.MaxPerHour, defaults.MaxPerHour)
	fill(&p.MaxInvalid, defaults.MaxInvalid)
	fill(&p.DropHarvester, defaults.DropHarvester)
	fill(&p.SignificantBits, defaults.SignificantBits)
	if p.BannerHost.Use == Inherit {
		p.BannerHost = defaults.BannerHost
	}
	for _, r := range []struct{ own, inherited *Reply }{
		{&p.AcceptReply, &defaults.AcceptReply},
		{&p.RejectReply, &defaults.RejectReply},
		{&p.LimitReply, &defaults.LimitReply},
		{&p.HarvestReply, &defaults.HarvestReply},
	} {
		if r.own.Use == Inherit {
			*r.own = *r.inherited
		}
	}
	if p.SenderRate.Use == Inherit {
		p.SenderRate = defaults.SenderRate
	}
	if p.TLS.Mode == TLSInherit {
		p.TLS = defaults.TLS
	}
	if p.SenderCheck.Use == Inherit {
		p.SenderCheck = defaults.SenderCheck
	}
	fill(&p.UseExceptions, defaults.UseExceptions)
	return p
}

// Effective gives p with everything filled in that it leaves to the defaults
// of its table.
func (p PolicyParams) Effective(defaults PolicyParams) PolicyParams { return p.or(defaults) }

// check finds parameters out of range; low is 0 where a limit may be inherited.
func (p PolicyParams) check(low int64) []error {
	var errs []error
	add := func(what string, err error) {
		if err != nil {
			errs = append(errs, refuse("%s: %v", what, err))
		}
	}
	if p.MaxSize != 0 || low > 0 {
		add("Maximum message size", inRange(p.MaxSize, MinMessageSize, MaxMessageSize))
	}
	for _, limit := range []struct {
		what            string
		n               int
		least, greatest int64
	}{
		{"Maximum messages per connection", p.MaxMessages, low, MaxPolicyCount},
		{"Maximum recipients per message", p.MaxRecipients, low, MaxPolicyCount},
		{"Maximum concurrent connections", p.MaxConnections, low, MaxPolicyCount},
		{"Maximum recipients per hour", p.MaxPerHour, NoLimit, MaxPerHour},
		{"Maximum invalid recipients per hour", p.MaxInvalid, NoLimit, MaxPerHour},
		{"Significant bits", p.SignificantBits, NoLimit, MaxSignificantBits},
	} {
		add(limit.what, inRange(int64(limit.n), limit.least, limit.greatest))
	}
	add("Hostname in the SMTP banner", p.BannerHost.check())
	add("Custom SMTP acceptance response", p.AcceptReply.check(ParseAcceptCode))
	add("Custom SMTP rejection response", p.RejectReply.check(ParseRejectCode))
	add("Custom SMTP limit exceeded response", p.LimitReply.check(ParseRefuseCode))
	add("Custom SMTP response to invalid recipients", p.HarvestReply.check(ParseRefuseCode))
	add("Drop the connection", p.DropHarvester.check())
	add("Rate limit per envelope sender", p.SenderRate.check())
	add("TLS", p.TLS.check())
	add("Envelope sender verification", p.SenderCheck.check())
	add("Use of the domain exception table", p.UseExceptions.check())
	return errs
}

func (t Tri) check() error {
	if t != Inherit && t != Yes && t != No {
		return refuse("The value must be yes, no or nothing.")
	}
	return nil
}

func (b BannerHost) check() error {
	switch {
	case b.Use.check() != nil || b.Use != Yes && b.Name != "":
		return refuse("A hostname that is not used must not be given.")
	case b.Use != Yes:
		return nil
	}
	_, err := ParseHostname(b.Name)
	return err
}

func (r Reply) check(parseCode func(string) (int, error)) error {
	if r.Use != Yes {
		if r.Use.check() != nil || r.Code != 0 || r.Text != "" {
			return refuse("A response that is not used must have no code and no text.")
		}
		return nil
	}
	if _, err := parseCode(fmt.Sprint(r.Code)); err != nil {
		return err
	}
	_, err := ParseReplyText(strings.Split(r.Text, "\n"))
	return err
}

func (s SenderRate) check() error {
	if s.Use != Yes {
		if s.Use.check() != nil || s != (SenderRate{Use: s.Use}) {
			return refuse("A rate that is not limited must have no settings.")
		}
		return nil
	}
	if err := inRange(int64(s.MaxRecipients), 1, MaxPerHour); err != nil {
		return err
	}
	if err := inRange(int64(s.Interval), 1, MaxRateInterval); err != nil {
		return err
	}
	if s.Reply.Use == Inherit {
		return refuse("Whether there is a custom response must be said.")
	}
	if err := s.Reply.check(ParseRefuseCode); err != nil {
		return err
	}
	parsed, err := ParseExceptions(s.Exceptions)
	if err == nil && parsed != s.Exceptions {
		err = refuse("%q must be written %q.", s.Exceptions, parsed)
	}
	return err
}

func (s SenderCheck) check() error {
	if s.Use != Yes {
		if s.Use.check() != nil || s != (SenderCheck{Use: s.Use}) {
			return refuse("A verification that is not enabled must have no responses.")
		}
		return nil
	}
	for _, r := range []Reply{s.Malformed, s.Unresolved, s.Nonexistent} {
		if r.Use == Inherit {
			return refuse("Whether there is a custom response must be said.")
		}
		if err := r.check(ParseRefuseCode); err != nil {
			return err
		}
	}
	return nil
}

// VerifySenders is the verification with the standard responses.
func VerifySenders() SenderCheck {
	return SenderCheck{Use: Yes, Malformed: Reply{Use: No}, Unresolved: Reply{Use: No}, Nonexistent: Reply{Use: No}}
}

// ParseAcceptCode reads the code of a greeting.
func ParseAcceptCode(text string) (int, error) {
	return replyCode(text, func(n int) bool { return n == 220 }, "The SMTP code must be 220.")
}

// ParseRejectCode reads the code that turns a connection away.
func ParseRejectCode(text string) (int, error) {
	return replyCode(text, func(n int) bool { return n >= 400 && n <= 599 }, "The SMTP code must be a number from 400 to 599.")
}

// ParseRefuseCode reads the code that refuses a recipient: 421 would say that
// the connection ends.
func ParseRefuseCode(text string) (int, error) {
	return replyCode(text, func(n int) bool { return n >= 400 && n <= 599 && n != 421 },
		"The SMTP code must be a number from 400 to 599, and not 421.")
}

func replyCode(text string, fits func(int) bool, why string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || !fits(n) {
		return 0, refuse("%s", why)
	}
	return n, nil
}

// ParseReplyText holds the lines of a reply to what SMTP can carry (RFC 5321
// §4.2: printable ASCII) and joins them.
func ParseReplyText(lines []string) (string, error) {
	text := strings.Join(lines, "\n")
	switch {
	case strings.TrimSpace(text) == "":
		return "", errBlank
	case len(lines) > MaxReplyLines:
		return "", refuse("The response must not have more than %d lines.", MaxReplyLines)
	}
	for _, line := range lines {
		if len(line) > maxReplyLine || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			return "", refuse("A line of the response must be printable ASCII and not longer than %d characters.", maxReplyLine)
		}
	}
	return text, nil
}

// ParseExceptions reads the envelope senders that a rate does not count:
// addresses, users, domains and partial domains as in a recipient access
// table, separated by commas; it may be empty.
func ParseExceptions(text string) (string, error) {
	if strings.TrimSpace(text) == "" {
		return "", nil
	}
	parts := strings.Split(text, ",")
	if len(parts) > maxExceptions {
		return "", refuse("There is a maximum of %d exceptions.", maxExceptions)
	}
	for i, part := range parts {
		address, err := ParseRATAddress(part)
		if err != nil || address == allHosts {
			return "", refuse(`%q: An exception can be "example.com", ".example.com", "user@" or "user@example.com".`, strings.TrimSpace(part))
		}
		parts[i] = address
	}
	return strings.Join(parts, ", "), nil
}
