package commands

import (
	"slices"
	"strconv"
	"strings"

	"esa/shell"
	"esa/store"
)

// This file is the one-line forms of HOSTACCESS (reference esa-cli-config 7.7):
//
//	new sendergroup NAME HOSTS BEHAVIOR [--comment TEXT] [--OPTION VALUE...]
//	new policy NAME BEHAVIOR [--OPTION VALUE...]
//	edit sendergroup NAME host [add|delete] HOSTS | new HOSTS | delete HOSTS | name NAME | behavior BEHAVIOR | comment TEXT
//	edit policy NAME behavior BEHAVIOR | [--OPTION VALUE...]
//	edit default [--OPTION VALUE...]
//	delete sendergroup|policy NAME
//	move GROUP BEFORE-GROUP
//	list, print, clear, reset, import FILE, export FILE

// accessForm is one line over a table of a listener. env reads and writes
// files; words are what stands behind the action.
type accessForm struct {
	d     *Dialog
	env   Env
	words []string
}

func hostAccessForm(d *Dialog, env Env, args []string) error {
	f := accessForm{d, env, args[2:]}
	action := strings.ToLower(args[1])
	switch action {
	case "list", "print", "export":
		n, err := findListener(env.Config(), args[0])
		if err != nil {
			return err
		}
		return f.showHAT(action, env.Config().Listeners[n].HAT)
	}
	return env.Edit(func(cfg *store.Config) error {
		n, err := findListener(cfg, args[0])
		if err != nil {
			return err
		}
		if err = f.hostAccess(action, &cfg.Listeners[n]); err == nil {
			tellNoCertificate(d, cfg.Listeners[n])
		}
		return err
	})
}

func (f accessForm) showHAT(action string, h store.HAT) error {
	if action == "export" {
		name, err := f.file("hostaccess", action)
		if err != nil {
			return err
		}
		return exportHAT(f.d, f.env, h, name)
	}
	f.d.Text(hostAccess(h))
	return f.d.Err()
}

func (f accessForm) file(table, action string) (string, error) {
	if len(f.words) != 1 {
		return "", shell.Refusedf("The %s %q command requires a filename.", table, action)
	}
	return f.words[0], nil
}

func (f accessForm) hostAccess(action string, l *store.Listener) error {
	h := &l.HAT
	switch action {
	case "new":
		return f.newEntry(h)
	case "edit":
		return f.editEntry(h)
	case "delete":
		return f.deleteEntry(h)
	case "move":
		return f.moveEntry(h)
	case "clear", "reset":
		resetHAT(f.d, l)
		return nil
	case "import":
		name, err := f.file("hostaccess", action)
		if err != nil {
			return err
		}
		return importHAT(f.d, f.env, h, name)
	}
	return shell.Refusedf("Invalid hostaccess command: %q. The commands are new, edit, delete, move, list, print, clear, import and export.", action)
}

// entry is what a line names: a sender group or a policy, and what is said of
// it.
type entry struct {
	isGroup bool
	name    string
	rest    []string
}

func (f accessForm) entry(action string) (entry, error) {
	if len(f.words) < 2 {
		return entry{}, shell.Refusedf(`The hostaccess %q command requires either "sendergroup" or "policy" and a name.`, action)
	}
	e := entry{strings.EqualFold(f.words[0], "sendergroup"), f.words[1], f.words[2:]}
	if !e.isGroup && !strings.EqualFold(f.words[0], "policy") {
		return entry{}, shell.Refusedf("Invalid hostaccess %q command: %s", action, strings.Join(f.words, " "))
	}
	return e, nil
}

func (f accessForm) newEntry(h *store.HAT) error {
	e, err := f.entry("new")
	switch {
	case err != nil:
		return err
	case e.isGroup:
		return f.newGroup(h, e.name, e.rest)
	case len(e.rest) == 0:
		return shell.Refusedf(`The hostaccess "new" command requires a name and a behavior for a policy.`)
	case len(h.Policies) >= store.MaxPolicies:
		return shell.Refusedf("There is a maximum of %d policies.", store.MaxPolicies)
	}
	var p store.Policy
	if p.Name, err = freePolicyName(*h, e.name); err != nil {
		return err
	}
	if p.Behavior, err = parseBehavior(e.rest[0]); err != nil {
		return err
	}
	if err := setOptions(policyOptions(&p.Params, false), e.rest[1:]); err != nil {
		return err
	}
	addPolicy(f.d, h, p)
	return nil
}

