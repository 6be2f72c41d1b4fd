package tlsconf

import (
	"slices"
	"strings"
	"testing"
)

func TestCatalogue(t *testing.T) {
	for _, tt := range []struct {
		name            string
		side            func(method, ciphers string) ([]string, []string, error)
		method, ciphers string
		suites          string // by the first word of their lines
		warnings        []string
	}{
		{"listeners by default", Catalogue{}.Inbound, "tlsv1_2tlsv1_3", "",
			"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:" +
				"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" +
				"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305", nil},
		{"only 1.3", Catalogue{}.Inbound, "tlsv1_3", "", "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256", nil},
		{"deliveries speak CBC", Catalogue{}.Outbound, "tlsv1_2", "!AESGCM:!CHACHA20:DEFAULT",
			"ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA", nil},
		{"old ones have their ciphers", Catalogue{}.Inbound, "tlsv1_1tlsv1_2", "",
			"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" +
				"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:" +
				"ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA",
			[]string{"Deprecated (RFC 8996), for peers only that know nothing newer: TLSv1.1."}},
		{"everything wrong", Catalogue{}.Inbound, "tlsv1_0tlsv1_1tlsv1_2", "AES128-GCM-SHA256:RC4-MD5", "AES128-GCM-SHA256", []string{
			"Deprecated (RFC 8996), for peers only that know nothing newer: TLSv1.1, TLSv1.",
			"No cipher of the list can be used with TLSv1.1, TLSv1.",
			"These ciphers are weak: AES128-GCM-SHA256.",
			"These names are of no cipher here and are ignored: RC4-MD5."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines, warnings, err := tt.side(tt.method, tt.ciphers)
			var names []string
			for _, line := range lines {
				names = append(names, strings.Fields(line)[0])
			}
			if got := strings.Join(names, ":"); got != tt.suites || err != nil {
				t.Errorf("%s, %v\nwant %s", got, err, tt.suites)
			}
			if !slices.Equal(warnings, tt.warnings) {
				t.Errorf("warnings %q", warnings)
			}
		})
	}
	lines, warnings, err := Catalogue{}.Verify("AES256-SHA:NULL-MD5")
	if err != nil || len(lines) != 1 || !slices.Equal(warnings, []string{"These ciphers are weak: AES256-SHA.",
		"These names are of no cipher here and are ignored: NULL-MD5."}) {
		t.Errorf("%q, %q, %v", lines, warnings, err)
	}
	if _, _, err := (Catalogue{}).Verify("nonsense"); err == nil {
		t.Error("nonsense is verified")
	}
	for _, bad := range [][2]string{{"", ""}, {"tlsv1_2", "nonsense"}, {"tlsv1_1", "AESGCM"}} {
		if lines, _, err := (Catalogue{}).Inbound(bad[0], bad[1]); err == nil {
			t.Errorf("%q gives %q", bad, lines)
		}
	}
}

// The form is that of "openssl ciphers -v".
func TestCipherLine(t *testing.T) {
	lines, _, err := Catalogue{}.Inbound("tlsv1_2tlsv1_3", "ECDHE-RSA-CHACHA20-POLY1305:AES256-SHA:DES-CBC3-SHA")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"TLS_AES_256_GCM_SHA384         TLSv1.3 Kx=any      Au=any   Enc=AESGCM(256)            Mac=AEAD",
		"ECDHE-RSA-CHACHA20-POLY1305    TLSv1.2 Kx=ECDH     Au=RSA   Enc=CHACHA20/POLY1305(256) Mac=AEAD",
		"AES256-SHA                     SSLv3   Kx=RSA      Au=RSA   Enc=AES(256)               Mac=SHA1",
		"DES-CBC3-SHA                   SSLv3   Kx=RSA      Au=RSA   Enc=3DES(168)              Mac=SHA1",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no %q in\n%s", want, strings.Join(lines, "\n"))
		}
	}
}
