package configfile

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"esa/store"
)

// factory is what files are read over.
func factory() *store.Config {
	return store.Factory(store.FactoryFacts{Hostname: "gw.example.com"})
}

func read(t testing.TB, text string) (Result, error) {
	t.Helper()
	return Read(t.Context(), []byte(text), factory(), ReadOptions{Product: about().Product})
}

// inside puts elements into a file that has them in line 2.
func inside(elements string) string { return "<config>\n" + elements + "\n</config>\n" }

func utf16File() string {
	b := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(inside("<hostname>a</hostname>"))) {
		b = append(b, byte(unit), byte(unit>>8))
	}
	return string(b)
}

// TestG5_BadFilesAreRefusedWithTheirPlace: what is attacked with, or damaged,
// says where, and gives no configuration.
func TestG5_BadFilesAreRefusedWithTheirPlace(t *testing.T) {
	const name = "<hostname>a.example.com</hostname>"
	for _, tt := range []struct{ name, file, want string }{
		{"entity bomb", "<!DOCTYPE config [<!ENTITY a \"x\"><!ENTITY b \"&a;&a;\">]>\n<config><hostname>&b;</hostname></config>", "line 1, column 1: The document type must be"},
		{"undeclared entity", inside("<hostname>&b;</hostname>"), "line 2, column 14: invalid character entity &b;"},
		{"external entity", "<!DOCTYPE config [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>" + inside(name), "line 1, column 1: The document type must be"},
		{"external subset", "<!DOCTYPE config SYSTEM \"http://evil.example/config.dtd\">" + inside(name), "line 1, column 1: The document type must be"},
		{"two document types", "<!DOCTYPE config SYSTEM \"config.dtd\">\n<!DOCTYPE config SYSTEM \"config.dtd\">" + inside(name), "line 2, column 1: A document type is allowed once"},
		{"document type inside", inside("<!DOCTYPE config SYSTEM \"config.dtd\">"), "line 2, column 1: Only elements and comments belong here."},
		{"levels", inside(strings.Repeat("<a>", 2000000)), "line 2, column 1: There is no element <a> here."},
		{"levels of an appliance", "<!-- Product: X --><config>\n" + strings.Repeat("<a>", 2000000), "line 2, column 46: There are more than 16 elements in each other."},
		{"length", strings.Repeat(" ", MaxSize) + inside(name), "line 1, column 1: The file is longer than 64 MB."},
		{"UTF-16", utf16File(), "line 1, column 1: The file must be in ISO-8859-1, US-ASCII or UTF-8, not in UTF-16"},
		{"UTF-16 without mark", utf16File()[2:], "line 1, column 1: The file must be in"},
		{"declared UTF-16", "<?xml version=\"1.0\" encoding=\"UTF-16\"?>" + inside(name), `line 1, column 31: The encoding "UTF-16" is not known`},
		{"not UTF-8", inside("<hostname>a\xffb</hostname>"), "line 2, column 12: The byte 0xff is not UTF-8."},
		{"two roots", inside(name) + inside(name), "line 4, column 1: There is more than one root element."},
		{"other root", "<settings/>", "line 1, column 1: The root element must be <config>, not <settings>."},
		{"twice", inside(name + "\n  " + name), "line 3, column 3: The element <hostname> is there twice."},
		{"twice deeper", inside("<ssl><ssl_inbound_ciphers/><ssl_inbound_ciphers/></ssl>"), "line 2, column 28: The element <ssl_inbound_ciphers> is there twice."},
		{"unknown", inside("<hostnames/>"), "line 2, column 1: There is no element <hostnames> here."},
		{"unknown deeper", inside("<ssl><method/></ssl>"), "line 2, column 6: There is no element <method> here."},
		{"misplaced", inside("<ssl><hostname>a</hostname></ssl>"), "line 2, column 6: There is no element <hostname> here."},
		{"attribute", inside("<hostname a='b'>a.example.com</hostname>"), "line 2, column 1: The element <hostname> has no attribute a."},
		{"attribute twice", inside("<dns><local_dns><dns_ip priority='0' priority='1'>192.0.2.1</dns_ip></local_dns></dns>"), "line 2, column 17: The attribute priority is given twice."},
		{"prefix", inside("<a:hostname xmlns:a='b'>a.example.com</a:hostname>"), "line 2, column 1: The name of the element <hostname> has a prefix."},
		{"trailing text", inside(name) + "\nand more", "line 5, column 1: Text does not belong here: \"and more\"."},
		{"leading text", "more " + inside(name), "line 1, column 1: Text does not belong here: \"more\"."},
		{"text between", inside(name + " é more"), "line 2, column 36: Text does not belong here: \"é more\"."},
		{"element in a text", inside("<hostname><b>a</b></hostname>"), "line 2, column 11: The element <b> does not belong here."},
		{"cut", "<config>\n<hostname>a.example.com</host", "unexpected EOF."},
		{"not closed", "<config>\n" + name, "line 2, column 35: unexpected EOF."},
		{"closed otherwise", inside("<hostname>a</hostnames>"), "line 2, column 24: element <hostname> closed by </hostnames>."},
		{"instruction", "<?php x?>" + inside(name), "line 1, column 1: A processing instruction is not allowed."},
		{"declaration twice", "<?xml version=\"1.0\"?>\n<?xml version=\"1.0\"?>" + inside(name), "line 2, column 1: A processing instruction is not allowed."},
		{"control character", inside("<hostname>a\x01b</hostname>"), "line 2, column 14: illegal character code U+0001."},
		{"control reference", inside("<hostname>a&#1;b</hostname>"), "line 2, column"},
		{"nothing", "", "line 1, column 1: There is no element <config>."},
		{"no XML", "interfaces {\n}", "Text does not belong here"},
		{"value", inside("<dns_cache_ttl_min>much</dns_cache_ttl_min>"), "line 2, column 1: <dns_cache_ttl_min>: The value must be a number."},
		{"large number", inside("<listeners><listener><port>65537</port></listener></listeners>"), "line 2, column 22: <port>: The value must be a number."},
		{"too many", inside("<dns><local_dns>" + strings.Repeat("<dns_ip>192.0.2.1</dns_ip>", 21) + "</local_dns></dns>"), "There is a maximum of 20 DNS servers."},
		{"too many of a list", inside("<interfaces>" + strings.Repeat("<interface/>", 257) + "</interfaces>"), "There is a maximum of 256."},
		{"host access table", inside("<listeners><listener>\n<hat>\nALL\n  nothing at all\n</hat></listener></listeners>"), "line 3, column 1: <hat> of the listener \"\": line 5: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := factory()
			result, err := Read(t.Context(), []byte(tt.file), before, ReadOptions{Product: about().Product})
			var place *Error
			if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.As(err, &place) || place.Line < 1 || place.Column < 1 {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if result.Config != nil || !before.Equal(factory()) {
				t.Error("there is a configuration")
			}
		})
	}
}

