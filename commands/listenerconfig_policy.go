package commands

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"esa/shell"
	"esa/store"
)

// This file asks for the parameters of mail flow policies (reference
// esa-cli-config 7.6), those of features this build lacks left out.

// policyDialog asks for the parameters of a policy, which inherit, or for the
// default ones, which do not. from is what is inherited.
type policyDialog struct {
	profileDialog
	from    store.PolicyParams
	shaking shaking
}

// askDefaultParams asks for the default parameters and shows them.
func askDefaultParams(d *Dialog, p store.PolicyParams, s shaking) store.PolicyParams {
	p = policyDialog{profileDialog{d: d}, store.PolicyParams{}, s}.params(p)
	d.Text(policyBlock(p))
	return p
}

// askPolicyParams asks for what a policy sets itself; from is what it inherits.
func askPolicyParams(d *Dialog, p, from store.PolicyParams, s shaking) store.PolicyParams {
	return policyDialog{profileDialog{d: d, inherits: true}, from, s}.params(p)
}

func (q policyDialog) params(p store.PolicyParams) store.PolicyParams {
	p.MaxSize = q.size("Enter the default maximum message size. Add a trailing k for kilobytes, M for megabytes, or no letter for bytes.", p.MaxSize)
	p.MaxConnections = q.count("Enter the maximum number of concurrent connections allowed from a single IP address.", p.MaxConnections, q.from.MaxConnections)
	p.MaxMessages = q.count("Enter the maximum number of messages per connection.", p.MaxMessages, q.from.MaxMessages)
	p.MaxRecipients = q.count("Enter the maximum number of recipients per message.", p.MaxRecipients, q.from.MaxRecipients)
	p.BannerHost = q.banner(p.BannerHost)
	p.AcceptReply = q.reply("Would you like to specify a custom SMTP acceptance response?", p.AcceptReply, q.from.AcceptReply, acceptance())
	p.RejectReply = q.reply("Would you like to specify a custom SMTP rejection response?", p.RejectReply, q.from.RejectReply, rejection())
	p = q.hostRate(p)
	p.SenderRate = q.senderRate(p.SenderRate)
	p = q.harvest(p)
	p.SignificantBits = q.switched("Would you like to group hosts by the similarity of their IP addresses?", p.SignificantBits, q.from.SignificantBits,
		func(n int) int {
			return q.d.Int("Enter the number of bits of IP address to treat as significant, from 1 to 32.", cmp.Or(n, 24), 1, store.MaxSignificantBits)
		})
	p.TLS = q.tls(p.TLS)
	p.SenderCheck = q.senderCheck(p.SenderCheck)
	p.UseExceptions = q.kept(q.tri("Would you like to enable use of the domain exception table?", p.UseExceptions, q.from.UseExceptions))
	return p
}

func (q policyDialog) count(question string, own, inherited int) int {
	return q.number(question, own, inherited, bounds{1, store.MaxPolicyCount})
}

func (q policyDialog) size(question string, own int64) int64 {
	if !q.inherits {
		return shell.Ask(q.d, question, sizeText(own), store.ParseMessageSize)
	}
	shown := shell.Shown{Text: sizeText(cmp.Or(own, q.from.MaxSize)), Answer: leaveToDefault}
	if own != 0 {
		shown.Answer = shown.Text
	}
	return shell.AskShown(q.d, question, shown, func(s string) (int64, error) {
		if strings.EqualFold(s, leaveToDefault) {
			return 0, nil
		}
		return store.ParseMessageSize(s)
	})
}

// switched asks whether there is a limit, and then ask for the number.
func (q policyDialog) switched(question string, own, inherited int, ask func(n int) int) int {
	switch q.tri(question, limitUse(own), limitUse(inherited)) {
	case store.Yes:
		return ask(max(own, inherited, 0))
	case store.Inherit:
		return 0
	}
	if !q.inherits {
		return 0
	}
	return store.NoLimit
}

func limitUse(n int) store.Tri {
	switch {
	case n > 0:
		return store.Yes
	case n < 0:
		return store.No
	}
	return store.Inherit
}

// tri asks as profiles do; what nobody has set is off.
func (q policyDialog) tri(question string, own, inherited store.Tri) store.Tri {
	return q.profileDialog.tri(question, own, cmp.Or(inherited, store.No))
}

