package configfile

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFault_HasThePlaceInTheFile: what is wrong with a file that reads well is
// told with the line, of the entry where one is named.
func TestFault_HasThePlaceInTheFile(t *testing.T) {
	for _, tt := range []struct{ name, elements, want string }{
		{"entry", `<listeners><listener><listener_name>One</listener_name><interface_name>Management</interface_name><port>2500</port></listener>
<listener>
  <listener_name>Two</listener_name><interface_name>None</interface_name><port>2501</port></listener></listeners>`,
			`line 4, column 3: listener "Two": The interface "None" does not exist.`},
		{"entry of the same name elsewhere", `<destination_controls><certificate_name>None</certificate_name></destination_controls>
<certificate_profiles><certificate_profile><certificate_name>None</certificate_name></certificate_profile></certificate_profiles>`,
			`line 3, column 44: certificate "None": `},
		{"entry in other case", "<dns><alt_dns>\n<alt_dns_domain><dns_domain>Example.COM</dns_domain></alt_dns_domain></alt_dns></dns>",
			`line 3, column 17: alternate DNS servers of "example.com": `},
		{"names that differ in case", `<certificate_profiles><certificate_profile><certificate_name>a</certificate_name></certificate_profile>
<certificate_profile><certificate_name>A</certificate_name></certificate_profile></certificate_profiles>`,
			`line 3, column 22: certificate "A": `},
		{"name in another form", "<interfaces><interface>\n<interface_name> Data&#32;1 </interface_name><interface_hostname>a.example</interface_hostname></interface></interfaces>",
			`line 3, column 1: interface "Data_1": `},
		{"name that is there twice", `<smtp_routes><smtp_route><route_domain>a.example</route_domain><route_hosts>b.example</route_hosts></smtp_route>
<smtp_route><route_domain>A.example.</route_domain><route_hosts>b.example</route_hosts></smtp_route></smtp_routes>`,
			`line 3, column 13: route "a.example": The value a.example is already`},
		{"name that several have", `<dns>
<root_dns><root_server><root_server_name>a</root_server_name></root_server>
<root_server><root_server_name>a</root_server_name><ip>192.0.2.1</ip></root_server></root_dns></dns>`,
			`line 3, column 1: root DNS server a: `},
		{"part", "<delivery_settings><delivery_interface>None</delivery_interface></delivery_settings>",
			`line 2, column 1: mail delivery: The interface "None" does not exist.`},
		{"part below another", "<destination_controls>\n <default_destination><max_host_concurrency>0</max_host_concurrency><recipient_limit>5</recipient_limit></default_destination></destination_controls>",
			`line 3, column 2: destination controls default: `},
		{"second of several parts", "<dns_cache_ttl_min>-1</dns_cache_ttl_min>", "line 2, column 1: DNS: "},
		{"first of several parts is sound", "<dns></dns>\n<dns_cache_ttl_min>-1</dns_cache_ttl_min>", "line 3, column 1: DNS: Minimum TTL: "},
		{"other parts are in the file", "<interfaces></interfaces><dns></dns>", `DNS: The interface "Management" does not exist.`},
		{"alerts", `<alert_settings><alert_initial_interval>5</alert_initial_interval><alert_max_interval>3</alert_max_interval></alert_settings>
<alert_recipients><email_address>a@example.com</email_address>
<email_address>A@example.com</email_address></alert_recipients>`,
			"line 2, column 1: alerts: The maximum debounce interval cannot be less than the initial one.\n" +
				"line 3, column 19: alert recipient a@example.com: The classes are not known ones, or All with others: [].\n" +
				"line 3, column 19: alert recipient a@example.com: The severities are not known ones, or All with others: [].\n" +
				"line 4, column 1: alert recipient A@example.com: The classes are not known ones, or All with others: [].\n" +
				"line 4, column 1: alert recipient A@example.com: The severities are not known ones, or All with others: [].\n" +
				"line 3, column 1: alerts: The address A@example.com is there twice."},
		{"listener settings, each an element", `<global_inbound_connection_timeout>-1</global_inbound_connection_timeout>
<global_inbound_conversation_timeout>-1</global_inbound_conversation_timeout>
<global_injection_control_period>-1</global_injection_control_period>
<global_max_header_lines>-1</global_max_header_lines>
<global_max_listener_concurrency>-1</global_max_listener_concurrency>
<global_max_tls_concurrency>-1</global_max_tls_concurrency>`,
			"line 6, column 1: global listener settings: Maximum concurrent connections: The value must be a number from 1 to 50000.\n" +
				"line 7, column 1: global listener settings: Maximum concurrent TLS connections: The value must be a number from 1 to 50000.\n" +
				"line 5, column 1: global listener settings: Maximum message header lines: The value must be a number from 0 to 100000.\n" +
				"line 4, column 1: global listener settings: Reset of injection control counters: "},
		{"listener settings, the times", "<global_inbound_connection_timeout>-1</global_inbound_connection_timeout>\n<global_inbound_conversation_timeout>-1</global_inbound_conversation_timeout>",
			"line 2, column 1: global listener settings: Timeout for unsuccessful inbound connections: The value must be a number from 1 to 86400.\n" +
				"line 3, column 1: global listener settings: Maximum connection time: "},
		{"not in the file", "<interfaces></interfaces>", `mail delivery: The interface "Management" does not exist.`},
	} {
		base := factory()
		base.Delivery.Interface, base.DNS.Interface = "Management", "Management"
		result, err := Read(t.Context(), []byte(inside(tt.elements)), base, ReadOptions{Product: about().Product})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var all []string
		for _, p := range result.Config.Validate() {
			all = append(all, result.Fault(p).Error())
		}
		found := strings.Join(all, "\n")
		if !strings.Contains("\n"+found, "\n"+tt.want) {
			t.Errorf("%s: want %q in:\n%s", tt.name, tt.want, found)
		}
	}
}

// TestHeadings_HaveEveryPlace: what store calls a part of the configuration is
// found in a file.
func TestHeadings_HaveEveryPlace(t *testing.T) {
	sources, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile(`\.at\((?:fmt\.Sprintf\()?"([^"%]*[^"% ])`)
	parts := map[string]bool{}
	for _, s := range sections() {
		for _, e := range s.elements {
			parts[e.name] = true
		}
	}
	for _, h := range headings() {
		if part, _, _ := strings.Cut(h.part, "/"); !parts[part] {
			t.Errorf("%s: there is no element <%s>", h.place, part)
		}
	}
	found := 0
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		for _, match := range said.FindAllStringSubmatch(string(text), -1) {
			found++
			if !slices.ContainsFunc(headings(), func(h heading) bool { return h.place == match[1] }) {
				t.Errorf("%s: %q has no heading", source, match[1])
			}
		}
	}
	if found < 30 {
		t.Errorf("%d places found", found)
	}
}
