package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"esa/mta/envelope"
	"esa/shell"
	"esa/store"
)

const (
	daneWorkers    = 32     // trials under way at once
	maxDANEDomains = 100000 // in a file
	daneProgress   = 50     // domains of destinations
)

func daneFile(d *Dialog, env Env, args []string) error {
	domains, err := readDomains(env, args[0])
	if err != nil {
		return err
	}
	return verifyMany(d, env, domains)
}

// readDomains reads a file of domains, one a line.
func readDomains(env Env, file string) ([]string, error) {
	text, err := env.Files.Read(file)
	if err != nil {
		return nil, err
	}
	var domains []string
	seen := map[string]bool{}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		domain, err := parseMailDomain(line)
		if err != nil {
			return nil, shell.Refusedf("Line %d of %q is not a domain: %s", n, file, printable(line))
		}
		if !seen[domain] {
			seen[domain] = true
			domains = append(domains, domain)
		}
		if len(domains) > maxDANEDomains {
			return nil, shell.Refusedf("The file %q holds more than %d domains.", file, maxDANEDomains)
		}
	}
	if len(domains) == 0 {
		return nil, shell.Refusedf("The file %q holds no domain.", file)
	}
	return domains, nil
}

// tryMany tries domains at the same time and calls show for each as it is
// done. When it returns no trial is under way.
func tryMany(d *Dialog, env Env, domains []string, show func(f *daneFindings)) error {
	trials, err := env.DANE.DANETrials()
	if err != nil {
		return err
	}
	defer trials.Close()
	d.Live()
	ctx, stop := context.WithCancel(d.Context())
	defer stop()
	found := make(chan *daneFindings)
	var next atomic.Int64
	var working sync.WaitGroup
	for range min(daneWorkers, len(domains)) {
		working.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(domains) {
					return
				}
				found <- tryOne(ctx, env, trials, domains[i])
			}
		})
	}
	var closing sync.WaitGroup
	defer closing.Wait()
	closing.Go(func() {
		working.Wait()
		close(found)
	})
	for f := range found {
		if ctx.Err() == nil {
			show(f)
		}
		if d.Err() != nil {
			stop()
		}
	}
	if d.Context().Err() != nil {
		return shell.ErrInterrupt
	}
	return d.Err()
}

// tryOne makes one trial among several. A fault of ours ends that trial, not
// those of the others.
func tryOne(ctx context.Context, env Env, trials DANETrials, domain string) (f *daneFindings) {
	defer func() {
		if p := recover(); p != nil {
			f = &daneFindings{Domain: domain}
			f.end(&envelope.Failure{Reason: envelope.ReasonLocal, Reply: []string{fmt.Sprintf("internal error: %v", p)}})
		}
	}()
	f = &daneFindings{Domain: domain, now: env.Clock()}
	f.end(trials.Try(ctx, DANETrial{Domain: domain}, f))
	return f
}

// verifyMany shows a line for each domain as it is done, then how many ended
// in which way.
func verifyMany(d *Dialog, env Env, domains []string) error {
	counts, done, width := map[string]int{}, 0, len(fmt.Sprint(len(domains)))
	err := tryMany(d, env, domains, func(f *daneFindings) {
		done++
		counts[f.Reason]++
		d.Printf("[%*d/%d] DANE %s for %s%s\n", width, done, len(domains), f.word(), f.Domain, f.detail())
	})
	if err != nil {
		return err
	}
	d.Printf("\n%-28s %s\n", "Result", "Domains")
	if n := counts[""]; n > 0 {
		d.Printf("%-28s %7d\n", "DANE SUCCESS", n)
	}
	reasons := slices.DeleteFunc(slices.Sorted(maps.Keys(counts)), func(reason string) bool { return reason == "" })
	for _, reason := range reasons {
		d.Printf("%-28s %7d\n", reason, counts[reason])
	}
	d.Text("DANE verification completed.")
	if d.Err() == nil && len(reasons) > 0 {
		return shell.ErrFailed
	}
	return d.Err()
}

