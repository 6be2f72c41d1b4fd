package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The text form of a host access table, as it is printed, exported and
// imported (reference esa-cli-config 7.5):
//
//	$THROTTLED
//	    ACCEPT {
//	        max_rcpts_per_hour = 20
//	    }
//	SUSPECTLIST:
//	    10.1.1.0/24
//	    $THROTTLED (Suspicious senders are throttled)
//	ALL
//	    $ACCEPTED
//
// An entry without group, such as ALL, is a host followed by its policy. Lines
// that begin with # and empty ones are skipped. What we add: the block
// "DEFAULT {" has the default policy parameters; a file without it leaves
// them as they are. The same goes for ALL, which an appliance does not print.

// HATFile is what a text said.
type HATFile struct {
	HAT   HAT
	Notes []string // what was left out or changed, for the operator
}

// maxHATLine bounds one line of an import.
const maxHATLine = 64 << 10

// ParseHAT reads a whole table, which will stand in the place of current: what
// the text does not say of the default parameters and of ALL is taken from
// there. The error names each line that is wrong, as far as there are not too
// many.
func ParseHAT(r io.Reader, current HAT) (HATFile, error) {
	p := hatParser{current: current, file: HATFile{HAT: HAT{Default: current.Default}}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxHATLine)
	for lines.Scan() {
		p.number++
		text := strings.TrimSpace(lines.Text())
		if text != "" && text[0] != '#' {
			p.line(text)
		}
		if len(p.errs) > maxRouteErrors {
			break
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		p.number++
		p.fail("The line is too long.")
	} else if err != nil {
		return HATFile{}, fmt.Errorf("reading a host access table: %w", err)
	}
	p.end()
	if len(p.errs) > 0 {
		return HATFile{}, errors.Join(p.errs...)
	}
	return p.file, nil
}

// hatParser reads line by line; at most one of policy, group and params is
// being read.
type hatParser struct {
	current HAT
	file    HATFile
	number  int
	errs    []error
	policy  *Policy       // its behavior is to come
	group   *SenderGroup  // members, then its policy, are to come
	params  *PolicyParams // a block is open
}

func (p *hatParser) fail(format string, args ...any) {
	if len(p.errs) > maxRouteErrors {
		return
	}
	if len(p.errs) == maxRouteErrors {
		format, args = "and others: not shown", nil
	}
	p.errs = append(p.errs, refuse("line %d: %s", p.number, fmt.Sprintf(format, args...)))
}

func (p *hatParser) note(format string, args ...any) {
	if len(p.file.Notes) <= maxRouteErrors {
		p.file.Notes = append(p.file.Notes, fmt.Sprintf("line %d: %s", p.number, fmt.Sprintf(format, args...)))
	}
}

func (p *hatParser) line(text string) {
	switch {
	case p.params != nil && text == "}":
		p.params = nil
	case p.params != nil:
		p.param(text)
	case p.policy != nil:
		p.behavior(text)
	case p.group != nil:
		p.member(text)
	default:
		p.begin(text)
	}
}

// begin reads the line that opens an entry.
func (p *hatParser) begin(text string) {
	name, rest, isGroup := strings.Cut(text, ":")
	switch {
	case text == "DEFAULT {":
		p.file.HAT.Default = PolicyParams{}
		p.params = &p.file.HAT.Default
	case text[0] == '$':
		parsed, err := ParsePolicyName(text)
		if err != nil {
			p.fail("%v", err)
		}
		p.policy = &Policy{Name: parsed}
	case isGroup && (rest == "" || rest[0] == ' ') && !strings.ContainsAny(name, ":"):
		parsed, err := ParseGroupName(name)
		if err != nil {
			p.fail("%v", err)
		}
		p.group = &SenderGroup{Name: parsed}
		if rest = strings.TrimSpace(rest); rest != "" {
			p.member(rest)
		}
	default:
		p.unnamed(text)
	}
}

// unnamed reads an entry that is one host without a group. Ours have names.
func (p *hatParser) unnamed(text string) {
	host, err := ParseSenderHost(text)
	if err != nil {
		p.fail("%v", err)
		host = allHosts
	}
	name := host
	if host != allHosts {
		name = p.freeGroup(host)
		p.note("%s became the sender group %s.", host, name)
	}
	p.group = &SenderGroup{Name: name, Hosts: []string{host}}
}

// freeGroup makes a name that no group has of a host.
func (p *hatParser) freeGroup(host string) string {
	base := strings.Map(func(r rune) rune {
		if isNameRune(r) {
			return r
		}
		return '_'
	}, host)
	base = base[:min(len(base), maxName-8)]
	name := base
	taken := func(g SenderGroup) bool { return g.Name == name }
	for n := 2; slices.ContainsFunc(p.file.HAT.Groups, taken); n++ {
		name = fmt.Sprintf("%s_%d", base, n)
	}
	return name
}

// behavior reads "ACCEPT" or "ACCEPT {" of a policy.
func (p *hatParser) behavior(text string) {
	word, block := strings.CutSuffix(text, "{")
	p.policy.Behavior = Behavior(strings.TrimSpace(word))
	if !slices.Contains(Behaviors(), p.policy.Behavior) {
		p.fail("Invalid selected behavior: %q", p.policy.Behavior)
	}
	h := &p.file.HAT
	h.Policies = append(h.Policies, *p.policy)
	p.policy = nil
	if block {
		p.params = &h.Policies[len(h.Policies)-1].Params
	}
}

// member reads a host of a group, or the policy that ends the group.
func (p *hatParser) member(text string) {
	word, comment, commented := strings.Cut(text, "(")
	word = strings.TrimSpace(word)
	policy, named := strings.CutPrefix(word, "$")
	if !named && !slices.Contains(Behaviors(), Behavior(word)) {
		if strings.HasSuffix(word, "{") {
			p.fail("A sender group cannot have parameters of its own: use a policy.")
			word = ""
		}
		if commented {
			p.note("The comment of %s was left out.", word)
		}
		hosts, err := ParseSenderHosts(word)
		if err != nil {
			p.fail("%v", err)
		}
		p.group.Hosts = append(p.group.Hosts, hosts...)
		return
	}
	p.group.Policy = policy
	p.group.Comment = strings.TrimSuffix(comment, ")")
	p.file.HAT.Groups = append(p.file.HAT.Groups, *p.group)
	p.group = nil
}

// param reads "name = value".
func (p *hatParser) param(text string) {
	name, value, ok := strings.Cut(text, "=")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok {
		p.fail(`A parameter must be of the form "name = value".`)
		return
	}
	value, err := unquoteParam(value)
	if err != nil {
		p.fail("%v", err)
		return
	}
	params := hatParams()
	if n := slices.IndexFunc(params, func(k hatParam) bool { return k.name == name }); n >= 0 {
		if err := params[n].set(p.params, value); err != nil {
			p.fail("%s: %v", name, err)
		}
		return
	}
	switch {
	case !slices.Contains(absentParams(), name):
		p.fail("There is no parameter %q.", name)
	case value != "off" && value != "0":
		p.note("%s: This build does not have it; it was left out.", name)
	}
}

// end looks at the table as a whole.
func (p *hatParser) end() {
	switch {
	case p.policy != nil:
		p.fail("The policy $%s has no behavior.", p.policy.Name)
	case p.group != nil:
		p.fail("The sender group %s has no policy.", p.group.Name)
	case p.params != nil:
		p.fail("A block is not closed by }.")
	}
	if len(p.errs) > 0 {
		return
	}
	p.keepAll()
	var found problems
	p.file.HAT.validate(&found, "")
	for _, f := range found[:min(len(found), maxRouteErrors)] {
		p.errs = append(p.errs, refuse("%s", strings.TrimSpace(f.Place+": "+f.Text)))
	}
}

// keepAll ends a table that does not say what becomes of all others with what
// is done now; where that is a policy the table does not have, they are
// rejected.
func (p *hatParser) keepAll() {
	h := &p.file.HAT
	holdsAll := func(g SenderGroup) bool { return slices.Contains(g.Hosts, allHosts) }
	n := slices.IndexFunc(p.current.Groups, holdsAll)
	if len(h.Groups) == 0 || slices.ContainsFunc(h.Groups, holdsAll) || n < 0 {
		return
	}
	all := p.current.Groups[n]
	if _, _, ok := h.Resolve(all); !ok {
		all.Policy = string(Refuse)
	}
	h.Groups = append(h.Groups, SenderGroup{Name: allHosts, Hosts: []string{allHosts}, Policy: all.Policy, Comment: all.Comment})
	p.note("There is no entry ALL; it has %s.", h.PolicyWord(all))
}

// WriteHAT writes what ParseHAT reads, without the default parameters.
func WriteHAT(w io.Writer, h HAT) error {
	b := bufio.NewWriter(w)
	for _, p := range h.Policies {
		fmt.Fprintf(b, "$%s\n    %s", p.Name, p.Behavior)
		if lines := paramLines(p.Params); len(lines) > 0 {
			fmt.Fprintf(b, " {\n        %s\n    }", strings.Join(lines, "\n        "))
		}
		b.WriteByte('\n')
	}
	for _, g := range h.Groups {
		if g.Name == allHosts && slices.Equal(g.Hosts, []string{allHosts}) {
			b.WriteString(allHosts + "\n")
		} else {
			b.WriteString(g.Name + ":\n")
			for _, host := range g.Hosts {
				b.WriteString("        " + host + "\n")
			}
		}
		b.WriteString("        " + h.PolicyWord(g))
		if g.Comment != "" {
			b.WriteString(" (" + g.Comment + ")")
		}
		b.WriteByte('\n')
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("writing a host access table: %w", err)
	}
	return nil
}

// WriteHATFile writes the whole table, with the default parameters.
func WriteHATFile(w io.Writer, h HAT) error {
	if _, err := fmt.Fprintf(w, "DEFAULT {\n    %s\n}\n", strings.Join(paramLines(h.Default), "\n    ")); err != nil {
		return fmt.Errorf("writing a host access table: %w", err)
	}
	return WriteHAT(w, h)
}

// PolicyWord is "$RELAYED" for a policy, the word itself for a behavior.
func (h HAT) PolicyWord(g SenderGroup) string {
	if slices.Contains(Behaviors(), Behavior(g.Policy)) {
		return g.Policy
	}
	return "$" + g.Policy
}
