package commands

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"esa/shell"
	"esa/store"
)

// This file is HOSTACCESS of listenerconfig: sender groups and mail flow
// policies (reference esa-cli-config 7.5).

// everybody is the name and the only member of the last group, which stays.
const everybody = "ALL"

func hostAccessDialog(d *Dialog, env Env, cfg *store.Config, l store.Listener) store.Listener {
	h, shakes := &l.HAT, shaking{cfg, &l}
	for d.Menu(hostAccessSummary(*h), hostAccessMenu()...) {
		switch d.Op() {
		case "NEW":
			if d.Choose("What would you like to create?", []string{"New Sender Group", "New Policy"}, 0) == 0 {
				groupNew(d, h)
			} else {
				policyNew(d, h, shakes)
			}
		case "EDIT":
			if isGroup := askKind(d, *h, "What would you like to edit?"); isGroup {
				groupEdit(d, h)
			} else {
				policyEdit(d, h, shakes)
			}
		case "DELETE":
			if isGroup := askKind(d, *h, "What would you like to delete?"); isGroup {
				groupDelete(d, h)
			} else {
				policyDelete(d, h)
			}
		case "MOVE":
			groupMove(d, h)
		case "DEFAULT":
			if p := askDefaultParams(d, h.Default, shakes); d.Err() == nil {
				h.Default = p
			}
		case "PRINT":
			d.Text("\n" + hostAccess(*h))
		case "IMPORT":
			tell(d, importHAT(d, env, h, d.Required("Enter the name of the file to import:", "")))
			tellNoCertificate(d, l)
		case "EXPORT":
			tell(d, exportHAT(d, env, *h, d.Required("Enter a name for the exported file:", "")))
		case "RESET":
			if d.YesNo("Are you sure you want to reset the host access table to the one of a new listener?", false) && d.Err() == nil {
				resetHAT(d, &l)
			}
		}
	}
	return l
}

func hostAccessSummary(h store.HAT) string {
	return fmt.Sprintf("There are currently %d policies defined.\nThere are currently %d sender groups.", len(h.Policies), len(h.Groups))
}

func hostAccessMenu() []shell.Op {
	return []shell.Op{
		{Word: "NEW", Text: "Create a new entry."},
		{Word: "EDIT", Text: "Modify an entry."},
		{Word: "DELETE", Text: "Remove an entry."},
		{Word: "MOVE", Text: "Move an entry."},
		{Word: "DEFAULT", Text: "Set the defaults."},
		{Word: "PRINT", Text: "Display the table."},
		{Word: "IMPORT", Text: "Import a table from a file."},
		{Word: "EXPORT", Text: "Export the table to a file."},
		{Word: "RESET", Text: "Remove all entries and restore those of a new listener.", Also: "CLEAR"},
	}
}

// askKind asks for group or policy where there are both.
func askKind(d *Dialog, h store.HAT, question string) (isGroup bool) {
	return len(h.Policies) == 0 || d.Choose(question, []string{"Sender Group", "Policy"}, 0) == 0
}

func groupNames(h store.HAT) []string {
	names := make([]string, len(h.Groups))
	for i, g := range h.Groups {
		names[i] = g.Name
	}
	return names
}

func policyNames(h store.HAT) []string {
	names := make([]string, len(h.Policies))
	for i, p := range h.Policies {
		names[i] = p.Name
	}
	return names
}

// freeGroupName reads a name that no other group than own has.
func freeGroupName(h store.HAT, text, own string) (string, error) {
	name, err := store.ParseGroupName(text)
	if err != nil {
		return "", err
	}
	if n := find(groupNames(h), name); n >= 0 && h.Groups[n].Name != own {
		return "", shell.Refusedf("The sender group name %q is already in use.", name)
	}
	return name, nil
}

func freePolicyName(h store.HAT, text string) (string, error) {
	name, err := store.ParsePolicyName(text)
	if err != nil {
		return "", err
	}
	if find(policyNames(h), name) >= 0 {
		return "", shell.Refusedf("The policy name %q is already in use.", name)
	}
	return name, nil
}

