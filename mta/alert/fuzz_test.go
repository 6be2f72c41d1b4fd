package alert

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzMail: whatever is raised, the mail has the header fields that we wrote
// and no other, in printable ASCII and lines of bounded length.
func FuzzMail(f *testing.F) {
	f.Add("example.net", "It failed.", "Host: mx")
	f.Add("a\r\nb", "\r\n.\r\n", "\x00\x1b[2J\u202e\xff")
	f.Add(strings.Repeat("ü", 400), strings.Repeat("\n", 400), strings.Repeat("x", 2000))
	f.Fuzz(func(t *testing.T, about, summary, detail string) {
		a := Alert{Class: System, Severity: Warning, Name: "n", About: about, Summary: summary, Details: []string{detail, about}}.escaped()
		m := mail{ID: 1, To: ops, From: boss, Hostname: "gw.example.com", Class: a.Class, Severity: a.Severity, Summary: a.Summary, Text: a.text(), Raised: epoch}
		text := m.write(epoch, "1", "2")
		head, _, _ := bytes.Cut(text, []byte("\r\n\r\n"))
		if n := bytes.Count(head, []byte("\r\n")); n != 7 {
			t.Errorf("%d header fields in %q", n+1, head)
		}
		for line := range bytes.SplitSeq(text, []byte("\r\n")) {
			if len(line) > maxDetail+3 || bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q", line)
			}
		}
		if twice := a.escaped(); len(twice.Summary) > maxSummary+6 {
			t.Errorf("%d bytes", len(twice.Summary))
		}
	})
}
