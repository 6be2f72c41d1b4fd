package bounce

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"esa/mta/envelope"
)

var update = flag.Bool("update", false, "rewrite the notices in testdata")

const sample = "From: a@sender.test\r\nSubject: Hello\r\n\r\nBody.\r\n"

func sampleNotice() Notice {
	m := &envelope.Message{
		MID:        7,
		Sender:     envelope.Address{Local: "a", Domain: "sender.test"},
		Recipients: []envelope.Recipient{{Address: envelope.Address{Local: "nobody", Domain: "there.test"}}},
		Size:       int64(len(sample)),
	}
	why := envelope.Failure{
		Permanent: true, Code: 550, Enhanced: "5.3.0", Phrase: "Other mail system problem",
		Reason: envelope.ReasonRefused, Reply: []string{"5.1.1 No such user"},
		Host: "mx.there.test", Addr: netip.MustParseAddrPort("203.0.113.57:25"),
	}
	return Notice{
		Profile: Default(), Message: m, To: m.Sender,
		Recipients: []Recipient{{Recipient: m.Recipients[0], Why: why}},
		Hostname:   "gw.test", MessageID: "8eb11c$tvgtc@gw.test", Boundary: "BOUNDARY",
		Time:     time.Date(2020, 11, 15, 22, 13, 43, 0, time.FixedZone("", 8*3600)),
		Original: strings.NewReader(sample),
	}
}

func write(t *testing.T, n Notice) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, n); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWrite_Golden(t *testing.T) {
	for name, change := range map[string]func(*Notice){
		"failure": func(*Notice) {},
		"parsed_status_ids_and_no_connection": func(n *Notice) {
			n.Profile.ParseStatus = true
			n.Message.EnvelopeID = "QQ314159"
			n.Recipients[0].Original = "rfc822;first@there.test"
			gone := n.Recipients[0]
			gone.Address = envelope.Address{Local: "old", Domain: "gone.test"}
			gone.Original = ""
			gone.Attempts = 4
			gone.Why = Expiry()
			n.Recipients = append(n.Recipients, gone)
		},
		"delay": func(n *Notice) {
			n.Kind = Delay
			n.Until = n.Time.Add(72 * time.Hour)
			why := &n.Recipients[0].Why
			why.Code, why.Enhanced, why.Phrase, why.Reply = 451, "4.3.0", "Other mail system problem", []string{"busy", "it's late"}
			n.Recipients[0].Attempts = 1
		},
		"relayed": func(n *Notice) {
			n.Kind = Relayed
			n.Recipients[0].Why = envelope.Failure{Code: 250, Enhanced: "2.0.0", Phrase: "Relayed", Reply: []string{"queued as 4711"}}
		},
		"plain": func(n *Notice) { n.Profile.DSNFormat = false },
		"eight_bit": func(n *Notice) {
			n.Message.EightBit = true
			n.Original = strings.NewReader("Subject: x\r\n\r\nGr\xfc\xdfe\r\n")
		},
		"utf8": func(n *Notice) {
			n.Message.EightBit, n.Message.UTF8 = true, true
			n.To = envelope.Address{Local: "grün", Domain: "sender.test"}
			n.Recipients[0].Address.Local = "blåbær+1"
			n.Original = strings.NewReader("Subject: grün\r\n\r\nGrüße\r\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := sampleNotice()
			change(&n)
			got := write(t, n)
			path := filepath.Join("testdata", name+".eml")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestWrite_E6_RemoteTextBeginsNoLine(t *testing.T) {
	n := sampleNotice()
	n.Recipients[0].Why.Reply = []string{"\x1b[2J\nStatus: 2.0.0\r\n\r\n--BOUNDARY\r\n\x00<b>\xff"}
	n.Recipients[0].Original = "rfc822;x\r\nStatus: 2.0.0"
	n.Message.EnvelopeID = "id\nStatus: 2.0.0"
	got := write(t, n)
	for _, bad := range []string{"\nStatus: 2.0.0", "\x1b", "\x00", "\xff"} {
		if strings.Contains(got, bad) {
			t.Errorf("%q got through:\n%s", bad, got)
		}
	}
	if strings.Count(got, "\r\n--BOUNDARY") != 4 {
		t.Errorf("parts:\n%s", got)
	}
}

func TestWrite_LongReplyIsCut(t *testing.T) {
	n := sampleNotice()
	n.Recipients[0].Why.Reply = []string{strings.Repeat("\x01", 64<<10)}
	for line := range strings.SplitSeq(write(t, n), "\r\n") {
		if len(line) > 998 {
			t.Fatalf("line of %d bytes", len(line))
		}
	}
}

func TestWrite_WhatIsCopied(t *testing.T) {
	header := "Subject: x\r\n"
	long := strings.Repeat("X-Filler: 0123456789\r\n", 1000)
	for _, tt := range []struct {
		name, original, kind string
		change               func(*Notice)
		copied               string
	}{
		{"small: whole", header + "\r\nbody\r\n", "message/rfc822", func(*Notice) {}, header + "\r\nbody\r\n"},
		{"as large as the limit: header", header + "\r\n" + strings.Repeat("b", 10<<10), "text/rfc822-headers",
			func(n *Notice) { n.Profile.MaxCopy = n.Message.Size }, header},
		{"one byte under it: whole", header + "\r\nb", "message/rfc822",
			func(n *Notice) { n.Profile.MaxCopy = n.Message.Size + 1 }, header + "\r\nb"},
		{"RET=HDRS", header + "\r\nbody\r\n", "text/rfc822-headers", func(n *Notice) { n.Message.Return = "HDRS" }, header},
		{"delay", header + "\r\nbody\r\n", "text/rfc822-headers", func(n *Notice) { n.Kind = Delay }, header},
		{"long header: whole lines", long + "\r\nbody", "text/rfc822-headers", func(n *Notice) { n.Profile.MaxCopy = 1 },
			long[:10<<10/22*22]},
		{"no header", "\r\nbody\r\n", "text/rfc822-headers", func(n *Notice) { n.Message.Return = "HDRS" }, ""},
		{"one endless line", strings.Repeat("x", 20<<10), "text/rfc822-headers", func(n *Notice) { n.Message.Return = "HDRS" }, ""},
		{"no body and no empty line", header, "text/rfc822-headers", func(n *Notice) { n.Message.Return = "HDRS" }, header},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := sampleNotice()
			n.Message.Size = int64(len(tt.original))
			n.Original = strings.NewReader(tt.original)
			tt.change(&n)
			parts := readParts(t, write(t, n))
			if got := parts[2].kind; got != tt.kind {
				t.Errorf("type %s, want %s", got, tt.kind)
			}
			if parts[2].text != tt.copied {
				t.Errorf("copied %q, want %q", parts[2].text, tt.copied)
			}
		})
	}
}

func TestWrite_ErrorOfOriginalIsReturned(t *testing.T) {
	cause := errors.New("disk")
	for _, change := range []func(*Notice){
		func(*Notice) {},
		func(n *Notice) { n.Profile.DSNFormat = false },
		func(n *Notice) { n.Message.Return = "HDRS" },
	} {
		n := sampleNotice()
		n.Original = io.MultiReader(strings.NewReader("Subject: x\r\n"), iotest.ErrReader(cause))
		change(&n)
		if err := Write(io.Discard, n); !errors.Is(err, cause) {
			t.Errorf("error %v", err)
		}
	}
}

type part struct{ kind, text string }

// readParts reads a report as a mail program would: three parts.
func readParts(t *testing.T, text string) []part {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("content type %s %v, %v", kind, params, err)
	}
	var parts []part
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var body io.Reader = p
		if p.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(p)
		}
		b, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part{p.Header.Get("Content-Type"), string(b)})
	}
	if len(parts) != 3 {
		t.Fatalf("%d parts in\n%s", len(parts), text)
	}
	return parts
}

