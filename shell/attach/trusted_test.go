package attach

import "testing"

func TestTrusted(t *testing.T) {
	for _, tt := range []struct {
		name              string
		peer, owner, self int
		want              bool
	}{
		{"root serves anybody", 0, 1000, 1001, true},
		{"the owner of the directory", 1000, 1000, 0, true},
		{"ourselves in another's directory", 1001, 1000, 1001, true},
		{"a stranger in root's directory", 1002, 0, 0, false},
		{"a stranger in our directory", 1002, 1001, 1001, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := trusted(tt.peer, tt.owner, tt.self); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestOpening_FirstLine(t *testing.T) {
	for _, tt := range []struct{ name, line, want string }{
		{"version", "SSH-2.0-esa", ""},
		{"notice", "Too many connections, try again later.", "Too many connections, try again later."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := (&opening{line: []byte(tt.line), whole: true}).notice(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
