package delivery

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"esa/mta/envelope"
)

func TestReplies(t *testing.T) {
	for _, tt := range []struct {
		in    string
		code  int
		lines []string
	}{
		{"250 ok\r\n", 250, []string{"ok"}},
		{"250 ok\n", 250, []string{"ok"}},
		{"250\r\n", 250, []string{""}},
		{"250-a\r\n250 b\r\n", 250, []string{"a", "b"}},
		{"250-a\r\n250\r\n", 250, []string{"a", ""}},
		{"550  two blanks \r\n", 550, []string{" two blanks "}},
		{"250 a\rb\r\n", 250, []string{"a\rb"}},
		{"250 " + strings.Repeat("x", 60_000) + "\r\n", 250, []string{strings.Repeat("x", 60_000)}},
		{"", 0, nil},
		{"250 cut", 0, nil},
		{"250-a\r\n", 0, nil},
		{"250-a\r\n251 b\r\n", 0, nil},
		{"25\r\n", 0, nil},
		{"2500 a\r\n", 0, nil},
		{"199 a\r\n", 0, nil},
		{"600 a\r\n", 0, nil},
		{"2x0 a\r\n", 0, nil},
		{" 250 a\r\n", 0, nil},
		{"250 " + strings.Repeat("x", 70_000) + "\r\n", 0, nil},
		{strings.Repeat("250-a\r\n", maxReplyLines) + "250 end\r\n", 0, nil},
	} {
		r, err := newReplyReader(strings.NewReader(tt.in)).read()
		if r.code != tt.code || !slices.Equal(r.lines, tt.lines) || (err == nil) != (tt.code != 0) {
			t.Errorf("%.40q: %d %.40q %v", tt.in, r.code, r.lines, err)
		}
	}
}

func TestRepliesFollowEachOther(t *testing.T) {
	rr := newReplyReader(strings.NewReader("250-a\r\n250 b\r\n354 c\r\n"))
	first, err1 := rr.read()
	second, err2 := rr.read()
	_, err3 := rr.read()
	if first.text() != "a b" || second.text() != "c" || err1 != nil || err2 != nil || !errors.Is(err3, io.EOF) {
		t.Errorf("%v %v, %v %v, %v", first, err1, second, err2, err3)
	}
}

// oneByte reads slowly, so that every cut of a reply is tried.
type oneByte struct{ io.Reader }

func (r oneByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(1, len(p))]) }

func FuzzReply(f *testing.F) {
	for _, s := range []string{"250 ok\r\n", "250-a\r\n250 b\r\n", "250\n", "550-\r\n550", "250-a\r\n251 b\r\n", "\x00\xff\r\n", "250 a\rb\n220 c\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		whole := newReplyReader(strings.NewReader(string(data)))
		slow := newReplyReader(oneByte{strings.NewReader(string(data))})
		for range 1000 {
			a, errA := whole.read()
			b, errB := slow.read()
			if a.code != b.code || !slices.Equal(a.lines, b.lines) || (errA == nil) != (errB == nil) {
				t.Fatalf("%v %v, by single bytes %v %v", a, errA, b, errB)
			}
			if errA != nil {
				return
			}
			if a.code < 200 || a.code > 599 || len(a.lines) == 0 || len(a.lines) > maxReplyLines || len(a.text()) > maxReplyBytes {
				t.Fatalf("reply %d of %d lines", a.code, len(a.lines))
			}
			if strings.Contains(a.text(), "\n") {
				t.Fatalf("line end in %q", a.text())
			}
			for at := atGreeting; at <= atFinal; at++ {
				if f := judge(at, a); f != nil && f.Permanent != (a.code >= 500) {
					t.Fatalf("%d at step %d: %+v", a.code, at, f)
				}
			}
		}
	})
}

func FuzzExtensions(f *testing.F) {
	for _, s := range []string{"peer\nPIPELINING", "PIPELINING", "x\nSIZE 10", "x\nsize", "x\nLIMITS RCPTMAX=5 MAILMAX=a", "x\n \n\x00", "x\nAUTH=LOGIN PLAIN"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		e := parseExtensions(reply{code: 250, lines: lines})
		if e.size < 0 || e.rcpts < 0 || e.mails < 0 || e.rcpts > 999_999 || len(e.offered) > len(lines)-1 {
			t.Fatalf("%+v", e)
		}
		// The first line says nothing, whatever it holds.
		other := parseExtensions(reply{code: 250, lines: append([]string{"greeting"}, lines[1:]...)})
		if len(other.offered) != len(e.offered) || other.size != e.size {
			t.Fatalf("the greeting counts: %+v, %+v", e, other)
		}
		for keyword := range e.offered {
			if strings.ContainsAny(keyword, " \n") || keyword == "" {
				t.Fatalf("keyword %q", keyword)
			}
		}
	})
}

