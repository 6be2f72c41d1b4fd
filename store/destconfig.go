package store

import (
	"fmt"
	"strings"
)

// Bounds of destination controls.
const (
	MaxDestinationEntries     = 10000
	MaxDestinationConcurrency = 1000
	MaxMessagesPerConnection  = 1000
	MaxRecipientMinutes       = 60
	MaxRecipientLimit         = 1000000000
)

// destinationsPlace is what Problems call the whole table.
const destinationsPlace = "destination controls"

// LimitScope says what limits of a destination are counted for.
type LimitScope string

// What a limit is for.
const (
	WholeDomain LimitScope = "host" // the words of the text form
	EachMX      LimitScope = "MXIP"
)

// LimitPlace says where limits of a destination are counted.
type LimitPlace string

// Where a limit is counted.
const (
	SystemWide    LimitPlace = "system"
	EachInterface LimitPlace = "VG" // a virtual gateway is an interface that mail leaves by
)

// FamilyOrder is how the addresses of hosts of one MX preference are sorted.
type FamilyOrder string

// The sort preferences, in the words of the text form.
const (
	PreferV6  FamilyOrder = "PREFER_V6"
	RequireV6 FamilyOrder = "REQUIRE_v6"
	PreferV4  FamilyOrder = "PREFER_V4"
	RequireV4 FamilyOrder = "REQUIRE_v4"
)

// FamilyOrders lists the sort preferences in the order of the menu.
func FamilyOrders() []FamilyOrder { return []FamilyOrder{PreferV4, PreferV6, RequireV4, RequireV6} }

// Destinations are the destination controls. Whatever their order, the most
// specific entry counts.
type Destinations struct {
	Certificate string        `label:"Certificate" zero:"None"` // the profile that deliveries present; empty: none
	AlertTLS    bool          `label:"Send an alert when a required TLS connection fails"`
	Default     Destination   `label:"Default" object:"destination default"`
	Entries     []Destination `label:"Entries" object:"destination"`
}

// Destination is what holds for the mail to one domain. In all but the default
// a zero value says "as in the default"; there the recipient limit alone may
// be zero, which is none.
type Destination struct {
	Domain           string      `label:"Domain"` // "example.com", ".example.com", "192.0.2.1"; empty in the default
	Concurrency      int         `label:"Maximum concurrent connections" zero:"Default"`
	MaxMessages      int         `label:"Maximum messages per connection" zero:"Default"`
	RecipientMinutes int         `label:"Minutes of the recipient limit" zero:"Default"`
	RecipientLimit   int         `label:"Recipient limit" zero:"Default"`
	Scope            LimitScope  `label:"Limits apply to" zero:"Default"`
	Place            LimitPlace  `label:"Limits are enforced" zero:"Default"`
	BounceProfile    string      `label:"Bounce profile" zero:"Default"` // empty: that of the listener
	Family           FamilyOrder `label:"IP sort preference" zero:"Default"`
	TLS              TLSMode     `label:"TLS" zero:"Default"`
	DANE             DANEMode    `label:"DANE" zero:"Default"`
}

func (d Destination) key() string { return d.Domain }

// Limited reports whether d sets a limit that can be counted for domains and
// for addresses.
func (d Destination) Limited() bool { return d.Concurrency != 0 || d.RecipientLimit != 0 }

// Within gives d with all that it leaves to the default filled in.
func (d Destination) Within(defaults Destination) Destination {
	fill(&d.Concurrency, defaults.Concurrency)
	fill(&d.MaxMessages, defaults.MaxMessages)
	if d.RecipientLimit == 0 {
		d.RecipientLimit, d.RecipientMinutes = defaults.RecipientLimit, defaults.RecipientMinutes
	}
	fill(&d.Scope, defaults.Scope)
	fill(&d.Place, defaults.Place)
	fill(&d.Family, defaults.Family)
	fill(&d.TLS, defaults.TLS)
	fill(&d.DANE, defaults.DANE)
	return d
}

// factoryDestination is the default of the factory (reference
// esa-operations 4.2).
func factoryDestination() Destination {
	return Destination{Concurrency: 500, MaxMessages: 50, Scope: WholeDomain, Place: SystemWide, Family: PreferV6, TLS: TLSOff, DANE: DANEOff}
}

// ParseDestination reads the domain of an entry and gives its one form: lower
// case, an address without brackets.
func ParseDestination(text string) (string, error) {
	text = strings.TrimSuffix(strings.TrimSpace(text), ".")
	if text == "" {
		return "", errBlank
	}
	literal := text
	if !strings.HasPrefix(text, "[") {
		literal = "[" + text + "]"
	}
	if bracketed, err := parseLiteral(literal); err == nil {
		return strings.TrimPrefix(strings.Trim(bracketed, "[]"), "IPv6:"), nil
	}
	if strings.EqualFold(text, defaultSection) || strings.EqualFold(text, allHosts) {
		return "", refuse("The word %s is not a domain.", text)
	}
	return parseDomain(text)
}

