package commands

import (
	"reflect"
	"strings"
	"testing"

	"esa/shell"
	"esa/store"
)

// TestUsageFits holds every usage to a terminal of 80 columns.
func TestUsageFits(t *testing.T) {
	for _, c := range Table() {
		for line := range strings.Lines(shell.Help(&c)) {
			if n := len(strings.TrimRight(line, "\n")); n > 80 {
				t.Errorf("help %s: a line has %d columns: %s", c.Name, n, line)
			}
		}
	}
}

func TestUsage(t *testing.T) {
	keys := []key{{"a", "N", nil}, {"b", strings.Repeat("x", 60), nil}, {"c", "yes|no", nil}}
	for _, tt := range []struct {
		form string
		keys []key
		want string
	}{
		{"x new", nil, "x new"},
		{"x new", keys[:1], "x new [a=N]"},
		{"x new", keys, "x new [a=N]\n           [b=" + strings.Repeat("x", 60) + "]\n           [c=yes|no]"},
		{"x " + strings.Repeat("y", 64), keys[:1], "x " + strings.Repeat("y", 64) + " [a=N]"},
		{"x " + strings.Repeat("y", 65), keys[:1], "x " + strings.Repeat("y", 65) + "\n           [a=N]"},
	} {
		if got := usage(tt.form, tt.keys); got != tt.want {
			t.Errorf("%q: got\n%s\nwant\n%s", tt.form, got, tt.want)
		}
	}
}

// TestKeysHaveTheirPlace sets each key of each table alone: exactly one field
// changes, and no two keys share one.
func TestKeysHaveTheirPlace(t *testing.T) {
	cfg := newWorld(t).env("admin", false).Config().Clone()
	cfg.BounceProfiles = append(cfg.BounceProfiles, store.BounceProfile{Name: "Bulk"})
	values := map[string]string{
		"N": "3", "SECONDS": "7", "BYTES": "2048", "TEXT": "some text", "yes|no": "yes", "ADDRESS|none": "a@example.com", "1..5": "5", "mail|system|cli|authentication": "cli", "NAME": "other",
		"DOMAIN|none": "example.com", "clean|reject|allow": "allow", "PROFILE": "bulk", "LIST": "example.net",
		"NAME|none": "demo", "METHOD": "tlsv1_3", "CIPHERS": "ALL",
	}
	for _, tt := range []struct {
		name string
		make func() (object any, keys []key)
	}{
		{"bounceconfig", func() (any, []key) {
			p := &store.BounceProfile{Name: store.DefaultProfile}
			return p, bounceKeys(p)
		}},
		{"logconfig", func() (any, []key) {
			l := &store.LogSubscription{}
			return l, logNewKeys(l)
		}},
		{"logconfig setup", func() (any, []key) {
			s := &store.LogSettings{}
			return s, logSettingKeys(s)
		}},
		{"sslconfig", func() (any, []key) {
			s := &store.SSLSettings{}
			return s, sslKeys(s)
		}},
		{"listenerconfig public", func() (any, []key) {
			l := new(store.NewListener("X", store.Public))
			l.Received = false
			return l, listenerKeys(cfg, l)[:9]
		}},
		{"listenerconfig private", func() (any, []key) {
			l := new(store.NewListener("X", store.Private))
			return l, listenerKeys(cfg, l)[9:]
		}},
	} {
		_, keys := tt.make()
		owner := map[string]string{}
		for n := range keys {
			before, _ := tt.make()
			object, own := tt.make()
			k := own[n]
			if err := setKeys(own, []string{k.name + "=" + values[k.value]}); err != nil {
				t.Errorf("%s %s: %v", tt.name, k.name, err)
				continue
			}
			changed := differing(before, object)
			if len(changed) != 1 || owner[changed[0]] != "" {
				t.Errorf("%s %s changes %v, owned by %q", tt.name, k.name, changed, owner[changed[0]])
				continue
			}
			owner[changed[0]] = k.name
		}
	}
}

// differing names the fields in which two structs differ.
func differing(a, b any) []string {
	var names []string
	x, y := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range x.NumField() {
		if !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			names = append(names, x.Type().Field(i).Name)
		}
	}
	return names
}