// parseGroupHosts reads hosts for a group; ALL has its place at the end.
func parseGroupHosts(text string) ([]string, error) {
	hosts, err := store.ParseSenderHosts(text)
	if err != nil {
		return nil, err
	}
	var own []string
	for _, host := range hosts {
		if host == everybody {
			return nil, shell.Refusedf("ALL is the last entry of the table and of no other sender group.")
		}
		if !slices.Contains(own, host) {
			own = append(own, host)
		}
	}
	return own, nil
}

const groupHostsQuestion = `Enter the hosts to add to the sender group.

IP addresses, CIDR addresses and IP address ranges are allowed.
Hostnames such as "crm.example.com" are allowed.
Partial hostnames such as ".example.com" are allowed.
DNS lists such as "dnslist[query.example]" are allowed.
"nx.domain", "serv.fail" and "not.double.verified" are hosts without a name,
hosts whose name cannot be looked up, and hosts whose name is not theirs.
Separate multiple hosts with commas.`

func groupNew(d *Dialog, h *store.HAT) {
	if len(h.Groups) >= store.MaxSenderGroups {
		tell(d, shell.Refusedf("There is a maximum of %d sender groups.", store.MaxSenderGroups))
		return
	}
	var g store.SenderGroup
	g.Name = shell.Ask(d, "Enter a name for this sender group.", "", func(s string) (string, error) { return freeGroupName(*h, s, "") })
	g.Hosts = shell.Ask(d, groupHostsQuestion, "", parseGroupHosts)
	g.Policy = askBehavior(d, *h, string(store.Accept))
	g.Comment = askComment(d, "")
	if d.Err() == nil {
		addGroup(d, h, g)
	}
}

// addGroup is where dialog and one-line form meet: a new group stands before
// ALL.
func addGroup(d *Dialog, h *store.HAT, g store.SenderGroup) {
	h.Groups = slices.Insert(h.Groups, len(h.Groups)-1, g)
	d.Printf("Sender group %s created.\n", g.Name)
}

func askComment(d *Dialog, current string) string {
	return shell.Ask(d, "Enter a comment for this sender group.", current, func(s string) (string, error) {
		return s, store.CheckComment(s)
	})
}

// askBehavior asks for a behavior or a policy and gives it as a group keeps it.
func askBehavior(d *Dialog, h store.HAT, current string) string {
	choices := behaviorChoices()
	for _, p := range h.Policies {
		choices = append(choices, shell.Choice{Name: p.Name, Text: "$" + p.Name})
	}
	return d.ChooseName("Select a behavior for this entry.", choices, current)
}

func behaviorChoices() []shell.Choice {
	texts := map[store.Behavior]string{store.Accept: "Accept", store.Relay: "Relay", store.Refuse: "Reject", store.TCPRefuse: "TCP Refuse", store.ContinueOn: "Continue"}
	var choices []shell.Choice
	for _, b := range store.Behaviors() {
		choices = append(choices, shell.Choice{Name: string(b), Text: texts[b]})
	}
	return choices
}

func policyNew(d *Dialog, h *store.HAT, s shaking) {
	if len(h.Policies) >= store.MaxPolicies {
		tell(d, shell.Refusedf("There is a maximum of %d policies.", store.MaxPolicies))
		return
	}
	var p store.Policy
	p.Name = shell.Ask(d, "Enter a name for this policy.", "", func(s string) (string, error) { return freePolicyName(*h, s) })
	p.Behavior = store.Behavior(d.ChooseName("Select a behavior for this entry.", behaviorChoices(), string(store.Accept)))
	if hasParams(p.Behavior) && d.YesNo("Would you like to change parameters for this policy?", false) {
		p.Params = askPolicyParams(d, p.Params, h.Default, s)
	}
	if d.Err() == nil {
		addPolicy(d, h, p)
	}
}

// hasParams tells which behaviors have something to set.
func hasParams(b store.Behavior) bool { return b != store.TCPRefuse && b != store.ContinueOn }

func addPolicy(d *Dialog, h *store.HAT, p store.Policy) {
	h.Policies = append(h.Policies, p)
	d.Printf("Policy $%s created.\n", p.Name)
}

