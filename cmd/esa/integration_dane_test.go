//go:build integration

package main

import (
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"esa/mta/mtatest"
)

// This file has a small Internet of its own, on loopback:
//
//	esa ──► Unbound (127.0.0.42) ──► NSD (127.0.0.41): the root, test., and zones below, signed by dnssec-signzone
//	 └────STARTTLS────► Postfix (127.0.0.43, 127.0.0.44), port 25
//
// What esa says of it is held against what delv, Unbound and posttls-finger
// say, and daneverify against the lines of the reference.

// danelab is that Internet.
type danelab struct {
	t       *testing.T
	dir     string
	anchor  string // the key of its root
	servers []netip.AddrPort
}

const (
	labNameServer = "127.0.0.41"
	labResolver   = "127.0.0.42"
	labMailHost   = "127.0.0.43"
)

// danezone is a zone of the lab. Its SOA and NS records are added.
type danezone struct {
	name, text string
	unsigned   bool
	sign       []string // more words for dnssec-signzone
	spoil      [2]string
}

func (l *danelab) run(program string, args ...string) string {
	l.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = l.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return string(out)
}

func (l *danelab) write(name, text string) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
	return path
}

func (l *danelab) read(name string) string {
	l.t.Helper()
	text, err := os.ReadFile(filepath.Join(l.dir, name))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(text)
}

// sign writes the file of a zone; below are the DS records of its children.
func (l *danelab) sign(z danezone, below string) (ds string) {
	l.t.Helper()
	file := "zone-" + strings.Trim(z.name, ".")
	text := fmt.Sprintf("$TTL 300\n@ IN SOA ns.test. admin.test. 1 7200 3600 1209600 300\n@ IN NS ns.test.\n%s\n%s", z.text, below)
	l.write(file, text)
	if z.unsigned {
		return ""
	}
	for _, flag := range [][]string{{"-f", "KSK"}, nil} {
		key := strings.TrimSpace(l.run("dnssec-keygen", append(append([]string{"-q", "-a", "13"}, flag...), z.name)...))
		l.write(file, l.read(file)+l.read(key+".key"))
	}
	l.run("dnssec-signzone", append(append([]string{"-o", z.name, "-f", file + ".signed"}, z.sign...), file)...)
	signed := l.read(file + ".signed")
	if z.spoil[0] != "" {
		if !strings.Contains(signed, z.spoil[0]) {
			l.t.Fatalf("%q is not in zone %s", z.spoil[0], z.name)
		}
		signed = strings.Replace(signed, z.spoil[0], z.spoil[1], 1)
	}
	l.write(file, signed)
	return l.read("dsset-" + z.name)
}

// startDANELab signs the zones, children first, and starts the name servers.
func startDANELab(t *testing.T, zones []danezone) *danelab {
	t.Helper()
	need(t, "nsd", "unbound", "dnssec-keygen", "dnssec-signzone", "delv", "dig")
	if !privileged() {
		t.Skip("ports 25 and 53 are needed")
	}
	dir, err := os.MkdirTemp("/var/tmp", "esa-lab")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := &danelab{t: t, dir: dir}
	var below strings.Builder
	for _, z := range zones {
		below.WriteString(z.name + " IN NS ns.test.\n" + l.sign(z, ""))
	}
	test := l.sign(danezone{name: "test.", text: "ns IN A " + labNameServer}, below.String())
	l.sign(danezone{name: "."}, "test. IN NS ns.test.\nns.test. IN A "+labNameServer+"\n"+test)
	anchor := regexp.MustCompile(`(?m)^\.\s.*DNSKEY\s257 3 13 (.*)$`).FindString(l.read(l.keyFile()))
	l.anchor = anchor
	conf := fmt.Sprintf("server:\n ip-address: %s\n username: \"\"\n database: \"\"\n zonesdir: %q\n pidfile: \"\"\n xfrdfile: %q\n zonelistfile: %q\n server-count: 1\nremote-control:\n control-enable: no\n",
		labNameServer, dir, dir+"/xfrd", dir+"/zonelist")
	for _, z := range append([]danezone{{name: "."}, {name: "test."}}, zones...) {
		conf += fmt.Sprintf("zone:\n name: %q\n zonefile: zone-%s\n", z.name, strings.Trim(z.name, "."))
	}
	l.start("nsd", "-d", "-c", l.write("nsd.conf", conf))
	l.unbound(labResolver, fmt.Sprintf(" trust-anchor-file: %q\n", l.write("anchor", l.anchor+"\n")))
	return l
}

