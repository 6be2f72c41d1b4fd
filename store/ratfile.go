package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// The text form of a recipient access table, as it is printed, exported and
// imported: one entry a line,
//
//	example.com ACCEPT
//	user@ REJECT 550 No such user here
//	ALL REJECT
//
// the last one ALL; "bypass" after the action takes the entry out of
// receiving control; \n in a reply separates its lines. Lines that begin with
// # and empty ones are skipped.

// ParseRAT reads a whole table. The error names each line that is wrong, as
// far as there are not too many.
func ParseRAT(r io.Reader) ([]RATEntry, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxHATLine)
	var rat []RATEntry
	var errs []error
	seen := map[string]bool{}
	number := 0
	for lines.Scan() && len(errs) <= maxRouteErrors {
		number++
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		e, err := parseRATLine(text)
		switch {
		case err == nil && seen[e.Address]:
			err = refuse("There is another entry for %s.", e.Address)
		case err == nil && len(rat) == MaxRATEntries:
			return nil, refuse("line %d: There is a maximum of %d entries.", number, MaxRATEntries)
		}
		if err != nil {
			errs = append(errs, refuse("line %d: %v", number, err))
			continue
		}
		seen[e.Address] = true
		rat = append(rat, e)
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		errs = append(errs, refuse("line %d: The line is too long.", number+1))
	} else if err != nil {
		errs = append(errs, fmt.Errorf("reading a recipient access table: %w", err))
	}
	if len(errs) == 0 && (len(rat) == 0 || rat[len(rat)-1].Address != allHosts) {
		errs = append(errs, refuse(`The last entry must be "ALL".`))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return rat, nil
}

func parseRATLine(text string) (RATEntry, error) {
	first, rest := cutWord(text)
	action, rest := cutWord(rest)
	if action == "" {
		return RATEntry{}, refuse("A line must be an address and ACCEPT or REJECT.")
	}
	address, err := ParseRATAddress(first)
	if err != nil {
		return RATEntry{}, err
	}
	e := RATEntry{Address: address, Accept: strings.EqualFold(action, string(Accept))}
	if !e.Accept && !strings.EqualFold(action, string(Refuse)) {
		return e, refuse("The action must be ACCEPT or REJECT.")
	}
	if word, after := cutWord(rest); strings.EqualFold(word, "bypass") {
		e.Uncounted, rest = true, after
	}
	if rest == "" {
		return e, nil
	}
	code, reply := cutWord(rest)
	reply, err = strconv.Unquote(`"` + strings.ReplaceAll(reply, `"`, `\"`) + `"`)
	if err != nil {
		return e, refuse(`A reply must be a code and a text; a backslash is written \\, the end of a line \n.`)
	}
	return e.WithReply(code, strings.Split(reply, "\n"))
}

// cutWord gives the first word of a text, and the rest.
func cutWord(text string) (word, rest string) {
	text = strings.TrimSpace(text)
	n := strings.IndexAny(text, " \t")
	if n < 0 {
		return text, ""
	}
	return text[:n], strings.TrimSpace(text[n:])
}

// WithReply gives the entry a reply of its own, or says why it cannot have it.
func (e RATEntry) WithReply(code string, lines []string) (RATEntry, error) {
	n, err := strconv.Atoi(strings.TrimSpace(code))
	if err != nil {
		return e, refuse("The SMTP code must be a number.")
	}
	own := e
	own.Code = n
	if own.Text, err = ParseReplyText(lines); err != nil {
		return e, err
	}
	if err := own.checkReply(); err != nil {
		return e, err
	}
	return own, nil
}

// WriteRAT writes what ParseRAT reads.
func WriteRAT(w io.Writer, rat []RATEntry) error {
	b := bufio.NewWriter(w)
	for _, e := range rat {
		fmt.Fprintf(b, "%s %s\n", e.Address, e)
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("writing a recipient access table: %w", err)
	}
	return nil
}

// InsertRAT puts an entry before ALL, or in place of the one of its address.
func InsertRAT(rat []RATEntry, e RATEntry) []RATEntry {
	for i := range rat {
		if rat[i].Address == e.Address {
			rat[i] = e
			return rat
		}
	}
	return slices.Insert(rat, max(len(rat)-1, 0), e)
}
