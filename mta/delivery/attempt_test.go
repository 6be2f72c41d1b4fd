package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/envelope"
	"esa/mta/mtatest"
	"esa/mta/route"
)

func TestDeliverWritesTheLogOfTheReference(t *testing.T) {
	inWorld(t, func(w *world) {
		out := w.deliver(job(plainText, "a", "b"))
		check(t, out, "delivered", "delivered")
		if out[0].Reply != "2.0.0 taken" || out[0].DCID != 1 || out[1].RID != 1 {
			t.Errorf("outcomes %+v", out)
		}
		w.client.CloseIdle()
		want := "New SMTP DCID 1 interface invalid IP address 192.0.2.1 port 25\n" +
			"Delivery start DCID 1 MID 7 to RID [0, 1]\n" +
			"Message done DCID 1 MID 7 to RID [0, 1] \n" +
			"MID 7 RID [0, 1] Response '2.0.0 taken'\n" +
			"DCID 1 close\n"
		if got := w.log(); got != want {
			t.Errorf("log:\n%swant:\n%s", got, want)
		}
		want = `["EHLO gateway.test" "MAIL FROM:<sender@s.test>" "RCPT TO:<a@d.test>" "RCPT TO:<b@d.test>" "DATA" "QUIT"]`
		synctest.Wait()
		if got := fmt.Sprintf("%q", w.peers[0].Commands()); got != want {
			t.Errorf("commands %s, want %s", got, want)
		}
		if got := w.peers[0].Messages(); len(got) != 1 || got[0].Text != plainText || len(got[0].To) != 2 {
			t.Errorf("messages %q", got)
		}
	}, mtatest.PeerScript{})
}

func TestEnvelopeIsPipelinedWhereOffered(t *testing.T) {
	for _, offered := range []bool{true, false} {
		script := mtatest.PeerScript{Answer: func(c *mtatest.PeerConn, command string) string {
			verb, _, _ := strings.Cut(command, " ")
			if last := verb == "DATA" || verb == "." || verb == "EHLO" || verb == ""; c.Waiting() != (offered && !last) {
				return "500 sent together or apart against what was agreed: " + command
			}
			return ""
		}}
		if offered {
			script.Hello = []string{"PIPELINING"}
		}
		inWorld(t, func(w *world) {
			check(t, w.deliver(job(plainText, "a", "b")), "delivered", "delivered")
		}, script)
	}
}

// RFC 3461 §5.2: who tells of success depends on what the host offers.
func TestOutcomeSaysWhetherTheHostDoesDSN(t *testing.T) {
	for _, offered := range []bool{true, false} {
		var script mtatest.PeerScript
		if offered {
			script.Hello = []string{"DSN"}
		}
		inWorld(t, func(w *world) {
			out := w.deliver(job(plainText, "a"))
			check(t, out, "delivered")
			if out[0].DSN != offered {
				t.Errorf("DSN %v, want %v", out[0].DSN, offered)
			}
		}, script)
	}
}

func TestHELOWhereEHLOIsRefused(t *testing.T) {
	inWorld(t, func(w *world) {
		check(t, w.deliver(job(plainText, "a")), "delivered")
		if got := w.peers[0].Commands()[:2]; !slices.Equal(got, []string{"EHLO gateway.test", "HELO gateway.test"}) {
			t.Errorf("commands %q", got)
		}
	}, mtatest.PeerScript{Answer: replies(map[string]string{"EHLO": "502 5.5.1 what?"})})
}

// The seed's case: an extension on the first line of the reply is the greeting.
func TestFirstLineOfEHLOIsTheGreeting(t *testing.T) {
	inWorld(t, func(w *world) {
		j := job(plainText, "a")
		j.Message.EightBit = true
		check(t, w.deliver(j), "delivered")
		if got := w.peers[0].Commands()[1]; got != "MAIL FROM:<sender@s.test> BODY=8BITMIME" {
			t.Errorf("MAIL is %q", got)
		}
	}, mtatest.PeerScript{Answer: replies(map[string]string{"EHLO": "250-SIZE 1\n250-peer.test\n250 8BITMIME"})})
}

