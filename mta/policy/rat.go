package policy

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"esa/mta/envelope"
)

// Entry is one line of a recipient access table. Code and Text are the reply
// to a recipient, where it sets one of its own.
type Entry struct {
	Address string // example.com .example.com user@ user@example.com user@[192.0.2.1] ALL
	Accept  bool
	Code    int
	Text    string
	// Uncounted takes the recipient out of the rate limits.
	Uncounted bool
}

// RAT is a recipient access table. It never changes once made; the zero RAT
// refuses every recipient.
type RAT struct {
	entries map[string]Entry // by Address in its one form
}

// ErrEntry is what an entry that cannot be read wraps.
var ErrEntry = errors.New("not a domain, partial domain, user or address")

// NewRAT builds a table. An address that stands twice is an error.
func NewRAT(entries []Entry) (RAT, error) {
	t := RAT{entries: make(map[string]Entry, len(entries))}
	for _, e := range entries {
		key, err := entryKey(e.Address)
		if err != nil {
			return RAT{}, fmt.Errorf("reading recipient access entry %q: %w", e.Address, err)
		}
		if _, twice := t.entries[key]; twice {
			return RAT{}, fmt.Errorf("reading recipient access entry %q: it stands twice", e.Address)
		}
		t.entries[key] = e
	}
	return t, nil
}

// allAddresses is the entry for every recipient that has no other.
const allAddresses = "ALL"

// entryKey gives the one form of an entry's address: what Decide looks up.
func entryKey(address string) (string, error) {
	address = strings.TrimSpace(address)
	if strings.EqualFold(address, allAddresses) {
		return allAddresses, nil
	}
	if user, only := strings.CutSuffix(address, "@"); only {
		a, err := envelope.ParseAddress(user + "@user.invalid")
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrEntry, err)
		}
		return userKey(a), nil
	}
	if strings.Contains(address, "@") {
		a, err := envelope.ParseAddress(address)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrEntry, err)
		}
		return a.Key(), nil
	}
	name, err := envelope.ParseDomain(strings.TrimPrefix(address, "."))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrEntry, err)
	}
	if strings.HasPrefix(address, ".") {
		name = "." + name
	}
	return name, nil
}

// userKey is the key of "user@", any domain.
func userKey(a envelope.Address) string { return strings.TrimSuffix(a.Key(), a.Domain) }

// Verdict is what a RAT says of a recipient. Code and Text are the reply;
// Code 0 is the listener's ordinary one.
type Verdict struct {
	Accept    bool
	Code      int
	Text      string
	Uncounted bool
}

// Decide gives the verdict of the most specific entry: the whole address,
// then the user in any domain, then the domain, then the longest partial
// domain, then ALL. A user comes before a domain, since otherwise an entry
// that refuses "user@" could never have an effect. A recipient without domain
// matches user and ALL entries alone.
func (t RAT) Decide(a envelope.Address) Verdict {
	if e, ok := t.find(a); ok {
		return Verdict{Accept: e.Accept, Code: e.Code, Text: e.Text, Uncounted: e.Uncounted}
	}
	return Verdict{}
}

func (t RAT) find(a envelope.Address) (Entry, bool) {
	for _, key := range []string{a.Key(), userKey(a), cmp.Or(a.Domain, allAddresses)} {
		if e, ok := t.entries[key]; ok {
			return e, true
		}
	}
	if _, literal := envelope.Literal(a.Domain); !literal {
		for rest := a.Domain; ; {
			_, after, ok := strings.Cut(rest, ".")
			if !ok {
				break
			}
			if e, found := t.entries["."+after]; found {
				return e, true
			}
			rest = after
		}
	}
	e, ok := t.entries[allAddresses]
	return e, ok
}