// TestManyAttributesAreRefusedAtOnce: to compare each with each would take a
// hostile file minutes, so that nobody finds that the first two are alike. Those
// of an appliance are bounded like ours.
func TestManyAttributesAreRefusedAtOnce(t *testing.T) {
	for _, n := range []int{maxAttributes - 1, 5000} {
		many := " a0=''"
		for i := range n {
			many += fmt.Sprintf(" a%d=''", i)
		}
		for _, product := range []string{about().Product, "X"} {
			_, err := read(t, "<!-- Product: "+product+" -->"+inside("<ports"+many+"/>"))
			want := "The attribute a0 is given twice."
			if n >= maxAttributes {
				want = "The element <ports> has more than 8 attributes."
			}
			if err == nil || err.Error() != "line 2, column 1: "+want {
				t.Errorf("%d of %s: %.200v", n, product, err)
			}
		}
	}
}

// TestLongDoctypeIsRefused: one whose blanks fill the file is not taken apart.
func TestLongDoctypeIsRefused(t *testing.T) {
	for blanks, refused := range map[int]bool{100: false, 300: true} {
		_, err := read(t, "<!DOCTYPE config SYSTEM"+strings.Repeat(" ", blanks)+"\"config.dtd\">"+inside(""))
		if refused != (err != nil && strings.Contains(err.Error(), "The document type must be")) {
			t.Errorf("%d blanks: %v", blanks, err)
		}
	}
}

// TestSeveralErrors: values that are refused are told together, not too many.
func TestSeveralErrors(t *testing.T) {
	_, err := read(t, inside("<hostname>a b</hostname>\n<dns_cache_ttl_min>x</dns_cache_ttl_min>"))
	if err == nil || !strings.Contains(err.Error(), "line 2, column 1: <hostname>") || !strings.Contains(err.Error(), "line 3, column 1: <dns_cache_ttl_min>") {
		t.Errorf("%v", err)
	}
	_, err = read(t, inside("<dns><local_dns>"+strings.Repeat("<dns_ip>x</dns_ip>\n", 15)+"</local_dns></dns>"))
	if err == nil || strings.Count(err.Error(), "<dns_ip>") != maxErrors {
		t.Errorf("%v", err)
	}
}

