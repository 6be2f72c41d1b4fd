package store

import (
	"reflect"
	"strings"
	"testing"
)

// fullParams sets everything that a text form can say.
func fullParams() PolicyParams {
	reply := func(code int) Reply { return Reply{Use: Yes, Code: code, Text: "one \"two\" \\n\nthree"} }
	return PolicyParams{
		MaxSize: 2048, MaxMessages: 3, MaxRecipients: 4, MaxConnections: 5,
		BannerHost: BannerHost{Use: Yes, Name: "mx.example.com"}, AcceptReply: reply(220), RejectReply: reply(554),
		MaxPerHour: 6, LimitReply: reply(452), MaxInvalid: NoLimit, DropHarvester: No, HarvestReply: reply(550), SignificantBits: 24,
		SenderRate:    SenderRate{Use: Yes, MaxRecipients: 7, Interval: 8, Reply: reply(450), Exceptions: "a@, .b.example, c.example"},
		TLS:           PolicyTLS{Mode: TLSPreferred, Addresses: "a@, .b.example"},
		SenderCheck:   SenderCheck{Use: Yes, Malformed: reply(501), Unresolved: reply(450), Nonexistent: Reply{Use: No}},
		UseExceptions: Yes,
	}
}

func TestHATRoundTrip(t *testing.T) {
	full := publicHAT()
	full.Default = fullParams()
	full.Policies[0].Params = fullParams()
	full.Policies[1].Params = PolicyParams{BannerHost: BannerHost{Use: No}, AcceptReply: Reply{Use: No}, RejectReply: Reply{Use: No},
		LimitReply: Reply{Use: No}, HarvestReply: Reply{Use: No}, SenderRate: SenderRate{Use: No}, DropHarvester: Yes,
		TLS: PolicyTLS{Mode: TLSOff}, SenderCheck: SenderCheck{Use: No}, UseExceptions: No}
	full.Groups[0].Hosts = []string{"10.1.1.0/24", "2001:db8::1", "10.1.1.1-10.1.1.9", ".example.com", "nx.domain", "dnslist[bl.example]"}
	full.Groups[1].Policy = "TCPREFUSE"
	for _, h := range []HAT{privateHAT(), publicHAT(), full} {
		var text strings.Builder
		if err := WriteHATFile(&text, h); err != nil {
			t.Fatal(err)
		}
		got, err := ParseHAT(strings.NewReader(text.String()), HAT{})
		if err != nil || len(got.Notes) > 0 {
			t.Fatalf("%v %v\n%s", err, got.Notes, &text)
		}
		if !reflect.DeepEqual(got.HAT, h) {
			t.Errorf("%s\ngave %+v\nwant %+v", &text, got.HAT, h)
		}
	}
}

// What an appliance exports is read, with notes on what is missing here.
func TestParseHATOfAnAppliance(t *testing.T) {
	got, err := ParseHAT(strings.NewReader(`# exported
$ACCEPTED
    ACCEPT
$THROTTLED
    ACCEPT {
        spam_check = "on"
        max_rcpts_per_hour = 1
        dhap_limit = 0
        tls = "off"
    }
$BLOCKED
    REJECT
WHITELIST:
        10.1.1.1 (a friend)
        10.2.0.0/16, .friend.example
        $ACCEPTED (My (own) senders)
spamdomain.com
    REJECT (reject the domain "spamdomain.com")
.spamdomain.com
    REJECT
SUSPECT: $THROTTLED
ALL
    $ACCEPTED
`), HAT{Default: factoryParams()})
	if err != nil {
		t.Fatal(err)
	}
	h := got.HAT
	if h.Default != factoryParams() || h.Policies[1].Params != (PolicyParams{MaxPerHour: 1, MaxInvalid: NoLimit, TLS: PolicyTLS{Mode: TLSOff}}) {
		t.Errorf("parameters %+v %+v", h.Default, h.Policies[1].Params)
	}
	var groups []string
	for _, g := range h.Groups {
		groups = append(groups, g.Name+" "+strings.Join(g.Hosts, ",")+" "+g.Policy+" "+g.Comment)
	}
	want := `WHITELIST 10.1.1.1,10.2.0.0/16,.friend.example ACCEPTED My (own) senders
spamdomain_com spamdomain.com REJECT reject the domain "spamdomain.com"
_spamdomain_com .spamdomain.com REJECT 
SUSPECT  THROTTLED 
ALL ALL ACCEPTED `
	if s := strings.Join(groups, "\n"); s != want {
		t.Errorf("groups\n%s\nwant\n%s", s, want)
	}
	wantNotes := `line 6: spam_check: This build does not have it; it was left out.
line 14: The comment of 10.1.1.1 was left out.
line 17: spamdomain.com became the sender group spamdomain_com.
line 19: .spamdomain.com became the sender group _spamdomain_com.`
	if s := strings.Join(got.Notes, "\n"); s != wantNotes {
		t.Errorf("notes\n%s", s)
	}
}

