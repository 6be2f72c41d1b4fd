package store

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const tableText = `; comment
[DEFAULT]
ip_sort_pref = PREFER_V6
max_host_concurrency = 500
max_messages_per_connection = 50
recipient_minutes = 60
recipient_limit = 100
limit_type = host
limit_apply = VG
bounce_validation = off
TABLE_TLS = 0
send_tls_req_alert = 1
certificate = Mine

# ours
[Example.COM]
ip_sort_pref=require_V4
max_host_concurrency = 7
limit_type = 1
limit_apply = 0
bounce_profile = Bulk
table_tls = 4
dane = Mandatory
[.example.net]
max_messages_per_connection = 3
[2001:DB8::1]
recipient_minutes = 1
recipient_limit = 2
limit_type = MXIP
limit_apply = system
`

func tableOf(t *testing.T) Destinations {
	t.Helper()
	table, err := ParseDestinations(strings.NewReader(tableText))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestDestinationFile(t *testing.T) {
	table := tableOf(t)
	want := Destinations{
		Default: Destination{
			Concurrency: 500, MaxMessages: 50, RecipientMinutes: 60, RecipientLimit: 100,
			Scope: WholeDomain, Place: EachInterface, Family: PreferV6, TLS: TLSOff, DANE: DANEOff,
		},
		Certificate: "Mine", AlertTLS: true,
		Entries: []Destination{
			{Domain: "example.com", Concurrency: 7, Scope: EachMX, Place: SystemWide, BounceProfile: "Bulk", Family: RequireV4, TLS: TLSRequiredVerify, DANE: DANEMandatory},
			{Domain: ".example.net", MaxMessages: 3},
			{Domain: "2001:db8::1", RecipientMinutes: 1, RecipientLimit: 2, Scope: EachMX, Place: SystemWide},
		},
	}
	if !reflect.DeepEqual(table, want) {
		t.Errorf("got %+v\nwant %+v", table, want)
	}
	var b bytes.Buffer
	if err := WriteDestinations(&b, table); err != nil {
		t.Fatal(err)
	}
	again, err := ParseDestinations(&b)
	if err != nil || !reflect.DeepEqual(again, table) {
		t.Errorf("written and read: %+v, %v", again, err)
	}
	c := testConfig()
	c.Destinations = table
	c.Certificates = []Certificate{testCertificate(t, "Mine", "mx.example.com")}
	if p := c.Validate(); len(p) > 0 {
		t.Errorf("not valid: %v", p)
	}
}

// A limit without scope and place gets the default's in a file, which needs
// them.
func TestDestinationFile_LimitOfTheDefaultsScope(t *testing.T) {
	table := tableOf(t)
	table.Entries = []Destination{{Domain: "a.example", Concurrency: 1}}
	var b bytes.Buffer
	if err := WriteDestinations(&b, table); err != nil {
		t.Fatal(err)
	}
	again, err := ParseDestinations(&b)
	if err != nil || again.Entries[0].Scope != WholeDomain || again.Entries[0].Place != EachInterface {
		t.Errorf("%+v, %v", again.Entries, err)
	}
}

func TestDestinationFileErrors(t *testing.T) {
	defaults, _, _ := strings.Cut(strings.Replace(tableText, "; comment\n", "", 1), "\n#")
	var many strings.Builder
	for i := range MaxDestinationEntries + 1 {
		fmt.Fprintf(&many, "[d%d.example]\n", i)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"no section", "limit_type = host", "line 1: A section [domain] must come first."},
		{"no default", "[a.example]", "The section [DEFAULT] is missing."},
		{"empty", "", "The section [DEFAULT] is missing."},
		{"default twice", defaults + "[Default]", "line 13: The section [DEFAULT] is given twice."},
		{"key missing", strings.Replace(defaults, "limit_type = host\n", "", 1), "line 1: The key limit_type is missing in [DEFAULT]."},
		{"half a recipient limit", strings.Replace(defaults, "recipient_limit = 100\n", "", 1), "line 1: A recipient limit needs both"},
		{"bounce profile of the default", defaults + "bounce_profile = Bulk", "line 13: The key bounce_profile is not allowed in [DEFAULT]."},
		{"limit without scope", defaults + "[a.example]\nmax_host_concurrency = 5", "line 13: A limit needs both"},
		{"key twice", defaults + "limit_type = host", "line 13: The key limit_type is given twice."},
		{"unknown key", defaults + "colour = blue", "line 13: There is no key colour."},
		{"no key", defaults + "nonsense", "line 13: A line must be [domain] or key = value."},
		{"TLS", defaults + "[a.example]\ntable_tls = never", "line 14: The value must be off, on, require,"},
		{"tagging", defaults + "[a.example]\nbounce_validation = on", "line 14: This build does not have what bounce_validation = on asks for."},
		{"certificate", strings.Replace(defaults, "Mine", "a b", 1), "line 12: The certificate profile name must"},
		{"certificate of a domain", defaults + "[a.example]\ncertificate = Mine", "line 14: The key certificate is only allowed in [DEFAULT]."},
		{"alert", strings.Replace(defaults, "alert = 1", "alert = 2", 1), "line 11: The value must be 0 or 1."},
		{"domain", defaults + "[a b]", "line 13: A hostname is"},
		{"reserved", defaults + "[all]", "line 13: The word all is not a domain."},
		{"bracket", defaults + "[a.example", "line 13: A square bracket is not closed."},
		{"domain twice", defaults + "[a.example]\n[A.example.]", "line 14: The domain a.example is configured twice."},
		{"number", defaults + "[a.example]\nmax_messages_per_connection = x", "line 14: The value must be a number from 1 to 1000."},
		{"minutes", defaults + "[a.example]\nrecipient_minutes = 61", "line 14: The value must be a number from 1 to 60."},
		{"scope", defaults + "[a.example]\nlimit_type = 2", "line 14: The value must be host or MXIP."},
		{"place", defaults + "[a.example]\nlimit_apply = 2", "line 14: The value must be system or VG."},
		{"family", defaults + "[a.example]\nip_sort_pref = 6", "line 14: The value must be PREFER_V4,"},
		{"all lines told", "x\n" + defaults + "y", "line 14: A line must be"},
		{"very many", strings.Repeat("nonsense\n", 20), "line 11 and others: not shown"},
		{"too many", defaults + many.String(), "There is a maximum of 10000 entries."},
		{"too long", defaults + strings.Repeat("x", 70000), "line 13: The line is too long."},
	} {
		table, err := ParseDestinations(strings.NewReader(tt.text))
		if err == nil || !reflect.DeepEqual(table, Destinations{}) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %.300v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestDestinationFileBroken(t *testing.T) {
	if _, err := ParseDestinations(failing{}); err == nil {
		t.Error("reading did not fail")
	}
	if err := WriteDestinations(failing{}, testConfig().Destinations); err == nil {
		t.Error("writing did not fail")
	}
}

func FuzzDestinations(f *testing.F) {
	f.Add([]byte(tableText))
	f.Add([]byte("[DEFAULT]\n[[192.0.2.1]]\nlimit_type=0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := ParseDestinations(bytes.NewReader(data))
		if err != nil {
			return
		}
		c := Config{Destinations: table}
		for _, e := range table.Entries {
			if e.BounceProfile != "" {
				c.BounceProfiles = append(c.BounceProfiles, BounceProfile{Name: e.BounceProfile})
			}
		}
		if table.Certificate != "" {
			c.Certificates = []Certificate{{Name: table.Certificate}}
		}
		var p problems
		if c.validateDestinations(&p); len(p) > 0 {
			t.Errorf("%q: accepted, but not valid: %v", data, p)
		}
		var b bytes.Buffer
		if err := WriteDestinations(&b, table); err != nil {
			t.Fatal(err)
		}
		again, err := ParseDestinations(&b)
		if err != nil || !reflect.DeepEqual(again, table) {
			t.Errorf("%q: not the same again: %v", data, err)
		}
	})
}

func TestParseDestination(t *testing.T) {
	for text, want := range map[string]string{
		" Example.COM. ": "example.com", ".Example.com": ".example.com", "192.0.2.1": "192.0.2.1",
		"[192.0.2.1]": "192.0.2.1", "[IPv6:2001:DB8:0::1]": "2001:db8::1", "2001:DB8::1": "2001:db8::1",
	} {
		if got, err := ParseDestination(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ".", "..a", "a b", "[a.example]", "DEFAULT", "192.0.2.256", "fe80::1%eth0", "ALL"} {
		if got, err := ParseDestination(text); err == nil {
			t.Errorf("%q: taken as %q", text, got)
		}
	}
}

func TestBadDestinations(t *testing.T) {
	defaults := func(c *Config) *Destination { return &c.Destinations.Default }
	entry := func(change func(*Destination)) func(*Config) {
		return func(c *Config) {
			d := Destination{Domain: "example.com"}
			change(&d)
			c.Destinations.Entries = []Destination{d}
		}
	}
	checkBad(t, []badConfig{
		{"default concurrency", func(c *Config) { defaults(c).Concurrency = 0 }, `destination controls default: Concurrency limit: The value must`},
		{"default messages", func(c *Config) { defaults(c).MaxMessages = 0 }, `destination controls default: Messages per connection: The value must`},
		{"default scope", func(c *Config) { defaults(c).Scope = "" }, `destination controls default: The value must be host or MXIP.`},
		{"default place", func(c *Config) { defaults(c).Place = "" }, `destination controls default: The value must be system or VG.`},
		{"default family", func(c *Config) { defaults(c).Family = "" }, `destination controls default: The value must be PREFER_V4`},
		{"default profile", func(c *Config) { defaults(c).BounceProfile = "Bulk" }, `destination controls default: The default has no domain`},
		{"entry domain", entry(func(d *Destination) { d.Domain = "-" }), `destination control entry "-": A hostname is`},
		{"entry case", entry(func(d *Destination) { d.Domain = "A.b" }), `destination control entry "A.b": The domain must be written "a.b".`},
		{"entry without domain", entry(func(d *Destination) { d.Domain = "" }), `destination control entry "": The value cannot be blank.`},
		{"entry concurrency", entry(func(d *Destination) { d.Concurrency = 1001 }), `destination control entry "example.com": Concurrency limit: The value must`},
		{"half a limit", entry(func(d *Destination) { d.RecipientLimit = 5 }), `A recipient limit needs both`},
		{"minutes", entry(func(d *Destination) { d.RecipientLimit, d.RecipientMinutes = 5, 61 }), `Minutes of the recipient limit: The value must`},
		{"word in another form", entry(func(d *Destination) { d.Scope = "mxip" }), `The value must be written MXIP.`},
		{"entry place", entry(func(d *Destination) { d.Place = "x" }), `The value must be system or VG.`},
		{"entry family", entry(func(d *Destination) { d.Family = "x" }), `The value must be PREFER_V4`},
		{"entry profile", entry(func(d *Destination) { d.BounceProfile = "Gone" }), `destination control entry "example.com": The bounce profile "Gone" does not exist.`},
		{"entry twice", func(c *Config) { c.Destinations.Entries = []Destination{{Domain: "a.b"}, {Domain: "a.b"}} }, `The domain a.b is configured twice.`},
		{"too many entries", func(c *Config) { c.Destinations.Entries = make([]Destination, MaxDestinationEntries+1) }, `There is a maximum of 10000 entries.`},
	})
}

// TestDestinationsMerge: two sessions may work on two entries, or on an entry
// and the default, but not on one.
func TestDestinationsMerge(t *testing.T) {
	base := testConfig()
	base.Destinations.Entries = []Destination{{Domain: "a.example", Concurrency: 1}, {Domain: "b.example"}}
	change := func(edit func(*Destinations)) *Config {
		c := base.Clone()
		edit(&c.Destinations)
		return c
	}
	theirs := change(func(d *Destinations) {
		d.Entries[0].Concurrency = 2
		d.Entries = append(d.Entries, Destination{Domain: "c.example"})
	})
	merged, conflicts := merge(base, theirs, change(func(d *Destinations) { d.Entries[1].MaxMessages = 3; d.Default.Concurrency = 7 }))
	if len(conflicts) > 0 || merged.Destinations.Default.Concurrency != 7 || merged.Destinations.Entries[0].Concurrency != 2 ||
		merged.Destinations.Entries[1].MaxMessages != 3 || len(merged.Destinations.Entries) != 3 {
		t.Errorf("%+v, %v", merged.Destinations, conflicts)
	}
	_, conflicts = merge(base, theirs, change(func(d *Destinations) { d.Entries[0].Concurrency = 3 }))
	if len(conflicts) != 1 || conflicts[0].Object != `destination "a.example"` {
		t.Errorf("conflicts %+v", conflicts)
	}
	theirs = change(func(d *Destinations) { d.Default.Concurrency = 5 })
	_, conflicts = merge(base, theirs, change(func(d *Destinations) { d.Default.Concurrency = 6 }))
	if len(conflicts) != 1 || conflicts[0].Object != "destination default" {
		t.Errorf("conflicts %+v", conflicts)
	}
}
