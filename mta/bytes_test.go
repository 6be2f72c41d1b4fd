package mta

import (
	"fmt"
	"strings"
	"testing"

	"esa/mta/mtatest"
	"esa/store"
)

// TestR12_BytesComeOutAsTheyWentIn: whatever a text is made of, the next hop
// gets it behind the fields that we add, to the byte.
func TestR12_BytesComeOutAsTheyWentIn(t *testing.T) {
	const head = "Message-ID: <1@s.test>\r\nDate: Sun, 22 Nov 2026 00:00:00 +0000\r\nFrom: a@s.test\r\n"
	line := strings.Repeat("0123456789", 1000)
	w := start(t, func(w *world, c *store.Config) {
		hop := mtatest.StartPeer(t, mtatest.PeerScript{Hello: []string{"8BITMIME", "PIPELINING"}})
		w.hop, c.Routes = hop, []store.Route{routeTo("ALL", hop)}
	})
	c := dial(t, w.addr)
	c.do("EHLO client.test", "250")
	for n, tt := range []struct{ name, text string }{
		{"plain", head + "\r\nhello\r\n"},
		{"8-bit", head + "\r\ngr\xfc\xdfe \xff\xfe\r\n"},
		{"NUL and controls", head + "\r\na\x00b\x01\x1b[2J\x7f\r\n"},
		{"998 bytes", head + "\r\n" + line[:998] + "\r\n"},
		{"10,000 bytes", head + "\r\n" + line + "\r\n"},
		{"leading dots", head + "\r\n.\r\n..\r\n.hidden\r\n...\r\n"},
		{"empty lines", head + "\r\n\r\n\r\n\r\n"},
		{"no body", head},
		{"folded fields", head + "Subject: one\r\n two\r\n\tthree\r\nDKIM-Signature: v=1;\r\n\tb=abc\r\n  def\r\n\r\nbody \t \r\n"},
		{"odd fields", head + "X-Empty:\r\nx-Case:  two blanks \r\nX-Empty: again\r\n\r\nbody\r\n"},
		{"blanks at line ends", head + "\r\na \r\n\t\r\n \r\n"},
		{"large", head + "\r\n" + strings.Repeat(line[:76]+"\r\n", 20000)},
	} {
		c.do("MAIL FROM:<a@s.test> BODY=8BITMIME", "250")
		c.do("RCPT TO:<b@rcpt.test>", "250")
		c.do("DATA", "354")
		wire := strings.ReplaceAll("\r\n"+tt.text, "\r\n.", "\r\n..")[2:]
		c.do(wire+".", "250")
		await(t, tt.name, func() bool { return len(w.hop.Messages()) == n+1 })
		got := w.hop.Messages()[n].Text
		if added, ok := strings.CutSuffix(got, tt.text); !ok || !strings.HasPrefix(added, "Received: ") || strings.Count(added, "\r\n") > 3 {
			t.Errorf("%s: %s", tt.name, difference(got, tt.text))
		}
	}
}

// difference shows the ends of two texts from where they differ, seen from
// their ends.
func difference(got, want string) string {
	n := 0
	for n < len(got) && n < len(want) && got[len(got)-1-n] == want[len(want)-1-n] {
		n++
	}
	tail := func(s string) string { return s[max(0, len(s)-n-60):min(len(s), len(s)-n+20)] }
	return fmt.Sprintf("got …%q…, want …%q…", tail(got), tail(want))
}
