package store

import (
	"fmt"
	"strings"
)

// MaxExceptions bounds the domain exception table.
const MaxExceptions = 10000

// Exception is an entry of the domain exception table: envelope senders that
// are taken without verification, or refused whatever it says. The first entry
// that matches decides.
type Exception struct {
	Address string // as ParseException gives it
	Allow   bool
}

func (e Exception) key() string { return e.Address }

func (e Exception) String() string {
	if e.Allow {
		return "Allow"
	}
	return "Reject"
}

var errException = refuse(`An entry can be one of the following:
- @[IP address]: any sender at this address.
- @domain: any sender in this domain.
- @.partial.domain: any sender in a domain below this one.
- user@: this user in any domain.
- user@domain: this sender only.`)

// ParseException reads the address of an entry and gives its one form: domains
// in lower case, a domain with its @.
func ParseException(text string) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", errBlank
	case !strings.Contains(text, "@"), text == "@":
		return "", errException
	case text[0] != '@':
		address, err := ParseRATAddress(text)
		if err != nil {
			return "", errException
		}
		return address, nil
	}
	parse := parseDomain
	if strings.HasPrefix(text, "@[") {
		parse = parseLiteral
	}
	domain, err := parse(text[1:])
	if err != nil {
		return "", errException
	}
	return "@" + domain, nil
}

func (c *Config) validateExceptions(p *problems) {
	const fix = "exceptionconfig -> EDIT"
	if len(c.Exceptions) > MaxExceptions {
		p.at("domain exception table", "exceptionconfig -> DELETE")("There is a maximum of %d entries.", MaxExceptions)
	}
	seen := map[string]bool{}
	for _, e := range c.Exceptions {
		report := p.at(fmt.Sprintf("domain exception %q", e.Address), fix)
		if parsed, err := ParseException(e.Address); err != nil {
			report("%v", err)
		} else if parsed != e.Address {
			report("The address must be written %q.", parsed)
		}
		if seen[e.Address] {
			report("There is another entry for this address.")
		}
		seen[e.Address] = true
	}
}
