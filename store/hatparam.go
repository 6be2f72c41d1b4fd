package store

import (
	"strconv"
	"strings"
)

// hatParam is one parameter of the text form. get gives the empty text for a
// parameter that is not set; set reads what get gives.
type hatParam struct {
	name   string
	number bool
	get    func(p *PolicyParams) string
	set    func(p *PolicyParams, text string) error
}

// hatParams lists the parameters in the order they are written. Those of the
// appliance are max_msgs_per_session to max_message_size and
// significant_bits; an appliance's dhap_limit of 0 is none.
func hatParams() []hatParam {
	params := []hatParam{
		countParam("max_msgs_per_session", 1, MaxPolicyCount, func(p *PolicyParams) *int { return &p.MaxMessages }),
		countParam("max_concurrency", 1, MaxPolicyCount, func(p *PolicyParams) *int { return &p.MaxConnections }),
		countParam("max_rcpts_per_msg", 1, MaxPolicyCount, func(p *PolicyParams) *int { return &p.MaxRecipients }),
		countParam("max_rcpts_per_hour", NoLimit, MaxPerHour, func(p *PolicyParams) *int { return &p.MaxPerHour }),
		countParam("dhap_limit", NoLimit, MaxPerHour, func(p *PolicyParams) *int { return &p.MaxInvalid }),
		{"max_message_size", true, func(p *PolicyParams) string {
			if p.MaxSize == 0 {
				return ""
			}
			return strconv.FormatInt(p.MaxSize, 10)
		}, func(p *PolicyParams, text string) (err error) {
			p.MaxSize, err = ParseMessageSize(text)
			return err
		}},
		countParam("significant_bits", NoLimit, MaxSignificantBits, func(p *PolicyParams) *int { return &p.SignificantBits }),
		{"smtp_banner_host", false, func(p *PolicyParams) string {
			if p.BannerHost.Use == Yes {
				return p.BannerHost.Name
			}
			return offText(p.BannerHost.Use)
		}, func(p *PolicyParams, text string) error {
			p.BannerHost = BannerHost{Use: useOf(text), Name: unlessOff(text)}
			return p.BannerHost.check()
		}},
	}
	params = append(params, replyParam("smtp_accept", ParseAcceptCode, func(p *PolicyParams) *Reply { return &p.AcceptReply }),
		replyParam("smtp_reject", ParseRejectCode, func(p *PolicyParams) *Reply { return &p.RejectReply }),
		replyParam("rate_limit_reply", ParseRefuseCode, func(p *PolicyParams) *Reply { return &p.LimitReply }),
		switchParam("dhap_drop", func(p *PolicyParams) *Tri { return &p.DropHarvester }),
		replyParam("dhap_reply", ParseRefuseCode, func(p *PolicyParams) *Reply { return &p.HarvestReply }))
	return append(params, senderRateParam(), replyParam("sender_rate_reply", ParseRefuseCode, func(p *PolicyParams) *Reply { return &p.SenderRate.Reply }),
		senderCheckParam(),
		replyParam("sender_malformed_reply", ParseRefuseCode, func(p *PolicyParams) *Reply { return &p.SenderCheck.Malformed }),
		replyParam("sender_unresolved_reply", ParseRefuseCode, func(p *PolicyParams) *Reply { return &p.SenderCheck.Unresolved }),
		replyParam("sender_nonexistent_reply", ParseRefuseCode, func(p *PolicyParams) *Reply { return &p.SenderCheck.Nonexistent }),
		switchParam("use_exception_table", func(p *PolicyParams) *Tri { return &p.UseExceptions }),
		hatParam{"sender_rate_exceptions", false, func(p *PolicyParams) string { return p.SenderRate.Exceptions },
			func(p *PolicyParams, text string) (err error) {
				p.SenderRate.Exceptions, err = ParseExceptions(text)
				return err
			}},
		hatParam{"tls", false, func(p *PolicyParams) string { return string(p.TLS.Mode) },
			func(p *PolicyParams, text string) (err error) {
				p.TLS.Mode, err = ParsePolicyTLS(text)
				return err
			}},
		hatParam{"tls_addresses", false, func(p *PolicyParams) string { return p.TLS.Addresses },
			func(p *PolicyParams, text string) (err error) {
				p.TLS.Addresses, err = ParseExceptions(text)
				return err
			}})
}

// absentParams are those of the appliance that belong to features this build
// does not have. Files that come from one have them.
func absentParams() []string {
	return []string{"spam_check", "virus_check", "use_sb", "outbreak_filters_check", "signing_enabled", "dkim_verification",
		"spf_verification", "dmarc_verification", "accept_untagged_bounces", "smtp_auth"}
}

// off is the value of a parameter that a policy turns off.
const off = "off"

func offText(use Tri) string {
	if use == No {
		return off
	}
	return ""
}

func useOf(text string) Tri { return TriOf(text != off) }

func unlessOff(text string) string {
	if text == off {
		return ""
	}
	return text
}

