package smtpd

import (
	"crypto/tls"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/message"
	"esa/mta/mtatest"
	"esa/mta/policy"
	"esa/mta/tlsconf"
)

// A wire script is one behaviour, as bytes on the wire. Its lines:
//
//	# …                a remark
//	set WORD [VALUE]   changes the settings; before the first connection, or as a commit
//	host ADDR NAME     the reverse name of an address; ?NAME is not verified
//	tls [WORD]         the client shakes hands: good or bad, showing a certificate of
//	                   an authority that is trusted, or not; 1.2 by that version; fails,
//	                   if it cannot
//	drip               it sends a byte each second until the server closes
//	dial ADDR          another connection, which the lines that follow speak on;
//	                   without it the script begins with one from 198.51.100.7
//	c -> text          the client sends text and CRLF
//	c => text          the client sends text alone
//	c <- text          the server sends exactly this line
//	c <~ text          the server sends a reply, of one or more lines, that begins so
//	c <|               the server closes; nothing else comes
//	c >|               the client closes
//	xN c -> …          N times
//	wait DURATION      time passes
//	by DURATION        no more time has passed since the begin
//	stored N           so many messages have been accepted
//	text …             the text of the last one, whole, after its Received field
//	text~ …            a part of its text
//	log …              the mail log has a line that ends so, after those of log lines above
//
// In sent bytes and texts \r \n \t \0 \\ \xNN stand for themselves. Every
// script runs in a bubble of synctest: its hours take no time.
func TestWireScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.wire")
	if err != nil || len(files) == 0 {
		t.Fatalf("no wire scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".wire"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) { runScript(t, string(text)) })
		})
	}
}

// script is a running wire script.
type script struct {
	*bench
	world
	c      *client
	all    []*client
	line   int
	begun  time.Time
	logged int // of the mail log is behind the last log line
}

func runScript(t *testing.T, text string) {
	s := &script{bench: newBench(t), world: newWorld(t), begun: time.Now()}
	defer func() {
		for _, c := range s.all {
			c.close()
		}
		if n := s.spool.open(); n != 0 {
			t.Errorf("%d drafts left open", n)
		}
	}()
	for i, line := range strings.Split(text, "\n") {
		s.line = i + 1
		if line = strings.TrimRight(line, " "); line == "" || line[0] == '#' {
			continue
		}
		times := 1
		if n, rest, ok := strings.Cut(line, " "); ok && n[0] == 'x' {
			times, line = atoi(t, n[1:]), rest
		}
		for range times {
			s.step(line)
		}
	}
}

func atoi(t testing.TB, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (s *script) fatalf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("line %d: "+format, append([]any{s.line}, args...)...)
}

func (s *script) step(line string) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "set":
		s.configure(rest)
	case "host":
		addr, name, _ := strings.Cut(rest, " ")
		s.names[netip.MustParseAddr(addr)] = name
	case "dial":
		s.dialFrom(rest + ":4711")
	case "c":
		if s.c == nil {
			s.dialFrom(strangerAddr)
		}
		s.wire(rest)
	case "tls":
		s.shake(rest)
	case "drip":
		s.drip()
	case "wait":
		d, err := time.ParseDuration(rest)
		if err != nil {
			s.fatalf("%v", err)
		}
		time.Sleep(d)
	case "by":
		if d, err := time.ParseDuration(rest); err != nil || time.Since(s.begun) > d {
			s.fatalf("%s have passed, %v", time.Since(s.begun), err)
		}
	default:
		synctest.Wait()
		s.check(word, unescape(s.t, rest))
	}
}

// shake is the client's handshake.
func (s *script) shake(how string) {
	config := &tls.Config{RootCAs: s.ours.Pool(), ServerName: "gw.test"}
	switch how {
	case "good":
		config.Certificates = []tls.Certificate{s.ours.Issue(s.t, mtatest.CertificateSpec{CommonName: "client.test"})}
	case "bad":
		config.Certificates = []tls.Certificate{s.stranger.Issue(s.t, mtatest.CertificateSpec{CommonName: "client.test"})}
	case "1.2":
		config.MaxVersion = tls.VersionTLS12
	case "fails":
		config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	}
	if err := s.c.startTLS(config); (err != nil) != (how == "fails") {
		s.fatalf("handshake: %v", err)
	}
}

