package store

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestRouteFile(t *testing.T) {
	text := `# our partners
example.com: mx1.example.com, 10.0.0.1:2525/pri=10

.example.net: USEDNS
[IPv6:2001:db8::1]: /dev/null
ALL: [smart.example.org]
`
	routes, err := ParseRoutes(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if want := testConfig().Routes; !reflect.DeepEqual(routes, want) {
		t.Errorf("got %+v\nwant %+v", routes, want)
	}
	var b bytes.Buffer
	if err := WriteRoutes(&b, routes); err != nil {
		t.Fatal(err)
	}
	again, err := ParseRoutes(&b)
	if err != nil || !reflect.DeepEqual(again, routes) {
		t.Errorf("written and read: %+v, %v", again, err)
	}
}

func TestRouteFileErrors(t *testing.T) {
	var bad strings.Builder
	for range maxRouteErrors + 5 {
		bad.WriteString("nonsense\n")
	}
	var tooMany strings.Builder
	for i := range MaxRoutes + 1 {
		fmt.Fprintf(&tooMany, "d%d.example.com: USEDNS\n", i)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"no colon", "example.com mx", "line 1: A line must be a domain, a colon"},
		{"no host", "\nexample.com:", "line 2: The value cannot be blank."},
		{"bad domain", "exa mple: mx", "line 1: A hostname is a string"},
		{"twice", "a.example: mx\n# c\nA.example: mx", "line 3: The value a.example is already in the routing table."},
		{"two defaults", "ALL: mx\nall: mx", "line 2: There is already a default route set."},
		{"all lines told", "x\na.example: b:0\n", "line 2: The port must be"},
		{"very many", bad.String(), "line 11 and others: not shown"},
		{"too many", tooMany.String(), "line 40001: There is a maximum of 40000 routes."},
		{"too long", "a.example: mx\n" + strings.Repeat("x", MaxRouteText+2000), "line 2: The line is too long."},
	} {
		routes, err := ParseRoutes(strings.NewReader(tt.text))
		if err == nil || routes != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error)  { return 0, errors.New("broken") }
func (failing) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestRouteFileBroken(t *testing.T) {
	if _, err := ParseRoutes(failing{}); err == nil {
		t.Error("reading did not fail")
	}
	if err := WriteRoutes(failing{}, testConfig().Routes); err == nil {
		t.Error("writing did not fail")
	}
}

func FuzzRoutes(f *testing.F) {
	f.Add([]byte("example.com: mx1, [::1]:25/pri=3\n# x\nALL: USEDNS\n"))
	f.Add([]byte("[IPv6:::1]: /dev/null"))
	f.Fuzz(func(t *testing.T, data []byte) {
		routes, err := ParseRoutes(bytes.NewReader(data))
		if err != nil {
			return
		}
		if p := (&Config{Routes: routes}); func() (p2 problems) { p.validateRoutes(&p2); return }() != nil {
			t.Errorf("%q: accepted, but not valid", data)
		}
		var b bytes.Buffer
		if err := WriteRoutes(&b, routes); err != nil {
			t.Fatal(err)
		}
		again, err := ParseRoutes(&b)
		if err != nil || !reflect.DeepEqual(again, routes) {
			t.Errorf("%q: not the same again: %v", data, err)
		}
	})
}
