package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"esa/mta/mtatest/dnslab"
	"esa/mta/mtatest/smtpload"
)

// Where the lab is.
const (
	labRoot     = "127.0.0.70:5370"
	labZones    = "127.0.0.71"
	labResolver = "127.0.0.72"
	labMail     = "127.0.0.73" // the sink
	labPostfix  = "127.0.0.74"
)

// postfixDomains have Postfix as their host.
const postfixDomains = 64

// daneBench is the rows about DANE: signed domains, whose mail goes to a sink or
// to Postfix, with one certificate that their TLSA records name, and a gateway
// that asks Unbound for them.
type daneBench struct {
	*bench
	*dnslab.Lab
	unbound *dnslab.Server
	mail    *smtpload.Sink
	host    *running // Postfix
	domains []string // of the sink
	posted  []string // of Postfix
	gateway *gateway
}

// newDANEBench makes all of it but starts no gateway.
func (b *bench) newDANEBench() (_ *daneBench, err error) {
	d := &daneBench{bench: b}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.mail, err = smtpload.Listen(labMail + ":25"); err != nil {
		return nil, err
	}
	if d.host, err = d.postfix(d.mail.Certificate()); err != nil {
		return nil, err
	}
	dir := filepath.Join(b.root, "dane")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	plan := dnslab.Plan{Dir: dir, Root: netip.MustParseAddrPort(labRoot), Other: netip.MustParseAddr(labZones)}
	if d.domains, err = d.plan(&plan, "d", b.zones, labMail); err != nil {
		return nil, err
	}
	if d.posted, err = d.plan(&plan, "p", postfixDomains, labPostfix); err != nil {
		return nil, err
	}
	progress("signing %d zones", len(plan.Zones))
	if d.Lab, err = dnslab.Start(plan); err != nil {
		return nil, err
	}
	if err := d.coldResolver(); err != nil {
		return nil, err
	}
	d.gateway, err = d.configured("verifying", "use_tls=require dane=mandatory")
	return d, err
}

// plan adds domains whose mail goes to one host.
func (d *daneBench) plan(p *dnslab.Plan, prefix string, count int, host string) (domains []string, err error) {
	cert, err := x509.ParseCertificate(d.mail.Certificate().Certificate[0])
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("@ MX 10 mx\nmx A %s\n_25._tcp.mx TLSA 3 1 1 %x\n", host, sha256.Sum256(cert.RawSubjectPublicKeyInfo))
	for n := range count {
		name := fmt.Sprintf("%s%d.test", prefix, n)
		domains = append(domains, name)
		p.Zones = append(p.Zones, dnslab.Zone{Name: name + ".", Text: text})
	}
	return domains, nil
}

// postfix starts Postfix on port 25 with a certificate.
func (d *daneBench) postfix(cert tls.Certificate) (*running, error) {
	p, err := newPostfix(filepath.Join(d.root, "host"), ports{own: freePort(), sink: freePort()})
	if err != nil {
		return nil, err
	}
	key, shown, err := pemOf(cert)
	if err != nil {
		return nil, err
	}
	chain := filepath.Join(p.dir, "etc", "chain.pem")
	if err := os.WriteFile(chain, append(key, shown...), 0o644); err != nil {
		return nil, err
	}
	const at = labPostfix + ":25"
	for _, words := range [][]string{
		{"-e", "smtpd_tls_security_level=may", "smtpd_tls_chain_files=" + chain},
		{"-M", at + "/inet=" + at + " inet n - n - - smtpd"},
	} {
		if out, err := exec.Command("postconf", append([]string{"-c", filepath.Join(p.dir, "etc")}, words...)...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("configuring Postfix: %w\n%s", err, out)
		}
	}
	return start(d.ctx, p, at)
}

// pemOf gives the key and the certificate in PEM.
func pemOf(cert tls.Certificate) (key, shown []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), err
}

// configured makes a gateway whose default for destinations is as said.
func (d *daneBench) configured(name, destination string) (*gateway, error) {
	g, err := newGateway(d.binary, filepath.Join(d.root, name), ports{own: freePort(), sink: freePort(), dead: freePort()})
	if err != nil {
		return nil, err
	}
	lines, err := g.otherDNS(labResolver)
	if err != nil {
		return nil, err
	}
	return g, g.script(append(lines, `dnsconfig anchors new "`+d.Anchor+`"`, "smtproutes clear",
		"destconfig edit default "+destination, `commit "DANE"`)...)
}

// coldResolver puts an Unbound that knows nothing in the place of the one that
// runs.
func (d *daneBench) coldResolver() (err error) {
	if d.unbound != nil {
		if err := d.unbound.Stop(); err != nil {
			return err
		}
	}
	d.unbound, err = d.Resolve(dnslab.Resolver{At: netip.AddrPortFrom(netip.MustParseAddr(labResolver), 53), Checks: true})
	return err
}

func (d *daneBench) close() {
	if d.mail != nil {
		_ = d.mail.Close() // the run is over
	}
	if d.host != nil {
		_ = d.host.stop()
	}
	if d.Lab != nil {
		_ = d.Lab.Close()
	}
}

// verified runs daneverify, and tells how long it took and what it said.
func (d *daneBench) verified(words ...string) (time.Duration, string, error) {
	cmd := exec.CommandContext(d.ctx, d.gateway.binary, append([]string{"--data", d.gateway.dir, "daneverify"}, words...)...)
	begun := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("daneverify %s: %w\n%s", strings.Join(words, " "), err, tail(out))
	}
	return time.Since(begun), string(out), err
}

// forget empties the gateway's cache.
func (d *daneBench) forget() error { return d.gateway.script("dnsflush", "y") }

// tail is the end of what a program said.
func tail(out []byte) []byte { return out[max(0, len(out)-500):] }

// finger is Postfix's client at work in a process of its own that waits for
// domains.
type finger struct {
	cmd *exec.Cmd
	in  *os.File
	out *os.File
	got []byte
}

func (d *daneBench) newFinger() (*finger, error) {
	cmd, err := d.Finger(netip.MustParseAddr(labResolver))
	if err != nil {
		return nil, err
	}
	reads, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, writes, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, reads.Close(), in.Close())
	}
	cmd.Stdin, cmd.Stdout = reads, writes
	err = errors.Join(cmd.Start(), reads.Close(), writes.Close())
	return &finger{cmd: cmd, in: in, out: out}, err
}

// verified asks for one domain, and tells how long that took. That it verifies
// is what the lab is made for.
func (f *finger) verified(domain string) (time.Duration, error) {
	begun := time.Now()
	if _, err := fmt.Fprintln(f.in, domain); err != nil {
		return 0, err
	}
	f.got = f.got[:0]
	chunk := make([]byte, 4096)
	for !bytes.HasSuffix(f.got, []byte("\n0\n")) {
		n, err := f.out.Read(chunk)
		if err != nil {
			return 0, err
		}
		f.got = append(f.got, chunk[:n]...)
		if status := lastLine(f.got); status != "" && status != "0" && len(status) < 4 {
			break
		}
	}
	took := time.Since(begun)
	if !bytes.Contains(f.got, []byte("Verified TLS connection established")) {
		return 0, fmt.Errorf("posttls-finger does not verify %s:\n%s", domain, tail(f.got))
	}
	return took, nil
}

// lastLine is the last whole line, "" if the last is not whole.
func lastLine(text []byte) string {
	if !bytes.HasSuffix(text, []byte("\n")) {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

func (f *finger) close() error {
	err := f.in.Close()
	return errors.Join(err, f.cmd.Wait(), f.out.Close())
}