func (s *script) dialFrom(addr string) {
	s.c = s.dial(addr)
	s.all = append(s.all, s.c)
}

// check compares what the gateway has done.
func (s *script) check(word, want string) {
	stored := s.spool.messages()
	switch word {
	case "stored":
		if len(stored) != atoi(s.t, want) {
			s.fatalf("%d messages stored: %+v", len(stored), stored)
		}
	case "text", "text~":
		text := stored[len(stored)-1].text
		if word == "text~" && strings.Contains(text, want) {
			return
		}
		if _, after, ok := strings.Cut(text, "\r\n  by "); ok {
			_, text, _ = strings.Cut(after, "\r\n")
		}
		if text != want {
			s.fatalf("stored %q, want %q", text, want)
		}
	case "log":
		all := s.log()
		i := strings.Index(all[s.logged:], want+"\n")
		if i < 0 {
			s.fatalf("no log line %q in:\n%s", want, all[s.logged:])
		}
		s.logged += i
	default:
		s.fatalf("unknown word %q", word)
	}
}

func (s *script) wire(rest string) {
	dir, text, _ := strings.Cut(rest, " ")
	switch dir {
	case "->":
		s.c.send(unescape(s.t, text) + "\r\n")
	case "=>":
		s.c.send(unescape(s.t, text))
	case "<-":
		got, open := <-s.c.got
		if !open || strings.TrimSuffix(got, "\r\n") != text {
			s.fatalf("got %q, want %q", got, text)
		}
	case "<~":
		if got := s.c.reply(); got == "" || !strings.HasPrefix(got, text) {
			s.fatalf("got %q, want %q", got, text)
		}
	case "<|":
		if got, open := <-s.c.got; open {
			s.fatalf("got %q, want the end", got)
		}
	case ">|":
		_ = s.c.conn.Close()
	default:
		s.fatalf("unknown direction %q", dir)
	}
}

// configure changes the settings.
func (s *script) configure(rest string) {
	word, value, _ := strings.Cut(rest, " ")
	if word == "gone" {
		s.change(nil)
		return
	}
	n, _ := strconv.Atoi(value) // 0 where the word takes no number
	param := map[string]func(p *policy.Params){
		"maxsize":        func(p *policy.Params) { p.MaxSize = int64(n) },
		"maxmessages":    func(p *policy.Params) { p.MaxMessages = n },
		"maxrecipients":  func(p *policy.Params) { p.MaxRecipients = n },
		"maxconnections": func(p *policy.Params) { p.MaxConnections = n },
		"maxperhour":     func(p *policy.Params) { p.MaxPerHour = n },
		"limitreply":     func(p *policy.Params) { p.LimitReply = policy.Reply{Code: 450, Text: value} },
		"senderrate":     func(p *policy.Params) { p.SenderRate.Most, p.SenderRate.Every = n, 10*time.Minute },
		"senderreply":    func(p *policy.Params) { p.SenderRate.Reply = policy.Reply{Code: 550, Text: value} },
		"senderexcept":   func(p *policy.Params) { p.SenderRate.Exceptions = acceptOnly(s.t, value) },
		"maxinvalid":     func(p *policy.Params) { p.MaxInvalid = n },
		"dropharvester":  func(p *policy.Params) { p.DropHarvester = true },
		"harvestreply":   func(p *policy.Params) { p.HarvestReply = policy.Reply{Code: 551, Text: value} },
		"bits":           func(p *policy.Params) { p.SignificantBits = n },
		"bannerhost":     func(p *policy.Params) { p.BannerHost = value },
		"acceptreply":    func(p *policy.Params) { p.AcceptReply = policy.Reply{Code: 220, Text: unescape(s.t, value)} },
		"useexceptions":  func(p *policy.Params) { p.UseExceptions = true },
		"verify":         func(p *policy.Params) { p.SenderCheck.On = true },
		"verifyreplies": func(p *policy.Params) {
			p.SenderCheck = policy.SenderCheck{On: true, Malformed: policy.Reply{Code: 501, Text: "no domain"},
				Unresolved: policy.Reply{Code: 450, Text: "later"}, Nonexistent: policy.Reply{Code: 550, Text: "who?"}}
		},
		"rejectclose": func(p *policy.Params) { p.RejectReply = policy.Reply{Code: 421, Text: value} },
		"rejectreply": func(p *policy.Params) { p.RejectReply = policy.Reply{Code: 521, Text: unescape(s.t, value)} },
	}[word]
	mode, isMode := map[string]message.Mode{"clean": message.Clean, "reject": message.Reject, "allow": message.Allow}[word]
	s.change(func(set *Settings) {
		switch {
		case s.configureListeners(set, word, value), s.configureTLS(set, word, value):
		case param != nil:
			// As mta makes a table: every group has its parameters.
			param(&set.HAT.Default)
			set.HAT.Groups = slices.Clone(set.HAT.Groups)
			for i := range set.HAT.Groups {
				param(&set.HAT.Groups[i].Params)
			}
		case isMode:
			set.BareLines = mode
		case word == "private":
			set.Public, set.RAT = false, policy.RAT{}
		case word == "listenermax":
			set.MaxConnections = n
		case word == "defaultdomain":
			set.DefaultDomain = value
		case word == "noreceived":
			set.Received = false
		case word == "everybody":
			b, _ := policy.ParseBehavior(value)
			set.HAT.Groups = []policy.Group{groupOf("ALL", b, "ALL")}
		case word == "turnaway":
			set.HAT.Groups = append([]policy.Group{groupOf("BAD", policy.Reject, value)}, set.HAT.Groups...)
		case word == "rat":
			rat, err := policy.NewRAT([]policy.Entry{{Address: value, Accept: true, Code: 250, Text: "welcome"},
				{Address: "ALL", Code: 551, Text: "ask elsewhere"}})
			if err != nil {
				s.fatalf("%v", err)
			}
			set.RAT = rat
		case word == "uncounted":
			rat, err := policy.NewRAT([]policy.Entry{{Address: value, Accept: true, Uncounted: true}, {Address: "ours.test", Accept: true}})
			if err != nil {
				s.fatalf("%v", err)
			}
			set.RAT = rat
		case word == "headerlines":
			set.Limits.HeaderLines = n
		case word == "headerbytes":
			set.Limits.HeaderBytes = int64(n)
		default:
			s.fatalf("unknown setting %q", word)
		}
	})
}

