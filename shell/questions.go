package shell

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Ask asks for a value until parse takes the answer. The text stands above the
// prompt, which shows def; Enter answers with def. What parse returns as an
// error is shown: Refusedf word by word, another error as a sentence. Once the
// dialog is over, Ask returns what parse makes of def.
func Ask[T any](d *Dialog, question, def string, parse func(answer string) (T, error)) T {
	return AskShown(d, question, Shown{Text: def, Answer: def}, parse)
}

// Shown is a default whose words are not what Enter answers with: a value that
// is inherited is shown, and stays inherited.
type Shown struct{ Text, Answer string }

// AskShown is Ask with a default of two sides.
func AskShown[T any](d *Dialog, question string, def Shown, parse func(answer string) (T, error)) T {
	d.ask(question)
	return answer(d, Prompt{Text: "[" + def.Text + "]> "}, def.Answer, parse)
}

// ask shows the text of a question whose prompt has its own line.
func (d *Dialog) ask(question string) {
	if question == "" {
		d.question("")
		return
	}
	d.question(strings.TrimSuffix(question, "\n") + "\n")
}

// answer reads answers to a question that is shown.
func answer[T any](d *Dialog, p Prompt, def string, parse func(string) (T, error)) T {
	for {
		line, ok := d.read(p)
		if !ok {
			value, _ := parse(def)
			return value
		}
		line = strings.TrimSpace(line)
		if line == "" {
			line = def
		}
		value, err := parse(line)
		if err == nil {
			return value
		}
		d.Refuse(err)
	}
}

// errBlank refuses an empty answer.
func errBlank() error { return Refusedf("The value cannot be blank.") }

// String asks for any text, which may be empty if def is.
func (d *Dialog) String(question, def string) string {
	return Ask(d, question, def, func(s string) (string, error) { return s, nil })
}

// Required asks for a text that is not empty.
func (d *Dialog) Required(question, def string) string {
	return Ask(d, question, def, notBlank)
}

func notBlank(s string) (string, error) {
	if s == "" {
		return "", errBlank()
	}
	return s, nil
}

// Int asks for a number from min to max. A def outside of them is none: the
// brackets are empty and Enter is refused.
func (d *Dialog) Int(question string, def, min, max int) int {
	shown := strconv.Itoa(def)
	if def < min || def > max {
		shown = ""
	}
	return Ask(d, question, shown, func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < min || n > max {
			return def, Refusedf("The value must be a number from %d to %d.", min, max)
		}
		return n, nil
	})
}

// YesNo asks a question that has its prompt on the same line.
func (d *Dialog) YesNo(question string, def bool) bool {
	letter := "N"
	if def {
		letter = "Y"
	}
	return sameLine(d, question, Shown{Text: letter, Answer: letter}, func(s string) (bool, error) {
		switch strings.ToLower(s) {
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
		return def, Refusedf("Please answer Yes or No.")
	})
}

// Tri is an answer that may leave the matter to a default elsewhere.
type Tri int

// Answers to a three-valued question.
const (
	Default Tri = iota
	Yes
	No
)

// Tri asks a question that may be answered with Default. While def is Default
// the prompt shows inherited, what that comes to, and Enter leaves it so.
func (d *Dialog) Tri(question string, def, inherited Tri) Tri {
	shown := def
	if def == Default {
		shown = inherited
	}
	letters := [...]string{Default: "D", Yes: "Y", No: "N"}
	return sameLine(d, question, Shown{Text: letters[shown], Answer: letters[def]}, func(s string) (Tri, error) {
		switch strings.ToLower(s) {
		case "y", "yes":
			return Yes, nil
		case "n", "no":
			return No, nil
		case "d", "default":
			return Default, nil
		}
		return def, Refusedf("Please answer Yes, No or Default.")
	})
}

// sameLine asks with the last line of the question before the prompt.
func sameLine[T any](d *Dialog, question string, def Shown, parse func(string) (T, error)) T {
	above, last := "", question
	if i := strings.LastIndexByte(question, '\n'); i >= 0 {
		above, last = question[:i], question[i+1:]
	}
	d.ask(above)
	return answer(d, Prompt{Text: last + " [" + def.Text + "]> "}, def.Answer, parse)
}

// Choose asks for one of options, which are listed with numbers from 1, and
// returns its index. The number or the option itself is an answer. A def of -1
// is none; it is then also what Choose returns once the dialog is over.
func (d *Dialog) Choose(question string, options []string, def int) int {
	var b strings.Builder
	b.WriteString(question + "\n")
	for i, option := range options {
		b.WriteString(strconv.Itoa(i+1) + ". " + option + "\n")
	}
	return d.Pick(b.String(), options, def)
}

// Pick asks for the number or the name of something that is listed already, and
// returns its index. A def of -1 is none.
func (d *Dialog) Pick(question string, names []string, def int) int {
	shown := ""
	if def >= 0 && def < len(names) {
		shown = strconv.Itoa(def + 1)
	}
	return Ask(d, question, shown, func(s string) (int, error) {
		if s == "" {
			return def, errBlank()
		}
		if n, err := strconv.Atoi(s); err == nil && n >= 1 && n <= len(names) {
			return n - 1, nil
		}
		if i := slices.Index(names, s); i >= 0 {
			return i, nil
		}
		if i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, s) }); i >= 0 {
			return i, nil
		}
		return def, Refusedf("Unknown option %s.", s)
	})
}