func TestSetKeysRefused(t *testing.T) {
	n := 5
	keys := []key{{"n", "N", number(&n, 1, 9)}}
	for _, tt := range []struct {
		words []string
		want  string
	}{
		{nil, "Invalid arguments: there is nothing to set."},
		{[]string{"m=1"}, `Invalid arguments: there is no setting "m".`},
		{[]string{"n"}, `Invalid arguments: "n" is not of the form key=value.`},
		{[]string{"n=10"}, "The value must be a number from 1 to 9."},
	} {
		if err := setKeys(keys, tt.words); err == nil || err.Error() != tt.want || n != 5 {
			t.Errorf("%q: %v, n is %d", tt.words, err, n)
		}
	}
}

func TestFind(t *testing.T) {
	names := []string{"One", "two", "TWO"}
	for name, want := range map[string]int{"One": 0, "one": 0, "two": 1, "TWO": 2, "Two": 1, "three": -1, "": -1} {
		if got := find(names, name); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
}

// TestSameEdit: a dialog and the one-line form that says the same end in the
// same configuration.
func TestSameEdit(t *testing.T) {
	for _, tt := range []struct {
		name         string
		before       []string
		dialog, form []string
	}{
		{"bounceconfig new", nil,
			[]string{"bounceconfig", "new", "Bulk", "5", "", "120", "", "n", "", "y", "a@example.com", ""},
			[]string{"bounceconfig new Bulk max_retries=5 initial_retry=120 send_bounces=no bounce_address=a@example.com"}},
		{"bounceconfig edit", []string{"bounceconfig new Bulk max_retries=5", "listenerconfig edit OutgoingMail bounce_profile=Bulk"},
			[]string{"bounceconfig", "edit", "Bulk", "Bulk2", "default", "", "", "", "", "", "Not delivered", "", "", "", ""},
			[]string{"bounceconfig edit bulk name=Bulk2 max_retries=default", "bounceconfig edit Bulk2 \"bounce_subject=Not delivered\""}},
		{"bounceconfig delete", []string{"bounceconfig new Bulk", "bounceconfig new Other"},
			[]string{"bounceconfig", "delete", "2", "y", ""}, []string{"bounceconfig delete bulk"}},
		{"bounceconfig setup", nil, []string{"bounceconfig", "setup", "y", ""}, []string{"bounceconfig setup bounce_down=yes"}},
		{"logconfig new", nil,
			[]string{"logconfig", "new", "", "debug", "4", "", "trace", "", "1M", "3", "", ""},
			[]string{"logconfig new debug level=4 filename=trace size=1048576 files=3"}},
		{"logconfig edit", nil,
			[]string{"logconfig", "edit", "mail_logs", "mails", "debug", "", "", "", "", "5", "", ""},
			[]string{"logconfig edit MAIL_LOGS name=mails level=4 files=5"}},
		{"logconfig delete", nil, []string{"logconfig", "delete", "3", ""}, []string{"logconfig delete error_logs"}},
		{"logconfig setup", nil, []string{"logconfig", "setup", "", "y", "", "y", ""}, []string{"logconfig setup message_id=yes remote_response=yes"}},
		{"listenerconfig new", []string{"bounceconfig new Bulk"},
			[]string{"listenerconfig", "new", "2", "In", "", "", "26", "example.com, .example.org", "", "", "2", ""},
			[]string{"listenerconfig new In public Management smtp port=26 accept=example.com,.example.org bounce_profile=Bulk"}},
		{"listenerconfig edit", nil,
			[]string{"listenerconfig", "edit", "1", "name", "Out", "limits", "5", "6", "setup", "defaultdomain", "example.com", "received", "n", "cleansmtp", "3", "", "interface", "", "", "26", "", ""},
			[]string{"listenerconfig edit OutgoingMail name=Out port=26 connections=5 queue=6 default_domain=example.com received=no clean_smtp=allow"}},
		{"listenerconfig delete", nil, []string{"listenerconfig", "delete", "1", ""}, []string{"listenerconfig delete outgoingmail"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			one, other := w.env("admin", false), w.env("admin", false)
			dialog := w.run(one, append(tt.before, tt.dialog...)...)
			form := w.run(other, append(tt.before, tt.form...)...)
			if !one.Session.Dirty() || !one.Config().Equal(other.Config()) {
				t.Errorf("they differ:\n%s\n%s\n%s", store.FormatChanges(store.Diff(one.Config(), other.Config())), dialog, form)
			}
		})
	}
}