func (f accessForm) newGroup(h *store.HAT, name string, rest []string) error {
	if len(rest) < 2 {
		return shell.Refusedf(`The hostaccess "new" command requires a name, hosts and a behavior for a sender group.`)
	}
	if len(h.Groups) >= store.MaxSenderGroups {
		return shell.Refusedf("There is a maximum of %d sender groups.", store.MaxSenderGroups)
	}
	var g store.SenderGroup
	var err error
	if g.Name, err = freeGroupName(*h, name, ""); err != nil {
		return err
	}
	if g.Hosts, err = parseGroupHosts(rest[0]); err != nil {
		return err
	}
	if g.Policy, err = parseGroupPolicy(*h, rest[1]); err != nil {
		return err
	}
	comment := option{"comment", func(text string) error { g.Comment = text; return store.CheckComment(text) }}
	var params store.PolicyParams
	if err := setOptions(append(policyOptions(&params, false), comment), rest[2:]); err != nil {
		return err
	}
	if params != (store.PolicyParams{}) {
		if err := f.ownPolicy(h, &g, params); err != nil {
			return err
		}
	}
	addGroup(f.d, h, g)
	return nil
}

// ownPolicy makes the policy for a group that is given parameters: a group has
// none of its own here, so that they have a name and one place.
func (f accessForm) ownPolicy(h *store.HAT, g *store.SenderGroup, params store.PolicyParams) error {
	if !slices.Contains(store.Behaviors(), store.Behavior(g.Policy)) {
		return shell.Refusedf("The policy $%s has its parameters: use hostaccess edit policy.", g.Policy)
	}
	if len(h.Policies) >= store.MaxPolicies {
		return shell.Refusedf("There is a maximum of %d policies.", store.MaxPolicies)
	}
	name, err := freePolicyName(*h, g.Name)
	if err != nil {
		return err
	}
	addPolicy(f.d, h, store.Policy{Name: name, Behavior: store.Behavior(g.Policy), Params: params})
	g.Policy = name
	return nil
}

func parseBehavior(word string) (store.Behavior, error) {
	b := store.Behavior(strings.ToUpper(word))
	if !slices.Contains(store.Behaviors(), b) {
		return "", shell.Refusedf("Invalid selected behavior: %s", word)
	}
	return b, nil
}

// parseGroupPolicy reads a behavior, or a policy with $ or without.
func parseGroupPolicy(h store.HAT, word string) (string, error) {
	if b, err := parseBehavior(word); err == nil {
		return string(b), nil
	}
	n := find(policyNames(h), strings.TrimPrefix(word, "$"))
	if n < 0 {
		return "", shell.Refusedf("Invalid selected behavior: %s", word)
	}
	return h.Policies[n].Name, nil
}

func (f accessForm) findGroup(h store.HAT, name string) (int, error) {
	n := find(groupNames(h), name)
	if n < 0 {
		return n, shell.Refusedf("The sender group %q does not exist.", name)
	}
	return n, nil
}

func (f accessForm) findPolicy(h store.HAT, name string) (int, error) {
	n := find(policyNames(h), strings.TrimPrefix(name, "$"))
	if n < 0 {
		return n, shell.Refusedf("The policy %q does not exist.", name)
	}
	return n, nil
}

func (f accessForm) editEntry(h *store.HAT) error {
	if len(f.words) > 0 && strings.EqualFold(f.words[0], "default") {
		if len(f.words) == 1 {
			return shell.Refusedf("Invalid arguments: there is nothing to set.")
		}
		if err := setOptions(policyOptions(&h.Default, true), f.words[1:]); err != nil {
			return err
		}
		f.d.Printf("Default policy parameters changed.\n")
		return nil
	}
	e, err := f.entry("edit")
	switch {
	case err != nil:
		return err
	case len(e.rest) < 2 && (len(e.rest) == 0 || !strings.HasPrefix(e.rest[0], "--")):
		return shell.Refusedf("Invalid hostaccess \"edit\" command: %s", strings.Join(f.words, " "))
	case e.isGroup:
		return f.editGroup(h, e.name, e.rest)
	case len(h.Policies) == 0:
		return shell.Refusedf("No policies to edit.")
	}
	n, err := f.findPolicy(*h, e.name)
	if err != nil {
		return err
	}
	p, rest := h.Policies[n], e.rest
	if strings.EqualFold(rest[0], "behavior") {
		if p.Behavior, err = parseBehavior(rest[1]); err != nil {
			return err
		}
		rest = rest[2:]
	}
	if err := setOptions(policyOptions(&p.Params, false), rest); err != nil {
		return err
	}
	h.Policies[n] = p
	f.d.Printf("Policy $%s changed.\n", p.Name)
	return nil
}

