package shell_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// vt is a terminal as far as the painter uses one: it wraps like xterm, where
// the cursor hangs behind the last column until the next character comes.
type vt struct {
	mu         sync.Mutex
	raw        strings.Builder
	cols, rows int
	lines      [][]rune
	row, col   int
	hanging    bool
}

func (v *vt) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.raw.Write(p)
	for rest := string(p); rest != ""; {
		if strings.HasPrefix(rest, "\x1b[") {
			final := strings.IndexFunc(rest[2:], func(r rune) bool { return r >= '@' }) + 2
			n, _ := strconv.Atoi(rest[2:final])
			v.control(rest[final], max(n, 1))
			rest = rest[final+1:]
			continue
		}
		r, size := utf8.DecodeRuneInString(rest)
		v.put(r)
		rest = rest[size:]
	}
	return len(p), nil
}

func (v *vt) control(final byte, n int) {
	v.hanging = false
	switch final {
	case 'A':
		v.row = max(0, v.row-n)
	case 'B':
		v.row += n
	case 'C':
		v.col = min(v.col+n, v.width()-1)
	case 'H':
		v.row, v.col = 0, 0
	case 'J':
		v.at(v.row)
		if v.row == 0 && v.col == 0 {
			v.lines = [][]rune{nil}
		}
		v.lines = v.lines[:v.row+1]
		v.lines[v.row] = v.lines[v.row][:min(v.col, len(v.lines[v.row]))]
	}
}

func (v *vt) width() int {
	if v.cols == 0 {
		return 80
	}
	return v.cols
}

func (v *vt) at(row int) {
	for len(v.lines) <= row {
		v.lines = append(v.lines, nil)
	}
}

func (v *vt) put(r rune) {
	switch r {
	case '\a':
		return
	case '\r':
		v.col, v.hanging = 0, false
		return
	case '\n':
		v.row, v.hanging = v.row+1, false
		return
	}
	cells := []rune{r}
	if r >= 0x2e80 {
		cells = append(cells, 0)
	}
	if v.hanging || v.col+len(cells) > v.width() {
		v.row, v.col, v.hanging = v.row+1, 0, false
	}
	v.at(v.row)
	line := v.lines[v.row]
	for len(line) < v.col+len(cells) {
		line = append(line, ' ')
	}
	copy(line[v.col:], cells)
	v.lines[v.row] = line
	v.col += len(cells)
	if v.col == v.width() {
		v.col, v.hanging = v.col-1, true
	}
}

// String is the screen with an underscore where the cursor is, which pushes
// what stands there to the right.
func (v *vt) String() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.at(v.row)
	var b strings.Builder
	for i, line := range v.lines {
		if i > 0 {
			b.WriteString("\n")
		}
		text := string(line)
		if i == v.row {
			for len(line) < v.col {
				line = append(line, ' ')
			}
			text = string(line[:v.col]) + "_" + string(line[v.col:])
		}
		b.WriteString(strings.TrimRight(strings.ReplaceAll(text, "\x00", ""), " "))
	}
	return b.String()
}

func TestVirtualTerminalWraps(t *testing.T) {
	v := &vt{cols: 4}
	_, _ = v.Write([]byte("abcd"))
	if got := v.String(); got != "abc_d" {
		t.Errorf("hanging: %q", got)
	}
	_, _ = v.Write([]byte(" \rx\x1b[A\x1b[J\r\n日\x1b[C\n"))
	if got := v.String(); got != "a\n日\n   _" {
		t.Errorf("moved: %q", got)
	}
}