func FuzzWrite(f *testing.F) {
	f.Add("a", "b.test", "text", "Subject: x\r\n\r\nbody", "rfc822;x", true, true, int64(100))
	f.Add("ü\n", "b\r", "\r\n--BOUNDARY--\r\n", "\xff\r\n", "\x00", false, true, int64(5))
	f.Fuzz(func(t *testing.T, local, domain, reply, original, orcpt string, dsn, wide bool, limit int64) {
		n := sampleNotice()
		n.Profile.DSNFormat, n.Profile.MaxCopy = dsn, limit
		n.Profile.Subject = reply
		n.Message.EightBit, n.Message.UTF8 = true, wide
		n.Message.Size = int64(len(original))
		n.Message.EnvelopeID = orcpt
		n.To = envelope.Address{Local: local, Domain: domain}
		n.Recipients[0].Address = n.To
		n.Recipients[0].Original = orcpt
		n.Recipients[0].Why.Reply = []string{reply, orcpt}
		n.Recipients[0].Why.Enhanced, n.Recipients[0].Why.Phrase = local, domain
		n.Original = strings.NewReader("Subject: x\r\n\r\n")
		var short bytes.Buffer
		if err := Write(&short, n); err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(short.String(), "\r\n\r\n")
		if strings.Contains(strings.ReplaceAll(head, "\r\n", ""), "\n") || strings.Contains(strings.ReplaceAll(head, "\r\n", ""), "\r") {
			t.Fatalf("bare line end in header:\n%q", head)
		}
		if dsn {
			status := readParts(t, short.String())[1].text
			if got := strings.Count(status, "\r\nStatus: "); got != 1 {
				t.Fatalf("%d status fields in %q", got, status)
			}
		}
		n.Original = strings.NewReader(original)
		if err := Write(io.Discard, n); err != nil {
			t.Fatal(err)
		}
	})
}
