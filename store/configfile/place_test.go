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
		{"part", "<delivery_settings><delivery_interface>None</delivery_interface></delivery_settings>",
			`line 2, column 1: mail delivery: The interface "None" does not exist.`},
		{"part below another", "<destination_controls>\n <default_destination><max_host_concurrency>0</max_host_concurrency><recipient_limit>5</recipient_limit></default_destination></destination_controls>",
			`line 3, column 2: destination controls default: `},
		{"second of several parts", "<dns_cache_ttl_min>-1</dns_cache_ttl_min>", "line 2, column 1: DNS: "},
		{"not in the file", "<interfaces></interfaces>", `mail delivery: The interface "Management" does not exist.`},
	} {
		base := factory()
		base.Delivery.Interface = "Management"
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
