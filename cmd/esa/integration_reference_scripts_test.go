//go:build integration

package main

import (
	"fmt"
	"slices"
	"strings"

	"esa/mta/mtatest"
)

// The scripts of TestReference, typed from the sections named.

// configure is one script of dialogs, as the sections 6 to 9 and 4 have them.
func (r *reference) configure() {
	r.t.Helper()
	out := r.script(slices.Concat(
		r.interfaces(), r.listeners(), policyScript(), groupScript(), recipientScript(), r.routes(), destinationScript(),
		[]string{"commit", "typed from the reference", "y"},
	)...)
	for _, text := range []string{
		"There are currently 4 policies defined.", "There are currently 5 sender groups.", // 7.5 [seen]
		"There are currently 1 routes configured.",          // 8
		"There are currently 2 entries configured.",         // 4.1 [seen]
		`Enter the max concurrency limit for "slow.test".`,  // 4.2 [seen]
		`Enter the max number of recipients per 60 minutes`, // 4.2 [seen]
		"Select how the limits will be enforced:",           // 4.2 [seen]
		"Recipient Access Table",                            // 7.8
		"Listener IncomingMail created.",                    // 7.2
		"Changes committed: ",                               // 2.1 [seen]
	} {
		if !strings.Contains(out, text) {
			r.t.Errorf("the screen has no %q", text)
		}
	}
	if r.t.Failed() {
		r.t.Logf("%s", out)
	}
}

// Section 6.
func (r *reference) interfaces() []string {
	return []string{
		"interfaceconfig", "new", "InternalNet", "y", "127.0.0.10", "255.0.0.0", "n", "mx.example.com", "n", "",
		"sethostname", "esa.example.com",
	}
}

// Sections 7.2, 7.3 (LIMITS, BOUNCECONFIG) and 7.4: what is not asked here has
// features of its own.
func (r *reference) listeners() []string {
	return []string{
		"bounceconfig", "new", "Fast", "1", "600", "1", "1", "y", "y", "Your mail did not arrive", "n", "n", "n", "",
		"listenerconfig",
		"new", "2", "IncomingMail", "InternalNet", "1", fmt.Sprint(r.incoming.Port()), "example.com, .example.com, joe@example.org", "n", "n", "1",
		"new", "1", "OutboundMail", "2", "1", fmt.Sprint(r.outgoing.Port()), "127.0.2.1", "n", "n", "Fast",
		"edit", "OutboundMail", "LIMITS", "2", "50", "",
		"edit", "IncomingMail", "bounceconfig", "Fast", "",
		"setup", "500", "", "20", "1h", "5m", "15m", "n", "n",
		"",
	}
}

// parameters answers the questions of section 7.6: 1 to 4, then 5 to 7, 8, 9,
// 10, 12, 15, 25, 26. A limit that is not given is left.
type parameters struct {
	size, connections, messages, recipients string
	hour, sender, harvest, verify           []string
}

func (p parameters) answers() []string {
	or := func(lines []string) []string {
		if lines == nil {
			return []string{"n"}
		}
		return lines
	}
	return slices.Concat([]string{"y", p.size, p.connections, p.messages, p.recipients, "n", "n", "n"},
		or(p.hour), or(p.sender), or(p.harvest), []string{"n", ""}, or(p.verify), []string{"n"})
}

