package store

import (
	"fmt"
	"net/netip"
	"strings"
)

// MaxRATEntries bounds the recipient access table of one listener.
const MaxRATEntries = 40000

// RATEntry says whether mail for an address is taken. The most specific entry
// that matches decides; the last entry is ALL.
type RATEntry struct {
	Address   string // as ParseRATAddress gives it
	Accept    bool
	Code      int    // of the SMTP reply; 0: the standard one
	Text      string // of the SMTP reply, lines; only with Code
	Uncounted bool   // recipients are not counted by the rate limits
}

func (e RATEntry) key() string { return e.Address }

func (e RATEntry) String() string {
	text := "REJECT"
	if e.Accept {
		text = "ACCEPT"
	}
	if e.Uncounted {
		text += " bypass"
	}
	if e.Code != 0 {
		reply := strings.ReplaceAll(strings.ReplaceAll(e.Text, `\`, `\\`), "\n", `\n`)
		text += fmt.Sprintf(" %d %s", e.Code, reply)
	}
	return text
}

var errRATAddress = refuse(`A Recipient Access Table address can be one of the following:
- A domain or a host name, such as "example.com".
- A partial domain, such as ".example.com".
- A user name, such as "user@".
- An email address, such as "user@example.com" or "user@[1.2.3.4]".
- "ALL".`)

// ParseRATAddress reads the address of an entry and gives its one form:
// domains in lower case, ALL in capitals.
func ParseRATAddress(text string) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", refuse("Please enter a value.")
	case strings.EqualFold(text, allHosts):
		return allHosts, nil
	}
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		domain, err := parseDomain(text)
		if err != nil {
			return "", errRATAddress
		}
		return domain, nil
	}
	local, domain := text[:at], text[at+1:]
	if checkLocal(local) != nil {
		return "", errRATAddress
	}
	if domain == "" {
		return local + "@", nil
	}
	if strings.HasPrefix(domain, "[") {
		literal, err := parseLiteral(domain)
		if err != nil {
			return "", errRATAddress
		}
		return local + "@" + literal, nil
	}
	domain, err := parseDomain(domain)
	if err != nil || domain[0] == '.' {
		return "", errRATAddress
	}
	return local + "@" + domain, nil
}

// parseDomain reads a domain or, with a leading dot, all that is below one.
func parseDomain(text string) (string, error) {
	rest, partial := strings.CutPrefix(text, ".")
	domain, err := ParseDomain(rest)
	if err != nil {
		return "", err
	}
	if partial {
		domain = "." + domain
	}
	return domain, nil
}

// parseLiteral reads "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3),
// the prefix of the latter being optional.
func parseLiteral(text string) (string, error) {
	inner, ok := strings.CutSuffix(strings.TrimPrefix(text, "["), "]")
	if !ok {
		return "", errIPv4
	}
	if len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:") {
		inner = inner[5:]
	}
	addr, err := netip.ParseAddr(inner)
	switch {
	case err != nil || addr.Zone() != "":
		return "", errIPv4
	case addr.Is4():
		return "[" + addr.String() + "]", nil
	}
	return "[IPv6:" + addr.String() + "]", nil
}

func (l Listener) validateRAT(p *problems) {
	const fix = "listenerconfig -> EDIT -> RCPTACCESS"
	report := p.at(l.place(), fix)
	if l.Type == Private {
		if len(l.RAT) > 0 {
			report("A private listener has no Recipient Access Table.")
		}
		return
	}
	if len(l.RAT) > MaxRATEntries {
		report("There is a maximum of %d entries.", MaxRATEntries)
	}
	if n := len(l.RAT); n == 0 || l.RAT[n-1].Address != allHosts {
		report(`The last entry must be "ALL".`)
	}
	seen := map[string]bool{}
	for _, e := range l.RAT {
		report := p.at(fmt.Sprintf("%s recipient %q", l.place(), e.Address), fix)
		if parsed, err := ParseRATAddress(e.Address); err != nil {
			report("%v", err)
		} else if parsed != e.Address {
			report("The address must be written %q.", parsed)
		}
		if seen[e.Address] {
			report("There is another entry for this address.")
		}
		seen[e.Address] = true
		if err := e.checkReply(); err != nil {
			report("%v", err)
		}
	}
}

// checkReply holds a custom reply to the class of what is done: a refusal that
// says 250, or the reverse, would lose mail.
func (e RATEntry) checkReply() error {
	if e.Code == 0 {
		if e.Text != "" {
			return refuse("A custom SMTP response must have a code.")
		}
		return nil
	}
	if e.Accept && e.Code != 250 {
		return refuse("The code of a custom SMTP response to an accepted recipient must be 250.")
	}
	if !e.Accept && (e.Code < 400 || e.Code > 599 || e.Code == 421) {
		return refuse("The code of a custom SMTP response to a rejected recipient must be from 400 to 599, and not 421.")
	}
	if e.Text == "" {
		return nil
	}
	_, err := ParseReplyText(strings.Split(e.Text, "\n"))
	return err
}
