package store

import (
	"strings"
	"testing"
)

func TestParseCRLSchedule(t *testing.T) {
	for text, want := range map[string]string{
		"daily at 02:00": "daily at 02:00", "DAILY 2:05": "daily at 02:05", "every Sunday at 23:59": "every Sunday at 23:59",
		"every monday 4:00": "every Monday at 04:00", "every 6 hours": "every 6 hours", "every 1 hours": "every hour", "every hour": "every hour",
		" every  720 hours ": "every 720 hours",
	} {
		s, err := ParseCRLSchedule(text)
		if err != nil || s.String() != want {
			t.Errorf("%q: %q, %v", text, s, err)
		}
		if again, err := ParseCRLSchedule(s.String()); err != nil || again != s {
			t.Errorf("%q is read back as %v, %v", s, again, err)
		}
	}
	for _, text := range []string{"", "daily", "weekly", "at 02:00", "daily 24:00", "daily 12:60", "daily 02:00 02:00", "every", "every day", "every 0 hours",
		"every 721 hours", "every -1 hours", "every x hours", "every someday at 02:00", "every sunday", "every 6 hours at 02:00"} {
		if s, err := ParseCRLSchedule(text); err == nil {
			t.Errorf("%q is taken as %q", text, s)
		}
	}
}

func TestParseCRLURL(t *testing.T) {
	for _, text := range []string{"http://crl.example.com/ca.crl", "https://[2001:db8::1]:8443/x?y=z", "http://192.0.2.1/", "http://CRL.example.com"} {
		if got, err := ParseCRLURL(" " + text + " "); err != nil || got != text {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "crl.example.com", "ftp://crl.example.com/x", "ldap://crl.example.com/x", "file:///etc/passwd", "http://", "http:///x",
		"http://user:word@crl.example.com/", "http://crl.example.com/#x", "http://crl.example.com:0/", "http://crl.example.com:99999/", "http://crl.example.com/a b",
		"http://bücher.example/", "http://crl.example.com/\x00", "http://x/" + strings.Repeat("a", maxURL)} {
		if got, err := ParseCRLURL(text); err == nil {
			t.Errorf("%q is taken as %q", text, got)
		}
	}
}

func TestRevocation_Validate(t *testing.T) {
	good := CRLSource{Name: "ca", URL: "http://crl.test/ca.crl", Refresh: DailyCRL()}
	for name, tt := range map[string]struct {
		change func(*Revocation)
		want   string // empty: it can run
	}{
		"good":         {func(*Revocation) {}, ""},
		"further":      {func(r *Revocation) { r.Sources[0].Further = "https://other.test/ca.crl" }, ""},
		"name":         {func(r *Revocation) { r.Sources[0].Name = "../ca" }, "is not valid"},
		"no URL":       {func(r *Revocation) { r.Sources[0].URL = "" }, "cannot be blank"},
		"URL":          {func(r *Revocation) { r.Sources[0].URL = "ldap://x/" }, "http or https"},
		"further URL":  {func(r *Revocation) { r.Sources[0].Further = "x" }, "http or https"},
		"the same URL": {func(r *Revocation) { r.Sources[0].Further = r.Sources[0].URL }, "the same as the first"},
		"hours":        {func(r *Revocation) { r.Sources[0].Refresh.Hours = -1 }, "daily at HH:MM"},
		"hours, day":   {func(r *Revocation) { r.Sources[0].Refresh = CRLSchedule{Hours: 3, Day: "Sunday"} }, "daily at HH:MM"},
		"minute":       {func(r *Revocation) { r.Sources[0].Refresh.Minute = 1440 }, "HH:MM"},
		"twice": {func(r *Revocation) {
			again := r.Sources[0]
			again.Name = "CA"
			r.Sources = append(r.Sources, again)
		}, "twice"},
		"too many": {func(r *Revocation) { r.Sources = make([]CRLSource, MaxCRLSources+1) }, "maximum of 50"},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Config{Revocation: Revocation{Sources: []CRLSource{good}}}
			tt.change(&c.Revocation)
			var p problems
			c.validateRevocation(&p)
			switch {
			case tt.want == "" && len(p) > 0:
				t.Error(p)
			case tt.want != "" && (len(p) == 0 || !strings.Contains(p[0].Text, tt.want)):
				t.Errorf("%v, want %q", p, tt.want)
			}
		})
	}
}