// TestEncodings: the same name in each encoding that is read.
func TestEncodings(t *testing.T) {
	file := func(declaration, name string) string {
		return declaration + inside("<bounce_profiles><bounce_profile><bounce_profile_name>Default</bounce_profile_name><bounce_subject>"+name+"</bounce_subject></bounce_profile></bounce_profiles>")
	}
	for _, tt := range []struct {
		text   string
		pasted bool
	}{
		{file(`<?xml version="1.0" encoding="ISO-8859-1"?>`, "Gr\xfc\xdfe"), false},
		{file(`<?xml version='1.0' encoding='latin1'?>`, "Gr\xfc\xdfe"), false},
		{file(`<?xml version="1.0" encoding="UTF-8"?>`, "Grüße"), false},
		{file(``, "Grüße"), false},
		{"\ufeff" + file(``, "Grüße"), false},
		{file(`<?xml version="1.0" encoding="us-ascii"?>`, "Gr&#252;&#xDF;e"), false},
		{file(`<?xml version="1.0" encoding="ISO-8859-1"?>`, "Grüße"), true},
		{file(``, "<![CDATA[Grüße]]>"), false},
	} {
		result, err := Read(t.Context(), []byte(tt.text), factory(), ReadOptions{Pasted: tt.pasted})
		if err != nil || result.Config.BounceProfiles[0].Subject != "Grüße" {
			t.Errorf("%.60q: %v", tt.text, err)
		}
	}
}

// TestParts: an element replaces what it is about, and nothing else.
func TestParts(t *testing.T) {
	for _, tt := range []struct {
		name, elements string
		change         func(*store.Config)
	}{
		{"nothing", "", func(*store.Config) {}},
		{"host name", "<hostname>new.example.com</hostname>", func(c *store.Config) { c.Hostname = "new.example.com" }},
		{"part of a section", "<ssl><ssl_outbound_ciphers>HIGH</ssl_outbound_ciphers></ssl>", func(c *store.Config) { c.SSL.Outbound.Ciphers = "HIGH" }},
		{"empty list", "<log_subscriptions></log_subscriptions>", func(c *store.Config) { c.Logs = nil }},
		{"list", "<log_subscriptions><log_text><name>one</name><retrieval><ftp_poll><filename>f</filename></ftp_poll></retrieval></log_text></log_subscriptions>",
			func(c *store.Config) {
				c.Logs = []store.LogSubscription{{Name: "one", Type: store.TextMailLog, Level: 3, FileName: "f", MaxSize: 10485760, MaxFiles: 10}}
			}},
		{"private listener", "<listeners><listener><listener_name>x</listener_name><type>private</type></listener></listeners>",
			func(c *store.Config) {
				l := store.NewListener("x", store.Private)
				l.Interface, l.Received = "Management", false
				c.Listeners = []store.Listener{l}
			}},
		{"default recipient limit off", "<destination_controls><default_destination><recipient_limit>0</recipient_limit></default_destination></destination_controls>", func(*store.Config) {}},
	} {
		want := factory()
		tt.change(want)
		result, err := read(t, inside(tt.elements))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if !result.Config.Equal(want) {
			t.Errorf("%s: %s", tt.name, store.FormatChanges(store.Diff(want, result.Config)))
		}
	}
}

