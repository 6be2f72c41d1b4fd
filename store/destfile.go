package store

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// The text form of the destination controls, for import and export: a section
// "[DEFAULT]" and one for each domain, of lines "key = value" (reference
// esa-cli-config 4.9). Words are taken in any case. Lines that begin with # or
// ; and empty ones are skipped.
//
// [DEFAULT] must have all keys but bounce_profile, which is only for domains;
// without both recipient keys there is no recipient limit. The keys of what
// this build does not have are taken where they say that it is not wanted.

const defaultSection = "DEFAULT"

// maxDestinationErrors is how many lines an import complains about.
const maxDestinationErrors = 10

// absentFeatures are the keys of what this build does not have, and what they
// may say: that it is off.
func absentFeatures() map[string][]string {
	return map[string][]string{
		"bounce_validation": {"0", "off"},
	}
}

// ParseDestinations reads a whole table. The error names each line that is
// wrong, as far as there are not too many; nothing comes with it. That bounce
// profiles exist is for Validate to say, and for the caller.
func ParseDestinations(r io.Reader) (Destinations, error) {
	f := destinationFile{seen: map[string]bool{}}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f.number++
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' || text[0] == ';' {
			continue
		}
		f.fault(f.line(text))
		if len(f.errs) == maxDestinationErrors {
			f.errs = append(f.errs, refuse("line %d and others: not shown", f.number+1))
			return Destinations{}, errors.Join(f.errs...)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		f.number++
		f.fault(refuse("The line is too long."))
	} else if err != nil {
		f.errs = append(f.errs, fmt.Errorf("reading destination controls: %w", err))
	}
	f.end()
	if len(f.errs) == 0 && !f.hasDefault {
		f.errs = append(f.errs, refuse("The section [%s] is missing.", defaultSection))
	}
	if len(f.errs) > 0 {
		return Destinations{}, errors.Join(f.errs...)
	}
	return f.table, nil
}

// destinationFile is a file being read.
type destinationFile struct {
	table      Destinations
	number     int // of the line
	errs       []error
	seen       map[string]bool // domains
	hasDefault bool

	open  bool // a section is
	start int  // its line
	keys  []string
	now   Destination // Domain is empty in [DEFAULT]
}

func (f *destinationFile) fault(err error) {
	if err != nil {
		f.errs = append(f.errs, refuse("line %d: %v", f.number, err))
	}
}

func (f *destinationFile) line(text string) error {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		if !ok {
			return refuse("A square bracket is not closed.")
		}
		f.end()
		return f.begin(inner)
	}
	name, value, ok := strings.Cut(text, "=")
	switch {
	case !ok:
		return refuse("A line must be [domain] or key = value.")
	case f.start == 0:
		return refuse("A section [domain] must come first.")
	}
	name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
	if slices.Contains(f.keys, name) {
		return refuse("The key %s is given twice.", name)
	}
	f.keys = append(f.keys, name)
	switch name {
	case "certificate", "send_tls_req_alert":
		return f.setGlobal(name, value)
	}
	return f.now.set(name, value)
}

// setGlobal reads one line of [DEFAULT] that is about all domains.
func (f *destinationFile) setGlobal(key, value string) (err error) {
	if f.now.Domain != "" {
		return refuse("The key %s is only allowed in [%s].", key, defaultSection)
	}
	switch {
	case key == "certificate":
		f.table.Certificate, err = ParseCertificateName(value)
	case value == "0" || value == "1":
		f.table.AlertTLS = value == "1"
	default:
		err = refuse("The value must be 0 or 1.")
	}
	return err
}

// begin opens the section of a domain. One that is refused stays closed: its
// lines are looked at, and belong to nothing.
func (f *destinationFile) begin(domain string) error {
	f.start, f.keys, f.now = f.number, nil, Destination{}
	if strings.EqualFold(domain, defaultSection) {
		if f.hasDefault {
			return refuse("The section [%s] is given twice.", defaultSection)
		}
		f.hasDefault, f.open = true, true
		return nil
	}
	var err error
	if f.now.Domain, err = ParseDestination(domain); err != nil {
		f.now.Domain = domain
		return err
	}
	if f.seen[f.now.Domain] {
		return refuse("The domain %s is configured twice.", f.now.Domain)
	}
	if len(f.seen) == MaxDestinationEntries {
		return refuse("There is a maximum of %d entries.", MaxDestinationEntries)
	}
	f.seen[f.now.Domain], f.open = true, true
	return nil
}

// end closes the section that is open: what needs all of its lines.
func (f *destinationFile) end() {
	if !f.open {
		return
	}
	f.open = false
	if err := f.now.whole(f.keys); err != nil {
		f.errs = append(f.errs, refuse("line %d: %v", f.start, err))
	}
	if f.now.Domain == "" {
		fill(&f.now.TLS, TLSOff)
		fill(&f.now.DANE, DANEOff)
		f.table.Default = f.now
	} else {
		f.table.Entries = append(f.table.Entries, f.now)
	}
}

