package configfile

import (
	"fmt"
	"strconv"
	"strings"

	"esa/store"
)

// heading is how the place of a store.Problem begins, and the part of a file
// that speaks of it.
type heading struct {
	place string
	says  string // how the text of the problem begins, where the place has parts that know nothing of each other
	part  string // the path of an element below <config>
	name  string // the element within part that names one of many; empty: the place is no such entry
}

// headings has every place that store knows. Of rows with the same place and
// text the first whose part is in the file counts; of those that begin alike the
// longer stands first.
func headings() []heading {
	return []heading{
		{"hostname", "", "hostname", ""},
		{"interfaces", "", "interfaces", ""},
		{"interface", "", "interfaces", "interface_name"},
		{"DNS server", "", "dns/local_dns", ""},
		{"root DNS server", "", "dns/root_dns", ""}, // each has its name as often as addresses
		{"alternate DNS servers of", "", "dns/alt_dns", "dns_domain"},
		{"DNS", "Minimum TTL:", "dns_cache_ttl_min", ""},
		{"DNS", "The interface ", "dns_interface", ""},
		{"DNS", "", "dns", ""},
		{"certificates", "", "certificate_profiles", ""},
		{"certificate authorities", "", "certificate_authorities", ""},
		{"certificate", "", "certificate_profiles", "certificate_name"},
		{"revocation lists", "", "crl_sources", ""},
		{"revocation list", "", "crl_sources/crl_source_list", "crl_name"},
		{"inbound SSL settings", "", "ssl", ""},
		{"outbound SSL settings", "", "ssl", ""},
		{"alerts", "The address ", "alert_recipients", ""},
		{"alerts", "The address ", "alert_email_config", ""},
		{"alerts", "", "alert_settings", ""},
		{"alert recipient", "", "alert_recipients", "email_address"},
		{"alert recipient", "", "alert_email_config", ""},
		{"logs", "", "log_subscriptions", ""},
		{"log", "", "log_subscriptions", "name"},
		{"listeners", "", "listeners", ""},
		{"listener", "", "listeners", "listener_name"},
		{"global listener settings", "Timeout for unsuccessful inbound connections:", "global_inbound_connection_timeout", ""},
		{"global listener settings", "Maximum connection time:", "global_inbound_conversation_timeout", ""},
		{"global listener settings", "Reset of injection control counters:", "global_injection_control_period", ""},
		{"global listener settings", "Maximum message header lines:", "global_max_header_lines", ""},
		{"global listener settings", "Maximum concurrent connections:", "global_max_listener_concurrency", ""},
		{"global listener settings", "Maximum concurrent TLS connections:", "global_max_tls_concurrency", ""},
		{"domain exception table", "", "exception_table", ""},
		{"domain exception", "", "exception_table", "exception_address"},
		{"mail delivery", "", "delivery_settings", ""},
		{"destination controls default", "", "destination_controls/default_destination", ""},
		{"destination controls", "", "destination_controls", ""},
		{"destination control entry", "", "destination_controls/destinations", "destination_domain"},
		{"destination", "", "destination_controls/destinations", "destination_domain"},
		{"DANE", "", "dane_settings", ""},
		{"SMTP routes", "", "smtp_routes", ""},
		{"route", "", "smtp_routes", "route_domain"},
		{"bounce profiles", "", "bounce_profiles", ""},
		{"bounce profile", "", "bounce_profiles", "bounce_profile_name"},
		{"users", "", "users", ""},
		{"user", "", "users", "username"},
		{"passphrase policy", "", "passphrase_policy", ""},
		{"SSH server", "", "sshd", ""},
		{"administrative access", "", "admin_access", ""},
		{"archives", "", "config_archives", ""},
		{"archive", "", "config_archives", "archive_name"},
	}
}

// speaksOf reports whether a problem is of this heading, and gives what follows
// in its place: the name of an entry, as it is there.
func (h heading) speaksOf(p store.Problem) (name string, ok bool) {
	rest, ok := strings.CutPrefix(p.Place, h.place)
	if !ok || !strings.HasPrefix(p.Text, h.says) {
		return "", false
	}
	if rest == "" {
		return "", true
	}
	rest, ok = strings.CutPrefix(rest, " ")
	if quoted, err := strconv.QuotedPrefix(rest); err == nil {
		rest, _ = strconv.Unquote(quoted)
	}
	return rest, ok
}

// places are where a file has what headings name: offsets in its text.
type places struct {
	named   map[string][]heading // by name, of those that have one
	parts   map[string]int64     // by path; -1: not there
	entries map[entry]int64
}

// entry is one of many of a part; text is its name in the one form that the
// configuration has it in.
type entry struct{ part, name, text string }

func newPlaces() places {
	p := places{named: map[string][]heading{}, parts: map[string]int64{}, entries: map[entry]int64{}}
	for _, h := range headings() {
		p.parts[h.part] = -1
		if h.name != "" {
			p.named[h.name] = append(p.named[h.name], h)
		}
	}
	return p
}

// begins notes where an element begins.
func (p places) begins(path []string, at int64) {
	if len(path) < 2 || len(path) > 3 { // no part is deeper
		return
	}
	name := strings.Join(path[1:], "/")
	if before, ok := p.parts[name]; ok && before < 0 {
		p.parts[name] = at
	}
}

// named notes the value of an element, where that may name an entry.
func named[V any](r *reader, e tag, c codec[V], v V) {
	if r.places.named[e.name] != nil {
		r.places.holds(r.path, e, c.format(v))
	}
}

// holds notes an entry that the element e, below path, names. Of two with one
// name the second counts: store finds it there twice.
func (p places) holds(path []string, e tag, text string) {
	above := strings.Join(path[1:], "/") + "/"
	for _, h := range p.named[e.name] {
		if strings.HasPrefix(above, h.part+"/") {
			p.entries[entry{h.part, h.name, text}] = e.at
		}
	}
}

// of gives where the file speaks of a problem: of the entry if its place names
// that, or of all.
func (p places) of(problem store.Problem) (at int64, ok bool) {
	var known *heading
	for _, h := range headings() {
		name, speaks := h.speaksOf(problem)
		if !speaks || known != nil && (known.place != h.place || known.says != h.says) {
			continue
		}
		known = &h
		if at, ok := p.entries[entry{h.part, h.name, name}]; ok && name != "" {
			return at, true
		}
		if at := p.parts[h.part]; at >= 0 {
			return at, true
		}
	}
	return 0, false
}

// Fault says what is wrong with the configuration that the file came to, and
// where the file has it. What the file does not speak of has no line.
func (r Result) Fault(p store.Problem) *Error {
	text := fmt.Sprintf("%s: %s", p.Place, p.Text)
	at, ok := r.places.of(p)
	if !ok {
		return &Error{Text: text}
	}
	return errorAt(r.text, at, "%s", text)
}
