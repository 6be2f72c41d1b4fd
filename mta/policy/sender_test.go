package policy

import (
	"errors"
	"testing"

	"esa/mta/envelope"
)

func TestExceptions(t *testing.T) {
	table, err := NewExceptions([]Exception{
		{"boss@bad.example", true},
		{"@bad.example", false},
		{"@.bad.example", false},
		{"@[192.0.2.1]", true},
		{"robot@", false},
		{"robot@ok.example", true}, // never reached: robot@ stands before it
		{"@Mixed.Example", true},
		{"@mixed.example", false}, // the first of two counts
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ sender, want string }{
		{"boss@bad.example", "allow"},
		{"boss@BAD.example", "allow"},
		{"other@bad.example", "reject"},
		{"x@sub.bad.example", "reject"},
		{"x@a.b.bad.example", "reject"},
		{"x@notbad.example", "none"},
		{"x@example", "none"},
		{"x@[192.0.2.1]", "allow"},
		{"x@[192.0.2.2]", "none"},
		{"robot@ok.example", "reject"},
		{"robot@[192.0.2.1]", "allow"},
		{"x@mixed.example", "allow"},
		{"", "none"},
	} {
		var sender envelope.Address
		if tt.sender != "" {
			if sender, err = envelope.ParseAddress(tt.sender); err != nil {
				t.Fatal(err)
			}
		}
		e, ok := table.Find(sender)
		got := "none"
		if ok {
			got = map[bool]string{true: "allow", false: "reject"}[e.Allow]
		}
		if got != tt.want {
			t.Errorf("%q: %s, want %s", tt.sender, got, tt.want)
		}
	}
	if _, ok := (Exceptions{}).Find(envelope.Address{Local: "a", Domain: "b.example"}); ok {
		t.Error("the empty table holds somebody")
	}
}

func TestNewExceptionsRefuses(t *testing.T) {
	for _, address := range []string{"", "@", "example.com", "ALL", "@ALL", "a b@example.com", "@[nowhere]", "@.", "@exa mple"} {
		if _, err := NewExceptions([]Exception{{address, true}}); !errors.Is(err, ErrEntry) {
			t.Errorf("%q: %v", address, err)
		}
	}
}