func (f accessForm) editGroup(h *store.HAT, name string, rest []string) error {
	n, err := f.findGroup(*h, name)
	if err != nil {
		return err
	}
	g, value := h.Groups[n], strings.Join(rest[1:], " ")
	what := strings.ToLower(rest[0])
	if g.Name == everybody && what != "behavior" {
		return shell.Refusedf("Only the behavior of ALL can be changed.")
	}
	switch what {
	case "host":
		g.Hosts, err = editHosts(g.Hosts, rest[1:])
	case "new":
		g.Hosts, err = editHosts(g.Hosts, append([]string{"add"}, rest[1:]...))
	case "delete":
		g.Hosts, err = editHosts(g.Hosts, append([]string{"delete"}, rest[1:]...))
	case "name":
		g.Name, err = freeGroupName(*h, value, g.Name)
	case "behavior":
		g.Policy, err = parseGroupPolicy(*h, value)
	case "comment":
		g.Comment, err = value, store.CheckComment(value)
	default:
		err = shell.Refusedf("Invalid hostaccess \"edit\" command: %s", strings.Join(f.words, " "))
	}
	if err != nil {
		return err
	}
	h.Groups[n] = g
	f.d.Printf("Sender group %s changed.\n", g.Name)
	return nil
}

// editHosts replaces the hosts of a group, adds to them or takes from them.
func editHosts(own, words []string) ([]string, error) {
	verb := strings.ToLower(words[0])
	if len(words) > 1 && (verb == "add" || verb == "delete") {
		words = words[1:]
	}
	hosts, err := parseGroupHosts(strings.Join(words, ","))
	switch {
	case err != nil:
		return nil, err
	case verb == "add":
		return withHosts(own, hosts), nil
	case verb != "delete":
		return hosts, nil
	}
	left := slices.Clone(own)
	for _, host := range hosts {
		n := slices.Index(left, host)
		if n < 0 {
			return nil, shell.Refusedf("%s is not in the sender group.", host)
		}
		left = slices.Delete(left, n, n+1)
	}
	return left, nil
}

func (f accessForm) deleteEntry(h *store.HAT) error {
	e, err := f.entry("delete")
	switch {
	case err != nil:
		return err
	case len(e.rest) > 0:
		return shell.Refusedf("Invalid hostaccess \"delete\" command: %s", strings.Join(f.words, " "))
	case e.isGroup:
		n, err := f.findGroup(*h, e.name)
		if err != nil {
			return err
		}
		return deleteGroup(f.d, h, n)
	}
	n, err := f.findPolicy(*h, e.name)
	if err != nil {
		return err
	}
	// Nobody can be asked here.
	if users := policyUsers(*h, h.Policies[n].Name); len(users) > 0 {
		return shell.Refusedf("The policy $%s is used by %s.", h.Policies[n].Name, strings.Join(users, ", "))
	}
	deletePolicy(f.d, h, n)
	return nil
}

func (f accessForm) moveEntry(h *store.HAT) error {
	if len(f.words) != 2 {
		return shell.Refusedf(`The hostaccess "move" command requires a sendergroup and the sendergroup to insert it before.`)
	}
	from, err := f.findGroup(*h, f.words[0])
	if err != nil {
		return err
	}
	to, err := f.findGroup(*h, f.words[1])
	if err != nil {
		return err
	}
	return moveGroup(f.d, h, from, to)
}

// option is one "--name value" of a line.
type option struct {
	name string
	set  func(text string) error
}

