package store

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of the revocation lists.
const (
	MaxCRLSources = 50
	maxURL        = 2048    // bytes
	maxCRLHours   = 24 * 30 // between two fetches
)

// Revocation says which certificate revocation lists are kept, and where peers
// are checked against them. The names are those of the configuration file:
// crl_sources, crl_listener_enabled, crl_delivery_enabled.
type Revocation struct {
	Listener bool        `label:"Used by listeners" json:"crl_listener_enabled"`
	Delivery bool        `label:"Used by delivery" json:"crl_delivery_enabled"`
	Sources  []CRLSource `label:"Sources" object:"revocation list" json:"crl_sources"`
}

// CRLSource is one list and where it comes from.
type CRLSource struct {
	Name    string      `label:"Name"`
	URL     string      `label:"URL"`
	Further string      `label:"Further URL" zero:"None"` // asked where URL does not have the list
	Refresh CRLSchedule `label:"Refresh"`
}

func (s CRLSource) key() string { return s.Name }

// CRLSchedule is when a list is fetched again: every so many hours, else every
// day or one day of every week at a time of the machine's zone.
type CRLSchedule struct {
	Hours  int    // 0: at Minute
	Day    string // "Sunday"; empty: every day
	Minute int    // of the day
}

// DailyCRL is the schedule that is offered first.
func DailyCRL() CRLSchedule { return CRLSchedule{Minute: 2 * 60} }

// Weekdays lists the days as schedules name them.
func Weekdays() []string {
	days := make([]string, 7)
	for i := range days {
		days[i] = time.Weekday(i).String()
	}
	return days
}

// Time gives the time of the day: "02:00".
func (s CRLSchedule) Time() string { return fmt.Sprintf("%02d:%02d", s.Minute/60, s.Minute%60) }

// String gives the form that ParseCRLSchedule reads.
func (s CRLSchedule) String() string {
	switch {
	case s.Hours == 1:
		return "every hour"
	case s.Hours > 0:
		return fmt.Sprintf("every %d hours", s.Hours)
	case s.Day != "":
		return "every " + s.Day + " at " + s.Time()
	}
	return "daily at " + s.Time()
}

const errCRLSchedule = ValueError(`The refresh must be "daily at HH:MM", "every DAY at HH:MM" or "every N hours".`)

// ParseCRLSchedule reads a schedule; "at" may be left out.
func ParseCRLSchedule(text string) (CRLSchedule, error) {
	words := strings.Fields(strings.ToLower(text))
	words = slices.DeleteFunc(words, func(w string) bool { return w == "at" })
	var s CRLSchedule
	var err error
	switch {
	case len(words) == 2 && words[0] == "daily":
		s.Minute, err = ParseTimeOfDay(words[1])
		return s, err
	case len(words) < 2 || words[0] != "every":
		return s, errCRLSchedule
	case len(words) == 2 && words[1] == "hour":
		s.Hours = 1
		return s, nil
	case len(words) == 3 && (words[2] == "hours" || words[2] == "hour"):
		s.Hours, err = ParseCRLHours(words[1])
		return s, err
	}
	n := slices.IndexFunc(Weekdays(), func(day string) bool { return strings.EqualFold(day, words[1]) })
	if n < 0 || len(words) != 3 {
		return s, errCRLSchedule
	}
	s.Day = Weekdays()[n]
	s.Minute, err = ParseTimeOfDay(words[2])
	return s, err
}

// ParseCRLHours reads the hours between two fetches.
func ParseCRLHours(text string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 1 || n > maxCRLHours {
		return 0, refuse("The hours must be a number from 1 to %d.", maxCRLHours)
	}
	return n, nil
}

// ParseTimeOfDay reads "2:00" or "14:30" and gives the minute of the day.
func ParseTimeOfDay(text string) (int, error) {
	at, err := time.Parse("15:04", strings.TrimSpace(text))
	if err != nil {
		return 0, refuse("The time must be HH:MM, from 00:00 to 23:59.")
	}
	return at.Hour()*60 + at.Minute(), nil
}

// ParseCRLName reads the name of a source. Two that differ in case only are the
// same.
func ParseCRLName(text string) (string, error) {
	return nameRule{"The name of the list must start with a letter, number or underscore.", "", plainWords, startsAny}.parse(text)
}

// ParseCRLURL reads the address of a list.
func ParseCRLURL(text string) (string, error) {
	const wrong = ValueError("The URL must be one of http or https, with a host and without a user or\npassphrase.\n(Ex: http://crl.example.com/ca.crl)")
	text = strings.TrimSpace(text)
	if text == "" {
		return "", errBlank
	}
	if len(text) > maxURL {
		return "", refuse("The URL must not be longer than %d bytes.", maxURL)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return "", wrong
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", wrong
	}
	if port := u.Port(); port != "" {
		if _, err := ParsePort(port); err != nil {
			return "", err
		}
	}
	return u.String(), nil
}

// CRLSource finds a source by its name, in whatever case; nil if there is none.
func (r *Revocation) CRLSource(name string) *CRLSource {
	n := slices.IndexFunc(r.Sources, func(s CRLSource) bool { return strings.EqualFold(s.Name, name) })
	if n < 0 {
		return nil
	}
	return &r.Sources[n]
}

// Check looks at one source by the rules that hold when it is typed.
func (s CRLSource) Check() error {
	if name, err := ParseCRLName(s.Name); err != nil || name != s.Name {
		return refuse("The name %q is not valid.", s.Name)
	}
	addresses := []string{s.URL}
	if s.Further != "" {
		addresses = append(addresses, s.Further)
	}
	for _, address := range addresses {
		if parsed, err := ParseCRLURL(address); err != nil {
			return err
		} else if parsed != address {
			return refuse("The URL must be written %s.", parsed)
		}
	}
	if parsed, err := ParseCRLSchedule(s.Refresh.String()); err != nil {
		return err
	} else if parsed != s.Refresh {
		return errCRLSchedule
	}
	if s.Further == s.URL {
		return refuse("The further URL is the same as the first.")
	}
	return nil
}

func (c *Config) validateRevocation(p *problems) {
	if len(c.Revocation.Sources) > MaxCRLSources {
		p.at("revocation lists", "certconfig -> CRL -> DELETE")("There is a maximum of %d revocation lists.", MaxCRLSources)
	}
	seen := map[string]bool{}
	for _, s := range c.Revocation.Sources {
		report := p.at(fmt.Sprintf("revocation list %q", s.Name), "certconfig -> CRL -> EDIT")
		if err := s.Check(); err != nil {
			report("%v", err)
		}
		if key := strings.ToLower(s.Name); seen[key] {
			report("The name is there twice.")
		} else {
			seen[key] = true
		}
	}
}