// The switch alone enables the verification, with the standard responses.
func TestParseHATVerification(t *testing.T) {
	got, err := ParseHAT(strings.NewReader("$A\nACCEPT {\nsender_verification = \"on\"\n}\nALL\n$A\n"), HAT{Default: factoryParams()})
	if err != nil || got.HAT.Policies[0].Params != (PolicyParams{SenderCheck: VerifySenders()}) {
		t.Errorf("%+v, %v", got.HAT.Policies, err)
	}
}

// A file without ALL keeps the one there is, or rejects.
func TestParseHATWithoutAll(t *testing.T) {
	for text, want := range map[string]string{
		"$ACCEPTED\n ACCEPT\nG:\n 10.1.1.1\n $ACCEPTED": "ACCEPTED",
		"G:\n 10.1.1.1\n REJECT":                        "REJECT",
		"G:\n 10.1.1.1\n REJECT\nALL\n RELAY":           "RELAY",
	} {
		got, err := ParseHAT(strings.NewReader(text), publicHAT())
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		last := got.HAT.Groups[len(got.HAT.Groups)-1]
		if last.Name != "ALL" || last.Policy != want || (len(got.Notes) == 0) != (want == "RELAY") {
			t.Errorf("%q: the last group is %+v, notes %v", text, last, got.Notes)
		}
	}
	if _, err := ParseHAT(strings.NewReader("# nothing"), publicHAT()); err == nil {
		t.Error("an empty file is taken for a table")
	}
}

