package shell

import (
	"io"
	"strconv"
	"strings"
)

// painter shows a line while it is edited. What an operator or a script types
// at the end of the line appears as it is, without control sequences: programs
// that drive a console match the prompt and the echo.
type painter struct {
	out    io.Writer
	cols   func() int
	hidden bool // show nothing but the prompt

	start int    // column after the prompt
	shown []rune // what stands on the screen
	at    place  // where the cursor stands
}

// place is a cell of the screen, its row counted from that of the prompt's end.
type place struct{ row, col int }

// prompt shows text where the cursor is, at the start of a line.
func (p *painter) prompt(text string) {
	end := p.advance(place{}, []rune(text))
	p.start, p.at, p.shown = end.col, place{0, end.col}, nil
	io.WriteString(p.out, text+edge(end))
}

// edge moves the cursor on when it hangs behind the last column, where the
// terminals differ.
func edge(end place) string {
	if end.col == 0 && end.row > 0 {
		return " \r"
	}
	return ""
}

// width is the number of columns, never less than a wide character needs.
func (p *painter) width() int {
	if cols := p.cols(); cols > 0 {
		return max(cols, 2)
	}
	return 80
}

// advance is the place of the cursor when text was written at from.
func (p *painter) advance(from place, text []rune) place {
	cols := p.width()
	for _, r := range text {
		w := runeWidth(r)
		if from.col+w > cols {
			from = place{from.row + 1, 0}
		}
		from.col += w
	}
	if from.col == cols {
		from = place{from.row + 1, 0}
	}
	return from
}

// line shows text with the cursor before its character number pos, writing no
// more than has changed.
func (p *painter) line(text []rune, pos int) {
	if p.hidden {
		return
	}
	same := 0
	for same < len(text) && same < len(p.shown) && text[same] == p.shown[same] {
		same++
	}
	var b strings.Builder
	if same < len(text) || same < len(p.shown) {
		p.move(&b, p.cell(text[:same]))
		b.WriteString(string(text[same:]))
		p.at = p.cell(text)
		b.WriteString(edge(p.at))
		if len(p.shown) > same {
			b.WriteString("\x1b[J")
		}
	}
	p.shown = append(p.shown[:0], text...)
	p.move(&b, p.cell(text[:pos]))
	io.WriteString(p.out, b.String())
}

// cell is where the cursor stands behind text.
func (p *painter) cell(text []rune) place { return p.advance(place{0, p.start}, text) }

// move writes what brings the cursor to a place.
func (p *painter) move(b *strings.Builder, to place) {
	if to == p.at {
		return
	}
	switch up := p.at.row - to.row; {
	case up > 0:
		b.WriteString("\x1b[" + strconv.Itoa(up) + "A")
	case up < 0:
		b.WriteString("\x1b[" + strconv.Itoa(-up) + "B")
	}
	b.WriteString("\r")
	if to.col > 0 {
		b.WriteString("\x1b[" + strconv.Itoa(to.col) + "C")
	}
	p.at = to
}

// end leaves the line: the cursor goes behind it, then mark, then a new line.
func (p *painter) end(mark string) {
	p.line(p.shown, len(p.shown))
	io.WriteString(p.out, mark+"\n")
}
