package delivery

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"esa/mta/envelope"
	"esa/mta/mtatest"
)

// at makes a peer that does something of its own when a command comes, and is
// an ordinary one before.
func at(command string, act func(c *mtatest.PeerConn)) mtatest.PeerScript {
	return mtatest.PeerScript{Answer: func(c *mtatest.PeerConn, line string) string {
		if line == command || command != "" && strings.HasPrefix(line, command) {
			act(c)
			return mtatest.PeerDrop
		}
		return ""
	}}
}

// trickle sends text a byte a second.
func trickle(c *mtatest.PeerConn, text string) {
	for i := range len(text) {
		time.Sleep(time.Second) // in the bubble
		if _, err := io.WriteString(c, text[i:i+1]); err != nil {
			return
		}
	}
}

func flood(line string) func(c *mtatest.PeerConn) {
	return func(c *mtatest.PeerConn) {
		for {
			if _, err := io.WriteString(c, line); err != nil {
				return
			}
		}
	}
}

func TestHostileNextHops(t *testing.T) {
	const protocol = "deferred 4.5.0 0 protocol-error"
	const lostIt, slow = "deferred 4.4.0 0 connection-lost", "deferred 4.4.0 0 timeout"
	long := strings.Repeat("A", 4000)
	for _, tt := range []struct {
		name   string
		script mtatest.PeerScript
		want   string
	}{
		{"E1 endless reply at the banner", at("", flood("220-"+long+"\r\n")), protocol + " down"},
		{"E1 endless short lines at the banner", at("", flood("220-\r\n")), protocol + " down"},
		{"E1 endless line at the banner", at("", flood(long)), protocol + " down"},
		{"E1 endless reply to EHLO", at("EHLO", flood("250-"+long+"\r\n")), protocol + " down"},
		{"E1 endless reply to RCPT", at("RCPT", flood("250-"+long+"\r\n")), protocol},
		{"E1 endless reply to the dot", at(".", flood("250-"+long+"\r\n")), protocol},
		{"E2 silent after connect", at("", (*mtatest.PeerConn).Hang), slow + " down"},
		{"E2 a byte a second", at("", func(c *mtatest.PeerConn) { trickle(c, "220 "+long+"\r\n") }), slow + " down"},
		{"E2 a byte a second at RCPT", at("RCPT", func(c *mtatest.PeerConn) { trickle(c, "250 "+long+"\r\n") }), slow},
		{"E2 hangs after the dot", at(".", (*mtatest.PeerConn).Hang), slow},
		{"E4 closes after connect", at("", func(*mtatest.PeerConn) {}), lostIt + " down"},
		{"E4 half a reply", at("MAIL", func(c *mtatest.PeerConn) { io.WriteString(c, "250-half\r\n25") }), lostIt},
		{"E4 closes after the dot", at(".", func(*mtatest.PeerConn) {}), lostIt},
		{"E5 299 to MAIL", says("MAIL", "299 fine"), "deferred 4.5.0 299 protocol-error"},
		{"E5 354 to RCPT", says("RCPT", "354 go on"), "deferred 4.5.0 354 protocol-error"},
		{"E5 250 to DATA", says("DATA", "250 fine"), "deferred 4.5.0 250 protocol-error"},
		{"E5 354 to the dot", says(".", "354 more"), "deferred 4.5.0 354 protocol-error"},
		{"E5 220 to EHLO", says("EHLO", "220 hello"), "deferred 4.5.0 220 protocol-error down"},
		{"E5 250 for a banner", says("", "250 hello"), "deferred 4.5.0 250 protocol-error down"},
		{"E5 code 000", says("RCPT", "000 what"), protocol},
		{"E5 code 999", says("RCPT", "999 what"), protocol},
		{"E5 code 1xx", says("MAIL", "150 wait"), protocol},
		{"E5 no code", says("MAIL", "OK"), protocol},
		{"E5 code changes", says(".", "250-fine\n550 not"), protocol},
		{"E5 empty line", says("MAIL", "\n"), protocol},
		{"E5 HTTP", says("", "HTTP/1.1 400 Bad Request"), protocol + " down"},
		{"E5 a reply too many after EHLO", says("EHLO", "250 hello\n250 ok"), protocol},
		{"E5 the answer before the dot", says("DATA", "354 go on\n250 taken"), protocol},
		{"E6 a line of its own", says(".", "550 no\nStatus: 2.0.0"), "bounced 5.3.0 550 refused"},
		{"E6 injected before the end", says(".", "550-no\nStatus: 2.0.0\n550 no"), protocol},
		{"E8 many extensions", says("EHLO", "250-"+strings.Repeat("X\n250-", 20_000)+"Y"), protocol + " down"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				start := time.Now()
				check(t, w.deliver(job(plainText, "a")), tt.want)
				if took := time.Since(start); took > 11*time.Minute {
					t.Errorf("took %v", took)
				}
			}, tt.script)
		})
	}
}

