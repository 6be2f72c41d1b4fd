package commands

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"esa/mta/envelope"
	"esa/mta/lookup"
	"esa/shell"
	"esa/store"
)

// hoststatus shows all that is known of one destination (reference
// esa-operations 3.5), and last why its mail waits and until when.
func hoststatus() Command {
	return Command{
		Name:  "hoststatus",
		Short: "Show the status of one recipient host.",
		Long: `Counters are since the gateway started, or since the host was last forgotten:
a day without activity.`,
		Forms: []Form{{Usage: "hoststatus HOST", Run: func(d *Dialog, env Env, args []string) error {
			host, err := parseRecipientHost(args[0])
			if err != nil {
				return err
			}
			return showHost(d, env, host)
		}}},
		Dialog: func(d *Dialog, env Env) error { return showHost(d, env, askRecipientHost(d)) },
	}
}

func askRecipientHost(d *Dialog) string {
	return shell.Ask(d, "Recipient host:", "", parseRecipientHost)
}

// parseRecipientHost reads a destination: a domain, or an address in brackets.
func parseRecipientHost(text string) (string, error) {
	if strings.TrimSpace(text) == "" {
		return "", shell.Refusedf("The value cannot be blank.")
	}
	host, err := store.ParseRouteDomain(text)
	if err == nil && (host == "ALL" || strings.HasPrefix(host, ".")) {
		err = shell.Refusedf("%q is not the name of one recipient host.", text)
	}
	return host, refused(err)
}

func showHost(d *Dialog, env Env, domain string) error {
	if d.Err() != nil {
		return d.Err()
	}
	h, err := env.Look.Host(d.Context(), domain)
	if err != nil {
		return err
	}
	now := env.Clock()
	d.Printf("\nHost mail status for: '%s'\n", h.Domain)
	d.Printf("Status as of:         %s\n", commitTime(now))
	d.Printf("Host up/down:         %s\n", h.State)
	if h.Suspended {
		d.Text("Delivery:             suspended")
	}
	d.Text("")
	d.Text(hostNumbers(h.Host) + "\n" + hostTimes(h, now) + hostDNS(h) + hostTroubles(h, now))
	return d.Err()
}

// hostNumbers is the counters and gauges of a destination.
func hostNumbers(h Host) string {
	var b strings.Builder
	row := func(label string, n int64) { fmt.Fprintf(&b, "%s%*s\n", label, 55-len(label), thousands(n)) }
	b.WriteString("Counters:\n  Queue\n")
	row("    Soft Bounced Events", h.Counters["soft_bounced_evts"])
	b.WriteString("  Completion\n")
	for _, r := range completedRecipients() {
		row(r.label, h.Counters[r.name])
	}
	b.WriteString("\nGauges:\n  Queue\n")
	row("    Active Recipients", int64(h.Active))
	row("      Unattempted Recipients", int64(h.Unattempted))
	row("      Attempted Recipients", int64(h.Attempted))
	b.WriteString("  Connections\n")
	row("    Current Outbound Connections", int64(h.Outbound))
	row("    Pending Outbound Connections", int64(h.Pending))
	return b.String()
}

func hostTimes(h HostDetail, now time.Time) string {
	oldest, activity := "No Messages", "Never"
	if !h.Oldest.IsZero() {
		oldest = age(now.Sub(h.Oldest))
	}
	if !h.LastActivity.IsZero() {
		activity = commitTime(h.LastActivity)
	}
	return fmt.Sprintf("Oldest Message        %s\nLast Activity         %s\n", oldest, activity)
}

