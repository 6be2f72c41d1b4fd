package dns

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

func TestCanonical(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	name253 := strings.Repeat(label63+".", 3) + strings.Repeat("b", 61)
	for _, tt := range []struct {
		in, want string
		ok       bool
	}{
		{"example.com", "example.com", true},
		{"Example.COM.", "example.com", true},
		{"", "", true},
		{".", "", true},
		{"_25._tcp.mx.example.com", "_25._tcp.mx.example.com", true},
		{label63 + ".com", label63 + ".com", true},
		{label63 + "a.com", "", false},
		{name253, name253, true},
		{name253 + "b", "", false},
		{"a..b", "", false},
		{"..", "", false},
		{".com", "", false},
		{"a\tb", "", false},
		{`a\032b`, "", false},
		{"bücher.Example", "xn--bcher-kva.example", true},
		{"日本語.jp", "xn--wgv71a119e.jp", true},
		{"\xc3.example", "", false},
	} {
		got, ok := canonical(tt.in)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("canonical(%q) = %q, %v; want %q, %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
}

func TestBelow(t *testing.T) {
	for _, tt := range []struct {
		name, domain string
		want         bool
	}{
		{"example.com", "example.com", true},
		{"a.example.com", "example.com", true},
		{"evilexample.com", "example.com", false},
		{"com", "example.com", false},
		{"a.b", "", true},
		{"", "", true},
	} {
		if got := below(tt.name, tt.domain); got != tt.want {
			t.Errorf("below(%q, %q) = %v", tt.name, tt.domain, got)
		}
	}
}

func TestIsHost(t *testing.T) {
	for name, want := range map[string]bool{
		"mx1.example.com": true, "mx_1.example.com": true, "192.0.2.1": true, "a": true,
		"": false, `a\032b.com`: false, "a/b": false, "a..b": false, "ü.com": false, "*.example.com": false,
		strings.Repeat("a.", 127): false,
	} {
		if got := isHost(name); got != want {
			t.Errorf("isHost(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestReverseName(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":        "1.2.0.192.in-addr.arpa",
		"::ffff:192.0.2.1": "1.2.0.192.in-addr.arpa",
		"2001:db8::1":      "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
		"fe80::1%eth0":     "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.e.f.ip6.arpa",
	} {
		if got := reverseName(netip.MustParseAddr(addr)); got != want {
			t.Errorf("reverseName(%s) = %s, want %s", addr, got, want)
		}
	}
}

func TestMixCase_FlipsEveryLetterSometimes(t *testing.T) {
	const name = "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz.0123.test"
	upper := make([]int, len(name))
	const n = 200
	for range n {
		mixed := mixCase(name, rand.Uint64)
		if strings.ToLower(mixed) != name {
			t.Fatalf("mixCase made %q of %q", mixed, name)
		}
		for i := range mixed {
			if mixed[i] != name[i] {
				upper[i]++
			}
		}
	}
	for i, c := range name {
		if letter := 'a' <= c && c <= 'z'; letter && (upper[i] < n/5 || upper[i] > n*4/5) {
			t.Errorf("letter %d was flipped %d times of %d", i, upper[i], n)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{"example.com", "EXAMPLE.com.", "", ".", "a..b", "bücher.de", "\xff", strings.Repeat("a.", 200), strings.Repeat("ü", 300)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		one, ok := canonical(name)
		if !ok {
			return
		}
		if again, ok := canonical(one); !ok || again != one {
			t.Errorf("canonical(%q) = %q, of which it makes %q, %v", name, one, again, ok)
		}
		if len(one) > maxName {
			t.Errorf("canonical(%q) has %d bytes", name, len(one))
		}
		if _, err := newQuery(question{name: one, qtype: 1}, rand.Uint64); err != nil {
			t.Errorf("canonical(%q) = %q cannot be asked for: %v", name, one, err)
		}
	})
}