// whole says what a section lacks.
func (d Destination) whole(keys []string) error {
	has := func(key string) bool { return slices.Contains(keys, key) }
	if d.Domain == "" {
		for _, key := range []string{"ip_sort_pref", "max_host_concurrency", "max_messages_per_connection", "limit_type", "limit_apply"} {
			if !has(key) {
				return refuse("The key %s is missing in [%s].", key, defaultSection)
			}
		}
	}
	if has("recipient_limit") != has("recipient_minutes") {
		return refuse("A recipient limit needs both recipient_limit and recipient_minutes.")
	}
	if (has("recipient_limit") || has("max_host_concurrency")) && !(has("limit_type") && has("limit_apply")) {
		return refuse("A limit needs both limit_type and limit_apply.")
	}
	return nil
}

// set reads one line of a section.
func (d *Destination) set(key, value string) (err error) {
	switch key {
	case "ip_sort_pref":
		d.Family, err = ParseFamilyOrder(value)
	case "max_host_concurrency":
		err = setInRange(&d.Concurrency, value, MaxDestinationConcurrency)
	case "max_messages_per_connection":
		err = setInRange(&d.MaxMessages, value, MaxMessagesPerConnection)
	case "recipient_minutes":
		err = setInRange(&d.RecipientMinutes, value, MaxRecipientMinutes)
	case "recipient_limit":
		err = setInRange(&d.RecipientLimit, value, MaxRecipientLimit)
	case "limit_type":
		d.Scope, err = ParseScope(value)
	case "limit_apply":
		d.Place, err = ParsePlace(value)
	case "bounce_profile":
		if d.Domain == "" {
			return refuse("The key bounce_profile is not allowed in [%s].", defaultSection)
		}
		d.BounceProfile, err = ParseProfileName(value)
	case "table_tls":
		d.TLS, err = ParseDestinationTLS(value)
	case "dane":
		d.DANE, err = ParseDANE(value)
	default:
		return absent(key, value)
	}
	return err
}

// absent takes the keys of what this build does not have where they say off.
func absent(key, value string) error {
	off, known := absentFeatures()[key]
	switch {
	case !known:
		return refuse("There is no key %s.", key)
	case !slices.Contains(off, strings.ToLower(value)):
		return refuse("This build does not have what %s = %s asks for.", key, value)
	}
	return nil
}

func setInRange(place *int, text string, high int64) error {
	n, err := strconv.Atoi(text)
	if err != nil || inRange(int64(n), 1, high) != nil {
		return inRange(0, 1, high)
	}
	*place = n
	return nil
}

// WriteDestinations writes what ParseDestinations reads.
func WriteDestinations(w io.Writer, t Destinations) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "[%s]\n", defaultSection)
	writeDestination(b, t.Default)
	alert := 0
	if t.AlertTLS {
		alert = 1
	}
	fmt.Fprintf(b, "bounce_validation = 0\nsend_tls_req_alert = %d\n", alert)
	if t.Certificate != "" {
		fmt.Fprintf(b, "certificate = %s\n", t.Certificate)
	}
	for _, d := range t.Entries {
		fmt.Fprintf(b, "\n[%s]\n", d.Domain)
		// A limit needs its scope and place, which may be those of the default.
		if d.Limited() {
			d.Scope, d.Place = cmp.Or(d.Scope, t.Default.Scope), cmp.Or(d.Place, t.Default.Place)
		}
		writeDestination(b, d)
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("writing destination controls: %w", err)
	}
	return nil
}

func writeDestination(b *bufio.Writer, d Destination) {
	for _, line := range []struct {
		key   string
		value any
		unset bool
	}{
		{"ip_sort_pref", d.Family, d.Family == ""},
		{"max_host_concurrency", d.Concurrency, d.Concurrency == 0},
		{"max_messages_per_connection", d.MaxMessages, d.MaxMessages == 0},
		{"recipient_minutes", d.RecipientMinutes, d.RecipientLimit == 0},
		{"recipient_limit", d.RecipientLimit, d.RecipientLimit == 0},
		{"limit_type", d.Scope, d.Scope == ""},
		{"limit_apply", d.Place, d.Place == ""},
		{"table_tls", d.TLS, d.TLS == ""},
		{"dane", d.DANE, d.DANE == ""},
		{"bounce_profile", d.BounceProfile, d.BounceProfile == ""},
	} {
		if !line.unset {
			fmt.Fprintf(b, "%s = %v\n", line.key, line.value)
		}
	}
}