// configureTLS sets what is about TLS, if word is such.
func (s *script) configureTLS(set *Settings, word, value string) bool {
	switch word {
	case "tls":
		setTLS(set, func(t *policy.TLS) { t.Mode = tlsModes()[value] })
	case "tlssenders":
		setTLS(set, func(t *policy.TLS) { t.Senders = acceptOnly(s.t, value) })
	case "certificate":
		set.TLS = s.listenerTLS(s.t, tlsconf.Options{})
	case "tlsmax":
		set.MaxTLS = atoi(s.t, value)
	default:
		return false
	}
	return true
}

// configureListeners sets what is the same for all listeners, if word is such.
func (s *script) configureListeners(set *Settings, word, value string) bool {
	n, _ := strconv.Atoi(value) // 0 where the word takes no number
	switch word {
	case "messageid":
		set.AddMessageID = true
	case "rejectrecipients":
		set.RejectRecipients = true
	case "total":
		set.MaxTotal = n
	case "window":
		set.Limits.RateWindow = time.Duration(n) * time.Minute
	case "exceptions": // "allow ADDRESS reject ADDRESS ..."
		var entries []policy.Exception
		for words := strings.Fields(value); len(words) > 1; words = words[2:] {
			entries = append(entries, policy.Exception{Address: words[1], Allow: words[0] == "allow"})
		}
		table, err := policy.NewExceptions(entries)
		if err != nil {
			s.fatalf("%v", err)
		}
		set.Exceptions = table
	default:
		return false
	}
	return true
}

// acceptOnly is a table that accepts one entry.
func acceptOnly(t testing.TB, address string) *policy.RAT {
	rat, err := policy.NewRAT([]policy.Entry{{Address: address, Accept: true}})
	if err != nil {
		t.Fatal(err)
	}
	return &rat
}

// unescape reads the escapes of a script.
func unescape(t testing.TB, s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, `\0`, `\x00`), `"`, `\"`)
	out, err := strconv.Unquote(`"` + s + `"`)
	if err != nil {
		t.Fatalf("bad escape in %q: %v", s, err)
	}
	return out
}
