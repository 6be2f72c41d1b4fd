package commands

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"esa/shell"
	"esa/store"
)

// This file is the revocation lists that peers' certificates are looked up in:
// certconfig -> CRL (reference esa-cli-config 3.1). Below the menu word the
// texts are ours.

func crlMenu(d *Dialog, env Env, cfg *store.Config) {
	for d.Err() == nil {
		ops := []shell.Op{{Word: "NEW", Text: "Add a revocation list"}}
		if len(cfg.Revocation.Sources) > 0 {
			ops = append(ops,
				shell.Op{Word: "EDIT", Text: "Change where a list comes from"},
				shell.Op{Word: "DELETE", Text: "Remove a revocation list"})
		}
		ops = append(ops, shell.Op{Word: "SETUP", Text: "Choose where the lists are used"})
		if len(cfg.Revocation.Sources) > 0 {
			ops = append(ops,
				shell.Op{Word: "PRINT", Text: "View the state of the lists"},
				shell.Op{Word: "UPDATE", Text: "Fetch the lists now"})
		}
		if !d.Menu(crlSummary(cfg), ops...) {
			return
		}
		switch d.Op() {
		case "NEW":
			tell(d, crlNew(d, cfg))
		case "EDIT":
			tell(d, crlEdit(d, cfg))
		case "DELETE":
			crlDelete(d, cfg)
		case "SETUP":
			crlSetup(d, cfg)
		case "PRINT":
			d.Text(crlTable(env, cfg))
		case "UPDATE":
			tell(d, crlUpdateAll(d, env, cfg.Revocation.Sources))
		}
	}
}

// crlSummary is the block above the menu.
func crlSummary(cfg *store.Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Certificate Revocation Lists\nClient certificates (listeners): %s\nServer certificates (delivery): %s\n",
		checked(cfg.Revocation.Listener), checked(cfg.Revocation.Delivery))
	for _, s := range cfg.Revocation.Sources {
		fmt.Fprintf(&b, "\n%s: %s\n  %s\n", s.Name, s.Refresh, s.URL)
		if s.Further != "" {
			fmt.Fprintf(&b, "  %s\n", s.Further)
		}
	}
	if len(cfg.Revocation.Sources) == 0 {
		b.WriteString("\nThere are no revocation lists.\n")
	}
	return b.String()
}

func checked(on bool) string {
	if on {
		return "checked"
	}
	return "not checked"
}

func crlNew(d *Dialog, cfg *store.Config) error {
	if err := roomForCRL(cfg); err != nil {
		return err
	}
	s := store.CRLSource{Refresh: store.DailyCRL()}
	s.Name = askFree(d, "Enter a name for this revocation list:", func(text string) (string, error) { return freeCRLName(cfg, text) })
	crlQuestions(d, &s)
	if d.Err() != nil {
		return d.Err()
	}
	return addCRL(d, cfg, s)
}

func roomForCRL(cfg *store.Config) error {
	if len(cfg.Revocation.Sources) >= store.MaxCRLSources {
		return shell.Refusedf("There is a maximum of %d revocation lists.", store.MaxCRLSources)
	}
	return nil
}

// freeCRLName reads a name that no list has.
func freeCRLName(cfg *store.Config, text string) (string, error) {
	name, err := store.ParseCRLName(text)
	if err == nil && cfg.Revocation.CRLSource(name) != nil {
		return "", shell.Refusedf("Revocation list %q already exists.", name)
	}
	return name, err
}

// addCRL is where dialog and one-line form of NEW meet.
func addCRL(d *Dialog, cfg *store.Config, s store.CRLSource) error {
	if err := s.Check(); err != nil {
		return err
	}
	cfg.Revocation.Sources = append(cfg.Revocation.Sources, s)
	d.Printf("Revocation list %q added. It is fetched once you commit.\n", s.Name)
	if !cfg.Revocation.Listener && !cfg.Revocation.Delivery {
		d.Text("NOTE: No certificate is checked against it: use SETUP to choose where the lists are used.")
	}
	return nil
}

// crlQuestions asks where a list comes from, and how often.
func crlQuestions(d *Dialog, s *store.CRLSource) {
	s.URL = shell.Ask(d, "Enter the URL of the list (http or https):", s.URL, store.ParseCRLURL)
	further := s.Further
	if further == "" {
		further = "None"
	}
	s.Further = shell.Ask(d, "Enter a further URL, for when the first does not have the list:", further, func(text string) (string, error) { return furtherURL(*s, text) })
	s.Refresh = askCRLSchedule(d, s.Refresh)
}

// furtherURL reads the second URL of a list, or none.
func furtherURL(s store.CRLSource, text string) (string, error) {
	address, err := noneOr(store.ParseCRLURL)(text)
	if err == nil && address != "" && address == s.URL {
		return "", shell.Refusedf("The further URL is the same as the first.")
	}
	return address, err
}

func askCRLSchedule(d *Dialog, s store.CRLSchedule) store.CRLSchedule {
	now := 0
	switch {
	case s.Hours > 0:
		now = 2
	case s.Day != "":
		now = 1
	}
	kind := d.Choose("How often should the list be fetched?", []string{"Every day", "Every week", "Every few hours"}, now)
	switch kind {
	case 2:
		hours := max(s.Hours, 6)
		if s.Hours > 0 {
			hours = s.Hours
		}
		return store.CRLSchedule{Hours: shell.Ask(d, "Enter the number of hours between two fetches:", strconv.Itoa(hours), store.ParseCRLHours)}
	case 1:
		days := store.Weekdays()
		n := d.Choose("Choose the day of the week.", days, max(0, slices.Index(days, s.Day)))
		s = store.CRLSchedule{Day: days[max(0, n)], Minute: s.Minute}
	default:
		s = store.CRLSchedule{Minute: s.Minute}
	}
	s.Minute = shell.Ask(d, "Enter the time of the day (HH:MM):", s.Time(), store.ParseTimeOfDay)
	return s
}