func TestParseHATRefused(t *testing.T) {
	const all = "\nALL\n REJECT\n"
	for text, want := range map[string]string{
		"":                                       "The last sender group must be",
		"ALL":                                    "line 1: The sender group ALL has no policy.",
		"$A":                                     "line 1: The policy $A has no behavior.",
		"$A\nACCEPT {" + all:                     "line 3: A parameter must be of the form",
		"$A\nPERMIT" + all:                       `line 2: Invalid selected behavior: "PERMIT"`,
		"$A B\nACCEPT" + all:                     "line 1: The policy name must start",
		"$A\nACCEPT {\nx = 1\n}" + all:           `line 3: There is no parameter "x".`,
		"$A\nACCEPT {\ntls = \"never\"\n}" + all: "line 3: tls: The value must be off, on, require,",
		"$A\nACCEPT {\ntls_addresses = \"a@\"\n}" + all:         "Only where TLS is Preferred",
		"$A\nACCEPT {\nmax_concurrency = 0\n}" + all:            "line 3: max_concurrency: The value must be a number from 1",
		"$A\nACCEPT {\nsmtp_reject = \"250 ok\"\n}" + all:       "line 3: smtp_reject: The SMTP code must be a number from 400 to 599.",
		"$A\nACCEPT {\nsmtp_accept = \"220 a\\r\\nb\"\n}" + all: "line 3: smtp_accept: A line of the response must be printable",
		"$A\nACCEPT {\nsmtp_accept = \"220 a\n}" + all:          "line 3: A text must stand between double quotes",
		"$A\nACCEPT {\nsender_rate = 5\n}" + all:                "line 3: sender_rate: The value must be",
		"$A\nACCEPT {\nsender_rate_exceptions = a@\n}" + all:    "A rate that is not limited must have no settings.",
		"G:\n10.1.1.300\nREJECT" + all:                          "line 2: ",
		"G:\n$NONE" + all:                                       `The policy "$NONE" does not exist.`,
		"G:\nACCEPT {\n}" + all:                                 "line 2: A sender group cannot have parameters of its own",
		"G:\nREJECT\nG:\nREJECT" + all:                          `The name "G" is used by another sender group.`,
		"10.1.1.300\nREJECT" + all:                              "line 1: ",
		strings.Repeat("$A\nX\n", 30):                           "not shown",
		"# " + strings.Repeat("x", 70000):                       "line 1: The line is too long.",
	} {
		if got, err := ParseHAT(strings.NewReader(text), HAT{Default: factoryParams()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q gave %+v, %v\nwant %s", text, got, err, want)
		}
	}
}

func TestRATRoundTrip(t *testing.T) {
	rat := []RATEntry{
		{Address: "550.example", Accept: true, Code: 250, Text: "550 ok"},
		{Address: "user@", Code: 551, Text: `moved \ "there"` + "\nand so on"},
		{Address: "postmaster@[192.0.2.1]", Accept: true, Uncounted: true},
		{Address: "b@example.com", Uncounted: true, Code: 550, Text: "bypass"},
		{Address: "ALL"},
	}
	var text strings.Builder
	if err := WriteRAT(&text, rat); err != nil {
		t.Fatal(err)
	}
	if got, err := ParseRAT(strings.NewReader("# remark\n\n" + text.String())); err != nil || !reflect.DeepEqual(got, rat) {
		t.Errorf("%s\ngave %+v, %v", &text, got, err)
	}
}

func TestParseRATRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                             `The last entry must be "ALL".`,
		"ALL":                          "line 1: A line must be an address and ACCEPT or REJECT.",
		"a b\nALL REJECT":              "line 1: The action must be ACCEPT or REJECT.",
		"a..b ACCEPT\nALL REJECT":      "line 1: A Recipient Access Table address",
		"ALL REJECT\na.example ACCEPT": `The last entry must be "ALL".`,
		"a.example ACCEPT\na.example REJECT\nALL REJECT": "line 2: There is another entry for a.example.",
		"a.example REJECT 250 ok\nALL REJECT":            "line 1: The code of a custom SMTP response to a rejected recipient",
		"a.example ACCEPT 550 no\nALL REJECT":            "line 1: The code of a custom SMTP response to an accepted recipient",
		"a.example REJECT no\nALL REJECT":                "line 1: The SMTP code must be a number.",
		"a.example REJECT 550\nALL REJECT":               "line 1: The value cannot be blank.",
		`a.example REJECT 550 \x` + "\nALL REJECT":       "line 1: A reply must be a code and a text",
		strings.Repeat("x\n", 30):                        "line 11: ",
		"# " + strings.Repeat("x", 70000):                "line 1: The line is too long.",
	} {
		if got, err := ParseRAT(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q gave %+v, %v\nwant %s", text, got, err, want)
		}
	}
}

func TestBadPolicyParams(t *testing.T) {
	set := func(change func(*PolicyParams)) func(*Config) {
		return func(c *Config) { change(&c.Listeners[1].HAT.Policies[0].Params) }
	}
	checkBad(t, []badConfig{
		{"banner without use", set(func(p *PolicyParams) { p.BannerHost.Name = "a.example" }), "Hostname in the SMTP banner: A hostname that is not used"},
		{"banner", set(func(p *PolicyParams) { p.BannerHost = BannerHost{Use: Yes, Name: "a b"} }), "Hostname in the SMTP banner: A hostname is"},
		{"accept code", set(func(p *PolicyParams) { p.AcceptReply = Reply{Yes, 554, "x"} }), "The SMTP code must be 220."},
		{"reject code", set(func(p *PolicyParams) { p.RejectReply = Reply{Yes, 220, "x"} }), "from 400 to 599."},
		{"limit code", set(func(p *PolicyParams) { p.LimitReply = Reply{Yes, 421, "x"} }), "and not 421."},
		{"reply text", set(func(p *PolicyParams) { p.HarvestReply = Reply{Yes, 550, "x\r\n250 ok"} }), "printable ASCII"},
		{"empty reply", set(func(p *PolicyParams) { p.HarvestReply = Reply{Use: Yes, Code: 550} }), "cannot be blank"},
		{"reply without use", set(func(p *PolicyParams) { p.LimitReply = Reply{Code: 450} }), "must have no code"},
		{"rate", set(func(p *PolicyParams) { p.MaxPerHour = -2 }), "Maximum recipients per hour: "},
		{"bits", set(func(p *PolicyParams) { p.SignificantBits = 33 }), "Significant bits: "},
		{"invalid", set(func(p *PolicyParams) { p.MaxInvalid = -2 }), "Maximum invalid recipients per hour: "},
		{"drop", set(func(p *PolicyParams) { p.DropHarvester = "maybe" }), "Drop the connection: "},
		{"sender rate", set(func(p *PolicyParams) { p.SenderRate = SenderRate{Use: Yes, Interval: 1, Reply: Reply{Use: No}} }), "Rate limit per envelope sender: "},
		{"sender rate not used", set(func(p *PolicyParams) { p.SenderRate.Interval = 1 }), "must have no settings"},
		{"exceptions", set(func(p *PolicyParams) { p.SenderRate = SenderRate{Yes, 1, 1, Reply{Use: No}, "A.example"} }), `must be written "a.example"`},
	})
}