// says makes a peer with one odd answer.
func says(command, reply string) mtatest.PeerScript {
	return mtatest.PeerScript{Answer: replies(map[string]string{command: reply})}
}

func TestE1_MemoryStaysFlat(t *testing.T) {
	inWorld(t, func(w *world) {
		j := job(plainText, "a")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const rounds = 20
		for range rounds {
			w.deliver(j)
		}
		runtime.ReadMemStats(&after)
		if used := (after.TotalAlloc - before.TotalAlloc) / rounds; used > 2<<20 {
			t.Errorf("%d bytes allocated for one attempt", used)
		}
	}, at("EHLO", flood("250-"+strings.Repeat("A", 4000)+"\r\n")))
}

func TestE2_ManySlowRecipientsEndWithTheSession(t *testing.T) {
	slow := mtatest.PeerScript{Answer: func(_ *mtatest.PeerConn, command string) string {
		if strings.HasPrefix(command, "RCPT") {
			time.Sleep(30 * time.Second) // in the bubble
		}
		return ""
	}}
	var to []string
	for i := range 100 {
		to = append(to, fmt.Sprint("r", i))
	}
	inWorld(t, func(w *world) {
		start := time.Now()
		out := w.deliver(job(plainText, to...))
		if took := time.Since(start); took != 30*time.Minute {
			t.Errorf("took %v", took)
		}
		if sum(out[0]) != "deferred 4.4.0 0 timeout" {
			t.Errorf("outcome %s", sum(out[0]))
		}
	}, slow)
}

// Two hosts that are slow at every step are not given a session each.
func TestE2_ManySlowHostsEndWithTheAttempt(t *testing.T) {
	slow := mtatest.PeerScript{Answer: func(_ *mtatest.PeerConn, command string) string {
		if strings.HasPrefix(command, "RCPT") {
			time.Sleep(4 * time.Minute) // in the bubble
		}
		return ""
	}}
	var to []string
	for i := range 100 {
		to = append(to, fmt.Sprint("r", i))
	}
	inWorld(t, func(w *world) {
		start := time.Now()
		check(t, w.deliver(job(plainText, to...))[:1], "deferred 4.4.0 0 timeout")
		if took := time.Since(start); took != 45*time.Minute {
			t.Errorf("took %v", took)
		}
		if n := w.peers[1].Connections() + w.peers[2].Connections(); n != 1 {
			t.Errorf("%d connections to further hosts", n)
		}
	}, slow, slow, slow)
}

func TestE2_NothingWaitsForQUIT(t *testing.T) {
	inWorld(t, func(w *world) {
		start := time.Now()
		w.configure(func(s *Settings) { s.Destination = one })
		check(t, w.deliver(job(plainText, "a")), "delivered")
		if took := time.Since(start); took > 0 {
			t.Errorf("took %v", took)
		}
	}, says("QUIT", mtatest.PeerSilence))
}

func TestE3_PeerThatStopsReading(t *testing.T) {
	inWorld(t, func(w *world) {
		text := plainText + strings.Repeat("some more text on every line\r\n", 20_000)
		start := time.Now()
		check(t, w.deliver(job(text, "a")), "deferred 4.4.0 0 timeout")
		if took := time.Since(start); took > 4*time.Minute {
			t.Errorf("took %v", took)
		}
	}, at("DATA", func(c *mtatest.PeerConn) {
		c.Send("354 go on")
		c.Stall()
	}))
}

// An envelope of more than a block, on a connection that had no deadline while
// it was idle.
func TestE3_PeerThatStopsReadingTheEnvelope(t *testing.T) {
	first := true
	script := mtatest.PeerScript{Hello: []string{"PIPELINING", "DSN"}, Answer: func(c *mtatest.PeerConn, line string) string {
		if strings.HasPrefix(line, "MAIL") && !first {
			return mtatest.PeerStall
		}
		first = first && line != "."
		return ""
	}}
	inWorld(t, func(w *world) {
		check(t, w.deliver(job(plainText, "a")), "delivered")
		var to []string
		for i := range 100 {
			to = append(to, fmt.Sprint("r", i))
		}
		j := job(plainText, to...)
		for i := range j.Recipients {
			j.Recipients[i].Original = "rfc822;" + strings.Repeat("x", 480)
		}
		start := time.Now()
		if out := w.deliver(j); sum(out[0]) != "deferred 4.4.0 0 timeout" {
			t.Errorf("outcome %s", sum(out[0]))
		}
		if took := time.Since(start); took > 10*time.Minute {
			t.Errorf("took %v", took)
		}
	}, script)
}