func TestEachRecipientHasItsOwnEnd(t *testing.T) {
	answer := replies(map[string]string{
		"RCPT TO:<no@":    "550 5.1.1 no such user",
		"RCPT TO:<later@": "450 4.2.1 greylisted",
		"RCPT TO:<plain@": "550 unknown",
		"RCPT TO:<full@":  "452 4.2.2 mailbox full",
	})
	for _, hello := range [][]string{nil, {"PIPELINING"}} {
		inWorld(t, func(w *world) {
			out := w.deliver(job(plainText, "yes", "no", "later", "plain", "full", "also"))
			check(t, out, "delivered", "bounced 5.1.1 550 refused", "deferred 4.2.1 450 deferred",
				"bounced 5.1.0 550 refused", "deferred 4.2.2 452 deferred", "delivered")
			if f := out[1].Failure; f.Phrase != "Bad destination email address" || f.Host != "192.0.2.1" ||
				f.Addr.String() != "192.0.2.1:25" || !slices.Equal(f.Reply, []string{"5.1.1 no such user"}) {
				t.Errorf("failure %+v", f)
			}
			if out[3].Failure.Phrase != "Unknown address error" {
				t.Errorf("failure %+v", out[3].Failure)
			}
			if got := w.peers[0].Messages(); len(got) != 1 || len(got[0].To) != 2 {
				t.Errorf("messages %q", got)
			}
		}, mtatest.PeerScript{Hello: hello, Answer: answer}, mtatest.PeerScript{})
	}
}

func TestRepliesEndTheAttempt(t *testing.T) {
	for _, tt := range []struct {
		at, reply string
		want      string
	}{
		{"MAIL", "550 5.7.1 not you", "bounced 5.7.1 550 refused"},
		{"MAIL", "452 no room", "deferred 4.3.1 452 deferred"},
		{"RCPT", "550 no", "bounced 5.1.0 550 refused"},
		{"RCPT", "450 not now", "deferred 4.1.0 450 deferred"},
		{"RCPT", "550-5.1.1 a\n550 5.1.1 b", "bounced 5.1.1 550 refused"},
		{"RCPT", "550 2.1.1 wrong class", "bounced 5.1.0 550 refused"},
		{"RCPT", "251 elsewhere", "delivered"},
		{"DATA", "554 no", "bounced 5.3.0 554 refused"},
		{"DATA", "451 not now", "deferred 4.3.0 451 deferred"},
		{".", "554 5.7.1 spam", "bounced 5.7.1 554 refused"},
		{".", "552 too large", "bounced 5.3.0 552 refused"},
		{".", "451 not now", "deferred 4.3.0 451 deferred"},
		{".", "200 fine", "delivered"},
		{"EHLO", "421 busy", "deferred 4.3.2 421 deferred down"},
		{"EHLO", "450 later", "deferred 4.3.0 450 deferred down"},
		{"", "554 no service", "deferred 4.3.0 554 refused down"},
		{"", "421 busy", "deferred 4.3.2 421 deferred down"},
	} {
		for _, hello := range [][]string{nil, {"PIPELINING"}} {
			t.Run(fmt.Sprintf("%s %s %s", tt.at, tt.reply, hello), func(t *testing.T) {
				inWorld(t, func(w *world) {
					check(t, w.deliver(job(plainText, "a")), tt.want)
				}, mtatest.PeerScript{Hello: hello, Answer: replies(map[string]string{tt.at: tt.reply})})
			})
		}
	}
}