// askCRL asks for one of the lists by number or name; nil where it was not
// answered.
func askCRL(d *Dialog, cfg *store.Config, question string) *store.CRLSource {
	n := d.Choose(question, crlNames(cfg), -1)
	if d.Err() != nil {
		return nil
	}
	return &cfg.Revocation.Sources[n]
}

func crlNames(cfg *store.Config) []string {
	names := make([]string, len(cfg.Revocation.Sources))
	for i, s := range cfg.Revocation.Sources {
		names[i] = s.Name
	}
	return names
}

func crlEdit(d *Dialog, cfg *store.Config) error {
	place := askCRL(d, cfg, "Choose the revocation list to edit.")
	if place == nil {
		return d.Err()
	}
	s := *place
	crlQuestions(d, &s)
	if d.Err() != nil {
		return d.Err()
	}
	return changeCRL(d, place, s)
}

// changeCRL is where dialog and one-line form of EDIT meet.
func changeCRL(d *Dialog, place *store.CRLSource, s store.CRLSource) error {
	if err := s.Check(); err != nil {
		return err
	}
	*place = s
	d.Printf("Revocation list %q changed.\n", s.Name)
	return nil
}

func crlDelete(d *Dialog, cfg *store.Config) {
	place := askCRL(d, cfg, "Choose the revocation list to delete.")
	if place != nil && d.YesNo(fmt.Sprintf("Are you sure you want to delete %q?", place.Name), false) {
		deleteCRL(d, cfg, place.Name)
	}
}

// deleteCRL is where dialog and one-line form of DELETE meet.
func deleteCRL(d *Dialog, cfg *store.Config, name string) {
	cfg.Revocation.Sources = slices.DeleteFunc(cfg.Revocation.Sources, func(s store.CRLSource) bool { return s.Name == name })
	d.Printf("Revocation list %q removed.\n", name)
}

func crlSetup(d *Dialog, cfg *store.Config) {
	listener := d.YesNo("Should listeners check the certificates of clients against the lists?", cfg.Revocation.Listener)
	delivery := d.YesNo("Should delivery check the certificates of servers against the lists?", cfg.Revocation.Delivery)
	if d.Err() == nil {
		useCRL(d, cfg, crlUse{listener, delivery})
	}
}

// crlUse is where the lists are used.
type crlUse struct{ listener, delivery bool }

// useCRL is where dialog and one-line form of SETUP meet.
func useCRL(d *Dialog, cfg *store.Config, use crlUse) {
	cfg.Revocation.Listener, cfg.Revocation.Delivery = use.listener, use.delivery
	if (use.listener || use.delivery) && len(cfg.Revocation.Sources) == 0 {
		d.Text("NOTE: There are no revocation lists yet: use NEW to add one.")
	}
}

// crlTable tells the state of the lists of the running configuration, and of
// those that are not committed.
func crlTable(env Env, cfg *store.Config) string {
	if len(cfg.Revocation.Sources) == 0 {
		return "There are no revocation lists."
	}
	states := env.Revocation.RevocationLists()
	parts := make([]string, len(cfg.Revocation.Sources))
	for i, s := range cfg.Revocation.Sources {
		n := slices.IndexFunc(states, func(l RevocationList) bool { return l.Name == s.Name })
		if n < 0 {
			parts[i] = s.Name + "\n  Not fetched: the list is not committed."
			continue
		}
		parts[i] = crlText(states[n], env.Clock())
	}
	return strings.Join(parts, "\n\n")
}

// crlText tells the state of one list.
func crlText(l RevocationList, now time.Time) string {
	var b strings.Builder
	b.WriteString(l.Name + "\n")
	row := func(label, text string) { fmt.Fprintf(&b, "  %-14s %s\n", label+":", text) }
	if l.Fetched.IsZero() {
		row("Last fetched", "never: no certificate is checked against this list")
	} else {
		row("Last fetched", crlTime(l.Fetched))
		row("Entries", strconv.Itoa(l.Entries))
		row("Issued", crlTime(l.Issued))
		next := crlTime(l.NextUpdate)
		if l.NextUpdate.Before(now) {
			next += " (outdated: no certificate is checked against this list)"
		}
		row("Next update", next)
	}
	if l.Err != nil {
		row("Last error", crlTime(l.Failed)+": "+printable(l.Err.Error()))
	}
	if !l.Due.IsZero() {
		row("Next fetch", crlTime(l.Due))
	}
	return strings.TrimRight(b.String(), "\n")
}

func crlTime(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") }

// crlUpdateAll fetches lists now, one after the other.
func crlUpdateAll(d *Dialog, env Env, sources []store.CRLSource) error {
	failed := false
	for _, s := range sources {
		d.Printf("Fetching %s...\n", s.Name)
		state, err := env.Revocation.UpdateRevocationList(d.Context(), s.Name)
		var failure *FetchError
		switch {
		case errors.As(err, &failure):
			d.Printf("%s was not fetched: %s\n", s.Name, printable(failure.Error()))
			failed = true
		case err != nil:
			return err
		default:
			d.Printf("%s: %s, next update %s\n", s.Name, entries(state.Entries), crlTime(state.NextUpdate))
		}
	}
	if failed {
		return shell.Refusedf("Not all revocation lists were fetched.")
	}
	return nil
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}