// Section 7.5, NEW of policies.
func policyScript() []string {
	lines := []string{"listenerconfig", "edit", "IncomingMail", "hostaccess"}
	for _, p := range []struct {
		name   string
		params parameters
	}{
		{"SMALL", parameters{size: "10k"}},
		{"BRIEF", parameters{messages: "2"}},
		{"FEW", parameters{recipients: "2"}},
		{"ALONE", parameters{connections: "1"}},
		{"HOURLY", parameters{hour: []string{"y", "2", "n"}}},
		{"HOURLYREPLY", parameters{hour: []string{"y", "1", "y", "450", "Not so", "fast", ""}}},
		{"PERSENDER", parameters{sender: []string{"y", "2", "60", "n", "news@example.net"}}},
		{"HARVEST", parameters{harvest: []string{"y", "2", "2", "n"}}},
		{"HARVESTDROP", parameters{harvest: []string{"y", "1", "1"}}},
		{"VERIFY", parameters{verify: []string{"y", "n", "n", "y", "550", "Who is that?", ""}}},
	} {
		lines = append(lines, "new", "2", p.name, "1")
		lines = append(lines, p.params.answers()...)
	}
	lines = append(lines, "new", "2", "BANNER", "accept", "y", "", "", "", "", "y", "mail.example.net", "y", "220", "No spam here", "", "n", "n", "n", "n", "n", "", "n", "n")
	lines = append(lines, "new", "2", "GOAWAY", "3", "y", "", "", "", "", "n", "n", "y", "554", "We do not know you", "", "n", "n", "n", "n", "", "n", "n")
	return append(lines, "", "", "")
}

// Section 7.5, NEW of sender groups and MOVE: the order decides.
func groupScript() []string {
	lines := []string{"listenerconfig", "edit", "IncomingMail", "hostaccess"}
	for _, g := range [][3]string{
		{"WATCHED", "127.0.1.0/24", "Continue"},
		{"SIZED", "127.0.1.1", "SMALL"},
		{"TALKERS", "127.0.1.2", "BRIEF"},
		{"LISTS", "127.0.1.3", "FEW"},
		{"CROWDS", "127.0.1.4", "ALONE"},
		{"RATED", "127.0.1.5", "HOURLY"},
		{"RATEDREPLY", "127.0.1.6", "HOURLYREPLY"},
		{"WRITERS", "127.0.1.7", "PERSENDER"},
		{"HARVESTERS", "127.0.1.8", "HARVEST"},
		{"DROPPEDHARVESTERS", "127.0.1.9", "HARVESTDROP"},
		{"VERIFIED", "127.0.1.10", "VERIFY"},
		{"PARTNERS", ".partner.test", "Relay"},
		{"LISTED", "dnslist[bl.test]", "GOAWAY"},
		{"REJECTED", "127.0.1.14-15", "Reject"},
		{"DROPPED", "127.0.1.16", "TCP Refuse"},
		{"GREETED", "127.0.1.17", "BANNER"},
	} {
		policy := g[2]
		if n := slices.Index([]string{"Accept", "Relay", "Reject", "TCP Refuse", "Continue"}, policy); n >= 0 {
			policy = fmt.Sprint(n + 1)
		}
		lines = append(lines, "new", "1", g[0], g[1], policy, "typed from the reference")
	}
	return append(lines, "move", "SIZED", "WATCHED", "move", "WATCHED", "WHITELIST", "print", "", "", "")
}

// Section 7.8.
func recipientScript() []string {
	return []string{
		"listenerconfig", "edit", "IncomingMail", "rcptaccess",
		"new", "nobody@example.com", "2", "n", "n",
		"new", "moved@example.com", "2", "y", "551", "Write to new@example.net", "", "n",
		"new", "busy@example.com", "2", "y", "450", "Later", "", "n",
		"new", "free@example.com", "1", "n", "y",
		"print", "", "", "",
	}
}

// Section 8.
func (r *reference) routes() []string {
	to := func(p *mtatest.Peer) string { return fmt.Sprintf("127.0.0.1:%d", p.Addr().Port()) }
	return []string{
		"smtproutes", "new", "ALL", to(r.hop), "new", "slow.test", to(r.slow.Peer), "new", "limited.test", to(r.hop),
		"new", "refusing.test", to(r.refusing), "new", "busy.test", to(r.busy), "",
	}
}

// Section 4.2.
func destinationScript() []string {
	return []string{
		"destconfig",
		"new", "slow.test", "y", "1", "y", "2", "n", "1", "1", "n", "n", "n", "n",
		"new", "limited.test", "n", "n", "y", "60", "3", "1", "1", "n", "n", "y", "Fast", "n",
		"",
	}
}