// What the next host is asked for, and what it is not.
func TestFailover(t *testing.T) {
	for _, tt := range []struct {
		name, at, reply string
		next            bool
	}{
		{"banner 5xx", "", "554 no service", true},
		{"banner 4xx", "", "450 later", true},
		{"banner garbage", "", "hello", true},
		{"EHLO 4xx", "EHLO", "450 later", true},
		{"MAIL 4xx", "MAIL", "450 later", true},
		{"MAIL 5xx", "MAIL", "550 no", false},
		{"RCPT 4xx", "RCPT", "450 later", true},
		{"RCPT 5xx", "RCPT", "550 no", false},
		{"DATA 4xx", "DATA", "450 later", false},
		{"DATA 5xx", "DATA", "550 no", false},
		{"dot 4xx", ".", "450 later", false},
		{"dot 5xx", ".", "550 no", false},
		{"421 at MAIL", "MAIL", "421 bye", true},
		{"421 at RCPT", "RCPT", "421 bye", true},
		{"421 at DATA", "DATA", "421 bye", true},
		{"421 at the dot", ".", "421 bye", true},
		{"closed at the banner", "", mtatest.PeerDrop, true},
		{"closed at EHLO", "EHLO", mtatest.PeerDrop, true},
		{"closed at MAIL", "MAIL", mtatest.PeerDrop, true},
		{"closed at RCPT", "RCPT", mtatest.PeerDrop, true},
		{"closed at DATA", "DATA", mtatest.PeerDrop, true},
		{"closed after the dot", ".", mtatest.PeerDrop, false},
		{"silent at the banner", "", mtatest.PeerSilence, true},
		{"silent at MAIL", "MAIL", mtatest.PeerSilence, true},
		{"silent after the dot", ".", mtatest.PeerSilence, false},
	} {
		for _, hello := range [][]string{nil, {"PIPELINING"}} {
			t.Run(fmt.Sprintf("%s %s", tt.name, hello), func(t *testing.T) {
				inWorld(t, func(w *world) {
					out := w.deliver(job(plainText, "a", "b"))
					if got := w.peers[1].Connections() > 0; got != tt.next {
						t.Errorf("next host asked: %v, want %v", got, tt.next)
					}
					if got := out[0].Result == envelope.Delivered && out[1].Result == envelope.Delivered; got != tt.next {
						t.Errorf("delivered %v, want %v: %+v", got, tt.next, out)
					}
					if n := len(w.peers[0].Messages()); n != 0 {
						t.Errorf("first host has %d messages", n)
					}
				}, mtatest.PeerScript{Hello: hello, Answer: replies(map[string]string{tt.at: tt.reply})}, mtatest.PeerScript{})
			})
		}
	}
}

// A host that refuses MAIL and then takes the rest of the pipeline all the
// same must get neither the message nor an empty one.
func TestPipelineAfterRefusedMAIL(t *testing.T) {
	for _, tt := range []struct{ mail, rcpt, data, want string }{
		{"550 no", "250 ok", "354 go on", "bounced 5.1.0 550 refused"},
		{"550 no", "503 no", "503 no", "bounced 5.1.0 550 refused"},
		{"450 no", "503 no", "421 bye", "deferred 4.1.0 450 deferred"},
		{"250 ok", "550 no", "354 go on", "bounced 5.1.0 550 refused"},
		{"250 ok", "450 no", "354 go on", "deferred 4.1.0 450 deferred"},
		{"250 ok", "450 no", "421 bye", "deferred 4.1.0 450 deferred"},
		{"250 ok", "450 no", mtatest.PeerDrop, "deferred 4.1.0 450 deferred"},
	} {
		inWorld(t, func(w *world) {
			check(t, w.deliver(job(plainText, "a", "b")), tt.want, tt.want)
			for _, m := range w.peers[0].Messages() {
				if m.Text != "" || len(m.To) != 0 {
					t.Errorf("%v: the peer has %q", tt, m)
				}
			}
			check(t, w.deliver(job(plainText, "a", "b")), tt.want, tt.want)
		}, mtatest.PeerScript{Hello: []string{"PIPELINING"},
			Answer: replies(map[string]string{"MAIL": tt.mail, "RCPT": tt.rcpt, "DATA": tt.data})})
	}
}

func TestFailoverHasBounds(t *testing.T) {
	busy := mtatest.PeerScript{Answer: replies(map[string]string{"MAIL": "450 later"})}
	inWorld(t, func(w *world) {
		check(t, w.deliver(job(plainText, "a")), "deferred 4.1.0 450 deferred")
		if n := w.peers[2].Connections(); n != 0 {
			t.Errorf("a third host was asked after two refusals")
		}
		w.client.CloseIdle()
		w.down["192.0.2.1"] = os.NewSyscallError("connect", syscall.ETIMEDOUT)
		check(t, w.deliver(job(plainText, "a")), "deferred 4.1.0 450 deferred")
		if n := w.peers[2].Connections(); n != 1 {
			t.Errorf("third host: %d connections, want 1: the first could not be reached", n)
		}
	}, busy, busy, busy, mtatest.PeerScript{})
}

func TestHostDownOnlyIfNoneCouldBeReached(t *testing.T) {
	inWorld(t, func(w *world) {
		refused := os.NewSyscallError("connect", syscall.ECONNREFUSED)
		w.down["192.0.2.1"], w.down["192.0.2.2"] = refused, refused
		check(t, w.deliver(job(plainText, "a")), "deferred 4.4.0 0 connection-failed down")
		want := "Connection Error: DCID 0 domain: d.test IP:192.0.2.1 port: 25 details: connection refused interface: unknown reason: network error\n"
		if got := w.log(); !strings.HasPrefix(got, want) {
			t.Errorf("log %s, want %s", got, want)
		}
		w.down["192.0.2.1"] = os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)
		check(t, w.deliver(job(plainText, "a")), "deferred 4.4.0 0 connection-failed")
		delete(w.down, "192.0.2.2")
		check(t, w.deliver(job(plainText, "a")), "deferred 4.1.0 450 deferred")
	}, mtatest.PeerScript{}, mtatest.PeerScript{Answer: replies(map[string]string{"RCPT": "450 later"})})
}

