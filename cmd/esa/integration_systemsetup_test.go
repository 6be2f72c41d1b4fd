//go:build integration

package main

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"esa/mta/mtatest"
)

// TestSystemSetupAlone: nothing but the wizard, which commits, makes a gateway
// on port 25 with a public and a private listener.
//
//	127.0.0.1 ─► 127.0.0.22:25 OutgoingMail ─┐
//	127.0.0.9 ─► 127.0.0.21:25 IncomingMail ─┴► queue ─► route of ours.test
func TestSystemSetupAlone(t *testing.T) {
	if !privileged() {
		t.Skip("port 25 cannot be had")
	}
	dir := t.TempDir()
	hop := mtatest.StartPeer(t, mtatest.PeerScript{})
	(&gateway{t: t, dir: dir}).useDNS(mtatest.NewDNSServer(t, "").Addr())
	g := startGateway(t, dir)
	g.script(slices.Concat(
		[]string{"systemsetup", "y", "n", "", "gw.example.com"},
		devices(t, "y", "Outside", "y", "127.0.0.21", "8", "n", "y", "Inside", "y", "127.0.0.22", "8", "n", "n"),
		[]string{"2", "", "n",
			"IncomingMail", "Outside", "ours.test", "y", fmt.Sprintf("[127.0.0.1]:%d", hop.Addr().Port()), "n", "n",
			"y", "OutgoingMail", "Inside", "127.0.0.1", "n", "n", "", "y"},
	)...)

	outside, inside := netip.MustParseAddrPort("127.0.0.21:25"), netip.MustParseAddrPort("127.0.0.22:25")
	m := mailFrom(t, "127.0.0.9", outside)
	m.want("MAIL FROM:<a@elsewhere.test>", "250 ")
	m.want("RCPT TO:<b@elsewhere.test>", "550 #5.1.0 Address rejected.")
	m.want("RSET", "250 ")
	m.send("a@elsewhere.test", "b@ours.test")
	m.quit()
	stranger := connectFrom(t, "127.0.0.9", inside)
	stranger.want("", "554-gw.example.com")
	stranger.quit()
	m = mailFrom(t, "127.0.0.1", inside)
	m.send("b@ours.test", "c@ours.test")
	m.quit()
	awaitMessages(t, hop, 2)
}
