package store

import (
	"strings"
	"testing"
)

func TestArchiveTargets(t *testing.T) {
	for text, want := range map[string]struct {
		target string
		place  ArchiveTarget
	}{
		" /var/backups/ ":                     {"/var/backups", ArchiveTarget{Directory: "/var/backups"}},
		"/a/../b//c":                          {"/b/c", ArchiveTarget{Directory: "/b/c"}},
		"scp://u@host.example.com/x/":         {"scp://u@host.example.com/x", ArchiveTarget{"u", "host.example.com", 22, "/x"}},
		"scp://u@host.example.com:22/x":       {"scp://u@host.example.com/x", ArchiveTarget{"u", "host.example.com", 22, "/x"}},
		"scp://u@host.example.com:2222/~/a/b": {"scp://u@host.example.com:2222/~/a/b", ArchiveTarget{"u", "host.example.com", 2222, "a/b"}},
		"scp://u@192.0.2.7/~":                 {"scp://u@192.0.2.7/~", ArchiveTarget{"u", "192.0.2.7", 22, "."}},
		"scp://u@[2001:DB8::7]/~user":         {"scp://u@[2001:db8::7]/~user", ArchiveTarget{"u", "2001:db8::7", 22, "/~user"}},
		"scp://u.v@[2001:db8::7]:2222/x":      {"scp://u.v@[2001:db8::7]:2222/x", ArchiveTarget{"u.v", "2001:db8::7", 2222, "/x"}},
		"scp://u@[::ffff:192.0.2.7]/x":        {"scp://u@192.0.2.7/x", ArchiveTarget{"u", "192.0.2.7", 22, "/x"}},
		"scp://u@host/x":                      {"scp://u@host/x", ArchiveTarget{"u", "host", 22, "/x"}},
	} {
		got, err := ParseArchiveTarget(text)
		if err != nil || got != want.target {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		if again, err := ParseArchiveTarget(got); err != nil || again != got {
			t.Errorf("%q again: %q, %v", got, again, err)
		}
		if place := (Archive{Target: got}).Place(); place != want.place {
			t.Errorf("%q: %+v", text, place)
		}
	}
	for _, text := range []string{
		"", "x", "/", "/a b", "/a\nb", "/$(reboot)", "/a;b", "/a'b", "/*", "/" + strings.Repeat("x", 1024),
		"scp://host/x", "scp://u@host", "scp://u:p@host/x", "scp://-u@host/x", "scp://u@/x", "scp://u@ho st/x", "scp://u@host/a b",
		"scp://u@host/x?y", "scp://u@host/x#y", "scp://u@host:0/x", "scp://u@host:70000/x", "scp://u@-host/x", "scp://u@1.2.3/x",
		"scp://u@host/%20", "scp://u@[fe80::1%25eth0]/x", "ftp://u@host/x", "scp:u@host", "scp://u;v@host/x",
	} {
		if got, err := ParseArchiveTarget(text); err == nil {
			t.Errorf("%q is taken as %q", text, got)
		}
	}
}

const someHostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGNvbW1pdHNjb3BpZWR0b2Fob3N0aXNoYXJk"

func TestHostKeys(t *testing.T) {
	for _, text := range []string{someHostKey, someHostKey + " root@host", "host.example.com,192.0.2.7 " + someHostKey, "  " + someHostKey + "\n"} {
		if got, err := ParseHostKey(text); err != nil || got != someHostKey {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "x", "ssh-ed25519", "ssh-ed25519 x", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIGNvbW1pdHNjb3BpZWR0b2Fob3N0aXNoYXJk", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
		"a b " + someHostKey, "ssh-dss AAAAB3NzaC1kc3MAAACB", someHostKey + strings.Repeat(" ", 20000),
	} {
		if got, err := ParseHostKey(text); err == nil {
			t.Errorf("%.40q is taken as %q", text, got)
		}
	}
}

func TestBadArchives(t *testing.T) {
	key, err := NewKey(P256)
	if err != nil {
		t.Fatal(err)
	}
	private, err := EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	far := Archive{Name: "far", Target: "scp://u@host/x", HostKey: someHostKey, Key: private, Secrets: ArchiveMasked}
	near := Archive{Name: "near", Target: "/x", Secrets: ArchiveEncrypted, Passphrase: "a passphrase"}
	c := testConfig()
	c.Archives = []Archive{far, near}
	if p := c.Validate(); len(p) > 0 {
		t.Fatalf("%v", p)
	}
	for want, change := range map[string]func(c *Config){
		"maximum of 5":                      func(c *Config) { c.Archives = make([]Archive, MaxArchives+1) },
		"name \"a b\" is not valid":         func(c *Config) { c.Archives[0].Name = "a b" },
		"name is there twice":               func(c *Config) { c.Archives[0].Name = "NEAR" },
		"same target":                       func(c *Config) { c.Archives[0] = near; c.Archives[0].Name = "far" },
		"must be written /x":                func(c *Config) { c.Archives[1].Target = "/x/" },
		"mask, encrypt or plain":            func(c *Config) { c.Archives[1].Secrets = "" },
		"need the passphrase":               func(c *Config) { c.Archives[1].Passphrase = "" },
		"and only they do":                  func(c *Config) { c.Archives[0].Passphrase = "x" },
		"has no keys":                       func(c *Config) { c.Archives[1].HostKey = someHostKey },
		"host key must be one line":         func(c *Config) { c.Archives[0].HostKey = "" },
		"host key must be written":          func(c *Config) { c.Archives[0].HostKey += " x" },
		"private key of the archive cannot": func(c *Config) { c.Archives[0].Key = "x" },
	} {
		bad := c.Clone()
		change(bad)
		found := ""
		for _, p := range bad.Validate() {
			found += p.Text + "\n"
		}
		if !strings.Contains(found, want) || strings.Contains(found, "passphrase\"") {
			t.Errorf("want %q, found %q", want, found)
		}
	}
	if line, err := far.PublicKey(); err != nil || !strings.HasPrefix(line, "ecdsa-sha2-nistp256 AAAA") {
		t.Errorf("%q, %v", line, err)
	}
}