func (l *danelab) keyFile() string {
	l.t.Helper()
	files, _ := filepath.Glob(filepath.Join(l.dir, "K.+013+*.key"))
	for _, f := range files {
		if strings.Contains(l.read(filepath.Base(f)), " 257 3 13 ") {
			return filepath.Base(f)
		}
	}
	l.t.Fatal("the root has no key")
	return ""
}

// start runs a server until the test ends.
func (l *danelab) start(program string, args ...string) {
	l.t.Helper()
	cmd := exec.Command(program, args...)
	log, err := os.Create(filepath.Join(l.dir, program+".log"))
	if err != nil {
		l.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		log.Close()
	})
}

// unbound starts a validating resolver on port 53 and waits until it answers.
func (l *danelab) unbound(address, more string) {
	l.t.Helper()
	conf := l.write("unbound.conf", fmt.Sprintf("server:\n interface: %s\n port: 53\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n directory: %q\n pidfile: \"\"\n use-syslog: no\n do-not-query-localhost: no\n"+
		" access-control: 127.0.0.0/8 allow\n do-ip6: no\n module-config: \"validator iterator\"\n%s local-zone: \"test.\" nodefault\nremote-control:\n control-enable: no\nstub-zone:\n name: \".\"\n stub-addr: %s\n",
		address, l.dir, more, labNameServer))
	l.start("unbound", "-d", "-c", conf)
	waitFor(l.t, "an answer of Unbound", func() bool {
		out, err := exec.Command("dig", "+time=1", "+tries=1", "@"+address, "test.", "SOA").CombinedOutput()
		return err == nil && strings.Contains(string(out), "status: NOERROR")
	})
	l.servers = append(l.servers, netip.MustParseAddrPort(address+":53"))
}

