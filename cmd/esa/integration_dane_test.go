//go:build integration

package main

import (
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"esa/mta/mtatest"
	"esa/mta/mtatest/dnslab"
)

// This file has a small Internet of its own, on loopback (package dnslab):
//
//	esa ──► Unbound (127.0.0.42) ──► NSD (127.0.0.40: the root; 127.0.0.41: test., and zones below), signed by dnssec-signzone
//	 └────STARTTLS────► Postfix (127.0.0.43), port 25
//
// What esa says of it is held against what delv, Unbound and posttls-finger
// say, and daneverify against the lines of the reference.

// danelab is that Internet.
type danelab struct {
	*dnslab.Lab
	t        *testing.T
	resolver *dnslab.Server
}

const (
	labRoot       = "127.0.0.40:5340"
	labNameServer = "127.0.0.41"
	labResolver   = "127.0.0.42"
	labForwarder  = "127.0.0.45" // does not validate
	labMailHost   = "127.0.0.43"
)

// startDANELab starts the lab with its validating resolver.
func startDANELab(t *testing.T, zones []dnslab.Zone) *danelab {
	t.Helper()
	need(t, append(dnslab.Programs(), "delv", "dig")...)
	if !privileged() {
		t.Skip("ports 25 and 53 are needed")
	}
	dir, err := os.MkdirTemp("/var/tmp", "esa-lab")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	lab, err := dnslab.Start(dnslab.Plan{Dir: dir, Root: netip.MustParseAddrPort(labRoot), Other: netip.MustParseAddr(labNameServer), Zones: zones})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Errorf("closing the lab: %v", err)
		}
	})
	l := &danelab{Lab: lab, t: t}
	l.resolver = l.resolve(labResolver, true)
	return l
}