// Choice is one of the values that ChooseName lists.
type Choice struct {
	Name string // what is returned, and taken as an answer
	Text string // what is listed; Name if empty
}

// ChooseName asks for one of choices, which are listed with numbers from 1, and
// returns its Name; def if the dialog is over. A def that is no Name is none.
func (d *Dialog) ChooseName(question string, choices []Choice, def string) string {
	names := make([]string, len(choices))
	var b strings.Builder
	b.WriteString(question + "\n")
	for i, c := range choices {
		names[i] = c.Name
		if c.Text == "" {
			c.Text = c.Name
		}
		b.WriteString(strconv.Itoa(i+1) + ". " + c.Text + "\n")
	}
	if i := d.Pick(b.String(), names, slices.Index(names, def)); i >= 0 && d.Err() == nil {
		return names[i]
	}
	return def
}

// Free asks for a text that is not empty, at the bare prompt of free texts.
func (d *Dialog) Free(question string) string {
	d.ask(question)
	return answer(d, Prompt{Text: "> "}, "", notBlank)
}

// Secret asks for a text that is not empty and does not show what is typed.
func (d *Dialog) Secret(question string) string {
	d.ask(question)
	p := Prompt{Text: "> ", Secret: true}
	for {
		// Blanks may be part of a passphrase.
		line, ok := d.read(p)
		if !ok || line != "" {
			return line
		}
		d.Refuse(errBlank())
	}
}

// Passphrase asks for a secret that was made elsewhere and may be empty; it is
// not shown.
func (d *Dialog) Passphrase(question string) string {
	d.ask(question)
	line, _ := d.read(Prompt{Text: "> ", Secret: true})
	return line
}

// How a text of several lines ends.
const (
	EndDot   = "." // at a line that holds a dot only
	EndEmpty = ""  // at an empty line
)

// maxLines bounds what Lines reads, in bytes with the line ends.
const maxLines = 1 << 20

var errTooMuch = errors.New("the text is longer than 1 MB")

// Lines asks for a text of several lines, which have no prompt, and returns
// them without the one that ends them: EndDot or EndEmpty.
func (d *Dialog) Lines(question, end string) []string {
	d.ask(question)
	var lines []string
	size := 0
	for {
		line, ok := d.read(Prompt{Paste: true})
		if !ok {
			return nil
		}
		if strings.TrimSpace(line) == end {
			d.screen.ear.paste(len(lines))
			return lines
		}
		if size += len(line) + 1; size > maxLines {
			d.Refuse(errTooMuch)
			d.err = ErrFailed
			return nil
		}
		lines = append(lines, line)
	}
}

// Paste asks for a text of lines that ends at Ctrl-D on an empty line, or with
// the input, and gives it with LF line ends. One of more than most bytes, or
// with a line that is too long, fails the command; what is left of it is read
// first, so that nothing of it is taken for commands.
func (d *Dialog) Paste(question string, most int) string {
	d.ask(question)
	var text strings.Builder
	var refused error
	lines := 0
	for ; d.Err() == nil; lines++ {
		line, err := d.screen.read(d.ctx, Prompt{})
		switch {
		case errors.Is(err, ErrLineTooLong):
			refused = err
		case err == io.EOF && refused == nil:
			d.screen.ear.paste(lines)
			return text.String()
		case err == io.EOF:
			d.Text(explain(refused))
			d.err = ErrFailed
		case err != nil:
			d.err = err
		case text.Len()+len(line) >= most:
			refused = Refusedf("The text is longer than %d bytes.", most)
		case refused == nil:
			text.WriteString(line + "\n")
		}
	}
	d.err = d.Err()
	return ""
}
