package policy

import (
	"fmt"
	"strings"

	"esa/mta/envelope"
)

// SenderCheck refuses envelope senders whose domain cannot be mailed back to.
// A reply of Code 0 is the standard one.
type SenderCheck struct {
	On          bool
	Malformed   Reply // the sender has no domain, or is no address
	Unresolved  Reply // the domain could not be looked up now
	Nonexistent Reply // DNS knows neither a mail exchanger nor an address
}

// SenderDomain is what DNS says of the domain of an envelope sender.
type SenderDomain int

const (
	DomainExists      SenderDomain = iota // mail could be sent there
	DomainUnresolved                      // it could not be found out
	DomainNonexistent                     // DNS says that there is nothing
)

// Exception is an entry of the domain exception table.
type Exception struct {
	Address string // @example.com @.example.com @[192.0.2.1] user@ user@example.com
	Allow   bool
}

// Exceptions is a domain exception table. It never changes once made; the zero
// table holds nobody.
type Exceptions struct {
	entries []Exception
	first   map[string]int // the first entry of each key
}

// NewExceptions builds a table. Errors wrap ErrEntry.
func NewExceptions(entries []Exception) (Exceptions, error) {
	t := Exceptions{entries: entries, first: make(map[string]int, len(entries))}
	for n, e := range entries {
		key, err := exceptionKey(e.Address)
		if err != nil {
			return Exceptions{}, fmt.Errorf("reading domain exception %q: %w", e.Address, err)
		}
		if _, ok := t.first[key]; !ok {
			t.first[key] = n
		}
	}
	return t, nil
}

// exceptionKey is entryKey with the @ of a domain kept.
func exceptionKey(address string) (string, error) {
	domain, only := strings.CutPrefix(address, "@")
	if !only {
		if !strings.Contains(address, "@") {
			return "", ErrEntry
		}
		return entryKey(address)
	}
	if strings.HasPrefix(domain, "[") {
		a, err := envelope.ParseAddress("user" + address)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrEntry, err)
		}
		return "@" + a.Domain, nil
	}
	key, err := entryKey(domain)
	if err == nil && key == allAddresses {
		err = ErrEntry
	}
	return "@" + key, err
}

// Find gives the first entry in order that matches a sender. The null sender
// matches none.
func (t Exceptions) Find(sender envelope.Address) (Exception, bool) {
	if len(t.entries) == 0 || sender.IsNull() {
		return Exception{}, false
	}
	keys := []string{sender.Key(), userKey(sender), "@" + sender.Domain}
	if _, literal := envelope.Literal(sender.Domain); !literal {
		for rest := sender.Domain; ; {
			_, after, ok := strings.Cut(rest, ".")
			if !ok {
				break
			}
			keys = append(keys, "@."+after)
			rest = after
		}
	}
	found := len(t.entries)
	for _, key := range keys {
		if n, ok := t.first[key]; ok {
			found = min(found, n)
		}
	}
	if found == len(t.entries) {
		return Exception{}, false
	}
	return t.entries[found], true
}