func policyEdit(d *Dialog, h *store.HAT, s shaking) {
	n := d.Choose("Choose the policy to edit.", policyNames(*h), -1)
	if d.Err() != nil {
		return
	}
	p := h.Policies[n]
	p.Behavior = store.Behavior(d.ChooseName("Select a behavior for this entry.", behaviorChoices(), string(p.Behavior)))
	if hasParams(p.Behavior) && d.YesNo("Would you like to change parameters for this policy?", false) {
		p.Params = askPolicyParams(d, p.Params, h.Default, s)
	}
	if d.Err() == nil {
		h.Policies[n] = p
		d.Printf("Policy $%s changed.\n", p.Name)
	}
}

func policyDelete(d *Dialog, h *store.HAT) {
	n := d.Choose("Choose the policy to delete.", policyNames(*h), -1)
	if d.Err() != nil {
		return
	}
	if users := policyUsers(*h, h.Policies[n].Name); len(users) > 0 {
		question := fmt.Sprintf("The policy $%s is used by %s, which will have the behavior %s with the default parameters. Are you sure you want to delete it?",
			h.Policies[n].Name, strings.Join(users, ", "), h.Policies[n].Behavior)
		if !d.YesNo(question, false) {
			return
		}
	}
	if d.Err() == nil {
		deletePolicy(d, h, n)
	}
}

// policyUsers names the groups of a policy.
func policyUsers(h store.HAT, name string) []string {
	var users []string
	for _, g := range h.Groups {
		if g.Policy == name {
			users = append(users, g.Name)
		}
	}
	return users
}

// deletePolicy leaves its groups the behavior.
func deletePolicy(d *Dialog, h *store.HAT, n int) {
	p := h.Policies[n]
	for i := range h.Groups {
		if h.Groups[i].Policy == p.Name {
			h.Groups[i].Policy = string(p.Behavior)
		}
	}
	h.Policies = slices.Delete(h.Policies, n, n+1)
	d.Printf("Policy $%s deleted.\n", p.Name)
}

func groupDelete(d *Dialog, h *store.HAT) {
	n := d.Choose("Choose the sender group to delete.", groupNames(*h), -1)
	if d.Err() == nil {
		tell(d, deleteGroup(d, h, n))
	}
}

func deleteGroup(d *Dialog, h *store.HAT, n int) error {
	if h.Groups[n].Name == everybody {
		return shell.Refusedf("ALL cannot be deleted.")
	}
	d.Printf("Sender group %s deleted.\n", h.Groups[n].Name)
	h.Groups = slices.Delete(h.Groups, n, n+1)
	return nil
}

func groupMove(d *Dialog, h *store.HAT) {
	from := d.Choose("Choose the sender group to move.", groupNames(*h), -1)
	to := d.Pick("Choose the sender group to insert it before.", groupNames(*h), -1)
	if d.Err() == nil {
		tell(d, moveGroup(d, h, from, to))
	}
}

// moveGroup puts a group before another. ALL stays at the end.
func moveGroup(d *Dialog, h *store.HAT, from, to int) error {
	g, before := h.Groups[from], h.Groups[to].Name
	if g.Name == everybody {
		return shell.Refusedf("ALL cannot be moved: it is the last entry.")
	}
	if from < to {
		to--
	}
	h.Groups = slices.Insert(slices.Delete(h.Groups, from, from+1), to, g)
	d.Printf("Sender group %s moved before %s.\n", g.Name, before)
	return nil
}

// resetHAT restores the table of a new listener of that type.
func resetHAT(d *Dialog, l *store.Listener) {
	l.HAT = store.NewListener(l.Name, l.Type).HAT
	d.Printf("The host access table has been reset.\n")
}

func importHAT(d *Dialog, env Env, h *store.HAT, name string) error {
	if d.Err() != nil {
		return d.Err()
	}
	text, err := env.Files.Read(name)
	if err != nil {
		return fileFailed("Error reading file.", err)
	}
	file, err := store.ParseHAT(bytes.NewReader(text), *h)
	if err != nil {
		return shell.Refusedf("%w\nImport failed.", err)
	}
	*h = file.HAT
	for _, note := range file.Notes {
		d.Text(note)
	}
	d.Printf("%d sender groups and %d policies successfully imported from %s.\n", len(h.Groups), len(h.Policies), name)
	return nil
}

