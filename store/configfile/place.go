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
	part  string // the path of an element below <config>
	name  string // the element within part that names one of many; empty: the place is no such entry
}

// headings has every place that store knows. Of rows with the same place the
// first whose part is in the file counts; of places that begin alike the longer
// stands first.
func headings() []heading {
	return []heading{
		{"hostname", "hostname", ""},
		{"interfaces", "interfaces", ""},
		{"interface", "interfaces", "interface_name"},
		{"DNS server", "dns/local_dns", ""},
		{"root DNS server", "dns/root_dns", "root_server_name"},
		{"alternate DNS servers of", "dns/alt_dns", "dns_domain"},
		{"DNS", "dns", ""},
		{"DNS", "dns_cache_ttl_min", ""},
		{"DNS", "dns_interface", ""},
		{"certificates", "certificate_profiles", ""},
		{"certificate authorities", "certificate_authorities", ""},
		{"certificate", "certificate_profiles", "certificate_name"},
		{"revocation lists", "crl_sources", ""},
		{"revocation list", "crl_sources/crl_source_list", "crl_name"},
		{"inbound SSL settings", "ssl", ""},
		{"outbound SSL settings", "ssl", ""},
		{"alerts", "alert_settings", ""},
		{"alerts", "alert_email_config", ""},
		{"alert recipient", "alert_recipients", "email_address"},
		{"alert recipient", "alert_email_config", "email_address"},
		{"logs", "log_subscriptions", ""},
		{"log", "log_subscriptions", "name"},
		{"listeners", "listeners", ""},
		{"listener", "listeners", "listener_name"},
		{"global listener settings", "global_inbound_connection_timeout", ""},
		{"global listener settings", "global_inbound_conversation_timeout", ""},
		{"global listener settings", "global_injection_control_period", ""},
		{"global listener settings", "global_max_header_lines", ""},
		{"global listener settings", "global_max_listener_concurrency", ""},
		{"global listener settings", "global_max_tls_concurrency", ""},
		{"domain exception table", "exception_table", ""},
		{"domain exception", "exception_table", "exception_address"},
		{"mail delivery", "delivery_settings", ""},
		{"destination controls default", "destination_controls/default_destination", ""},
		{"destination controls", "destination_controls", ""},
		{"destination control entry", "destination_controls/destinations", "destination_domain"},
		{"destination", "destination_controls/destinations", "destination_domain"},
		{"DANE", "dane_settings", ""},
		{"SMTP routes", "smtp_routes", ""},
		{"route", "smtp_routes", "route_domain"},
		{"bounce profiles", "bounce_profiles", ""},
		{"bounce profile", "bounce_profiles", "bounce_profile_name"},
		{"users", "users", ""},
		{"user", "users", "username"},
		{"passphrase policy", "passphrase_policy", ""},
		{"SSH server", "sshd", ""},
		{"administrative access", "admin_access", ""},
		{"archives", "config_archives", ""},
		{"archive", "config_archives", "archive_name"},
	}
}

// speaksOf reports whether a place is of this heading, and gives what follows:
// the name of an entry, as it is there.
func (h heading) speaksOf(place string) (name string, ok bool) {
	rest, ok := strings.CutPrefix(place, h.place)
	if rest == "" || !ok {
		return "", ok
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

// entry is one of many of a part.
type entry struct{ part, name, text string }

// newEntry takes names in any case.
func newEntry(h heading, text string) entry {
	return entry{h.part, h.name, strings.ToLower(strings.TrimSpace(text))}
}

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

// holds notes the text of an element, which may name an entry.
func (p places) holds(path []string, text string, at int64) {
	for _, h := range p.named[path[len(path)-1]] {
		e := newEntry(h, text)
		if _, ok := p.entries[e]; !ok && strings.HasPrefix(strings.Join(path[1:], "/"), h.part+"/") {
			p.entries[e] = at
		}
	}
}

// of gives where the file speaks of a place: of the entry if it names that, or
// of all.
func (p places) of(place string) (at int64, ok bool) {
	known := ""
	for _, h := range headings() {
		name, speaks := h.speaksOf(place)
		if !speaks || known != "" && known != h.place {
			continue
		}
		known = h.place
		if at, ok := p.entries[newEntry(h, name)]; ok && name != "" {
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
	at, ok := r.places.of(p.Place)
	if !ok {
		return &Error{Text: text}
	}
	return errorAt(r.text, at, "%s", text)
}
