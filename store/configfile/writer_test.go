package configfile

import (
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"esa/store"
)

// TestNoLineIsAPrompt: whatever the configuration says, no line of a file looks
// like the prompt, the question or the pager that clients wait for.
func TestNoLineIsAPrompt(t *testing.T) {
	prompts := map[string]*regexp.Regexp{
		"Oxidized's prompt":     regexp.MustCompile(`(?m)^\r*\(?[\w.\- ]+\)?[#>]\s+$`),
		"Oxidized's old prompt": regexp.MustCompile(`(?m)^\r*([(][\w. ]+[)][#>]\s+)$`),
		"its SMA prompt":        regexp.MustCompile(`(?m)^\r*([-\w. ]+\.[-\w. ]+\.[-\w. ]+[#>]\s+)$`),
		"the old fork's prompt": regexp.MustCompile(`(?m)^[^<][\w*\.]+>\s?$`),
		"Netshot's prompt":      regexp.MustCompile(`(?m)^([a-zA-Z0-9-_.]+|\((Cluster|Machine) [a-zA-Z0-9-_.]+\) ?)> $`),
		"commutateurs' prompt":  regexp.MustCompile(`(?m)> \r?$`),
		"Oxidized's question":   regexp.MustCompile(`\[\S+\]>\s`),
		"the pager":             regexp.MustCompile(`-Press Any Key For More-`),
		"CDATA":                 regexp.MustCompile(`CDATA`),
		"a byte beyond ASCII":   regexp.MustCompile(`[^\r\n -~]`),
		"an error":              regexp.MustCompile(`(?m)^Unknown command|does not exist|Invalid arguments|Parsing failed|ERROR|Aborting`),
	}
	if !prompts["Oxidized's prompt"].MatchString("a\r\n-->\r\n<config>") {
		t.Fatal("the first pattern finds nothing")
	}
	m := newMaker(t, 11)
	key := gatewayKey(t, "a")
	for range 8 {
		c := m.config()
		c.AdminAccess.Banner = "host.example.com> \nme>\nhost#\n[1]> \n-->\n"
		c.Listeners = append(c.Listeners, store.NewListener("last", store.Public))
		c.Listeners[len(c.Listeners)-1].RAT[0].Text = "esa.example.com> \nme#"
		for _, o := range []Options{{Secrets: Masked}, {Secrets: Plain}, {Secrets: Encrypted, Key: key}} {
			file := written(t, c, o)
			for _, text := range []string{file, strings.ReplaceAll(file, "\n", "\r\n")} {
				for name, pattern := range prompts {
					if found := pattern.FindString(text); found != "" {
						t.Fatalf("%s: %q", name, found)
					}
				}
			}
		}
	}
}

// TestFrame: what stands around the configuration is what inventory tools read.
func TestFrame(t *testing.T) {
	file := written(t, factory(), Options{})
	for _, want := range []string{
		"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<!DOCTYPE config SYSTEM \"config.dtd\">\n\n<!--\n  Product: esa mail gateway\n  Model Number: esa\n" +
			"  Version: 0.1.0-001\n  Serial Number: 0123456789AB-CDEF012\n  Number of CPUs: ",
		"\n  Memory (GB): 2\n  Current Time: Mon Mar  2 09:30:00 2026\n  Passphrases: Masked -->\n<config>\n<!--\n",
		"\n*                           Network Configuration                            *\n",
		"\n*                            System Configuration                            *\n",
		"\n\n  <hostname>gw.example.com</hostname>\n  <interfaces>\n    <interface>\n      <interface_name>Management</interface_name>\n      <ip>127.0.0.1</ip>\n      <netmask>255.0.0.0</netmask>\n",
		"\n</config>\n",
	} {
		if !strings.Contains(file, want) {
			t.Errorf("it does not have %q:\n%s", want, file)
		}
	}
	if strings.Contains(file, "\r") || !strings.HasSuffix(file, "</config>\n") {
		t.Error("line ends")
	}
	for line := range strings.Lines(file) {
		if strings.Contains(line, "Current Time:") && strings.Contains(line, "-->") {
			t.Error("a client that drops the line with the time would drop the end of the comment")
		}
	}
}

// TestWriteFails: a text that XML cannot hold, and a reader that wants no more.
func TestWriteFails(t *testing.T) {
	for _, text := range []string{"a\x00b", "\x1b[2J", "\xff", "\ufffe"} {
		c := factory()
		c.BounceProfiles[0].Subject = text
		if err := Write(io.Discard, c, Options{About: about()}); err == nil {
			t.Errorf("%q was written", text)
		}
	}
	if err := Write(full{}, factory(), Options{About: about()}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("%v", err)
	}
}

// full takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
