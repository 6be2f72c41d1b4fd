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
)

const (
	daneWorkers    = 32     // trials under way at once
	maxDANEDomains = 100000 // in a file
)

func daneFile(d *Dialog, env Env, args []string) error {
	domains, err := readDomains(env, args[0])
	if err != nil {
		return err
	}
	return verifyMany(d, env, domains)
}

// trialsOf are the trials of domains.
func trialsOf(domains []string) []DANETrial {
	var trials []DANETrial
	for _, domain := range domains {
		trials = append(trials, DANETrial{Domain: domain})
	}
	return trials
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

// tryMany makes trials at the same time and calls show for each as it is done.
// When it returns none is under way.
func tryMany(d *Dialog, env Env, all []DANETrial, show func(f *daneFindings)) error {
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
	for range min(daneWorkers, len(all)) {
		working.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(all) {
					return
				}
				found <- tryOne(ctx, env, trials, all[i])
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
func tryOne(ctx context.Context, env Env, trials DANETrials, t DANETrial) (f *daneFindings) {
	defer func() {
		if p := recover(); p != nil {
			f = &daneFindings{Domain: t.Domain, trial: t}
			f.end(&envelope.Failure{Reason: envelope.ReasonLocal, Reply: []string{fmt.Sprintf("internal error: %v", p)}})
		}
	}()
	f = &daneFindings{Domain: t.Domain, trial: t, now: env.Clock()}
	f.end(trials.Try(ctx, t, f))
	return f
}

// verifyMany shows a line for each domain as it is done, then how many ended
// in which way.
func verifyMany(d *Dialog, env Env, domains []string) error {
	counts, done, width := map[string]int{}, 0, len(fmt.Sprint(len(domains)))
	err := tryMany(d, env, trialsOf(domains), func(f *daneFindings) {
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
	err := tryMany(d, env, trialsOf(domains), func(f *daneFindings) {
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
