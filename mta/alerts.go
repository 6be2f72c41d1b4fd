package mta

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"esa/mta/alert"
	"esa/mta/envelope"
	"esa/mta/queue"
	"esa/store"
)

// alertsFile is where alerts are kept in the data directory.
const alertsFile = "alerts"

// Alerts gives the alerts that are kept, the newest first; offline, those
// that a gateway has left.
func (g *Gateway) Alerts() ([]alert.Stored, error) {
	if g.live == nil {
		return alert.ReadStored(filepath.Join(g.Dir, alertsFile))
	}
	return g.live.alerts.Stored(), nil
}

// alerting says what the parts of the gateway find in the words of alerts. Its
// methods never wait.
type alerting struct{ gateway *Gateway }

// TLSRequired tells that a delivery to a domain that requires TLS could not
// have it at a host, where destconfig asks for that.
func (a alerting) TLSRequired(domain, host string, f envelope.Failure) {
	if !a.gateway.current.Load().config.Destinations.AlertTLS {
		return
	}
	a.gateway.live.alerts.Raise(alert.Alert{
		Class: alert.System, Severity: alert.Warning, Name: "tls-required", About: domain,
		Summary: fmt.Sprintf("A required TLS connection to %s failed.", domain),
		Details: []string{
			"Domain: " + domain,
			"Host: " + hostAndAddr(host, f),
			"Reason: " + tlsReason(f),
			"Mail for the domain is not sent in clear: it waits, and is returned when the time of its bounce profile is over.",
			"Use " + verifier(f) + " to see what the host offers, and destconfig to set what the domain requires.",
		},
	})
}

// verifier is the command that shows what a failure of TLS comes from.
func verifier(f envelope.Failure) string {
	switch f.Reason {
	case envelope.ReasonTLSA, envelope.ReasonDNSSEC, envelope.ReasonDANE, envelope.ReasonDNS:
		return "daneverify"
	}
	return "tlsverify"
}

func hostAndAddr(host string, f envelope.Failure) string {
	switch {
	case host == "":
		return "none was tried"
	case !f.Addr.IsValid():
		return host
	}
	return fmt.Sprintf("%s (%s port %d)", host, f.Addr.Addr(), f.Addr.Port())
}

// tlsReason gives the word of the closed list, then what is known beyond it.
func tlsReason(f envelope.Failure) string {
	text := string(f.Reason)
	reply, told := strings.CutPrefix(strings.Join(f.Reply, " "), text+": ")
	if told {
		text += fmt.Sprintf(" (%s)", reply)
	} else if f.Code != 0 {
		text += fmt.Sprintf(" (the host answered %d %s)", f.Code, reply)
	} else if f.Err != nil {
		text += fmt.Sprintf(" (%v)", f.Err)
	} else if reply != "" {
		text += fmt.Sprintf(" (%s)", reply)
	}
	return text
}

// queueFault tells what is wrong with the store of the queue.
func (a alerting) queueFault(f queue.Fault) {
	tell := alert.Alert{Class: alert.System, Severity: alert.Critical, Name: "queue-store"}
	switch f.Kind {
	case queue.FaultSpace:
		tell.Name = "queue-space"
		tell.Summary = "There is no space left for the queue: mail is refused."
		tell.Details = []string{"Hosts that send are told to try again later. Make space on the disk of the data directory."}
	case queue.FaultWrite:
		tell.Summary = "The queue cannot be written."
		tell.Details = []string{"Mail that cannot be stored is refused; hosts that send are told to try again later."}
	case queue.FaultRead:
		tell.Name, tell.Severity = "queue-read", alert.Warning
		tell.Summary = "The queue cannot be read in whole."
		tell.Details = []string{"What cannot be read stays where it is."}
	default:
		tell.Name, tell.Severity = "queue-damaged", alert.Warning
		tell.Summary = "A message of the queue is damaged or gone, and will not be delivered."
		tell.Details = []string{"What is left of it is in queue/damaged of the data directory. status counts such messages."}
	}
	if f.MID != 0 {
		tell.Details = append(tell.Details, fmt.Sprintf("Found at MID %d.", f.MID))
	}
	tell.Details = append(tell.Details, fmt.Sprintf("Cause: %v", f.Err))
	a.gateway.live.alerts.Raise(tell)
}

// Lame tells of a DNS server that loses signatures.
func (a alerting) Lame(server netip.AddrPort, why string) {
	a.gateway.live.alerts.Raise(alert.Alert{
		Class: alert.System, Severity: alert.Warning, Name: "dns-lame", About: server.String(),
		Summary: fmt.Sprintf("The DNS server %s does not pass DNSSEC on.", server),
		Details: []string{
			"Another server's answer to the same question validates. The server is asked last now.",
			"Cause: " + why,
			"Where DANE is used, give servers that pass DNSSEC on a better priority (dnsconfig).",
		},
	})
}

// Anchorless tells of a trust anchor that nothing can be held against.
func (a alerting) Anchorless(zone, why string) {
	name := "the DNS root"
	if zone != "." {
		name = "the trust anchor " + zone
	}
	a.gateway.live.alerts.Raise(alert.Alert{
		Class: alert.System, Severity: alert.Critical, Name: "dns-anchor", About: zone,
		Summary: fmt.Sprintf("The keys of %s do not validate: mail to destinations with DANE waits.", name),
		Details: []string{
			"Cause: " + why,
			"If signatures have expired or are not valid yet, set the clock of this machine. Else the DNS servers may leave signatures out",
			"(dnsconfig probe), or the trust anchor is no longer the key that signs (dnsconfig, ANCHORS).",
		},
	})
}

// RootRevoked tells that no key of the DNS root is trusted any more.
func (a alerting) RootRevoked() {
	a.gateway.live.alerts.Raise(alert.Alert{
		Class: alert.System, Severity: alert.Critical, Name: "dns-root-revoked", About: ".",
		Summary: "All trusted keys of the DNS root are revoked: nothing in DNS counts as signed.",
		Details: []string{
			"Mail to destinations with DANE Mandatory waits; with DANE Opportunistic it goes by their TLS setting.",
			"Install a version that has the present keys of the root, or add the one that IANA publishes (dnsconfig, ANCHORS).",
		},
	})
}

// unbound tells of listeners and SSH ports that cannot be had.
func (a alerting) unbound(problems []store.Problem) {
	for _, p := range problems {
		severity, summary := alert.Critical, fmt.Sprintf("The %s does not receive mail.", p.Place)
		if isConsole(p) {
			severity, summary = alert.Warning, fmt.Sprintf("Nobody can log in by %s.", p.Place)
		}
		a.gateway.live.alerts.Raise(alert.Alert{
			Class: alert.System, Severity: severity, Name: "listener-bind", About: p.Place + " " + p.Text,
			Summary: summary,
			Details: []string{p.Text, fmt.Sprintf("It is tried again every %d seconds. Use %s to change where it listens.", int(bindRetry.Seconds()), p.Fix)},
		})
	}
}