// hostDNS is where the mail of a destination goes.
func hostDNS(h HostDetail) string {
	var b strings.Builder
	if h.Route != "" {
		return fmt.Sprintf("SMTP Routes for this host:\n    %s\n", h.Route)
	}
	expiring := ""
	if !h.Expires.IsZero() {
		expiring = fmt.Sprintf(" (expiring at %s)", commitTime(h.Expires))
	}
	fmt.Fprintf(&b, "Ordered IP addresses:%s\n", expiring)
	if len(h.Addresses) > 0 {
		b.WriteString("    Preference   IPs\n")
	}
	for _, a := range h.Addresses {
		fmt.Fprintf(&b, "    %-13d%s\n", a.Preference, spaced(a.Addrs))
	}
	if len(h.Addresses) == 0 {
		b.WriteString("    None\n")
	}
	b.WriteString("MX Records:\n")
	switch {
	case !h.MX.Usable():
		fmt.Fprintf(&b, "    The lookup failed: %s\n", h.MX.Why)
	case h.MX.NXDomain:
		b.WriteString("    The domain does not exist\n")
	case h.MX.Null():
		b.WriteString("    The domain takes no mail (null MX)\n")
	case len(h.MX.Records) == 0:
		b.WriteString("    None\n")
	default:
		b.WriteString(mxTable(h.MX))
	}
	return b.String()
}

func mxTable(mx lookup.MXAnswer) string {
	var b strings.Builder
	b.WriteString("    Preference   TTL      Hostname\n")
	for _, r := range mx.Records {
		fmt.Fprintf(&b, "    %-13d%-9s%s\n", r.Preference, lifetime(mx.TTL), r.Host)
	}
	return b.String()
}

func spaced(addrs []netip.Addr) string {
	words := make([]string, len(addrs))
	for i, a := range addrs {
		words[i] = a.String()
	}
	return strings.Join(words, "   ")
}

// hostTroubles is the last hard error, and why mail waits and until when. What
// a peer said is shown without what could harm a terminal.
func hostTroubles(h HostDetail, now time.Time) string {
	var b strings.Builder
	b.WriteString("\nLast 5XX Error:\n----------\n")
	if h.Last5XX.Code == 0 {
		b.WriteString("None\n")
	} else {
		b.WriteString(reply(h.Last5XX) + "\n(at " + commitTime(h.Last5XXAt) + ")" + from(h.Last5XX) + "\n")
	}
	b.WriteString("----------\n\n")
	next := "None Planned"
	switch {
	case h.Suspended && h.Active > 0:
		next = "When Delivery Is Resumed"
	case !h.NextAttempt.IsZero():
		next = fmt.Sprintf("%s (in %s)", commitTime(h.NextAttempt), age(h.NextAttempt.Sub(now)))
	case h.Active > 0:
		next = "Now"
	}
	fmt.Fprintf(&b, "Next Attempt          %s\n", next)
	if h.Limited {
		b.WriteString("Held Back By          the recipient limit (see destconfig)\n")
	}
	if h.Last.Reason == envelope.ReasonNone {
		b.WriteString("Last Failure          None\n")
		return b.String()
	}
	fmt.Fprintf(&b, "Last Failure          %s (at %s)%s\nLast Reply            %s\n", h.Last.Reason, commitTime(h.LastAt), from(h.Last), reply(h.Last))
	return b.String()
}

// reply is what a peer said, on one line; "None" where it said nothing.
func reply(f envelope.Failure) string {
	text := printable(strings.Join(f.Reply, " "))
	switch {
	case f.Code != 0:
		return strings.TrimRight(fmt.Sprintf("%d %s", f.Code, text), " ")
	case text != "":
		return text
	default:
		return "None"
	}
}

func from(f envelope.Failure) string {
	if !f.Addr.IsValid() {
		return ""
	}
	return " IP: " + f.Addr.Addr().String()
}

// printable replaces what is not text in what somebody else wrote, and bounds
// its length.
func printable(text string) string {
	const most = 1000
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\ufffd' || r >= '\u200b' && r <= '\u200f' || r >= '\u2028' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return '?'
		}
		return r
	}, text)
}

// lifetime gives "52m24s": the units that are not zero.
func lifetime(ttl time.Duration) string {
	text := ""
	for _, unit := range []struct {
		letter string
		length time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if n := ttl / unit.length; n > 0 {
			text += fmt.Sprintf("%d%s", n, unit.letter)
			ttl %= unit.length
		}
	}
	if text == "" {
		return "0s"
	}
	return text
}