func TestAReplyIsNotForgottenForANetworkError(t *testing.T) {
	inWorld(t, func(w *world) {
		w.down["192.0.2.2"] = os.NewSyscallError("connect", syscall.ECONNREFUSED)
		check(t, w.deliver(job(plainText, "a", "b")), "deferred 4.2.1 450 deferred", "bounced 5.1.0 550 refused")
	}, mtatest.PeerScript{Answer: replies(map[string]string{"RCPT TO:<a": "450 4.2.1 greylisted", "RCPT TO:<b": "550 no"})}, mtatest.PeerScript{})
}

func TestRoundRobin(t *testing.T) {
	inWorld(t, func(w *world) {
		w.configure(func(s *Settings) {
			s.Destination = one
			s.Routes = routes(route.Host{Name: "192.0.2.1"}, route.Host{Name: "192.0.2.2"}, route.Host{Name: "192.0.2.3"})
		})
		for range 6 {
			check(t, w.deliver(job(plainText, "a")), "delivered")
		}
		for i, p := range w.peers {
			if n := p.Connections(); n != 2 {
				t.Errorf("host %d had %d connections, want 2", i, n)
			}
		}
	}, mtatest.PeerScript{}, mtatest.PeerScript{}, mtatest.PeerScript{})
}

func TestDevNull(t *testing.T) {
	inWorld(t, func(w *world) {
		w.configure(func(s *Settings) { s.Routes = route.NewTable([]route.Route{{Domain: "d.test", Discard: true}}) })
		out := w.deliver(job(plainText, "a", "b"))
		check(t, out, "discarded", "discarded")
		if out[0].Failure.Reason != envelope.ReasonDeleted || len(w.dialed) != 0 {
			t.Errorf("outcome %+v, dialed %v", out[0], w.dialed)
		}
	})
}

func TestPlanFailureEndsTheAttempt(t *testing.T) {
	inWorld(t, func(w *world) {
		w.configure(func(s *Settings) { s.Routes = route.Table{} })
		check(t, w.deliver(job(plainText, "a")), "deferred 4.1.2 0 dns-failure")
		if got := w.log(); got != "DNS Temporary Failure d.test MX - ServFail\n" {
			t.Errorf("log %q", got)
		}
		w.client.settings.Store(nil)
		check(t, w.deliver(job(plainText, "a")), "deferred 4.3.0 0 local-error")
	})
}

func TestPossibleDelivery(t *testing.T) {
	for _, tt := range []struct{ end, on, off, details string }{
		{mtatest.PeerDrop, "delivered", "deferred 4.4.0 0 connection-lost", "EOF"},
		{mtatest.PeerSilence, "delivered", "deferred 4.4.0 0 timeout", "timeout"},
		{"250 fine\rnot", "delivered", "delivered", ""},
		{"nonsense", "deferred 4.5.0 0 protocol-error", "deferred 4.5.0 0 protocol-error", "not an SMTP reply"},
	} {
		for _, on := range []bool{true, false} {
			inWorld(t, func(w *world) {
				w.configure(func(s *Settings) { s.Possible = on })
				want := tt.off
				if on {
					want = tt.on
				}
				check(t, w.deliver(job(plainText, "a")), want)
				possible := on && (tt.end == mtatest.PeerDrop || tt.end == mtatest.PeerSilence)
				if got := w.client.Stats().Possible == 1; got != possible {
					t.Errorf("counted %v, want %v", got, possible)
				}
				if got := strings.Contains(w.log(), "Response 'Possible Delivery: "+tt.details+" after the final dot'"); got != possible {
					t.Errorf("log:\n%s", w.log())
				}
			}, mtatest.PeerScript{Answer: replies(map[string]string{".": tt.end})})
		}
	}
}

