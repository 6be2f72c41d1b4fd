package envelope

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	long := strings.Repeat("l", 64)
	for _, tt := range []struct {
		in   string
		want string // empty: refused
	}{
		{"ok@ours.test", "ok@ours.test"},
		{"OK@OURS.TEST", "OK@ours.test"},
		{"ok@ours.test.", "ok@ours.test"},
		{"a.b+c=d/e@x_y.test", "a.b+c=d/e@x_y.test"},
		{long + "@ours.test", long + "@ours.test"},
		{"büro@bücher.test", "büro@bücher.test"},
		{`"a b"@ours.test`, `"a b"@ours.test`},
		{`"a\"b@c>d"@ours.test`, `"a\"b@c>d"@ours.test`},
		{"ok@[127.0.0.1]", "ok@[127.0.0.1]"},
		{"ok@[ipv6:2001:DB8::1]", "ok@[IPv6:2001:db8::1]"},
		// B1: a recipient hidden in a quoted local part keeps its quotes.
		{`"victim@else.test> NOTIFY=NEVER ORCPT=rfc822;x"@ours.test`, `"victim@else.test> NOTIFY=NEVER ORCPT=rfc822;x"@ours.test`},
		// B2: control bytes.
		{"ok@ours.test\rX", ""},
		{"ok@ours.test\x00", ""},
		{"o\nk@ours.test", ""},
		{"\"o\nk\"@ours.test", ""},
		{"\"o\\\nk\"@ours.test", ""},
		{"o\u0085k@ours.test", ""},
		{"\"o\u009bk\"@ours.test", ""},
		{"ok@ou\u0085rs.test", ""},
		// B3: one domain, after the last unquoted @.
		{"ok@else.test@ours.test", ""},
		{"ok%else.test@ours.test", "ok%else.test@ours.test"},
		{"else.test!ok@ours.test", "else.test!ok@ours.test"},
		{`""`, ""},
		{`""@ours.test`, ""},
		{"", ""},
		{"@ours.test", ""},
		{"ok", ""},
		{"ok@", ""},
		{"ok@.", ""},
		{"ok@a..b", ""},
		{"ok@-a.test", ""},
		{"ok@a-.test", ""},
		{"ok@" + strings.Repeat("a", 64) + ".test", ""},
		{".ok@ours.test", ""},
		{"ok.@ours.test", ""},
		{"o..k@ours.test", ""},
		{"o k@ours.test", ""},
		{"o\xffk@ours.test", ""},
		{"ok@o\xffurs.test", ""},
		{`"ok@ours.test`, ""},
		{`"ok\`, ""},
		{`"a"b@ours.test`, ""},
		{long + "l@ours.test", ""},
		{"ok@" + strings.Repeat("abcdefg.", 32) + "test", ""},
		{"ok@[127.0.0.1", ""},
		{"ok@[127.0.0.256]", ""},
		{"ok@[2001:db8::1]", ""},
		{"ok@[IPv6:127.0.0.1]", ""},
		{"ok@[IPv6:fe80::1%eth0]", ""},
	} {
		got, err := ParseAddress(tt.in)
		switch {
		case tt.want == "" && err == nil:
			t.Errorf("ParseAddress(%q) = %q, want an error", tt.in, got)
		case tt.want == "" && !errors.Is(err, ErrAddress):
			t.Errorf("ParseAddress(%q): error %v does not wrap ErrAddress", tt.in, err)
		case tt.want != "" && (err != nil || got.String() != tt.want):
			t.Errorf("ParseAddress(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestParsePath(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Address
		rest string
		ok   bool
	}{
		{"<>", Address{}, "", true},
		{"<> SIZE=1", Address{}, " SIZE=1", true},
		{"<a@b.test> BODY=8BITMIME", Address{"a", "b.test"}, " BODY=8BITMIME", true},
		{"<postmaster>", Address{"postmaster", ""}, "", true},
		{"<PostMaster>", Address{"PostMaster", ""}, "", true},
		{"<joe>", Address{"joe", ""}, "", true},
		{"<@ours.test:ok@else.test>", Address{"ok", "else.test"}, "", true},
		{"<@a.test,@b.test:ok@else.test>", Address{"ok", "else.test"}, "", true},
		{`<"a>b"@ours.test> X`, Address{`"a>b"`, "ours.test"}, " X", true},
		{`<"a\">b"@ours.test>`, Address{`"a\">b"`, "ours.test"}, "", true},
		{`<"victim@else.test> NOTIFY=NEVER ORCPT=rfc822;x"@ours.test>`,
			Address{`"victim@else.test> NOTIFY=NEVER ORCPT=rfc822;x"`, "ours.test"}, "", true},
		{"", Address{}, "", false},
		{"a@b.test", Address{}, "", false},
		{"<a@b.test", Address{}, "", false},
		{"<a@b.test>x", Address{}, "", false},
		{"<ok@ours.test\rX>", Address{}, "", false},
		{"<ok@ours.test\x00>", Address{}, "", false},
		{`<"">`, Address{}, "", false},
		{"<@a.test>", Address{}, "", false},
		{"<@a.test:>", Address{}, "", false},
		{"<@a..test:ok@b.test>", Address{}, "", false},
		{"<@a.test,b.test:ok@b.test>", Address{}, "", false},
		{"< a@b.test>", Address{}, "", false},
		{"<a@b.test >", Address{}, "", false},
		{"<<a@b.test>>", Address{}, "", false},
	} {
		got, rest, err := ParsePath(tt.in)
		if (err == nil) != tt.ok {
			t.Errorf("ParsePath(%q): error %v, want ok %v", tt.in, err, tt.ok)
		} else if tt.ok && (got != tt.want || rest != tt.rest) {
			t.Errorf("ParsePath(%q) = %#v, %q, want %#v, %q", tt.in, got, rest, tt.want, tt.rest)
		}
	}
}

func TestParseDomain(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"Example.COM", "example.com"},
		{"example.com.", "example.com"},
		{"localhost", "localhost"},
		{"a_b.test", "a_b.test"},
		{"BÜCHER.test", "bücher.test"},
		{"[192.0.2.1]", "[192.0.2.1]"},
		{"[IPV6:::1]", "[IPv6:::1]"},
		{"", ""}, {".", ""}, {"a..", ""}, {"a b", ""}, {"a\tb", ""}, {"a,b", ""}, {"a@b", ""}, {"[]", ""}, {"[x]", ""},
		{strings.Repeat("a.", 128) + "a", ""},
	} {
		if got, err := ParseDomain(tt.in); got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("ParseDomain(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestLiteral(t *testing.T) {
	for domain, want := range map[string]string{
		"[192.0.2.1]": "192.0.2.1", "[IPv6:2001:db8::1]": "2001:db8::1", "example.com": "", "192.0.2.1": "", "[x]": "",
	} {
		a, ok := Literal(domain)
		if ok != (want != "") || ok && a != netip.MustParseAddr(want) {
			t.Errorf("Literal(%q) = %v, %v, want %q", domain, a, ok, want)
		}
	}
}

func TestAddressKey(t *testing.T) {
	for _, tt := range []struct{ a, b string }{
		{"Joe@x.test", "joe@X.TEST."},
		{`"joe"@x.test`, "joe@x.test"},
		{`"j\oe"@x.test`, "joe@x.test"},
	} {
		a, errA := ParseAddress(tt.a)
		b, errB := ParseAddress(tt.b)
		if errA != nil || errB != nil || a.Key() != b.Key() {
			t.Errorf("keys of %q and %q: %q, %q (%v, %v)", tt.a, tt.b, a.Key(), b.Key(), errA, errB)
		}
	}
}

func TestIsASCII(t *testing.T) {
	for in, want := range map[string]bool{"a@b.test": true, "ä@b.test": false, "a@ä.test": false} {
		if a, err := ParseAddress(in); err != nil || a.IsASCII() != want {
			t.Errorf("%q: IsASCII %v, %v", in, a.IsASCII(), err)
		}
	}
}

// FuzzParsePath: whatever parses prints, and parses again to the same value;
// it holds no control byte, and a path cannot break out of its brackets.
func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{
		"<>", "<a@b.test> SIZE=1", "<postmaster>", "<@a.test:ok@else.test>", `<"a\">b"@ours.test>`, "<ok@[IPv6:::1]>",
		`<"victim@else.test> NOTIFY=NEVER"@ours.test>`, "<İ@İ.test>", "<a@K.test>", "<ok@ours.test\rX>", "<ok@ours.test.>",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, _, err := ParsePath(s)
		if err != nil {
			return
		}
		printed := a.String()
		for _, r := range printed {
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				t.Fatalf("%q: control character in %q", s, printed)
			}
		}
		again, rest, err := ParsePath("<" + printed + ">")
		if err != nil || rest != "" || again != a {
			t.Fatalf("%q: %#v prints as %q, which parses to %#v, rest %q, %v", s, a, printed, again, rest, err)
		}
		if a.Domain == "" {
			return
		}
		if whole, err := ParseAddress(printed); err != nil || whole != a {
			t.Fatalf("%q: ParseAddress(%q) = %#v, %v", s, printed, whole, err)
		}
	})
}
