package policy

import (
	"fmt"
	"net/netip"
)

// Group is one sender group and the policy it leads to.
type Group struct {
	Name     string // empty or "ALL" for the entry without group
	Members  []Member
	Behavior Behavior
	Params   Params
}

// HAT is a host access table: groups in order. It never changes once it is in
// use; the zero HAT rejects everybody.
type HAT struct {
	Groups  []Group
	Default Params
}

// Client is what is known of the other end of a connection.
type Client struct {
	Addr     netip.Addr
	Host     string   // reverse name, lower case without final dot; empty if unknown
	Verified bool     // Host leads back to Addr: only then a name can match
	Naming   Naming   // why there is no Host
	Listed   []string // the DNS lists that name Addr
}

// Decision is what a HAT says of a client.
type Decision struct {
	Behavior Behavior // never Continue
	Group    string   // "None" where no named group matched
	Match    string   // the member that matched, as the mail log has it
	Params   Params   // every value set
}

// Admits reports whether mail may be spoken of at all.
func (d Decision) Admits() bool { return d.Behavior == Accept || d.Behavior == Relay }

// Decide gives the decision of the first group with a member that matches.
// A group that says CONTINUE is passed over. Where nothing matches, the
// client is rejected.
func (h HAT) Decide(c Client) Decision {
	c.Addr = c.Addr.Unmap().WithZone("")
	for _, g := range h.Groups {
		if g.Behavior == Continue {
			continue
		}
		for _, m := range g.Members {
			if m.Matches(c) {
				return Decision{Behavior: g.Behavior, Group: g.label(), Match: m.String(),
					Params: g.Params.Or(h.Default).Or(Factory())}
			}
		}
	}
	return Decision{Behavior: Reject, Group: "None", Match: "None", Params: h.Default.Or(Factory())}
}

func (g Group) label() string {
	if g.Name == "" || g.Name == "ALL" {
		return "None"
	}
	return g.Name
}

// ParseMembers reads the members of a group, each as ParseMember does.
func ParseMembers(texts []string) ([]Member, error) {
	members := make([]Member, 0, len(texts))
	for _, text := range texts {
		m, err := ParseMember(text)
		if err != nil {
			return nil, fmt.Errorf("reading sender group member %q: %w", text, err)
		}
		members = append(members, m)
	}
	return members, nil
}
