package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"esa/mta/dns"
	"esa/mta/dnssec"
	"esa/mta/lookup"
	"esa/mta/mtatest/dnslab"
	"esa/mta/mtatest/smtpload"
)

// atOnce is how many domains are tried at the same time, as daneverify does.
const atOnce = 32

// dane is what DANE costs, against Postfix's client and Unbound, and against
// delivery without it.
func (b *bench) dane() (err error) {
	if err := need(append(dnslab.Programs(), "posttls-finger", "unshare")...); err != nil {
		progress("the rows of DANE are left out: %v", err)
		return nil
	}
	d, err := b.newDANEBench()
	if err != nil {
		return err
	}
	defer d.close()
	b.columns("esa", "posttls-finger, Unbound")
	r, err := start(b.ctx, d.gateway, fmt.Sprintf("127.0.0.1:%d", d.gateway.port))
	if err != nil {
		return err
	}
	if err = d.one(); err == nil {
		err = d.many()
	}
	if err = errors.Join(err, r.stop()); err != nil {
		return err
	}
	if err := d.validations(); err != nil {
		return err
	}
	b.columns("with DANE", "without")
	return d.deliveries()
}

// one is daneverify of a domain that nobody has asked for yet, on a host with
// Postfix and on one with the sink, to which posttls-finger waits 40 ms for the
// system: it does not switch Nagle's algorithm off.
func (d *daneBench) one() error {
	for _, row := range []struct {
		host  string
		fresh []string
	}{{"Postfix", d.posted}, {"the sink", d.domains}} {
		progress("one new domain on %s", row.host)
		p, err := d.turns(row.fresh)
		if err == nil {
			err = d.figure("one new domain on "+row.host+": daneverify, posttls-finger -l dane", "ms", p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// turns tries fresh domains, each of both another. The first of each is not
// counted: from then on both know the zones above them, and no more.
func (d *daneBench) turns(fresh []string) (p pair, err error) {
	const runs = postfixDomains / 2
	if len(fresh) < 2*runs {
		return p, errors.New("too few domains")
	}
	f, err := d.newFinger()
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	for n := range runs {
		ours, _, err := d.verified(fresh[2*n])
		if err != nil {
			return p, err
		}
		theirs, err := f.verified(fresh[2*n+1])
		if err != nil {
			return p, err
		}
		if n > 0 {
			p[0], p[1] = append(p[0], ours.Seconds()*1000), append(p[1], theirs.Seconds()*1000)
		}
	}
	return p, nil
}

// many is all domains at once, Unbound's cache cold.
func (d *daneBench) many() error {
	if err := os.WriteFile(filepath.Join(d.gateway.dir, "configuration", "domains"), []byte(strings.Join(d.domains, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	var p pair
	for n := range d.rounds {
		progress("%d domains, round %d", len(d.domains), n+1)
		if err := errors.Join(d.coldResolver(), d.forget()); err != nil {
			return err
		}
		took, _, err := d.verified("file", "domains")
		if err != nil {
			return err
		}
		p[0] = append(p[0], float64(len(d.domains))/took.Seconds())
		if err := d.coldResolver(); err != nil {
			return err
		}
		if took, err = d.fingered(); err != nil {
			return err
		}
		p[1] = append(p[1], float64(len(d.domains))/took.Seconds())
	}
	return d.figure(fmt.Sprintf("a file of %d domains, cold caches: daneverify, %d posttls-finger at once", len(d.domains), atOnce), "domains/s", p)
}

// fingered is how long Postfix's client takes for all domains.
func (d *daneBench) fingered() (_ time.Duration, err error) {
	idle := make(chan *finger, atOnce)
	defer func() {
		close(idle)
		for f := range idle {
			err = errors.Join(err, f.close())
		}
	}()
	for range atOnce {
		f, err := d.newFinger()
		if err != nil {
			return 0, err
		}
		idle <- f
	}
	begun := time.Now()
	err = each(d.ctx, atOnce, len(d.domains), func(n int) error {
		f := <-idle
		defer func() { idle <- f }()
		_, err := f.verified(d.domains[n])
		return err
	})
	return time.Since(begun), err
}

// validations is the MX records of all domains, resolved from the root down and
// validated: by our resolver, and by Unbound, asked by Go's own.
func (d *daneBench) validations() error {
	roots, err := dns.ParseRoots(d.RootHints())
	if err != nil {
		return err
	}
	anchors, err := dnssec.ParseAnchors(d.Anchor)
	if err != nil {
		return err
	}
	ours := dns.New(dns.Options{})
	defer ours.Close()
	ours.Configure(dns.Settings{Roots: roots, DNSSEC: dnssec.Policy{Skew: dnssec.DefaultSkew, Anchor: anchors}})
	theirs := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, labResolver+":53")
	}}
	asks := [2]func(string) error{
		func(domain string) error {
			if mx := ours.Checked().MX(d.ctx, domain); mx.Status != lookup.Secure || len(mx.Records) != 1 {
				return fmt.Errorf("MX of %s: %s %s", domain, mx.Status, mx.Why)
			}
			return nil
		},
		func(domain string) error {
			_, err := theirs.LookupMX(d.ctx, domain+".")
			return err
		},
	}
	var cold, warm pair
	for n := range d.rounds {
		progress("validations, round %d", n+1)
		ours.Flush()
		if err := d.coldResolver(); err != nil {
			return err
		}
		for i, ask := range asks {
			for _, into := range []*pair{&cold, &warm} {
				rate, err := d.rate(ask)
				if err != nil {
					return err
				}
				into[i] = append(into[i], rate)
			}
		}
	}
	return errors.Join(
		d.figure("MX validated from the root down, cold cache: our resolver, Unbound", "lookups/s", cold),
		d.figure("the same again, warm cache", "lookups/s", warm))
}

// rate is how many domains a second are asked for.
func (d *daneBench) rate(ask func(domain string) error) (float64, error) {
	begun := time.Now()
	err := each(d.ctx, atOnce, len(d.domains), func(n int) error { return ask(d.domains[n]) })
	return float64(len(d.domains)) / time.Since(begun).Seconds(), err
}

// deliveries is mail by STARTTLS with DANE Mandatory, and with nothing but TLS
// Required.
func (d *daneBench) deliveries() error {
	without, err := d.configured("without", "use_tls=require dane=none")
	if err != nil {
		return err
	}
	p := &place{gateway: d.gateway, both: [2]system{d.gateway, without}}
	for i, g := range []*gateway{d.gateway, without} {
		p.addr[i] = fmt.Sprintf("127.0.0.1:%d", g.port)
	}
	to := d.bench.sink
	d.bench.sink = d.mail
	defer func() { d.bench.sink = to }()
	for _, row := range []struct {
		what    string
		domains []string
	}{
		{"deliveries to one domain", d.domains[:1]},
		{fmt.Sprintf("deliveries to %d domains in turn", len(d.domains)), d.domains},
	} {
		progress("%s", row.what)
		var rates pair
		err := d.during(p, d.plainly, func(both [2]*running) error {
			c, err := d.measure(both, smtpload.Load{Sessions: 20, Time: d.length, Size: 1 << 10, Domains: row.domains})
			if err != nil {
				return err
			}
			for i, rounds := range c.rounds {
				for _, r := range rounds {
					rates[i] = append(rates[i], r.rate)
				}
			}
			return nil
		})
		if err = errors.Join(err, d.figure("1 KB, 20 sessions, by STARTTLS, "+row.what, "messages/s", rates)); err != nil {
			return err
		}
	}
	return nil
}
