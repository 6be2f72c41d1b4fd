package commands

import (
	"fmt"
	"testing"
)

func TestSizeText(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 1: "1", 1000: "1000", 1023: "1023", 1024: "1k", 1025: "1025", 64 << 10: "64k", 1 << 20: "1M", 1<<20 + 1024: "1025k", 104857600: "100M", 1 << 30: "1024M",
	} {
		if got := sizeText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// TestParseRecipients: ALL comes last, once, and refuses unless it is asked for.
func TestParseRecipients(t *testing.T) {
	for text, want := range map[string]string{
		"example.com":                       "[example.com ACCEPT] [ALL REJECT]",
		"Example.com, user@,.example.org":   "[example.com ACCEPT] [user@ ACCEPT] [.example.org ACCEPT] [ALL REJECT]",
		"all":                               "[ALL ACCEPT]",
		"a.example,ALL,b.example,a.example": "[a.example ACCEPT] [b.example ACCEPT] [ALL ACCEPT]",
		"":                                  "",
		"a.example,":                        "",
		"a.example;b.example":               "",
	} {
		rat, err := parseRecipients(text)
		got := ""
		for i, e := range rat {
			if i > 0 {
				got += " "
			}
			got += fmt.Sprintf("[%s %s]", e.Address, e)
		}
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}