func TestXtext(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"plain@x.test", "plain@x.test"},
		{"a+b=c d\x01\x7f~!", "a+2Bb+3Dc+20d+01+7F~!"},
		{"ü", "+C3+BC"},
	} {
		if got := xtext(tt.in); got != tt.want {
			t.Errorf("xtext(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestParametersOfDSN(t *testing.T) {
	with := parseExtensions(reply{lines: []string{"x", "DSN", "SIZE"}})
	m := &envelope.Message{Size: 9, Return: "HDRS", EnvelopeID: "id+1 x"}
	if got := mailCommand(m, with); got != "MAIL FROM:<> SIZE=9 RET=HDRS ENVID=id+2B1+20x" {
		t.Errorf("MAIL: %s", got)
	}
	if got := mailCommand(m, extensions{}); got != "MAIL FROM:<>" {
		t.Errorf("MAIL without extensions: %s", got)
	}
	for _, tt := range []struct {
		notify   envelope.Notify
		original string
		want     string
	}{
		{0, "", ""},
		{envelope.NotifyNever, "", " NOTIFY=NEVER"},
		{envelope.NotifySuccess | envelope.NotifyDelay, "", " NOTIFY=SUCCESS,DELAY"},
		{envelope.NotifyFailure, "rfc822;a+b@x.test", " NOTIFY=FAILURE ORCPT=rfc822;a+2Bb@x.test"},
		{0, `UTF-8;bü\+@x.test`, ` ORCPT=UTF-8;b\x{FC}\x{5C}\x{2B}@x.test`},
	} {
		r := envelope.Recipient{Address: envelope.Address{Local: "a", Domain: "d.test"}, Notify: tt.notify, Original: tt.original}
		if got := rcptCommand(r, with); got != "RCPT TO:<a@d.test>"+tt.want {
			t.Errorf("RCPT: %s, want %s", got, tt.want)
		}
		if got := rcptCommand(r, extensions{}); got != "RCPT TO:<a@d.test>" {
			t.Errorf("RCPT without extensions: %s", got)
		}
	}
}

func TestEnhancedCodesAndPhrases(t *testing.T) {
	for _, tt := range []struct {
		at     step
		reply  reply
		status string
		phrase string
	}{
		{atRecipient, reply{550, []string{"5.1.1 no"}}, "5.1.1", "Bad destination email address"},
		{atRecipient, reply{550, []string{"5.1.2 no"}}, "5.1.2", "Bad destination host"},
		{atRecipient, reply{450, []string{"no"}}, "4.1.0", "Unknown address error"},
		{atRecipient, reply{452, []string{"full"}}, "4.3.1", "Mail system full"},
		{atFinal, reply{421, []string{"bye"}}, "4.3.2", "Not accepting messages at this time"},
		{atFinal, reply{554, []string{"no"}}, "5.3.0", "Other mail system problem"},
		{atFinal, reply{554, []string{"5.7.26 DMARC"}}, "5.7.26", "Other security problem"},
		{atFinal, reply{452, []string{"4.4.5 congested"}}, "4.4.5", "Other network problem"},
		{atFinal, reply{552, []string{"5.2.2 full"}}, "5.2.2", "Other mailbox problem"},
		{atFinal, reply{554, []string{"5.6.0 mime"}}, "5.6.0", "Other media problem"},
		{atFinal, reply{554, []string{"5.5.2 syntax"}}, "5.5.2", "Other protocol problem"},
		{atFinal, reply{554, []string{"5.1234.1 long"}}, "5.3.0", "Other mail system problem"},
		{atFinal, reply{554, []string{"5.1 short"}}, "5.3.0", "Other mail system problem"},
		{atFinal, reply{554, []string{"4.1.1 other class"}}, "5.3.0", "Other mail system problem"},
	} {
		f := judge(tt.at, tt.reply)
		if f.Enhanced != tt.status || f.Phrase != tt.phrase {
			t.Errorf("%v: %s %s, want %s %s", tt.reply, f.Enhanced, f.Phrase, tt.status, tt.phrase)
		}
	}
}

func TestNoCommandHasALineEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, bad := range []string{"a\r\nDATA", "a\nb", "a\x00"} {
			check(t, w.deliver(job(plainText, bad)), "deferred 4.3.0 0 local-error")
		}
	}, says("DATA", "550 must not come"))
}