// resolve starts a resolver on port 53.
func (l *danelab) resolve(address string, checks bool) *dnslab.Server {
	l.t.Helper()
	s, err := l.Resolve(dnslab.Resolver{At: netip.MustParseAddrPort(address + ":53"), Checks: checks})
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

func (l *danelab) write(name, text string) string {
	l.t.Helper()
	path := filepath.Join(l.Dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// gateway starts a gateway that asks the lab's resolver and trusts its root.
func (l *danelab) gateway() *gateway {
	l.t.Helper()
	g := startGateway(l.t, l.t.TempDir())
	g.useDNS(netip.MustParseAddrPort(labResolver + ":53"))
	g.script("dnsconfig anchors new \""+l.Anchor+"\"", "logconfig edit mail_logs level=4", `commit "lab"`)
	return g
}

// quick is a command that must not take long.
func (l *danelab) quick(g *gateway, words ...string) ([]byte, error) {
	l.t.Helper()
	cmd := g.esa(words...)
	timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer timer.Stop()
	return cmd.CombinedOutput()
}

// tlsa gives the record for the key of the first certificate of a file.
func tlsa(t *testing.T, usage int, file string) string {
	t.Helper()
	key := output(t, "", "openssl", "x509", "-in", file, "-noout", "-pubkey")
	block, _ := pem.Decode([]byte(key))
	if block == nil {
		t.Fatalf("no key in %s", file)
	}
	return fmt.Sprintf("%d 1 1 %x", usage, sha256.Sum256(block.Bytes))
}

// daneZones are the zones of the lab, with the records that Postfix needs.
func daneZones(leaf, authority string) []dnslab.Zone {
	host := "@ IN MX 10 mx\nmx IN A " + labMailHost + "\n"
	record := func(text string) string { return host + "_25._tcp.mx IN TLSA " + text + "\n" }
	return []dnslab.Zone{
		{Name: "good.test.", Text: record(leaf)},
		{Name: "ta.test.", Text: record(authority), Sign: []string{"-3", "-"}},
		{Name: "wrong.test.", Text: record("3 1 1 " + strings.Repeat("00", 32))},
		{Name: "unusable.test.", Text: record("1 1 1 " + strings.Repeat("00", 32))},
		{Name: "notlsa.test.", Text: host},
		{Name: "null.test.", Text: "@ IN MX 0 .\n"},
		{Name: "alias.test.", Text: "@ IN MX 10 mx\nmx IN CNAME mx.good.test.\n"},
		{Name: "bogus.test.", Text: record(leaf), Spoil: [2]string{"MX\t10 mx.bogus.test.", "MX\t10 nx.bogus.test."}},
		{Name: "three.test.", Unsigned: true, Text: "@ IN MX 10 a\n@ IN MX 20 b\n@ IN MX 30 c\na IN A 127.0.0.91\nb IN A 127.0.0.92\nc IN A 127.0.0.93\n"},
		{Name: "two.test.", Unsigned: true, Text: "@ IN MX 10 mx\nmx IN A 127.0.0.91\nmx IN A 127.0.0.92\n"},
		{Name: "wild.test.", Text: "*.wild.test. IN TXT \"any\"\n"},
	}
}

// startDANEMail starts Postfix on port 25, with a certificate and its
// authority, and gives the TLSA records of both.
func startDANEMail(t *testing.T) (leaf, authority string) {
	t.Helper()
	p := startPostfix(t, 1)
	ca := p.certify(t, "mx.good.test,DNS:mx.ta.test")
	master := filepath.Join(p.dir, "etc", "master.cf")
	text, err := os.ReadFile(master)
	if err != nil {
		t.Fatal(err)
	}
	moved := strings.Replace(string(text), fmt.Sprintf("127.0.0.3:%d", p.port), labMailHost+":25", 1)
	if err := os.WriteFile(master, []byte(moved), 0o644); err != nil {
		t.Fatal(err)
	}
	cert := filepath.Join(p.dir, "tls", "cert.pem")
	leaf, authority = tlsa(t, 3, cert), tlsa(t, 2, ca)
	chain, _ := os.ReadFile(cert)
	above, _ := os.ReadFile(ca)
	if err := os.WriteFile(cert, append(chain, above...), 0o644); err != nil {
		t.Fatal(err)
	}
	p.command(t, "postfix", "-c", filepath.Join(p.dir, "etc"), "reload")
	waitFor(t, "Postfix on port 25", func() bool {
		return exec.Command("swaks", "--server", labMailHost, "--quit-after", "EHLO").Run() == nil
	})
	return leaf, authority
}

// TestDANELab holds esa's verdicts against those of others, and daneverify
// against the lines of the reference: behind a resolver that validates, behind
// one that does not, and as a resolver of its own from the root down.
func TestDANELab(t *testing.T) {
	need(t, "posttls-finger", "swaks", "openssl", "unshare")
	leaf, authority := startDANEMail(t)
	l := startDANELab(t, daneZones(leaf, authority))
	g := l.gateway()
	t.Run("others", l.others)
	t.Run("validating resolver", func(t *testing.T) { l.esa(t, g, labResolver) })
	t.Run("posttls-finger", func(t *testing.T) { l.finger(t, g) })
	t.Run("resolver without validation", func(t *testing.T) {
		l.resolve(labForwarder, false)
		g.useDNS(netip.MustParseAddrPort(labForwarder + ":53"))
		l.esa(t, g, labForwarder)
	})
	t.Run("from the root", func(t *testing.T) { l.iterating(t, g) })
	t.Run("no DNSSEC", func(t *testing.T) { l.stripped(t, g) })
}

// esa holds what a gateway says, which asks server, against what is right.
func (l *danelab) esa(t *testing.T, g *gateway, server string) {
	l.verdicts(t, g)
	l.daneverify(t, g)
	g.logged(`Debug: DNS query: Q \('_25\._tcp\.mx\.good\.test', 'TLSA', '` + regexp.QuoteMeta(server) + `'\)`)
}

// iterating has the gateway ask the lab's name servers itself: the root on the
// port that its root hints tell, the others as they are delegated.
func (l *danelab) iterating(t *testing.T, g *gateway) {
	g.useDNS(mtatest.NewDNSServer(t, "").Addr()) // knows nothing
	if err := os.WriteFile(filepath.Join(g.dir, "configuration", "roots"), []byte(l.RootHints()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := g.script("dnsconfig roothints import roots", "dnsconfig setup root=yes", `commit "from the root"`, "dnsconfig roothints print"); !strings.Contains(out, labRoot) {
		t.Errorf("the root servers are not shown:\n%s", out)
	}
	l.esa(t, g, labNameServer)
	g.logged(`Debug: DNS query: Q \('test', 'DS', '` + regexp.QuoteMeta(labRoot) + `'\)`)
	g.script("dnsconfig setup root=no", `commit "by a resolver"`)
}

// labVerdicts are what is right.
var labVerdicts = []struct{ name, kind, want string }{
	{"test", "SOA", "SECURE"}, {"good.test", "MX", "SECURE"}, {"mx.good.test", "A", "SECURE"}, {"mx.good.test", "AAAA", "SECURE"},
	{"_25._tcp.mx.good.test", "TLSA", "SECURE"}, {"nowhere.good.test", "A", "SECURE"},
	{"ta.test", "MX", "SECURE"}, {"nowhere.ta.test", "A", "SECURE"}, {"mx.ta.test", "AAAA", "SECURE"},
	{"mx.alias.test", "A", "SECURE"}, {"any.wild.test", "TXT", "SECURE"}, {"any.wild.test", "A", "SECURE"},
	{"three.test", "MX", "INSECURE"}, {"a.three.test", "A", "INSECURE"}, {"nowhere.two.test", "A", "INSECURE"},
	{"bogus.test", "MX", "BOGUS"}, {"mx.bogus.test", "A", "SECURE"},
}

// verdicts are ours.
func (l *danelab) verdicts(t *testing.T, g *gateway) {
	for _, q := range labVerdicts {
		mine, _ := l.quick(g, "dnssecverify", q.name, q.kind)
		if !strings.Contains(string(mine), "RESULT: "+q.want+" ") {
			t.Errorf("%s %s: esa says\n%s, want %s", q.name, q.kind, mine, q.want)
		}
	}
}

// others are the verdicts of Unbound and delv.
func (l *danelab) others(t *testing.T) {
	_, key, _ := strings.Cut(l.Anchor, "257 3 13 ")
	anchors := l.write("delv.keys", fmt.Sprintf("trust-anchors { . static-key 257 3 13 %q; };\n", strings.ReplaceAll(key, " ", "")))
	for _, q := range labVerdicts {
		if got := dug(t, q.name, q.kind); got != q.want {
			t.Errorf("%s %s: Unbound says %s, want %s", q.name, q.kind, got, q.want)
		}
		if got := delved(anchors, q.name, q.kind); got != q.want {
			t.Errorf("%s %s: delv says %s, want %s", q.name, q.kind, got, q.want)
		}
	}
}

// dug is the verdict of Unbound.
func dug(t *testing.T, name, kind string) string {
	t.Helper()
	out := output(t, "", "dig", "+adflag", "@"+labResolver, name, kind)
	switch {
	case strings.Contains(out, "status: SERVFAIL"):
		return "BOGUS"
	case regexp.MustCompile(`flags:[^;]* ad[ ;]`).MatchString(out):
		return "SECURE"
	}
	return "INSECURE"
}

// delved is the verdict of delv.
func delved(anchors, name, kind string) string {
	out, _ := exec.Command("delv", "@"+labResolver, "-a", anchors, "+root", name, kind).CombinedOutput()
	switch text := string(out); {
	case strings.Contains(text, "fully validated"):
		return "SECURE"
	case strings.Contains(text, "unsigned answer"):
		return "INSECURE"
	case strings.Contains(text, "resolution failed"):
		return "BOGUS"
	}
	return string(out)
}

// daneverify compares with the lines of the reference.
func (l *danelab) daneverify(t *testing.T, g *gateway) {
	const begun = "SECURE MX record(mx.%[1]s) found for %[1]s\nSECURE A record (127.0.0.43) found for MX(mx.%[1]s) in %[1]s\nConnecting to 127.0.0.43 on port 25.\nConnected to 127.0.0.43 from interface 127.0.0.1.\n"
	const shaken = begun + "SECURE TLSA record found for MX(mx.%[1]s) in %[1]s\nChecking TLS connection.\nTLS connection established: protocol TLSv1.3, cipher TLS_AES_256_GCM_SHA384.\n"
	const success = shaken + "Certificate verification successful\nTLS connection succeeded %[1]s.\nDANE SUCCESS for %[1]s\n"
	const insecure = "INSECURE MX record(%[2]s.%[1]s) found for %[1]s\nINSECURE MX record(%[2]s.%[1]s) found. The command will still proceed.\nINSECURE A record (%[3]s) found for MX(%[2]s.%[1]s) in %[1]s\n"
	next := "Trying next MX record in three.test\n"
	for _, tt := range []struct{ domain, want string }{
		{"good.test", success},
		{"ta.test", success},
		{"wrong.test", shaken + "Certificate verification failed\nDANE FAILED for %[1]s\n"},
		{"unusable.test", begun + "SECURE TLSA record found for MX(mx.%[1]s) in %[1]s\nNo usable TLSA record found for MX(mx.%[1]s) in %[1]s\nDANE FAILED for %[1]s\n"},
		{"notlsa.test", begun + "No TLSA record(NXDomain) found for MX(mx.%[1]s) in %[1]s\nDANE FAILED for %[1]s\n"},
		{"null.test", "No MX record(Null MX) found for %[1]s\nDANE FAILED for %[1]s\n"},
		{"nowhere.test", "No MX record(NXDomain) found for %[1]s\nDANE FAILED for %[1]s\n"},
		{"alias.test", success},
		{"bogus.test", "BOGUS MX record found for %[1]s\nDANE FAILED for %[1]s\n"},
		{"three.test", fmt.Sprintf(insecure, "three.test", "a", "127.0.0.91") + next + fmt.Sprintf(insecure, "three.test", "b", "127.0.0.92") + next +
			fmt.Sprintf(insecure, "three.test", "c", "127.0.0.93") + "DANE FAILED for %[1]s\n"},
	} {
		out, err := l.quick(g, "daneverify", tt.domain)
		want := fmt.Sprintf(tt.want+"DANE verification completed.\n", tt.domain)
		if !strings.Contains(tt.want, "%") {
			want = tt.want
		}
		got := regexp.MustCompile(`cipher \S+\.`).ReplaceAllString(string(out), "cipher TLS_AES_256_GCM_SHA384.")
		if got != want {
			t.Errorf("daneverify %s:\n%s\nwant\n%s", tt.domain, got, want)
		}
		if passed := strings.Contains(want, "SUCCESS"); passed != (err == nil) {
			t.Errorf("daneverify %s: %v", tt.domain, err)
		}
	}
	g.logged(`Debug: DNSSEC Response data\(\[\(10, 'mx\.good\.test\.'\)\], secure, 0, `)
}

// finger holds the verdicts against those of Postfix's own client, which sees
// the lab's resolver as the system's.
func (l *danelab) finger(t *testing.T, g *gateway) {
	want := map[string]bool{"good.test": true, "ta.test": true, "alias.test": true, "wrong.test": false, "notlsa.test": false, "unusable.test": false}
	domains := slices.Sorted(maps.Keys(want))
	cmd, err := l.Finger(netip.MustParseAddr(labResolver))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = strings.NewReader(strings.Join(domains, "\n") + "\n")
	out, err := cmd.CombinedOutput()
	said := regexp.MustCompile(`(?m)^\d+\n`).Split(string(out), -1)
	if err != nil || len(said) != len(domains)+1 {
		t.Fatalf("posttls-finger: %v\n%s", err, out)
	}
	for i, domain := range domains {
		theirs := strings.Contains(said[i], "Verified TLS connection established")
		if theirs != want[domain] {
			t.Errorf("posttls-finger of %s: verified %v, want %v\n%s", domain, theirs, want[domain], said[i])
		}
		if err := g.esa("daneverify", domain).Run(); (err == nil) != theirs {
			t.Errorf("daneverify of %s: %v, posttls-finger: verified %v", domain, err, theirs)
		}
	}
}

// stripped is the run of the reference where the DNS server does not pass
// DNSSEC on: BOGUS, at once.
func (l *danelab) stripped(t *testing.T, g *gateway) {
	server := mtatest.NewDNSServer(t, "good.test. 60 IN MX 10 mx.good.test.\nmx.good.test. 60 IN A "+labMailHost+"\n")
	g.useDNS(server.Addr())
	const want = "BOGUS MX record found for good.test\nDANE FAILED for good.test\nDANE verification completed.\n"
	if out, err := g.esa("daneverify", "good.test").CombinedOutput(); string(out) != want || err == nil {
		t.Errorf("daneverify says\n%s, %v; want\n%s", out, err, want)
	}
}