func exportHAT(d *Dialog, env Env, h store.HAT, name string) error {
	if d.Err() != nil {
		return d.Err()
	}
	var text bytes.Buffer
	if err := store.WriteHATFile(&text, h); err != nil {
		return err
	}
	if err := env.Files.Write(name, text.Bytes()); err != nil {
		return fileFailed("Error writing file.", err)
	}
	d.Printf("%d sender groups and %d policies exported to %s.\n", len(h.Groups), len(h.Policies), name)
	return nil
}

// groupEdit is the menu of one sender group.
func groupEdit(d *Dialog, h *store.HAT) {
	n := d.Choose("Choose the sender group to edit.", groupNames(*h), -1)
	if d.Err() != nil {
		return
	}
	for d.Menu(groupSummary(*h, h.Groups[n]), groupMenu(h.Groups[n])...) {
		g := h.Groups[n]
		switch d.Op() {
		case "NEW":
			if hosts := shell.Ask(d, groupHostsQuestion, "", parseGroupHosts); d.Err() == nil {
				h.Groups[n].Hosts = withHosts(g.Hosts, hosts)
			}
		case "DELETE":
			if i := d.Choose("Choose the host to delete.", g.Hosts, -1); d.Err() == nil {
				h.Groups[n].Hosts = slices.Delete(slices.Clone(g.Hosts), i, i+1)
			}
		case "MOVE":
			hostMove(d, h, n)
		case "POLICY":
			if policy := askBehavior(d, *h, g.Policy); d.Err() == nil {
				h.Groups[n].Policy = policy
			}
		case "PRINT":
			d.Text("\n" + hostAccess(store.HAT{Groups: []store.SenderGroup{g}}))
		case "RENAME":
			name := shell.Ask(d, "Enter a new name for this sender group.", g.Name, func(s string) (string, error) { return freeGroupName(*h, s, g.Name) })
			comment := askComment(d, g.Comment)
			if d.Err() == nil {
				h.Groups[n].Name, h.Groups[n].Comment = name, comment
			}
		}
	}
}

func groupSummary(h store.HAT, g store.SenderGroup) string {
	text := fmt.Sprintf("Sender group %s: %d hosts, policy %s", g.Name, len(g.Hosts), h.PolicyWord(g))
	if g.Comment != "" {
		text += " (" + g.Comment + ")"
	}
	return text
}

func groupMenu(g store.SenderGroup) []shell.Op {
	policy := shell.Op{Word: "POLICY", Text: "Change the policy settings and options."}
	show := shell.Op{Word: "PRINT", Text: "Display the current definition."}
	if g.Name == everybody {
		return []shell.Op{policy, show}
	}
	ops := []shell.Op{{Word: "NEW", Text: "Add a new host."}}
	if len(g.Hosts) > 0 {
		ops = append(ops,
			shell.Op{Word: "DELETE", Text: "Remove a host."},
			shell.Op{Word: "MOVE", Text: "Move a host to another sender group."})
	}
	return append(ops, policy, show, shell.Op{Word: "RENAME", Text: "Rename this sender group."})
}

func withHosts(hosts, more []string) []string {
	hosts = slices.Clone(hosts)
	for _, host := range more {
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

func hostMove(d *Dialog, h *store.HAT, n int) {
	i := d.Choose("Choose the host to move.", h.Groups[n].Hosts, -1)
	to := d.Choose("Choose the sender group to move it to.", groupNames(*h), -1)
	switch {
	case d.Err() != nil || to == n:
		return
	case h.Groups[to].Name == everybody:
		tell(d, shell.Refusedf("ALL holds everybody already."))
		return
	}
	h.Groups[to].Hosts = withHosts(h.Groups[to].Hosts, h.Groups[n].Hosts[i:i+1])
	h.Groups[n].Hosts = slices.Delete(slices.Clone(h.Groups[n].Hosts), i, i+1)
}
