package store

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestBadSSH(t *testing.T) {
	checkBad(t, []badConfig{
		{"unknown algorithm", func(c *Config) { c.SSHD.KEX = []string{"rot13"} }, `SSH server: KEX algorithms: The algorithm "rot13" is not supported. The algorithms are: mlkem768x25519-sha256, curve25519-sha256,`},
		{"old signature", func(c *Config) { c.SSHD.Signatures = []string{"ssh-rsa"} }, `SSH server: Public key authentication algorithms: The algorithm "ssh-rsa"`},
		{"old cipher", func(c *Config) { c.SSHD.Ciphers = []string{"aes128-cbc"} }, `SSH server: Cipher algorithms: The algorithm "aes128-cbc"`},
		{"twice", func(c *Config) { c.SSHD.MACs = []string{"hmac-sha2-256", "hmac-sha2-256"} }, `SSH server: MAC methods: The algorithm "hmac-sha2-256" is given twice.`},
		{"small keys", func(c *Config) { c.SSHD.MinRSABits = 1024 }, `SSH server: Minimum server key size: The value must be a number from 2048 to 8192.`},
		{"port of a listener", func(c *Config) { c.Interfaces[0].SSHPort = 2525 }, `interface "Management": Port 2525 of 127.0.0.1 is currently assigned to listener "OutgoingMail".`},
	})
}

func TestSSHAddresses(t *testing.T) {
	c := testConfig()
	if got := c.SSHAddresses(); !slices.Equal(got, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:2222")}) {
		t.Errorf("factory: %v", got)
	}
	c.Interfaces[0].SSHPort, c.Interfaces[1].SSHPort = 0, 22
	want := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.10:22"), netip.MustParseAddrPort("[2001:db8::10]:22")}
	if got := c.SSHAddresses(); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := c.SSHInterface(want[1]); got != "Data1" {
		t.Errorf("interface %q", got)
	}
	if got := c.SSHInterface(netip.MustParseAddrPort("192.0.2.10:2222")); got != "" {
		t.Errorf("interface %q", got)
	}
}

func TestParseSSHAlgorithms(t *testing.T) {
	supported, standard := SupportedSSH().KEX, StandardSSH().KEX
	for _, tt := range []struct {
		text    string
		want    []string
		refused string
	}{
		{text: "default"},
		{text: strings.Join(standard, ",")},
		{text: " ECDH-sha2-nistp256, curve25519-sha256 ", want: []string{"ecdh-sha2-nistp256", "curve25519-sha256"}},
		{text: " , ", refused: "cannot be blank"},
		{text: "diffie-hellman-group1-sha1", refused: "is not supported"},
		{text: "curve25519-sha256 curve25519-sha256", refused: "twice"},
	} {
		got, err := ParseSSHAlgorithms(tt.text, supported, standard)
		if tt.refused == "" && (err != nil || !slices.Equal(got, tt.want)) || tt.refused != "" && (err == nil || !strings.Contains(err.Error(), tt.refused)) {
			t.Errorf("%q: %v, %v", tt.text, got, err)
		}
	}
}

// TestAlgorithmsChosen: a list that is chosen is spoken as it is, and one that
// is not is ours.
func TestAlgorithmsChosen(t *testing.T) {
	got := SSHD{Ciphers: []string{"aes256-ctr"}}.Algorithms()
	standard := StandardSSH()
	if !slices.Equal(got.Ciphers, []string{"aes256-ctr"}) || !slices.Equal(got.KEX, standard.KEX) || !slices.Equal(got.Signatures, standard.Signatures) || !slices.Equal(got.MACs, standard.MACs) {
		t.Errorf("%+v", got)
	}
}
