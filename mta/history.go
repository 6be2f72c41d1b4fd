package mta

import (
	"fmt"
	"strings"

	"esa/mta/alert"
)

// checkHistory tells of revisions that are not as they were committed: each
// holds the hash of the one before. The gateway runs all the same: what runs is
// checked when the database is opened.
func (g *Gateway) checkHistory() {
	revisions, err := g.Store.Revisions(0)
	if err != nil {
		g.Diag.Error("the history of the configuration cannot be checked", "error", err)
		return
	}
	var altered []string
	for _, r := range revisions {
		if r.Altered {
			altered = append(altered, fmt.Sprint(r.Number))
		}
	}
	if altered == nil {
		return
	}
	g.Diag.Error("the history of the configuration was changed", "revisions", altered)
	g.live.alerts.Raise(alert.Alert{
		Class: alert.System, Severity: alert.Warning, Name: "history-altered", About: strings.Join(altered, " "),
		Summary: "The history of the configuration is not as it was committed.",
		Details: []string{
			"Revisions that were changed afterwards, newest first: " + strings.Join(altered, ", "),
			"What runs is not affected. Do not roll back to these revisions; see who can write to the data directory.",
		},
	})
}
