package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"esa/mta/mtatest"
)

// TestSystemSetup_Relays: a script that answers the wizard makes the gateway
// take mail for the domain named, send it where it says, and relay for the
// hosts named and nobody else. The port is made a free one before the commit.
func TestSystemSetup_Relays(t *testing.T) {
	dir, listener := prepared(t)
	h := openHouse(t, dir)
	inside := mtatest.StartPeer(t, mtatest.PeerScript{})
	outside := mtatest.StartPeer(t, mtatest.PeerScript{})

	lines := []string{"systemsetup", "y", "n", "", "gw.test"}
	lines = append(lines, devices(t, "y", "Management", "y", "127.0.0.1", "8", "n", "n")...)
	lines = append(lines, "", "", "n", // the DNS server that there is
		"InboundMail", "1", "ours.test", "y", fmt.Sprintf("[127.0.0.1]:%d", inside.Addr().Port()), "n", "n",
		"y", "127.0.0.2", "", "n",
		fmt.Sprintf("listenerconfig edit InboundMail port=%d", listener.Port()),
		fmt.Sprintf("smtproutes new ALL [127.0.0.1]:%d", outside.Addr().Port()),
		`commit "set up"`)
	h.batch(false, lines...).want(t, 0, "Listener InboundMail created.", "Mapping for ours.test to", "Changes committed: ")

	stranger := mailFrom(t, "127.0.0.1", listener)
	stranger.want("MAIL FROM:<a@elsewhere.test>", "250 ")
	stranger.want("RCPT TO:<b@elsewhere.test>", "550 #5.1.0 Address rejected.")
	stranger.want("RSET", "250 ")
	stranger.send("a@elsewhere.test", "b@ours.test")
	stranger.quit()
	host := mailFrom(t, "127.0.0.2", listener)
	host.send("b@ours.test", "a@elsewhere.test")
	host.quit()

	for _, tt := range []struct {
		peer *mtatest.Peer
		to   string
	}{{inside, "<b@ours.test>"}, {outside, "<a@elsewhere.test>"}} {
		messages := awaitMessages(t, tt.peer, 1)
		if len(messages) != 1 || !slices.Equal(messages[0].To, []string{tt.to}) {
			t.Errorf("the next hop of %s got %+v", tt.to, messages)
		}
	}
}

// devices answers the questions for the devices of this machine: for the
// loopback device so, all others are not used.
func devices(t *testing.T, loopback ...string) []string {
	t.Helper()
	all, err := machine{}.Addresses()
	if err != nil {
		t.Fatal(err)
	}
	var lines, seen []string
	for _, a := range all {
		switch {
		case a.Prefix.Addr().IsLinkLocalUnicast() || slices.Contains(seen, a.Device):
			continue
		case a.Device == "lo":
			lines = append(lines, loopback...)
		default:
			lines = append(lines, "n")
		}
		seen = append(seen, a.Device)
	}
	if !slices.Contains(seen, "lo") {
		t.Skip("this machine has no device lo: " + strings.Join(seen, ", "))
	}
	return lines
}

// awaitMessages waits until a peer has so many messages.
func awaitMessages(t *testing.T, p *mtatest.Peer, n int) []mtatest.PeerMessage {
	t.Helper()
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if messages := p.Messages(); len(messages) >= n {
			return messages
		}
		select {
		case <-end.C:
			t.Fatalf("the peer has %d messages after %s, want %d", len(p.Messages()), limit, n)
		case <-tick.C:
		}
	}
}
