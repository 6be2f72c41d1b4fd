package store

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Behavior is what is done with a connection.
type Behavior string

const (
	Accept     Behavior = "ACCEPT"    // for the recipients the listener takes
	Relay      Behavior = "RELAY"     // for any recipient
	Refuse     Behavior = "REJECT"    // greeted with 554
	TCPRefuse  Behavior = "TCPREFUSE" // closed without a word
	ContinueOn Behavior = "CONTINUE"  // the next group that matches decides
)

// Behaviors gives the words in the order of the dialogs.
func Behaviors() []Behavior { return []Behavior{Accept, Relay, Refuse, TCPRefuse, ContinueOn} }

// Bounds of the host access table.
const (
	MaxSenderGroups   = 1000
	MaxPolicies       = 1000
	MaxSenderHosts    = 40000 // in one table
	MinMessageSize    = 1 << 10
	MaxMessageSize    = 2 << 30
	MaxPolicyCount    = 1000000 // messages, recipients, connections
	maxCommentBytes   = 1000
	allHosts          = "ALL"
	defaultPolicyText = "default policy parameters"
)

// HAT says what is done with a connection, by where it comes from: the first
// group in order that matches decides. The last group is ALL.
type HAT struct {
	Groups   []SenderGroup `label:"Sender groups" object:"sender group" ordered:"true"`
	Policies []Policy      `label:"Mail flow policies" object:"policy"`
	Default  PolicyParams  `label:"Default policy parameters" object:"default policy parameters"`
}

// SenderGroup names hosts and the policy for them.
type SenderGroup struct {
	Name    string   `label:"Name"`
	Hosts   []string `label:"Hosts"`  // as ParseSenderHost gives them
	Policy  string   `label:"Policy"` // the name of a policy without $, or a Behavior
	Comment string   `label:"Comment"`
}

func (g SenderGroup) key() string { return g.Name }

// Policy is a behavior with parameters. Its name is kept without $.
type Policy struct {
	Name     string       `label:"Name"`
	Behavior Behavior     `label:"Access behavior"`
	Params   PolicyParams `label:"Parameters"`
}

func (p Policy) key() string { return p.Name }

// Resolve gives what holds for a group: the behavior and the parameters with
// the defaults filled in. It reports false if the group refers to a policy
// that does not exist.
func (h HAT) Resolve(g SenderGroup) (Behavior, PolicyParams, bool) {
	if slices.Contains(Behaviors(), Behavior(g.Policy)) {
		return Behavior(g.Policy), h.Default, true
	}
	for _, p := range h.Policies {
		if p.Name == g.Policy {
			return p.Behavior, p.Params.or(h.Default), true
		}
	}
	return "", PolicyParams{}, false
}

// fill gives a setting that says nothing the value it inherits.
func fill[T comparable](value *T, inherited T) { *value = cmp.Or(*value, inherited) }

// validate looks at the table of the listener at place.
func (h HAT) validate(p *problems, place string) {
	const fix = "listenerconfig -> EDIT -> HOSTACCESS"
	report := p.at(place, fix)
	if len(h.Groups) > MaxSenderGroups || len(h.Policies) > MaxPolicies {
		report("There is a maximum of %d sender groups and %d policies.", MaxSenderGroups, MaxPolicies)
	}
	for _, err := range h.Default.check(1) {
		p.at(place+" "+defaultPolicyText, fix)("%v", err)
	}
	names := map[string]bool{}
	for _, policy := range h.Policies {
		report := p.at(fmt.Sprintf("%s policy %q", place, policy.Name), fix)
		if _, err := ParsePolicyName(policy.Name); err != nil {
			report("%v", err)
		}
		if names[policy.Name] {
			report("The name %q is used by another policy.", policy.Name)
		}
		names[policy.Name] = true
		if !slices.Contains(Behaviors(), policy.Behavior) {
			report("Invalid selected behavior: %q", policy.Behavior)
		}
		for _, err := range policy.Params.check(0) {
			report("%v", err)
		}
	}
	h.validateGroups(p, place)
	if n := len(h.Groups); n == 0 || !slices.Equal(h.Groups[n-1].Hosts, []string{allHosts}) {
		report(`The last sender group must be "ALL" and hold nothing but ALL.`)
	}
}

func (h HAT) validateGroups(p *problems, place string) {
	const fix = "listenerconfig -> EDIT -> HOSTACCESS"
	names, hosts := map[string]bool{}, 0
	for _, g := range h.Groups {
		report := p.at(fmt.Sprintf("%s sender group %q", place, g.Name), fix)
		if _, err := ParseGroupName(g.Name); err != nil {
			report("%v", err)
		}
		if names[g.Name] {
			report("The name %q is used by another sender group.", g.Name)
		}
		names[g.Name] = true
		if _, _, ok := h.Resolve(g); !ok {
			report("The policy %q does not exist.", "$"+g.Policy)
		}
		if err := checkText(g.Comment, maxCommentBytes); err != nil {
			report("Comment: %v", err)
		}
		hosts += len(g.Hosts)
		for _, host := range g.Hosts {
			if parsed, err := ParseSenderHost(host); err != nil {
				report("%q: %v", host, err)
			} else if parsed != host {
				report("%q must be written %q.", host, parsed)
			}
		}
	}
	if hosts > MaxSenderHosts {
		p.at(place, fix)("There is a maximum of %d hosts in a host access table.", MaxSenderHosts)
	}
}

// CheckComment refuses what cannot be the comment of a sender group.
func CheckComment(text string) error { return checkText(text, maxCommentBytes) }

// checkText refuses text that would break a line of a listing or a header.
func checkText(text string, maxBytes int) error {
	if len(text) > maxBytes {
		return refuse("The value must not be longer than %d bytes.", maxBytes)
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return refuse("The value must not contain control characters.")
	}
	return nil
}