func TestE3_ProgressMovesTheDeadline(t *testing.T) {
	sip := at("DATA", func(c *mtatest.PeerConn) {
		c.Send("354 go on")
		for {
			time.Sleep(2 * time.Minute) // in the bubble; a block may take three
			// A pipe hands a whole block over to as many reads as it takes.
			block := make([]byte, blockSize)
			n, err := io.ReadFull(c, block)
			if err != nil || strings.HasSuffix(string(block[:n]), "\r\n.\r\n") {
				break
			}
		}
	})
	inWorld(t, func(w *world) {
		start := time.Now()
		w.deliver(job(plainText+strings.Repeat("some more text on every line\r\n", 10_000), "a"))
		if took := time.Since(start); took < 15*time.Minute {
			t.Errorf("given up after %v although the peer went on reading", took)
		}
	}, sip)
}

// A peer that refuses while the body is still on its way and closes.
func TestE4_EarlyRefusalIsHeard(t *testing.T) {
	inWorld(t, func(w *world) {
		text := plainText + strings.Repeat("some more text on every line\r\n", 20_000)
		check(t, w.deliver(job(text, "a")), "bounced 5.3.4 552 refused")
	}, at("DATA", func(c *mtatest.PeerConn) {
		c.Send("354 go on")
		c.Line()
		// The client is in the middle of a write and hears of it when its
		// deadline ends that.
		c.Send("552 5.3.4 enough")
	}))
}

func TestE6_ReplyTextIsHarmlessInTheLog(t *testing.T) {
	inWorld(t, func(w *world) {
		out := w.deliver(job(plainText, "a"))
		check(t, out, "delivered")
		w.client.CloseIdle()
		if log := w.log(); strings.Contains(log, "\x1b") || strings.Contains(log, "\x00") || strings.Contains(log, "\xff") || strings.Count(log, "\n") != 5 {
			t.Errorf("log %q", log)
		}
		if out[0].Reply != "ok \x1b[2J\x00\xff<b>" {
			t.Errorf("reply %q is not as received", out[0].Reply)
		}
	}, says(".", "250 ok \x1b[2J\x00\xff<b>"))
}

func TestFailureKeepsLittleOfAReply(t *testing.T) {
	inWorld(t, func(w *world) {
		out := w.deliver(job(plainText, "a"))
		if lines := out[0].Failure.Reply; len(lines) != keptLines || len(lines[0]) != keptBytes {
			t.Errorf("%d lines of %d bytes", len(lines), len(lines[0]))
		}
	}, says("RCPT", strings.Repeat("550-"+strings.Repeat("x", 1000)+"\n", 40)+"550 end"))
}

func TestE8_SizeLimit(t *testing.T) {
	for _, hello := range []string{"SIZE 1", "size 19"} {
		inWorld(t, func(w *world) {
			out := w.deliver(job(plainText, "a", "b")) // 20 bytes
			check(t, out, "bounced 5.3.4 0 too-large", "bounced 5.3.4 0 too-large")
			if got := w.peers[0].Commands(); len(got) != 1 {
				t.Errorf("commands %q", got)
			}
		}, mtatest.PeerScript{Hello: []string{hello}})
	}
	for _, hello := range []string{"SIZE", "SIZE 0", "SIZE 20", "SIZE x", "SIZE -1", "SIZE 99999999999999999999"} {
		inWorld(t, func(w *world) {
			check(t, w.deliver(job(plainText, "a")), "delivered")
			if got := w.peers[0].Commands()[1]; got != "MAIL FROM:<sender@s.test> SIZE=20" {
				t.Errorf("%s: MAIL is %q", hello, got)
			}
		}, mtatest.PeerScript{Hello: []string{hello}})
	}
}

