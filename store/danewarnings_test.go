package store

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestDANEWarnings: what each configuration warns of about DANE.
func TestDANEWarnings(t *testing.T) {
	const waits = "will wait and bounce"
	on := func(domain string, m DANEMode) Destination {
		return Destination{Domain: domain, DANE: m, TLS: TLSPreferred}
	}
	by := func(domain, host string) Route { return Route{Domain: domain, Hosts: []RouteHost{{Host: host}}} }
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   []string // parts of "place: text [fix]", one for each warning, in order
	}{
		{"off", func(c *Config) { c.Routes = []Route{by("ALL", "h.test")} }, nil},
		{"route of a domain", func(c *Config) {
			c.Destinations.Entries, c.Routes = []Destination{on("a.test", DANEOpportunistic)}, []Route{by("a.test", "h.test"), by("b.test", "h.test")}
		}, []string{`route "a.test": Mail to a.test ` + waits + ": DANE is Opportunistic"}},
		{"route above, and the command that mends it", func(c *Config) {
			c.Destinations.Entries, c.Routes = []Destination{on("a.up.test", DANEMandatory)}, []Route{by(".up.test", "h.test")}
		}, []string{`route ".up.test": Mail to a.up.test ` + waits + ": DANE is Mandatory, and fails for SMTP routes other than USEDNS. [daneconfig, "}},
		{"default route", func(c *Config) {
			c.Destinations.Default.DANE, c.Destinations.Default.TLS, c.Routes = DANEOpportunistic, TLSPreferred, []Route{by("ALL", "h.test")}
		}, []string{`route "ALL": Mail to domains without a route of their own ` + waits}},
		{"route of an address", func(c *Config) {
			c.Destinations.Entries, c.Routes = []Destination{on("192.0.2.1", DANEOpportunistic)}, []Route{by("[192.0.2.1]", "h.test")}
		}, []string{`route "[192.0.2.1]": Mail to 192.0.2.1 ` + waits}},
		{"USEDNS and nowhere", func(c *Config) {
			c.Destinations.Default.DANE, c.Destinations.Default.TLS = DANEMandatory, TLSPreferred
			c.Routes = []Route{{Domain: "a.test", UseDNS: true}, {Domain: "b.test", Discard: true}}
		}, nil},
		{"switched off for it", func(c *Config) {
			c.Destinations.Default.DANE, c.Destinations.Default.TLS = DANEMandatory, TLSPreferred
			c.Destinations.Entries, c.Routes = []Destination{{Domain: "a.test", DANE: DANEOff}}, []Route{by("a.test", "h.test")}
		}, nil},
		{"routes by the RFC", func(c *Config) {
			c.DANE.RouteHosts = true
			c.Destinations.Entries = []Destination{on("a.test", DANEOpportunistic), on("b.test", DANEMandatory), on("c.test", DANEMandatory)}
			c.Routes = []Route{by("a.test", "192.0.2.1"), by("b.test", "2001:db8::1"), by("c.test", "h.test")}
		}, []string{`route "b.test": Mail to b.test ` + waits + ": DANE is Mandatory, and an address has no TLSA record. [destconfig edit b.test dane=none]"}},
		{"domains of listeners", func(c *Config) {
			c.Destinations.Default.DANE, c.Destinations.Default.TLS = DANEOpportunistic, TLSPreferred
			for i := range 7 {
				c.Listeners[0].RAT = append(c.Listeners[0].RAT, RATEntry{Address: fmt.Sprintf("own%d.test", i), Accept: true})
			}
		}, []string{"DANE: It is on for domains that listeners take mail for (own0.test, own1.test, own2.test, own3.test, own4.test and 2 more): "}},
		{"TLS is No", func(c *Config) {
			c.Destinations.Default.DANE = DANEOpportunistic
			c.Destinations.Entries = []Destination{{Domain: "a.test", MaxMessages: 3}, {Domain: "b.test", DANE: DANEMandatory}, {Domain: "c.test", DANE: DANEOpportunistic}}
		}, []string{"default destination: DANE is Opportunistic and TLS is No: mail to hosts without DANE goes in clear. [destconfig edit default use_tls=on]",
			`destination "c.test": DANE is Opportunistic and TLS is No`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Factory(FactoryFacts{})
			c.Listeners = []Listener{{Name: "In", Type: Public}}
			tt.change(c)
			var got []string
			for _, p := range c.Warnings(time.Now(), nil) {
				if text := fmt.Sprintf("%s: %s [%s]", p.Place, p.Text, p.Fix); strings.Contains(text, "DANE") {
					got = append(got, text)
				}
			}
			for i, want := range tt.want {
				if i >= len(got) || !strings.Contains(got[i], want) {
					t.Errorf("warnings:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
					return
				}
			}
			if len(got) > len(tt.want) {
				t.Errorf("warnings:\n%s\nwant %d", strings.Join(got, "\n"), len(tt.want))
			}
		})
	}
}