// TestApplianceFile: of a file with the documented names of an appliance all
// that this build has is taken over, and everything else is told.
func TestApplianceFile(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "appliance.xml"))
	if err != nil {
		t.Fatal(err)
	}
	result, err := Read(t.Context(), data, factory(), ReadOptions{Product: about().Product})
	if err != nil {
		t.Fatal(err)
	}
	c := result.Config
	if problems := c.Validate(); len(problems) > 0 {
		t.Errorf("it is not valid: %v", problems)
	}
	l := c.Listeners[0]
	trusted := l.HAT.Policies[0]
	for _, tt := range []struct {
		what      string
		got, want any
	}{
		{"host name", c.Hostname, "theirs.example.com"},
		{"interfaces", fmt.Sprint(c.Interfaces), "[{Data_1 mx.theirs.example.com 192.0.2.10/27 invalid Prefix 22} {Management theirs.example.com 198.51.100.10/24 invalid Prefix 0}]"},
		{"DNS servers", fmt.Sprint(c.DNS.Servers), "[192.0.2.53 (priority 0) 192.0.2.54 (priority 1)]"},
		{"DNS of a domain", fmt.Sprint(c.DNS.Alternates), "[10.0.0.53]"},
		{"DNS interface", c.DNS.Interface, "Data_1"},
		{"DNS times", fmt.Sprint(c.DNS.MinTTL, c.DNS.ReverseTimeout), "900 10"},
		{"TLS", c.SSL.Inbound.Method() + " " + c.SSL.Outbound.Ciphers, "tlsv1_1tlsv1_2 HIGH"},
		{"users", fmt.Sprint(c.Users[1].FullName, c.Users[1].Role, len(c.Users[1].Keys), len(c.Users)), "Joe MüllerOperators1 2"},
		{"passphrases", string(c.Users[0].Passphrase + c.Users[1].Passphrase), ""},
		{"log", fmt.Sprintf("%+v", c.Logs), "[{Name:mail_logs Type:mail Level:3 FileName:mail MaxSize:10485760 MaxFiles:20}]"},
		{"alerts", fmt.Sprintf("%+v", c.Alerts.Recipients), "[{Address:joe@example.com Classes:[All] Severities:[Critical Warning]}]"},
		{"alert sender", c.Alerts.From, "alert@theirs.example.com"},
		{"listener", fmt.Sprint(l.Name, l.Type, l.Interface, l.Port, l.MaxConnections, l.CleanSMTP, l.BounceProfile), "IncomingMailpublicData_125 300clean"},
		{"HAT defaults", fmt.Sprint(l.HAT.Default.MaxSize, l.HAT.Default.MaxRecipients, l.HAT.Default.TLS.Mode, l.HAT.Default.AcceptReply, l.HAT.Default.RejectReply), "20971520 500onDefault 554 Go away"},
		{"policy", fmt.Sprint(trusted.Name, trusted.Params.MaxRecipients, trusted.Params.MaxPerHour, trusted.Params.MaxInvalid), "TRUSTED5000 -1 -1"},
		{"sender groups", fmt.Sprint(len(l.HAT.Groups), l.HAT.Groups[0].Hosts, l.HAT.Groups[1].Policy, l.HAT.Groups[2].Policy), "3 [192.0.2.77]REJECTACCEPT"},
		{"RAT", fmt.Sprintf("%s %v | %v", l.RAT[1].Address, l.RAT[1], l.RAT[2]), ".theirs.example.com ACCEPT bypass | REJECT 550 No relaying"},
		{"bounce profiles", fmt.Sprint(c.BounceProfiles[0].Name, c.BounceProfiles[0].MaxRetries, c.BounceProfiles[0].Subject, c.BounceProfiles[1].Name, c.BounceProfiles[1].MaxRetries), "Default50Delivery Status Notification (Failure)Slow200"},
		{"header lines", c.Reception.HeaderLines, 2000},
		{"what the file does not have", c.Delivery, factory().Delivery},
	} {
		if !reflect.DeepEqual(tt.got, tt.want) {
			t.Errorf("%s:\ngot  %v\nwant %v", tt.what, tt.got, tt.want)
		}
	}
	want := []string{
		`<ports>: addresses`, `The interface "Data 1" is called Data_1.`, `<interfaces/interface/phys_interface>`, `<interfaces/interface/httpsd_port>`,
		`<interfaces/interface/api_httpd_port>`, `<interfaces/interface/api_httpsd_port>`, `<interfaces/interface/trailblazer_httpsd_port>`, `<ethernet_settings>`,
		`<dns/alt_dns/alt_dns_domain/nameserver/nameserver_name>`, `<dns/dnslist>`, `<default_gateway>`, `<routes>`, `<ntp>`, `<timezone>`, `<https_certificate>`,
		`<users/user/email_address>`, `The passphrase of the user "admin"`, `The passphrase of the user "joe"`, `<log_subscriptions/log_text/module>`,
		`<log_subscriptions/log_bounces>`, `<log_subscriptions/log_antispam>`, `<log_system_measurements_frequency>`, `Alerts of the class "Hardware"`,
		`<autosupport_enabled>`, `<listeners/listener/SenderBase_timeout>`, `<listeners/listener/hat_default_accept_untagged_bounces>`,
		`<hat> of the listener "IncomingMail", line 234: virus_check`, `<hat> of the listener "IncomingMail", line 242: .spamdomain.com`,
		`<global_enable_tarpit>`, `<perrcpt_policies>`, `<filters_of_theirs>: it is not known.`,
	}
	for _, text := range want {
		if !slices.ContainsFunc(result.Notes, func(note string) bool { return strings.HasPrefix(note, text) }) {
			t.Errorf("not told: %s", text)
		}
	}
	if len(result.Notes) != len(want) {
		t.Errorf("%d notes for %d:\n%s", len(result.Notes), len(want), strings.Join(result.Notes, "\n"))
	}
}