func daneJSON(d *Dialog, env Env, args []string) error {
	domains, err := parseMailDomains(args)
	if err != nil {
		return err
	}
	return printJSON(d, env, domains)
}

func daneJSONFile(d *Dialog, env Env, args []string) error {
	domains, err := readDomains(env, args[0])
	if err != nil {
		return err
	}
	return printJSON(d, env, domains)
}

// printJSON gives an object a line, in the order in which they are done.
func printJSON(d *Dialog, env Env, domains []string) error {
	failed := false
	err := tryMany(d, env, domains, func(f *daneFindings) {
		failed = failed || f.Result != daneSuccess
		line, err := json.Marshal(f)
		if err != nil {
			d.Refuse(err)
			return
		}
		d.Text(string(line))
	})
	if err == nil && failed {
		return shell.ErrFailed
	}
	return err
}

// daneDestinations tells what DANE would do to the domains that mail goes to.
func daneDestinations(d *Dialog, env Env, _ []string) error {
	cfg := env.Config()
	handling := env.DANE.Handling(cfg)
	domains, rows := mailDestinations(env, cfg)
	if len(domains)+len(rows) == 0 {
		d.Text("There is no destination: destconfig names no domain, and no mail is in the queue.")
		return d.Err()
	}
	done := 0
	err := tryMany(d, env, domains, func(f *daneFindings) {
		if done++; done%daneProgress == 0 {
			d.Printf("[%d/%d] %s\n", done, len(domains), f.Domain)
		}
		to, _ := handling(f.Domain)
		rows = append(rows, daneOutcome{f.Domain, f.opportunistic(to.TLS.Text(), cfg.DANE.InsecureMX), f.mandatory(), strings.TrimPrefix(f.detail(), ": ")})
	})
	if err != nil {
		return err
	}
	slices.SortFunc(rows, func(a, b daneOutcome) int { return strings.Compare(a.domain, b.domain) })
	const format = "%-30s %-13s %-20s %-9s %s\n"
	d.Printf(format, "Domain", "DANE now", "Opportunistic", "Mandatory", "Why")
	for _, r := range rows {
		to, _ := handling(r.domain)
		d.Printf(format, r.domain, to.DANE.Text(), r.opportunistic, r.mandatory, r.why)
	}
	return d.Err()
}

// daneOutcome is what DANE would do to a destination.
type daneOutcome struct{ domain, opportunistic, mandatory, why string }

// mailDestinations lists the domains of destconfig and of the queue, apart
// those that an SMTP route or their form decides about.
func mailDestinations(env Env, cfg *store.Config) (domains []string, others []daneOutcome) {
	seen, handling := map[string]bool{}, env.DANE.Handling(cfg)
	add := func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		domain, err := parseMailDomain(name)
		to, route := handling(name)
		switch {
		case route != nil && route.Discard:
			others = append(others, daneOutcome{name, "-", "-", "mail to it is discarded (smtproutes)"})
		case route != nil && !route.UseDNS && !cfg.DANE.RouteHosts:
			others = append(others, daneOutcome{name, "waits", "waits", "SMTP route to " + route.String() + " (daneconfig)"})
		case route != nil && !route.UseDNS:
			others = append(others, daneOutcome{name, "-", "-", "SMTP route: what the hosts of " + route.String() + " have, decides"})
		case strings.HasPrefix(name, "."):
			others = append(others, daneOutcome{name, "-", "-", "not one domain: try those below it"})
		case err != nil:
			others = append(others, daneOutcome{name, "TLS " + to.TLS.Text(), "waits", "an address has no TLSA record"})
		default:
			domains = append(domains, domain)
		}
	}
	for _, e := range cfg.Destinations.Entries {
		add(e.Domain)
	}
	// Without a gateway the queue is not known: the configuration is.
	hosts, _ := env.Look.Hosts()
	slices.SortFunc(hosts, func(a, b Host) int { return strings.Compare(a.Domain, b.Domain) })
	for _, h := range hosts {
		if h.Active > 0 {
			add(h.Domain)
		}
	}
	return domains, others
}