// A policy inherits a reply and a rate whole.
func TestEffectiveParams(t *testing.T) {
	full := fullParams()
	if got := (PolicyParams{}).Effective(full); got != full {
		t.Errorf("nothing set: %+v", got)
	}
	own := PolicyParams{MaxPerHour: NoLimit, LimitReply: Reply{Use: No}, BannerHost: BannerHost{Use: No}, SenderRate: SenderRate{Use: No}}
	got := own.Effective(full)
	if got.MaxPerHour != NoLimit || got.LimitReply != own.LimitReply || got.BannerHost != own.BannerHost || got.SenderRate != own.SenderRate {
		t.Errorf("turned off: %+v", got)
	}
}

// What a table file says is valid, or refused, and comes back the same.
func FuzzHAT(f *testing.F) {
	full := publicHAT()
	full.Policies[0].Params = fullParams()
	var text strings.Builder
	if err := WriteHATFile(&text, full); err != nil {
		f.Fatal(err)
	}
	f.Add(text.String())
	f.Add("$A\n    ACCEPT {\n max_message_size = 5M\n}\nG:\n 10.0.0.0/8, .x.example\n $A (c (d))\nALL\n $A\n")
	f.Add("ALL\n REJECT (\"\n")
	f.Fuzz(func(t *testing.T, data string) {
		got, err := ParseHAT(strings.NewReader(data), publicHAT())
		if err != nil {
			return
		}
		var p problems
		if got.HAT.validate(&p, "table"); len(p) > 0 {
			t.Fatalf("%q: accepted, but %v", data, p)
		}
		var text strings.Builder
		if err := WriteHATFile(&text, got.HAT); err != nil {
			t.Fatal(err)
		}
		again, err := ParseHAT(strings.NewReader(text.String()), HAT{})
		if err != nil || !reflect.DeepEqual(again.HAT, got.HAT) {
			t.Fatalf("%q\nwritten %s\nread %+v, %v\nwant %+v", data, &text, again.HAT, err, got.HAT)
		}
	})
}

func FuzzRAT(f *testing.F) {
	f.Add("example.com ACCEPT\nuser@ REJECT 550 No such\\nuser bypass\nALL REJECT\n")
	f.Add("# x\n.a.example ACCEPT bypass\n[192.0.2.1] ACCEPT\nALL ACCEPT\n")
	f.Fuzz(func(t *testing.T, data string) {
		rat, err := ParseRAT(strings.NewReader(data))
		if err != nil {
			return
		}
		var p problems
		if (Listener{Name: "In", Type: Public, RAT: rat}).validateRAT(&p); len(p) > 0 {
			t.Fatalf("%q: accepted, but %v", data, p)
		}
		var text strings.Builder
		if err := WriteRAT(&text, rat); err != nil {
			t.Fatal(err)
		}
		again, err := ParseRAT(strings.NewReader(text.String()))
		if err != nil || !reflect.DeepEqual(again, rat) {
			t.Fatalf("%q\nwritten %s\nread %+v, %v\nwant %+v", data, &text, again, err, rat)
		}
	})
}