// setOptions reads "--name value" and "--name=value".
func setOptions(options []option, words []string) error {
	for len(words) > 0 {
		name, value, joined := strings.Cut(strings.TrimPrefix(words[0], "--"), "=")
		n := slices.IndexFunc(options, func(o option) bool { return o.name == strings.ToLower(name) })
		switch {
		case !strings.HasPrefix(words[0], "--") || n < 0:
			return shell.Refusedf("Invalid option: %s", words[0])
		case !joined && len(words) < 2:
			return shell.Refusedf("The option %s requires a value.", words[0])
		case !joined:
			value, words = words[1], words[1:]
		}
		words = words[1:]
		if err := options[n].set(value); err != nil {
			return shell.Refusedf("Invalid %q value: %w", options[n].name, err)
		}
	}
	return nil
}

// policyOptions lists the options over parameters. standard tells the default
// ones, which inherit nothing.
func policyOptions(p *store.PolicyParams, standard bool) []option {
	o := optionMaker{standard}
	return []option{
		{"max_size", o.orDefault(func() { p.MaxSize = 0 }, parsed(&p.MaxSize, store.ParseMessageSize))},
		o.count("max_conn", &p.MaxConnections),
		o.count("max_msgs", &p.MaxMessages),
		o.count("max_rcpt", &p.MaxRecipients),
		{"override", o.orDefault(func() { p.BannerHost = store.BannerHost{} }, func(text string) error {
			if strings.EqualFold(text, "none") {
				p.BannerHost = store.BannerHost{Use: store.No}
				return nil
			}
			name, err := store.ParseHostname(text)
			p.BannerHost = store.BannerHost{Use: store.Yes, Name: name}
			return err
		})},
		o.text("cust_acc", &p.AcceptReply, acceptance()), o.code("acc_code", &p.AcceptReply, acceptance()),
		o.text("cust_rej", &p.RejectReply, rejection()), o.code("rej_code", &p.RejectReply, rejection()),
		o.limit("rate_lim", &p.MaxPerHour, store.MaxPerHour),
		o.text("cust_lim", &p.LimitReply, overLimit()), o.code("lim_code", &p.LimitReply, overLimit()),
		o.limit("dhap", &p.MaxInvalid, store.MaxPerHour),
		{"dhap_action", o.orDefault(func() { p.DropHarvester = store.Inherit }, func(text string) error {
			if p.DropHarvester = map[string]store.Tri{"drop": store.Yes, "reject": store.No}[strings.ToLower(text)]; p.DropHarvester == store.Inherit {
				return shell.Refusedf("The value must be drop or reject.")
			}
			return nil
		})},
		o.text("cust_dhap", &p.HarvestReply, harvested()), o.code("dhap_code", &p.HarvestReply, harvested()),
		{"send_rate", o.orDefault(func() { p.SenderRate = store.SenderRate{} }, func(text string) error {
			if isNone(text) {
				p.SenderRate = store.SenderRate{Use: store.No}
				return nil
			}
			rate, err := store.ParseSenderRate(text)
			if err == nil {
				p.SenderRate.Use, p.SenderRate.MaxRecipients, p.SenderRate.Interval = store.Yes, rate.MaxRecipients, rate.Interval
				if p.SenderRate.Reply.Use == store.Inherit {
					p.SenderRate.Reply.Use = store.No
				}
			}
			return err
		})},
		{"cust_send", o.ofSenderRate(p, o.text("", &p.SenderRate.Reply, overLimit()).set)},
		{"send_code", o.ofSenderRate(p, o.code("", &p.SenderRate.Reply, overLimit()).set)},
		{"send_except", o.ofSenderRate(p, parsed(&p.SenderRate.Exceptions, noneOr(store.ParseExceptions)))},
		o.limit("sig_bits", &p.SignificantBits, store.MaxSignificantBits),
		{"tls", o.orDefault(func() { p.TLS = store.PolicyTLS{} }, parsed(&p.TLS, parsePolicyTLS))},
		{"tls_addresses", parsed(&p.TLS.Addresses, noneOr(store.ParseExceptions))},
		{"verify", o.orDefault(func() { p.SenderCheck = store.SenderCheck{} }, func(text string) error {
			on, err := parseYesNo(text)
			switch {
			case err != nil:
			case !on:
				p.SenderCheck = store.SenderCheck{Use: store.No}
			case p.SenderCheck.Use != store.Yes:
				p.SenderCheck = store.VerifySenders()
			}
			return err
		})},
		o.ofSenderCheck(p, o.text("cust_malf", &p.SenderCheck.Malformed, malformed())),
		o.ofSenderCheck(p, o.code("malf_code", &p.SenderCheck.Malformed, malformed())),
		o.ofSenderCheck(p, o.text("cust_unres", &p.SenderCheck.Unresolved, unresolved())),
		o.ofSenderCheck(p, o.code("unres_code", &p.SenderCheck.Unresolved, unresolved())),
		o.ofSenderCheck(p, o.text("cust_nonex", &p.SenderCheck.Nonexistent, nonexistent())),
		o.ofSenderCheck(p, o.code("nonex_code", &p.SenderCheck.Nonexistent, nonexistent())),
		{"exceptions", o.orDefault(func() { p.UseExceptions = store.Inherit }, func(text string) error {
			on, err := parseYesNo(text)
			if err == nil {
				p.UseExceptions = store.TriOf(on)
			}
			return err
		})},
	}
}