func TestE8_EightBit(t *testing.T) {
	const body8, header8 = "Subject: x\r\n\r\nb\xc3\xbc\r\n", "Subject: \xc3\xbc\r\n\r\nb\r\n"
	for _, tt := range []struct {
		text      string
		utf8      bool
		hello     []string
		want, arg string
	}{
		{plainText, false, nil, "delivered", ""},
		{body8, false, nil, "bounced 5.6.3 0 not-supported", ""},
		{header8, false, nil, "bounced 5.6.3 0 not-supported", ""},
		{body8, false, []string{"8BITMIME"}, "delivered", " BODY=8BITMIME"},
		{header8, false, []string{"8BITMIME"}, "delivered", " BODY=8BITMIME"},
		{plainText, true, nil, "delivered", ""},
		{body8, true, []string{"8BITMIME"}, "delivered", " BODY=8BITMIME"},
		{header8, true, []string{"8BITMIME"}, "bounced 5.6.9 0 not-supported", ""},
		{header8, true, []string{"8BITMIME", "SMTPUTF8"}, "delivered", " BODY=8BITMIME SMTPUTF8"},
		{"\r\nb\xc3\xbc\r\n", true, []string{"8BITMIME"}, "delivered", " BODY=8BITMIME"},
	} {
		inWorld(t, func(w *world) {
			j := job(tt.text, "a")
			j.Message.EightBit, j.Message.UTF8 = true, tt.utf8
			check(t, w.deliver(j), tt.want)
			if tt.want == "delivered" && w.peers[0].Commands()[1] != "MAIL FROM:<sender@s.test>"+tt.arg {
				t.Errorf("%+v: %q", tt, w.peers[0].Commands())
			}
		}, mtatest.PeerScript{Hello: tt.hello})
	}
}

func TestE8_AddressesBeyondASCII(t *testing.T) {
	j := job(plainText, "a", "büro", "c")
	j.Recipients[2].Address.Domain = "bücher.test"
	inWorld(t, func(w *world) {
		check(t, w.deliver(j), "delivered", "bounced 5.6.7 0 not-supported", "delivered")
		if got := w.peers[0].Messages()[0].To; got[1] != "<c@xn--bcher-kva.test>" {
			t.Errorf("recipients %q", got)
		}
		from := job(plainText, "a")
		from.Message.Sender.Local = "büro"
		check(t, w.deliver(from), "bounced 5.6.7 0 not-supported")
	}, mtatest.PeerScript{Hello: []string{"8BITMIME"}})
	inWorld(t, func(w *world) {
		check(t, w.deliver(j), "delivered", "delivered", "delivered")
		if got := w.peers[0].Messages()[0]; got.From != "<sender@s.test> SMTPUTF8" || got.To[2] != "<c@bücher.test>" {
			t.Errorf("message %q", got)
		}
	}, mtatest.PeerScript{Hello: []string{"8BITMIME", "SMTPUTF8"}})
}

func TestE8_RecipientsAreSplit(t *testing.T) {
	for _, tt := range []struct {
		hello    string
		messages int
	}{{"LIMITS RCPTMAX=1", 5}, {"LIMITS MAILMAX=2 RCPTMAX=2", 3}, {"limits rcptmax=3", 2}, {"LIMITS RCPTMAX=0", 1}, {"LIMITS RCPTMAX=x", 1}} {
		inWorld(t, func(w *world) {
			want := []string{"delivered", "delivered", "delivered", "delivered", "delivered"}
			check(t, w.deliver(job(plainText, "a", "b", "c", "d", "e")), want...)
			if got := len(w.peers[0].Messages()); got != tt.messages {
				t.Errorf("%s: %d messages, want %d", tt.hello, got, tt.messages)
			}
			if got := w.peers[0].Connections(); got > 1 != strings.Contains(tt.hello, "MAILMAX") {
				t.Errorf("%s: %d connections", tt.hello, got)
			}
		}, mtatest.PeerScript{Hello: []string{tt.hello}})
	}
}

func TestManyRecipientsGoByHundreds(t *testing.T) {
	var to []string
	for i := range 250 {
		to = append(to, fmt.Sprint("r", i))
	}
	inWorld(t, func(w *world) {
		for i, o := range w.deliver(job(plainText, to...)) {
			if o.Result != envelope.Delivered || o.RID != envelope.RID(i) {
				t.Errorf("recipient %d: %+v", i, o)
			}
		}
		if got := len(w.peers[0].Messages()); got != 3 {
			t.Errorf("%d messages", got)
		}
	}, mtatest.PeerScript{Hello: []string{"PIPELINING"}})
}

// A host that takes two recipients at a time and says so only when asked.
func TestTooManyRecipientsComeAgain(t *testing.T) {
	for _, refusal := range []string{"452 4.5.3 too many", "452 too many"} {
		n := 0
		inWorld(t, func(w *world) {
			check(t, w.deliver(job(plainText, "a", "b", "c", "d", "e")), "delivered", "delivered", "delivered", "delivered", "delivered")
			if got := len(w.peers[0].Messages()); got != 3 {
				t.Errorf("%d messages", got)
			}
		}, mtatest.PeerScript{Answer: func(_ *mtatest.PeerConn, command string) string {
			switch {
			case strings.HasPrefix(command, "MAIL"):
				n = 0
			case strings.HasPrefix(command, "RCPT"):
				if n++; n > 2 {
					return refusal
				}
			}
			return ""
		}})
	}
}
