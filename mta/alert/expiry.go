package alert

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Certificate is one whose end is told of.
type Certificate struct {
	Name        string // of its profile; of an authority, what it is listed by
	Authority   bool   // one of the custom list, which peers are verified with
	Fingerprint string // another certificate under the same name is told of anew
	CommonName  string
	NotAfter    time.Time
	Uses        []string // `listener "IncomingMail"`; empty: nothing uses it
}

// daysBefore are the days before its end on which a certificate is told of;
// those of authorities are longer (reference esa-cli-config 3.3).
func (c Certificate) daysBefore() []int {
	days := []int{1, 2, 3, 4, 5, 15, 30}
	if c.Authority {
		days = append(days, 60, 90)
	}
	return days
}

const day = 24 * time.Hour

// stage is how far a certificate has come: the least of daysBefore that is not
// less than what is left, 0 on the first day after its end, -n after n days.
// It is false where more is left. What nothing uses stays at 0.
func (c Certificate) stage(now time.Time) (int, bool) {
	left := c.NotAfter.Sub(now)
	if left <= 0 {
		if len(c.Uses) == 0 {
			return 0, true
		}
		return int(left / day), true
	}
	for _, days := range c.daysBefore() {
		if left <= time.Duration(days)*day {
			return days, true
		}
	}
	return 0, false
}

// key tells certificates apart: one that is in two places is told of for each,
// because one may be used and the other not.
func (c Certificate) key() string { return fmt.Sprint(c.Fingerprint, " ", c.Authority, " ", c.Name) }

// ends gives an alert for each certificate that has come further than was told
// of it, and forgets those that are not configured any more. moved reports
// that there is something to save.
func (s *state) ends(now time.Time, all []Certificate) (alerts []Alert, moved bool) {
	known := make(map[string]bool, len(all))
	for _, c := range all {
		key := c.key()
		known[key] = true
		stage, near := c.stage(now)
		told, before := s.Told[key]
		if !near || before && stage >= told {
			continue
		}
		if s.Told == nil {
			s.Told = map[string]int{}
		}
		s.Told[key], moved = stage, true
		alerts = append(alerts, c.alert(now).escaped())
	}
	for key := range s.Told {
		if !known[key] {
			delete(s.Told, key)
			moved = true
		}
	}
	return alerts, moved
}

func (c Certificate) alert(now time.Time) Alert {
	a := Alert{Class: System, Severity: Warning, Name: "certificate-expiry", About: c.Name}
	what := "certificate"
	if c.Authority {
		what = "certificate authority"
	}
	left := c.NotAfter.Sub(now)
	switch days := int((left + day - 1) / day); {
	case left <= 0:
		a.Severity = Critical
		a.Summary = fmt.Sprintf("The %s %q has expired.", what, c.Name)
	case days == 1:
		a.Summary = fmt.Sprintf("The %s %q expires within one day.", what, c.Name)
	default:
		a.Summary = fmt.Sprintf("The %s %q expires in %d days.", what, c.Name, days)
	}
	a.Details = []string{
		"Common name: " + c.CommonName,
		"Not valid after: " + c.NotAfter.UTC().Format("Mon Jan _2 15:04:05 2006 GMT"),
	}
	switch {
	case c.Authority:
		a.Details = append(a.Details, "Peers that it certifies will not be verified.",
			"Use certconfig -> CERTAUTHORITY -> CUSTOM to put a new one in its place, then commit.")
	case len(c.Uses) == 0:
		a.Details = append(a.Details, "Nothing uses it. Use certconfig -> CERTIFICATE -> DELETE to remove it.")
	default:
		uses := slices.Clone(c.Uses)
		a.Details = append(a.Details, "Used by: "+strings.Join(uses, ", "),
			"Use certconfig -> CERTIFICATE -> EDIT to put a new one in its place, then commit.")
	}
	return a
}
