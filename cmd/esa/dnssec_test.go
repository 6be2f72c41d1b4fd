package main

import (
	"strings"
	"testing"
)

// TestDNSSECView_AnchorsAreChecked: what operators enter is held against more
// than what is stored.
func TestDNSSECView_AnchorsAreChecked(t *testing.T) {
	for _, tt := range []struct{ text, want, why string }{
		{"ex.test DS 7 13 2 " + strings.Repeat("0A", 32), "ex.test. 3600 IN DS 7 13 2 " + strings.Repeat("0A", 32), ""},
		{"ex.test DS 7 13 2 0A", "", "the digest of ex.test., key 7, has 2 hexadecimal digits, not 64"},
		{"", "", "there is no DS or DNSKEY record"},
	} {
		lines, err := dnssecView{}.ParseAnchors(tt.text)
		why := ""
		if err != nil {
			why = err.Error()
		}
		if got := strings.Join(strings.Fields(strings.Join(lines, ", ")), " "); got != tt.want || why != tt.why {
			t.Errorf("%q: %q, %q; want %q, %q", tt.text, got, why, tt.want, tt.why)
		}
	}
}