func countParam(name string, low, high int, place func(*PolicyParams) *int) hatParam {
	return hatParam{name, true, func(p *PolicyParams) string {
		if *place(p) == 0 {
			return ""
		}
		return strconv.Itoa(*place(p))
	}, func(p *PolicyParams, text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < low || n > high {
			return refuse("The value must be a number from %d to %d.", low, high)
		}
		if n == 0 {
			n = NoLimit // an appliance writes 0 for none
		}
		*place(p) = n
		return nil
	}}
}

// switchParam is "on" or "off".
func switchParam(name string, place func(*PolicyParams) *Tri) hatParam {
	return hatParam{name, false, func(p *PolicyParams) string { return map[Tri]string{Yes: "on", No: off}[*place(p)] },
		func(p *PolicyParams, text string) error {
			use := map[string]Tri{"on": Yes, off: No}[text]
			if use == Inherit {
				return refuse("The value must be on or off.")
			}
			*place(p) = use
			return nil
		}}
}

// senderCheckParam is the switch of a verification whose responses have lines
// of their own, before it or behind it.
func senderCheckParam() hatParam {
	param := switchParam("sender_verification", func(p *PolicyParams) *Tri { return &p.SenderCheck.Use })
	read := param.set
	param.set = func(p *PolicyParams, text string) error {
		err := read(p, text)
		if p.SenderCheck.Use == Yes {
			fill(&p.SenderCheck.Malformed.Use, No)
			fill(&p.SenderCheck.Unresolved.Use, No)
			fill(&p.SenderCheck.Nonexistent.Use, No)
		}
		return err
	}
	return param
}

// replyParam is a reply as "554 text"; \n in it separates lines.
func replyParam(name string, parseCode func(string) (int, error), place func(*PolicyParams) *Reply) hatParam {
	return hatParam{name, false, func(p *PolicyParams) string {
		if r := place(p); r.Use == Yes {
			return strconv.Itoa(r.Code) + " " + r.Text
		}
		return offText(place(p).Use)
	}, func(p *PolicyParams, text string) error {
		code, rest, _ := strings.Cut(text, " ")
		if text == off {
			*place(p) = Reply{Use: No}
			return nil
		}
		n, err := parseCode(code)
		if err != nil {
			return err
		}
		rest, err = ParseReplyText(strings.Split(rest, "\n"))
		if err == nil {
			*place(p) = Reply{Use: Yes, Code: n, Text: rest}
		}
		return err
	}}
}

// senderRateParam is a rate as "20/60": recipients in minutes.
func senderRateParam() hatParam {
	return hatParam{"sender_rate", false, func(p *PolicyParams) string {
		if p.SenderRate.Use == Yes {
			return strconv.Itoa(p.SenderRate.MaxRecipients) + "/" + strconv.Itoa(p.SenderRate.Interval)
		}
		return offText(p.SenderRate.Use)
	}, func(p *PolicyParams, text string) error {
		if text == off {
			p.SenderRate = SenderRate{Use: No}
			return nil
		}
		rate, err := ParseSenderRate(text)
		if err == nil {
			p.SenderRate.Use, p.SenderRate.MaxRecipients, p.SenderRate.Interval = Yes, rate.MaxRecipients, rate.Interval
			fill(&p.SenderRate.Reply.Use, No)
		}
		return err
	}}
}

// ParseSenderRate reads "20/60": recipients in minutes.
func ParseSenderRate(text string) (SenderRate, error) {
	most, minutes, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(strings.TrimSpace(most))
	every, err2 := strconv.Atoi(strings.TrimSpace(minutes))
	rate := SenderRate{Use: Yes, MaxRecipients: n, Interval: every, Reply: Reply{Use: No}}
	if err != nil || err2 != nil || rate.check() != nil {
		return SenderRate{}, refuse("The value must be a number of recipients, a slash and from 1 to %d minutes. (Ex: 20/60)", MaxRateInterval)
	}
	return rate, nil
}

// paramLines writes the parameters that are set.
func paramLines(p PolicyParams) []string {
	var lines []string
	for _, k := range hatParams() {
		if text := k.get(&p); text != "" {
			if !k.number {
				text = strconv.Quote(text)
			}
			lines = append(lines, k.name+" = "+text)
		}
	}
	return lines
}

// unquoteParam reads a value, in quotes or without.
func unquoteParam(text string) (string, error) {
	if !strings.HasPrefix(text, `"`) {
		return text, nil
	}
	value, err := strconv.Unquote(text)
	if err != nil {
		return "", refuse("A text must stand between double quotes: %s", text)
	}
	return value, nil
}

// PolicyParamNames lists the parameters of the text form of a host access
// table, in the order they are written.
func PolicyParamNames() []string {
	var names []string
	for _, k := range hatParams() {
		names = append(names, k.name)
	}
	return names
}

// Param gives a parameter as the text form has it, empty if it is not set or
// there is none of that name.
func (p PolicyParams) Param(name string) string {
	for _, k := range hatParams() {
		if k.name == name {
			return k.get(&p)
		}
	}
	return ""
}

// SetParam reads a parameter as Param gives it.
func (p *PolicyParams) SetParam(name, text string) error {
	for _, k := range hatParams() {
		if k.name == name {
			return k.set(p, text)
		}
	}
	return refuse("There is no parameter %q.", name)
}
