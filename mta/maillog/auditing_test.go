package maillog

import (
	"strings"
	"testing"
	"time"
)

// audits are one subscription of each kind that is about operators.
func audits() []Subscription {
	return []Subscription{
		{"cli_logs", CLIAudit, "cli", Information, 1 << 20, 10},
		{"authentication", Authentication, "authentication", Information, 1 << 20, 10},
		{"system_logs", System, "system", Information, 1 << 20, 10},
	}
}

// TestAuditingText holds the templates of the reference (2.8), and that every
// event is in the logs of its kind alone.
func TestAuditingText(t *testing.T) {
	h := newHarness(t, append(audits(), mail)...)
	admin := Operator{Session: 7, User: "admin", Source: "192.0.2.9"}
	forged := Login{User: "x successfully\nlogged on", Source: "192.0.2.9", Method: "password"}
	for _, tt := range []struct {
		name, log string
		event     func()
		want      string
	}{
		{"typed", "cli", func() { h.Typed(admin, "it's", "\r\nmail.example.com> ") },
			`Info: PID 7: User admin entered "it's"; prompt was '\r\nmail.example.com> '`},
		{"typed, too long", "cli", func() { h.Typed(admin, strings.Repeat("ü", 3000), "[]> ") },
			`Info: PID 7: User admin entered '` + strings.Repeat("ü", 2048) + `[...]'; prompt was '[]> '`},
		{"session", "cli", func() { h.SessionBegan(admin, "10.1.1.1"); h.SessionEnded(admin) },
			"Info: PID 7: User admin login from 192.0.2.9 on 10.1.1.1\nInfo: PID 7: User admin logged out"},
		{"accepted", "authentication", func() {
			h.LoginAccepted(Login{User: "admin", Source: "192.0.2.9", Method: "publickey", Privilege: "Read-Only Operators"})
		}, `Info: The user admin successfully logged on from 192.0.2.9 with privilege Read-Only\x20Operators using an SSH connection (publickey).`},
		{"refused", "authentication", func() { h.LoginRefused(forged, "the user is\nunknown") },
			`Warning: An authentication attempt by the user x\x20successfully\nlogged\x20on from 192.0.2.9 failed using an SSH connection (password): the user is\nunknown`},
		{"logged out", "authentication", func() { h.LoggedOut(forged, 61*time.Second+time.Millisecond) },
			`Info: The user x\x20successfully\nlogged\x20on logged out from 192.0.2.9 after 1m1s.`},
		{"commit", "system", func() { h.Committed(12, "admin", "192.0.2.9", "new\nroutes") },
			`Info: User admin: Commit changes: new\nroutes` + "\nInfo: Configuration revision 12, committed by admin from 192.0.2.9, is in effect."},
		{"trial", "system", func() {
			h.OnTrial(12, time.Date(2026, time.March, 2, 9, 40, 0, 0, time.Local))
			h.Confirmed(12, "a b", "")
		}, "Info: Configuration revision 12 is taken back at Mon Mar  2 09:40:00 2026 unless it is confirmed.\n" +
			`Info: Configuration revision 12 was confirmed by a\x20b from unknown.`},
		{"life", "system", func() { h.GatewayStarted(3); h.GatewayStops() },
			"Info: The gateway has started with configuration revision 3.\nInfo: The gateway stops."},
	} {
		before := map[string]string{}
		for _, sub := range append(audits(), mail) {
			before[sub.FileName] = h.text(sub.Name, sub.FileName+".current")
		}
		tt.event()
		for _, sub := range append(audits(), mail) {
			got := strings.TrimPrefix(h.text(sub.Name, sub.FileName+".current"), before[sub.FileName])
			want := ""
			if sub.FileName == tt.log {
				want = tt.want + "\n"
			}
			if got != want {
				t.Errorf("%s: %s has\n%swant\n%s", tt.name, sub.Name, got, want)
			}
		}
	}
}

// The mail logs do not hear of operators, at whatever level, nor the other way
// round.
func TestKindsAreApart(t *testing.T) {
	h := newHarness(t, append(audits(), Subscription{"debug", TextMail, "mail", Trace, 1 << 20, 10})...)
	if h.wanted(CLIAudit, Debug) || !h.enabled(Trace) {
		t.Error("the level of one kind counts for another")
	}
	h.ServerStarting()
	if got := h.text("system_logs", "system.current"); strings.Contains(got, "SMTP") {
		t.Errorf("system_logs has\n%s", got)
	}
	var none *Log
	none.Typed(Operator{}, "x", "y")
	none.GatewayStops()
}
