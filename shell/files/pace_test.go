package files

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

// TestPaced: a client guesses the handle of the file that it opens. The library
// once saw the request while it still made the handle.
func TestPaced(t *testing.T) {
	const id = "\x00\x00\x00\x07"
	hello, open, read := packets("\x01\x00\x00\x00\x03"), packets("\x03"+id+text("/configuration/b")), packets("\x05"+id+text("1"))
	for _, tt := range []struct {
		name   string
		first  string
		answer []string
		lost   error
		held   bool
	}{
		{"an opening", open, []string{"\x66" + id}, nil, true},
		{"an opening that cannot be answered", open, nil, errors.New("lost"), true},
		{"another request", read, nil, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{Reader: strings.NewReader(hello + tt.first + read)}
				p := newPaced(w)
				upTo := make([]byte, len(hello+tt.first))
				if _, err := io.ReadFull(p, upTo); err != nil {
					t.Fatal(err)
				}
				if _, err := p.Write([]byte(packets("\x02\x00\x00\x00\x03"))); err != nil {
					t.Fatal(err)
				}
				got := make(chan error, 1)
				go func() {
					rest, err := io.ReadAll(p)
					if err == nil && string(rest) != read {
						err = errors.New("other bytes")
					}
					got <- err
				}()
				synctest.Wait()
				if held := len(got) == 0; held != tt.held {
					t.Fatalf("held back: %v", held)
				}
				if tt.lost != nil {
					p.rw = failing{tt.lost}
					if _, err := p.Write([]byte{0}); err == nil {
						t.Error("it was written")
					}
				}
				for _, a := range tt.answer {
					for _, b := range []byte(packets(a)) { // as the library may
						if _, err := p.Write([]byte{b}); err != nil {
							t.Fatal(err)
						}
					}
				}
				if err := <-got; !errors.Is(err, tt.lost) {
					t.Errorf("%v, want %v", err, tt.lost)
				}
			})
		})
	}
}

// failing is a client that is gone.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }
