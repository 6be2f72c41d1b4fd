package store

import (
	"slices"
	"strings"
)

// AlertClass groups alerts by what they are about.
type AlertClass string

// The classes of which this build has alerts.
const (
	AlertAll    AlertClass = "All"
	AlertSystem AlertClass = "System"
)

// AlertClasses lists the classes in the order of the menu.
func AlertClasses() []AlertClass { return []AlertClass{AlertAll, AlertSystem} }

// AlertSeverity says how urgent an alert is.
type AlertSeverity string

// The severities in the order of the menu.
const (
	AllSeverities       AlertSeverity = "All"
	CriticalSeverity    AlertSeverity = "Critical"
	WarningSeverity     AlertSeverity = "Warning"
	InformationSeverity AlertSeverity = "Information"
)

// AlertSeverities lists the severities in the order of the menu.
func AlertSeverities() []AlertSeverity {
	return []AlertSeverity{AllSeverities, CriticalSeverity, WarningSeverity, InformationSeverity}
}

// Bounds and factory values of alerts; times in seconds.
const (
	MaxAlertRecipients  = 100
	MaxAlertWait        = 31536000
	MaxStoredAlerts     = 1000
	factoryAlertWait    = 300
	factoryMaxAlertWait = 3600
	factoryStoredAlerts = 50
)

// Alerts says who hears of trouble, and how often.
type Alerts struct {
	Recipients  []AlertRecipient `label:"Recipients" object:"alert recipient"`
	From        string           `label:"From address" zero:"Default"`                      // empty: alert@ and the host name
	InitialWait int              `label:"Initial seconds before a duplicate alert is sent"` // 0: duplicates are not held back
	MaxWait     int              `label:"Maximum seconds before a duplicate alert is sent"`
	Stored      int              `label:"Maximum number of alerts to save"`
	Interface   string           `label:"Interface to deliver alerts" zero:"Auto"`
}

// AlertRecipient is somebody who gets the alerts of some classes and
// severities.
type AlertRecipient struct {
	Address    string          `label:"Address"`
	Classes    []AlertClass    `label:"Class"`
	Severities []AlertSeverity `label:"Severities"`
}

func (r AlertRecipient) key() string { return r.Address }

// Wants reports whether the recipient gets such alerts.
func (r AlertRecipient) Wants(class AlertClass, severity AlertSeverity) bool {
	return (slices.Contains(r.Classes, AlertAll) || slices.Contains(r.Classes, class)) &&
		(slices.Contains(r.Severities, AllSeverities) || slices.Contains(r.Severities, severity))
}

func factoryAlerts() Alerts {
	return Alerts{InitialWait: factoryAlertWait, MaxWait: factoryMaxAlertWait, Stored: factoryStoredAlerts}
}

func (c *Config) validateAlerts(p *problems) {
	const fix = "alertconfig -> SETUP"
	report := p.at("alerts", fix)
	a := c.Alerts
	if len(a.Recipients) > MaxAlertRecipients {
		p.at("alerts", "alertconfig -> DELETE")("There is a maximum of %d alert recipients.", MaxAlertRecipients)
	}
	for _, v := range []struct {
		what string
		n    int
		high int64
	}{
		{"Initial number of seconds", a.InitialWait, MaxAlertWait},
		{"Maximum number of seconds", a.MaxWait, MaxAlertWait},
		{"Number of alerts to save", a.Stored, MaxStoredAlerts},
	} {
		if err := inRange(int64(v.n), 0, v.high); err != nil {
			report("%s: %v", v.what, err)
		}
	}
	if a.InitialWait > a.MaxWait {
		report("The maximum debounce interval cannot be less than the initial one.")
	}
	if a.From != "" {
		if _, err := ParseEmail(a.From); err != nil {
			p.at("alerts", "alertconfig -> FROM")("%v", err)
		}
	}
	if a.Interface != "" {
		if _, ok := c.Interface(a.Interface); !ok {
			report("The interface %q does not exist.", a.Interface)
		}
	}
	seen := map[string]bool{}
	for _, r := range a.Recipients {
		r.validate(p)
		if key := strings.ToLower(r.Address); seen[key] {
			p.at("alerts", "alertconfig -> DELETE")("The address %s is there twice.", r.Address)
		} else {
			seen[key] = true
		}
	}
}

func (r AlertRecipient) validate(p *problems) {
	report := p.at("alert recipient "+r.Address, "alertconfig -> EDIT")
	if _, err := ParseEmail(r.Address); err != nil {
		report("%v", err)
	}
	if !chosen(r.Classes, AlertClasses()) {
		report("The classes are not known ones, or All with others: %v.", r.Classes)
	}
	if !chosen(r.Severities, AlertSeverities()) {
		report("The severities are not known ones, or All with others: %v.", r.Severities)
	}
}

// chosen reports whether some of all were picked, each once, and the first,
// which stands for all, only alone.
func chosen[T comparable](picked, all []T) bool {
	for i, v := range picked {
		if !slices.Contains(all, v) || slices.Contains(picked[:i], v) || v == all[0] && len(picked) > 1 {
			return false
		}
	}
	return len(picked) > 0
}