// ParseScope reads what limits are for.
func ParseScope(text string) (LimitScope, error) {
	switch strings.ToLower(text) {
	case "0", "host":
		return WholeDomain, nil
	case "1", "mxip":
		return EachMX, nil
	}
	return "", refuse("The value must be host or MXIP.")
}

// ParsePlace reads where limits are counted.
func ParsePlace(text string) (LimitPlace, error) {
	switch strings.ToLower(text) {
	case "0", "system":
		return SystemWide, nil
	case "1", "vg":
		return EachInterface, nil
	}
	return "", refuse("The value must be system or VG.")
}

// ParseFamilyOrder reads a sort preference.
func ParseFamilyOrder(text string) (FamilyOrder, error) {
	for _, f := range FamilyOrders() {
		if strings.EqualFold(text, string(f)) {
			return f, nil
		}
	}
	return "", refuse("The value must be PREFER_V4, PREFER_V6, REQUIRE_V4 or REQUIRE_V6.")
}

// check looks at one entry, or at the default.
func (d Destination) check() []error {
	low := int64(0)
	if d.Domain == "" {
		low = 1
	}
	var errs []error
	for _, v := range []struct {
		what      string
		n         int
		low, high int64
	}{
		{"Concurrency limit", d.Concurrency, low, MaxDestinationConcurrency},
		{"Messages per connection", d.MaxMessages, low, MaxMessagesPerConnection},
		{"Minutes of the recipient limit", d.RecipientMinutes, 0, MaxRecipientMinutes},
		{"Recipient limit", d.RecipientLimit, 0, MaxRecipientLimit},
	} {
		if err := inRange(int64(v.n), v.low, v.high); err != nil {
			errs = append(errs, refuse("%s: %v", v.what, err))
		}
	}
	if (d.RecipientMinutes == 0) != (d.RecipientLimit == 0) {
		errs = append(errs, refuse("A recipient limit needs both a number of recipients and one of minutes."))
	}
	for _, word := range []struct {
		text string
		read func(string) error
	}{
		{string(d.Scope), func(s string) error { return sameWord(s, ParseScope) }},
		{string(d.Place), func(s string) error { return sameWord(s, ParsePlace) }},
		{string(d.Family), func(s string) error { return sameWord(s, ParseFamilyOrder) }},
		{string(d.TLS), func(s string) error { return sameWord(s, ParseDestinationTLS) }},
		{string(d.DANE), func(s string) error { return sameWord(s, ParseDANE) }},
	} {
		if word.text == "" && d.Domain != "" {
			continue
		}
		if err := word.read(word.text); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// sameWord refuses a word that its parser does not know, or gives another form.
func sameWord[T ~string](text string, parse func(string) (T, error)) error {
	word, err := parse(text)
	if err == nil && string(word) != text {
		err = refuse("The value must be written %s.", word)
	}
	return err
}

func (c *Config) validateDestinations(p *problems) {
	const fix = "destconfig -> DEFAULT"
	report := p.at("destination controls default", fix)
	defaults := c.Destinations.Default
	for _, err := range defaults.check() {
		report("%v", err)
	}
	if defaults.Domain != "" || defaults.BounceProfile != "" {
		report("The default has no domain and no bounce profile.")
	}
	if name := c.Destinations.Certificate; name != "" && c.Certificate(name) == nil {
		p.at(destinationsPlace, "destconfig -> SETUP")("The certificate %q does not exist.", name)
	}
	if len(c.Destinations.Entries) > MaxDestinationEntries {
		p.at(destinationsPlace, "destconfig -> DELETE")("There is a maximum of %d entries.", MaxDestinationEntries)
	}
	seen := make(map[string]bool, len(c.Destinations.Entries))
	for _, d := range c.Destinations.Entries {
		report := p.at(fmt.Sprintf("destination control entry %q", d.Domain), "destconfig -> EDIT")
		if domain, err := ParseDestination(d.Domain); err != nil {
			report("%v", err)
			continue // its other values would be judged as those of the default
		} else if domain != d.Domain {
			report("The domain must be written %q.", domain)
		}
		if seen[d.Domain] {
			report("The domain %s is configured twice.", d.Domain)
		}
		seen[d.Domain] = true
		for _, err := range d.check() {
			report("%v", err)
		}
		if d.BounceProfile != "" && c.profile(d.BounceProfile) == nil {
			report("The bounce profile %q does not exist.", d.BounceProfile)
		}
	}
}