// optionMaker makes the options over the default parameters, or over those of
// a policy.
type optionMaker struct{ standard bool }

// orDefault has the word default take a value away.
func (o optionMaker) orDefault(inherit func(), set func(string) error) func(string) error {
	return func(text string) error {
		switch {
		case !strings.EqualFold(text, leaveToDefault):
			return set(text)
		case o.standard:
			return shell.Refusedf("The default parameters have nothing to take a value from.")
		}
		inherit()
		return nil
	}
}

func isNone(text string) bool {
	return slices.Contains([]string{"none", "unlimited", "off", "-1"}, strings.ToLower(text))
}

func (o optionMaker) count(name string, place *int) option {
	return option{name, o.orDefault(func() { *place = 0 }, number(place, 1, store.MaxPolicyCount))}
}

// limit is a number that may be lifted.
func (o optionMaker) limit(name string, place *int, high int) option {
	return option{name, o.orDefault(func() { *place = 0 }, func(text string) error {
		if isNone(text) {
			*place = store.NoLimit
			return nil
		}
		return setNumber(place, text, 1, high)
	})}
}

// text sets the text of a reply, and its code if it has none; \n in it begins
// a line.
func (o optionMaker) text(name string, r *store.Reply, kind replyKind) option {
	return option{name, o.orDefault(func() { *r = store.Reply{} }, func(text string) error {
		if isNone(text) {
			*r = store.Reply{Use: store.No}
			return nil
		}
		text, err := store.ParseReplyText(strings.Split(strings.ReplaceAll(text, `\n`, "\n"), "\n"))
		if err == nil {
			code := r.Code
			if code == 0 {
				code = kind.code
			}
			*r = store.Reply{Use: store.Yes, Code: code, Text: text}
		}
		return err
	})}
}

// code sets the code of a reply that has its text.
func (o optionMaker) code(name string, r *store.Reply, kind replyKind) option {
	return option{name, func(text string) error {
		n, err := kind.parse(text)
		switch {
		case err != nil:
			return err
		case r.Use != store.Yes:
			return shell.Refusedf("%s has no text yet: the option for the text must come first.", strconv.Itoa(n))
		}
		r.Code = n
		return nil
	}}
}

// ofSenderRate holds an option to a rate that is there.
func (o optionMaker) ofSenderRate(p *store.PolicyParams, set func(string) error) func(string) error {
	return func(text string) error {
		if p.SenderRate.Use != store.Yes {
			return shell.Refusedf("There is no rate yet: --send_rate must come first.")
		}
		if strings.EqualFold(text, leaveToDefault) {
			return shell.Refusedf("A rate has no default of its parts.")
		}
		return set(text)
	}
}

// ofSenderCheck holds an option to a verification that is enabled.
func (o optionMaker) ofSenderCheck(p *store.PolicyParams, own option) option {
	return option{own.name, func(text string) error {
		if p.SenderCheck.Use != store.Yes {
			return shell.Refusedf("Senders are not verified: --verify yes must come first.")
		}
		if strings.EqualFold(text, leaveToDefault) {
			return shell.Refusedf("A verification has no default of its parts.")
		}
		return own.set(text)
	}}
}