func TestCancelEndsAtOnceBeforeMAIL(t *testing.T) {
	for _, at := range []string{"", "EHLO"} {
		inWorld(t, func(w *world) {
			ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			out := w.client.Deliver(ctx, job(plainText, "a"))
			check(t, out, "deferred 4.3.0 0 local-error")
			if took := time.Since(start); took != time.Second {
				t.Errorf("silent at %q: took %v", at, took)
			}
			if w.peers[1].Connections() != 0 {
				t.Error("went on to the next host")
			}
			if got := w.log(); !strings.HasSuffix(got, "SMTP client connection killed DCID: 1\nDCID 1 close\n") || strings.Contains(got, "Connection Error") {
				t.Errorf("log:\n%s", got)
			}
			if got := w.diag.String(); got != "" {
				t.Errorf("a stop is reported as a fault of ours: %s", got)
			}
		}, mtatest.PeerScript{Answer: replies(map[string]string{at: mtatest.PeerSilence})}, mtatest.PeerScript{})
	}
}

func TestCancelAfterMAILHasAGrace(t *testing.T) {
	for _, at := range []string{"MAIL", "RCPT", "DATA", "."} {
		inWorld(t, func(w *world) {
			w.configure(func(s *Settings) { s.Possible = true })
			ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			check(t, w.client.Deliver(ctx, job(plainText, "a")), "deferred 4.3.0 0 local-error")
			if took := time.Since(start); took != 31*time.Second {
				t.Errorf("silent at %s: took %v", at, took)
			}
		}, mtatest.PeerScript{Answer: replies(map[string]string{at: mtatest.PeerSilence})})
	}
}

// The grace is one for all that is left, not one for each step.
func TestCancelAfterMAILBoundsAllSteps(t *testing.T) {
	slow := func(_ *mtatest.PeerConn, command string) string {
		switch {
		case strings.HasPrefix(command, "MAIL"):
			time.Sleep(10 * time.Second) // in the bubble
		case strings.HasPrefix(command, "RCPT"):
			return mtatest.PeerSilence
		}
		return ""
	}
	inWorld(t, func(w *world) {
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		check(t, w.client.Deliver(ctx, job(plainText, "a")), "deferred 4.3.0 0 local-error")
		if took := time.Since(start); took != 31*time.Second {
			t.Errorf("took %v", took)
		}
	}, mtatest.PeerScript{Answer: slow})
}

func TestCancelAfterMAILLetsTheMessageThrough(t *testing.T) {
	var cancel context.CancelFunc
	slow := func(_ *mtatest.PeerConn, command string) string {
		if strings.HasPrefix(command, "RCPT") {
			cancel()
			time.Sleep(10 * time.Second) // in the bubble
		}
		return ""
	}
	inWorld(t, func(w *world) {
		var ctx context.Context
		ctx, cancel = context.WithCancel(w.t.Context())
		check(t, w.client.Deliver(ctx, job(plainText, "a")), "delivered")
		check(t, w.client.Deliver(ctx, job(plainText, "a")), "deferred 4.3.0 0 local-error")
	}, mtatest.PeerScript{Answer: slow})
}

// brokenText gives some text and then an error.
type brokenText struct{ io.Reader }

func (brokenText) Close() error { return nil }

func TestTextThatCannotBeReadIsNeverEnded(t *testing.T) {
	inWorld(t, func(w *world) {
		j := job(plainText, "a", "no")
		bad := errors.New("disk is gone")
		j.Body = func() (io.ReadCloser, error) {
			return brokenText{io.MultiReader(strings.NewReader("Subject: half\r\n\r\n"), errReader{bad})}, nil
		}
		out := w.deliver(j)
		check(t, out, "deferred 4.3.0 0 local-error", "bounced 5.1.0 550 refused")
		if !errors.Is(out[0].Failure.Err, bad) {
			t.Errorf("cause %v", out[0].Failure.Err)
		}
		j.Body = func() (io.ReadCloser, error) { return nil, bad }
		check(t, w.deliver(j), "deferred 4.3.0 0 local-error", "deferred 4.3.0 0 local-error")
		if got := w.peers[0].Messages(); len(got) != 0 {
			t.Errorf("the peer has %q", got)
		}
	}, mtatest.PeerScript{Answer: replies(map[string]string{"RCPT TO:<no": "550 no"})})
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestPanicDefersAndClosesTheConnection(t *testing.T) {
	inWorld(t, func(w *world) {
		j := job(plainText, "a")
		j.Body = func() (io.ReadCloser, error) { panic("planted") }
		check(t, w.deliver(j), "deferred 4.3.0 0 local-error")
	}, mtatest.PeerScript{})
}