func (q policyDialog) banner(own store.BannerHost) store.BannerHost {
	use := q.tri("Do you want to override the hostname in the SMTP banner?", own.Use, q.from.BannerHost.Use)
	if use != store.Yes {
		return store.BannerHost{Use: q.kept(use)}
	}
	name := shell.Ask(q.d, "Enter the hostname to use in the SMTP banner:", cmp.Or(own.Name, q.from.BannerHost.Name), store.ParseHostname)
	return store.BannerHost{Use: store.Yes, Name: name}
}

// kept is how an answer is kept: what is off, among the default parameters as
// nothing.
func (q policyDialog) kept(use store.Tri) store.Tri {
	if !q.inherits && use != store.Yes {
		return store.Inherit
	}
	return use
}

// replyKind is a reply that may be chosen: its code, and what reads one.
type replyKind struct {
	code  int
	parse func(string) (int, error)
}

func acceptance() replyKind  { return replyKind{220, store.ParseAcceptCode} }
func rejection() replyKind   { return replyKind{554, store.ParseRejectCode} }
func overLimit() replyKind   { return replyKind{452, store.ParseRefuseCode} }
func harvested() replyKind   { return replyKind{550, store.ParseRefuseCode} }
func malformed() replyKind   { return replyKind{553, store.ParseRefuseCode} }
func unresolved() replyKind  { return replyKind{451, store.ParseRefuseCode} }
func nonexistent() replyKind { return replyKind{553, store.ParseRefuseCode} }

func (q policyDialog) reply(question string, own, inherited store.Reply, kind replyKind) store.Reply {
	use := q.tri(question, own.Use, inherited.Use)
	if use != store.Yes {
		return store.Reply{Use: q.kept(use)}
	}
	return askReply(q.d, own, kind)
}

// askReply asks for code and text. A text that is there stays if none is typed.
func askReply(d *Dialog, own store.Reply, kind replyKind) store.Reply {
	r := store.Reply{Use: store.Yes}
	question := fmt.Sprintf("Enter the SMTP code to use in the response. %d is the standard code.", kind.code)
	r.Code = shell.Ask(d, question, strconv.Itoa(cmp.Or(own.Code, kind.code)), kind.parse)
	r.Text = askReplyText(d, own.Text)
	return r
}

func askReplyText(d *Dialog, own string) string {
	for {
		lines := d.Lines("Enter your custom SMTP response. Press Enter on a blank line to finish.", shell.EndEmpty)
		if len(lines) == 0 && own != "" {
			return own
		}
		text, err := store.ParseReplyText(lines)
		if err == nil || d.Err() != nil || !d.Refuse(err) {
			return text
		}
	}
}

func (q policyDialog) hostRate(p store.PolicyParams) store.PolicyParams {
	p.MaxPerHour = q.switched("Do you want to enable rate limiting per host?", p.MaxPerHour, q.from.MaxPerHour, func(n int) int {
		return q.d.Int("Enter the maximum number of recipients per hour from a remote host.", n, 1, store.MaxPerHour)
	})
	if p.MaxPerHour <= 0 {
		p.LimitReply = store.Reply{}
		return p
	}
	p.LimitReply = q.reply("Would you like to specify a custom SMTP limit exceeded response?", p.LimitReply, q.from.LimitReply, overLimit())
	return p
}

func (q policyDialog) senderRate(own store.SenderRate) store.SenderRate {
	use := q.tri("Do you want to enable rate limiting per envelope sender?", own.Use, q.from.SenderRate.Use)
	if use != store.Yes {
		return store.SenderRate{Use: q.kept(use)}
	}
	if own.Use != store.Yes {
		own = q.from.SenderRate
	}
	own.Use = store.Yes
	own.MaxRecipients = q.d.Int("Enter the maximum number of recipients per time interval from an envelope sender.", own.MaxRecipients, 1, store.MaxPerHour)
	own.Interval = q.d.Int("Enter the time interval in minutes.", cmp.Or(own.Interval, 60), 1, store.MaxRateInterval)
	if q.d.YesNo("Would you like to specify a custom SMTP response for this limit?", own.Reply.Use.Is()) {
		own.Reply = askReply(q.d, own.Reply, overLimit())
	} else {
		own.Reply = store.Reply{Use: store.No}
	}
	own.Exceptions = shell.Ask(q.d, `Enter the envelope senders that are not limited, separated by commas, such as "example.com" or "user@example.com". Enter "none" to limit all.`,
		cmp.Or(own.Exceptions, "none"), noneOr(store.ParseExceptions))
	return own
}