// TestMethods: the word for versions of TLS, in the forms that files have.
func TestMethods(t *testing.T) {
	for word, want := range map[string]string{
		"tlsv1_2": "tlsv1_2", " TLSV1_0tlsv1_1 ": "tlsv1_0tlsv1_1", "sslv3tlsv1": "tlsv1_0", "sslv2sslv3tlsv1": "tlsv1_0", "tlsv1tlsv1_1": "tlsv1_0tlsv1_1",
		"sslv3": "", "": "", "tlsv1_2tlsv1_1": "", "tlsv1_4": "", "tlsv1_2/3": "",
	} {
		result, err := read(t, inside("<ssl><ssl_inbound_method>"+word+"</ssl_inbound_method></ssl>"))
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "line 2, column 6: <ssl_inbound_method>: The method must be") {
				t.Errorf("%q: %v", word, err)
			}
		} else if err != nil || result.Config.SSL.Inbound.Method() != want || (len(result.Notes) > 0) != strings.HasPrefix(word, "ssl") {
			t.Errorf("%q: %v %v", word, result.Notes, err)
		}
	}
}

// TestReaderEnds: no further token is read once nobody wants the result.
func TestReaderEnds(t *testing.T) {
	ended := make(chan struct{})
	r := &reader{ended: ended, d: xml.NewDecoder(strings.NewReader("<config><hostname>a</hostname></config>"))}
	if first, ok := r.token().(xml.StartElement); !ok || first.Name.Local != "config" {
		t.Fatalf("the first token: %v", first)
	}
	close(ended)
	if next := r.token(); next != nil || r.d.InputOffset() != int64(len("<config>")) {
		t.Errorf("read on to %d: %v", r.d.InputOffset(), next)
	}
}

// TestReadEnds where nobody wants the result any more: what follows is not
// looked at.
func TestReadEnds(t *testing.T) {
	key, err := PassphraseKey("long enough", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupt := errors.New("interrupted")
	file := strings.Replace(secretFile(key.seal("$argon2id$a")), "</config>", "<wrong/></config>", 1)
	result, err := Read(ctx, []byte(file), factory(), ReadOptions{Keys: Keys{Passphrase: func() (string, error) {
		cancel(interrupt)
		return "long enough", nil
	}}})
	if err != interrupt || result.Config != nil {
		t.Errorf("%v, %v", result, err)
	}
	if _, err := Read(t.Context(), []byte(file), factory(), ReadOptions{Keys: Keys{Passphrase: func() (string, error) { return "long enough", nil }}}); err == nil ||
		!strings.Contains(err.Error(), "<wrong>") {
		t.Errorf("without an interrupt: %v", err)
	}
}

// TestForeignAttribute: one that is not known is left out of the file of another
// product.
func TestForeignAttribute(t *testing.T) {
	result, err := read(t, "<!--\n  Product: Other\n-->\n"+inside("<hostname since='1'>a.example.com</hostname>"))
	if err != nil || result.Config.Hostname != "a.example.com" || !slices.Equal(result.Notes, []string{"<hostname>, attribute since: it is not known."}) {
		t.Errorf("%q, %v", result.Notes, err)
	}
}

// TestForeignPassphrase: a user whose passphrase cannot be taken over keeps the
// one he has here.
func TestForeignPassphrase(t *testing.T) {
	base := factory()
	base.Users[0].Passphrase = "$argon2id$here"
	result, err := Read(t.Context(), []byte(inside("<users><user><username>admin</username><fullname>A</fullname><group>admin</group><enc_password>$1$theirs</enc_password></user></users>")), base, ReadOptions{})
	if err != nil || result.Config.Users[0].Passphrase != "$argon2id$here" || len(result.Notes) != 1 {
		t.Errorf("%v %v", result.Notes, err)
	}
}
