package commands

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"esa/shell"
)

// tophosts lists the destinations that have most of something (reference
// esa-operations 3.1, 3.5).
func tophosts() Command {
	var words []string
	for _, k := range topKeys() {
		words = append(words, k.word)
	}
	return Command{
		Name:  "tophosts",
		Short: "Show the top hosts by queue size and other counters.",
		Long: `Shows 20 hosts. Delivered and bounced recipients are those since the gateway
started, or since the host was last forgotten: a day without activity.`,
		Forms: []Form{{Usage: "tophosts " + strings.Join(words, "|"), Run: func(d *Dialog, env Env, args []string) error {
			n := slices.IndexFunc(topKeys(), func(k topKey) bool { return k.word == args[0] })
			return showTopHosts(d, env, topKeys()[n])
		}}},
		Dialog: func(d *Dialog, env Env) error {
			var names []string
			for _, k := range topKeys() {
				names = append(names, k.name)
			}
			n := d.Choose("Sort results by:\n", names, 0)
			if d.Err() != nil {
				return d.Err()
			}
			return showTopHosts(d, env, topKeys()[n])
		},
	}
}

// topKey is what hosts can be sorted by.
type topKey struct {
	word string // of the one-line form
	name string
	of   func(Host) int64
}

func topKeys() []topKey {
	counter := func(name string) func(Host) int64 { return func(h Host) int64 { return h.Counters[name] } }
	return []topKey{
		{"active_rcpts", "Active Recipients", func(h Host) int64 { return int64(h.Active) }},
		{"conn_out", "Connections Out", func(h Host) int64 { return int64(h.Outbound) }},
		{"deliv_recip", "Delivered Recipients", counter("delivered_recips")},
		{"hard_bounced", "Hard Bounced Recipients", counter("hard_bounced_recips")},
		{"soft_bounced", "Soft Bounced Events", counter("soft_bounced_evts")},
	}
}

// maxTop is how many hosts are shown.
const maxTop = 20

func showTopHosts(d *Dialog, env Env, key topKey) error {
	hosts, err := env.Look.Hosts()
	if err != nil {
		return err
	}
	d.Printf("Status as of: %s\n", commitTime(env.Clock()))
	d.Text("Hosts marked with '*' were down as of the last delivery attempt.")
	d.Text(topTable(topHosts(hosts, key)))
	return d.Err()
}

// topHosts sorts by a key and, where it is equal, by name.
func topHosts(hosts []Host, key topKey) []Host {
	sorted := slices.Clone(hosts)
	slices.SortFunc(sorted, func(a, b Host) int {
		return cmp.Or(cmp.Compare(key.of(b), key.of(a)), strings.Compare(a.Domain, b.Domain))
	})
	return sorted[:min(len(sorted), maxTop)]
}

func topTable(hosts []Host) string {
	rows := [][]string{
		{"", "", "Active", "Conn.", "Deliv.", "Soft", "Hard"},
		{"#", "Recipient Host", "Recip.", "Out", "Recip.", "Bounced", "Bounced"},
	}
	for i, h := range hosts {
		mark := ""
		if h.State == "down" {
			mark = "*"
		}
		rows = append(rows, []string{
			fmt.Sprintf("%d%s", i+1, mark), h.Domain, thousands(int64(h.Active)), thousands(int64(h.Outbound)),
			thousands(h.Counters["delivered_recips"]), thousands(h.Counters["soft_bounced_evts"]), thousands(h.Counters["hard_bounced_recips"]),
		})
	}
	return shell.Columns(rows)
}
