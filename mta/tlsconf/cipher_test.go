package tlsconf

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"
)

// names gives the OpenSSL names of suites, in one line.
func names(ids []uint16) string {
	var out []string
	for _, id := range ids {
		out = append(out, CipherName(id))
	}
	return strings.Join(out, ":")
}

func TestParseCiphers(t *testing.T) {
	const aead = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" +
		"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
	const cbc = ":ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"
	for _, tt := range []struct{ text, want string }{
		{"ECDHE+AESGCM:ECDHE+CHACHA20", aead},
		{"DEFAULT", aead + cbc},
		{"default:!cbc", aead},
		{"ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"},
		{"ecdhe-rsa-aes256-gcm-sha384 AES256-SHA", "ECDHE-RSA-AES256-GCM-SHA384:AES256-SHA"},
		{"RC4-SHA:RC4-MD5:ALL:-ALL:RC4-SHA", "RC4-SHA"},
		{"RC4-SHA:RC4-MD5", "RC4-SHA"},
		{"!AES256:kRSA+AESGCM:AES256-SHA", "AES128-GCM-SHA256"},
		{"kRSA+AESGCM:-AES256:AES256-GCM-SHA384", "AES128-GCM-SHA256:AES256-GCM-SHA384"},
		{"AES128+SHA256", "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:AES128-SHA256"},
		{"HIGH:!aNULL:!MD5:!kRSA:!SHA1:!SHA256:!aECDSA:+AESGCM:@STRENGTH:@SECLEVEL=2",
			"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305"},
		{"MEDIUM+SSLv3", "DES-CBC3-SHA:RC4-SHA"},
	} {
		ids, err := ParseCiphers(tt.text)
		if err != nil {
			t.Errorf("ParseCiphers(%q): %v", tt.text, err)
		} else if got := names(ids); got != tt.want {
			t.Errorf("ParseCiphers(%q) = %s\nwant %s", tt.text, got, tt.want)
		}
	}
	if ids, err := ParseCiphers("ALL"); err != nil || len(ids) != len(suites()) {
		t.Errorf("ALL selects %d suites, %v; want %d", len(ids), err, len(suites()))
	}
}

func TestParseCiphersRefuses(t *testing.T) {
	for _, tt := range []struct {
		text string
		none bool // ErrNoCipher
	}{
		{"", true}, {" : ", true}, {"!ALL:ALL", true}, {"DHE", true}, {"nonsense", true}, {"ECDHE+nonsense", true},
		{"!", false}, {"ALL:@FOO", false}, {"ALL:@SECLEVEL=9", false}, {strings.Repeat("ALL:", 1025), false},
	} {
		ids, err := ParseCiphers(tt.text)
		if err == nil || errors.Is(err, ErrNoCipher) != tt.none {
			t.Errorf("ParseCiphers(%.20q) = %s, %v", tt.text, names(ids), err)
		}
	}
}

func TestUnknownCiphers(t *testing.T) {
	got := UnknownCiphers("ECHDE+AESGCM:ALL:!aNULL:RC4-MD5:@STRENGTH:kRSA+AES:!BLAH")
	if want := []string{"ECHDE+AESGCM", "RC4-MD5", "!BLAH"}; !slices.Equal(got, want) {
		t.Errorf("unknown: %q, want %q", got, want)
	}
}

// TestEverySuiteIsThere holds the table against the suites of the library: each
// one has an OpenSSL name, and the properties agree.
func TestEverySuiteIsThere(t *testing.T) {
	rows := map[uint16]suite{}
	for _, s := range suites() {
		rows[s.id] = s
	}
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		row, ok := rows[s.ID]
		switch {
		case slices.Equal(s.SupportedVersions, []uint16{tls.VersionTLS13}):
			if CipherName(s.ID) != s.Name || !slices.Contains(Ciphers13(), s.ID) || !Serves(s.ID, tls.VersionTLS13) || Serves(s.ID, tls.VersionTLS12) {
				t.Errorf("%s of TLS 1.3 is called %s", s.Name, CipherName(s.ID))
			}
		case !ok:
			t.Errorf("%s has no row", s.Name)
		case IsWeak(s.ID) != s.Insecure, row.byDefault() == s.Insecure:
			t.Errorf("%s: weak %v, in DEFAULT %v", s.Name, IsWeak(s.ID), row.byDefault())
		default:
			for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
				if Serves(s.ID, v) != slices.Contains(s.SupportedVersions, v) {
					t.Errorf("%s with %s: %v", s.Name, ProtocolName(v), Serves(s.ID, v))
				}
			}
		}
	}
	if CipherName(0x1234) != "0x1234" {
		t.Errorf("an unknown suite is called %s", CipherName(0x1234))
	}
}

func TestParseMethod(t *testing.T) {
	for _, tt := range []struct {
		method      string
		least, most uint16
	}{
		{"tlsv1_2", tls.VersionTLS12, tls.VersionTLS12},
		{"tlsv1_2tlsv1_3", tls.VersionTLS12, tls.VersionTLS13},
		{"TLSV1_3tlsv1_2", tls.VersionTLS12, tls.VersionTLS13},
		{"tlsv1_0tlsv1_1tlsv1_2", tls.VersionTLS10, tls.VersionTLS12},
		{"tlsv1_0", tls.VersionTLS10, tls.VersionTLS10},
	} {
		least, most, err := ParseMethod(tt.method)
		if err != nil || least != tt.least || most != tt.most {
			t.Errorf("ParseMethod(%q) = %x, %x, %v", tt.method, least, most, err)
		}
	}
	for _, method := range []string{"", "sslv3", "tlsv1_2x", "tlsv1", "tlsv1_0tlsv1_2", "tlsv1_1tlsv1_3", "tlsv1_0tlsv1_3"} {
		if least, most, err := ParseMethod(method); err == nil {
			t.Errorf("ParseMethod(%q) = %x, %x; want an error", method, least, most)
		}
	}
	if ProtocolName(tls.VersionTLS10) != "TLSv1" || ProtocolName(tls.VersionTLS13) != "TLSv1.3" || ProtocolName(0x300) != "0x0300" {
		t.Error("protocol names are not OpenSSL's")
	}
}

func FuzzParseCiphers(f *testing.F) {
	for _, text := range []string{"ECDHE+AESGCM:ECDHE+CHACHA20", "RC4-SHA:RC4-MD5:ALL", "HIGH:!aNULL:-AES128:+RSA:@STRENGTH", "+", "a++b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ids, err := ParseCiphers(text)
		if (err == nil) != (len(ids) > 0) {
			t.Fatalf("%q gives %d suites and %v", text, len(ids), err)
		}
		UnknownCiphers(text)
	})
}