func (q policyDialog) harvest(p store.PolicyParams) store.PolicyParams {
	p.MaxInvalid = q.switched("Do you want to enable Directory Harvest Attack Prevention per host?", p.MaxInvalid, q.from.MaxInvalid, func(n int) int {
		return q.d.Int("Enter the maximum number of invalid recipients per hour from a remote host.", n, 1, store.MaxPerHour)
	})
	if p.MaxInvalid <= 0 {
		p.DropHarvester, p.HarvestReply = store.Inherit, store.Reply{}
		return p
	}
	action := 1
	if cmp.Or(p.DropHarvester, q.from.DropHarvester).Is() {
		action = 0
	}
	actions := []string{"Drop the connection", "Reject the recipient"}
	p.DropHarvester = store.TriOf(q.d.Choose("Select an action to apply when a recipient is rejected due to Directory Harvest Attack Prevention.", actions, action) == 0)
	if p.DropHarvester.Is() {
		p.HarvestReply = store.Reply{}
		return p
	}
	p.HarvestReply = q.reply("Would you like to specify a custom SMTP response for this?", p.HarvestReply, q.from.HarvestReply, harvested())
	return p
}

func (q policyDialog) senderCheck(own store.SenderCheck) store.SenderCheck {
	use := q.tri("Would you like to enable envelope sender verification?", own.Use, q.from.SenderCheck.Use)
	if use != store.Yes {
		return store.SenderCheck{Use: q.kept(use)}
	}
	if own.Use != store.Yes {
		own = q.from.SenderCheck
	}
	own.Use = store.Yes
	own.Malformed = q.senderReply("malformed envelope senders", own.Malformed, malformed())
	own.Unresolved = q.senderReply("envelope sender domains which do not resolve", own.Unresolved, unresolved())
	own.Nonexistent = q.senderReply("envelope sender domains which do not exist", own.Nonexistent, nonexistent())
	return own
}

func (q policyDialog) senderReply(what string, own store.Reply, kind replyKind) store.Reply {
	if !q.d.YesNo("Would you like to specify a custom SMTP response for "+what+"?", own.Use.Is()) {
		return store.Reply{Use: store.No}
	}
	return askReply(q.d, own, kind)
}

// policyBlock is the block that ends DEFAULT.
func policyBlock(p store.PolicyParams) string {
	var b strings.Builder
	b.WriteString("\nDefault Policy Parameters\n==========================\n")
	for _, line := range []struct{ name, value string }{
		{"Maximum Message Size", sizeText(p.MaxSize)},
		{"Maximum Number Of Concurrent Connections From A Single IP", thousands(int64(p.MaxConnections))},
		{"Maximum Number Of Messages Per Connection", thousands(int64(p.MaxMessages))},
		{"Maximum Number Of Recipients Per Message", thousands(int64(p.MaxRecipients))},
		{"Hostname In The SMTP Banner", orInterface(p.BannerHost)},
		{"Custom SMTP Acceptance Response", replyText(p.AcceptReply)},
		{"Custom SMTP Rejection Response", replyText(p.RejectReply)},
		{"Maximum Number Of Recipients Per Hour From A Host", limitText(p.MaxPerHour)},
		{"Maximum Number Of Recipients From An Envelope Sender", senderRateText(p.SenderRate)},
		{"Directory Harvest Attack Prevention: Maximum Number Of Invalid Recipients Per Hour", limitText(p.MaxInvalid)},
		{"Significant Bits Of IP Addresses", limitText(p.SignificantBits)},
		{"Allow TLS Connections", cmp.Or(p.TLS, store.PolicyTLS{Mode: store.TLSOff}).String()},
		{"Envelope Sender Verification", enabledText(p.SenderCheck.Use.Is())},
		{"Use Of The Domain Exception Table", enabledText(p.UseExceptions.Is())},
	} {
		fmt.Fprintf(&b, "%s: %s\n", line.name, line.value)
	}
	return b.String()
}

func orInterface(h store.BannerHost) string {
	if h.Use.Is() {
		return h.Name
	}
	return "that of the interface"
}

func replyText(r store.Reply) string {
	if r.Use.Is() {
		return r.String()
	}
	return "Disabled"
}

func enabledText(on bool) string {
	if on {
		return "Enabled"
	}
	return "Disabled"
}

func limitText(n int) string {
	if n > 0 {
		return thousands(int64(n))
	}
	return "Disabled"
}

func senderRateText(s store.SenderRate) string {
	if !s.Use.Is() {
		return "Disabled"
	}
	text := fmt.Sprintf("%s in %d minutes", thousands(int64(s.MaxRecipients)), s.Interval)
	if s.Exceptions != "" {
		text += ", except " + s.Exceptions
	}
	return text
}