// gateway starts a gateway that asks the lab's resolver and trusts its root.
func (l *danelab) gateway() *gateway {
	l.t.Helper()
	g := startGateway(l.t, l.t.TempDir())
	g.useDNS(l.servers[0])
	g.script("dnsconfig anchors new \""+l.anchorRecord()+"\"", "logconfig edit mail_logs level=4", `commit "lab"`)
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

// anchorRecord is the root's key in one line without the comment of its file.
func (l *danelab) anchorRecord() string { return strings.Join(strings.Fields(l.anchor), " ") }

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
func daneZones(leaf, authority string) []danezone {
	host := "@ IN MX 10 mx\nmx IN A " + labMailHost + "\n"
	record := func(text string) string { return host + "_25._tcp.mx IN TLSA " + text + "\n" }
	return []danezone{
		{name: "good.test.", text: record(leaf)},
		{name: "ta.test.", text: record(authority), sign: []string{"-3", "-"}},
		{name: "wrong.test.", text: record("3 1 1 " + strings.Repeat("00", 32))},
		{name: "unusable.test.", text: record("1 1 1 " + strings.Repeat("00", 32))},
		{name: "notlsa.test.", text: host},
		{name: "null.test.", text: "@ IN MX 0 .\n"},
		{name: "alias.test.", text: "@ IN MX 10 mx\nmx IN CNAME mx.good.test.\n"},
		{name: "bogus.test.", text: record(leaf), spoil: [2]string{"MX\t10 mx.bogus.test.", "MX\t10 nx.bogus.test."}},
		{name: "three.test.", unsigned: true, text: "@ IN MX 10 a\n@ IN MX 20 b\n@ IN MX 30 c\na IN A 127.0.0.91\nb IN A 127.0.0.92\nc IN A 127.0.0.93\n"},
		{name: "two.test.", unsigned: true, text: "@ IN MX 10 mx\nmx IN A 127.0.0.91\nmx IN A 127.0.0.92\n"},
		{name: "wild.test.", text: "*.wild.test. IN TXT \"any\"\n"},
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
// against the lines of the reference.
func TestDANELab(t *testing.T) {
	need(t, "posttls-finger", "swaks", "openssl", "unshare")
	leaf, authority := startDANEMail(t)
	l := startDANELab(t, daneZones(leaf, authority))
	g := l.gateway()
	t.Run("verdicts", func(t *testing.T) { l.verdicts(t, g) })
	t.Run("daneverify", func(t *testing.T) { l.daneverify(t, g) })
	t.Run("posttls-finger", func(t *testing.T) { l.finger(t, g) })
	t.Run("no DNSSEC", func(t *testing.T) { l.stripped(t, g) })
}

// verdicts compares what is said of every name.
func (l *danelab) verdicts(t *testing.T, g *gateway) {
	key := regexp.MustCompile(`257 3 13 (.*)`).FindStringSubmatch(l.anchorRecord())[1]
	anchors := l.write("delv.keys", fmt.Sprintf("trust-anchors { . static-key 257 3 13 %q; };\n", strings.ReplaceAll(key, " ", "")))
	for _, q := range []struct{ name, kind, want string }{
		{"test", "SOA", "SECURE"}, {"good.test", "MX", "SECURE"}, {"mx.good.test", "A", "SECURE"}, {"mx.good.test", "AAAA", "SECURE"},
		{"_25._tcp.mx.good.test", "TLSA", "SECURE"}, {"nowhere.good.test", "A", "SECURE"},
		{"ta.test", "MX", "SECURE"}, {"nowhere.ta.test", "A", "SECURE"}, {"mx.ta.test", "AAAA", "SECURE"},
		{"mx.alias.test", "A", "SECURE"}, {"any.wild.test", "TXT", "SECURE"}, {"any.wild.test", "A", "SECURE"},
		{"three.test", "MX", "INSECURE"}, {"a.three.test", "A", "INSECURE"}, {"nowhere.two.test", "A", "INSECURE"},
		{"bogus.test", "MX", "BOGUS"}, {"mx.bogus.test", "A", "SECURE"},
	} {
		mine, _ := l.quick(g, "dnssecverify", q.name, q.kind)
		if !strings.Contains(string(mine), "RESULT: "+q.want+" ") {
			t.Errorf("%s %s: esa says\n%s, want %s", q.name, q.kind, mine, q.want)
		}
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
	g.logged(`Debug: DNS query: Q \('_25\._tcp\.mx\.good\.test', 'TLSA', '127\.0\.0\.42'\)`)
	g.logged(`Debug: DNSSEC Response data\(\[\(10, 'mx\.good\.test\.'\)\], secure, 0, `)
}

// finger holds the verdicts against those of Postfix's own client, which sees
// the lab's resolver as the system's.
func (l *danelab) finger(t *testing.T, g *gateway) {
	resolv := l.write("resolv.conf", "nameserver "+labResolver+"\noptions edns0 trust-ad\n")
	for domain, want := range map[string]bool{"good.test": true, "ta.test": true, "alias.test": true, "wrong.test": false, "notlsa.test": false, "unusable.test": false} {
		script := `mount --bind "$1" /etc/resolv.conf && exec posttls-finger -c -l dane "$2"`
		out, _ := exec.Command("unshare", "-m", "sh", "-c", script, "sh", resolv, domain).CombinedOutput()
		theirs := strings.Contains(string(out), "Verified TLS connection established")
		if theirs != want {
			t.Errorf("posttls-finger of %s: verified %v, want %v\n%s", domain, theirs, want, out)
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
