package store

import (
	"fmt"
	"strings"
)

// DefaultProfile is the name of the profile that all others inherit from.
const DefaultProfile = "Default"

// Bounds of a bounce profile; times in seconds.
const (
	MaxProfiles      = 100
	MaxRetries       = 10000
	MaxLifetime      = 31536000
	MaxRetryInterval = 604800
	MaxWarnings      = 100
	MaxBounceCopy    = 100 << 20
	maxSubject       = 255
)

// Tri is Yes, No or "as in the Default profile".
type Tri string

const (
	Inherit Tri = ""
	Yes     Tri = "yes"
	No      Tri = "no"
)

// Is reports whether t is Yes.
func (t Tri) Is() bool { return t == Yes }

// TriOf gives Yes or No.
func TriOf(b bool) Tri {
	if b {
		return Yes
	}
	return No
}

// BounceProfile is how long delivery is tried and what the sender hears. In
// all profiles but Default a zero value says "as in Default", but for the
// alternate address, which each profile has or has not. Times are in seconds.
type BounceProfile struct {
	Name             string `label:"Name"`
	MaxRetries       int    `label:"Maximum number of retries" zero:"Default"`
	MaxLifetime      int    `label:"Maximum seconds in the queue" zero:"Default"`
	InitialRetry     int    `label:"Initial seconds before a retry" zero:"Default"`
	MaxRetry         int    `label:"Maximum seconds before a retry" zero:"Default"`
	SendBounces      Tri    `label:"Send hard bounces" zero:"Default"`
	UseDSN           Tri    `label:"Use the DSN message format" zero:"Default"`
	ParseStatus      Tri    `label:"Parse the DSN \"Status\" field" zero:"Default"`
	SendWarnings     Tri    `label:"Send delay warnings" zero:"Default"`
	Subject          string `label:"Bounce subject" zero:"Default"`
	WarningSubject   string `label:"Delay warning subject" zero:"Default"`
	WarningInterval  int    `label:"Minimum seconds between delay warnings" zero:"Default"`
	WarningCount     int    `label:"Maximum delay warnings per recipient" zero:"Default"`
	Alternate        string `label:"Alternate address"`                                   // empty: the sender
	HostInitialRetry int    `label:"Initial seconds before retrying an unreachable host"` // Default only, as what follows
	HostMaxRetry     int    `label:"Maximum seconds before retrying an unreachable host"`
	MaxCopy          int    `label:"Maximum bytes of the original message in a bounce"`
}

func (b BounceProfile) key() string { return b.Name }

func (c *Config) profile(name string) *BounceProfile {
	for i := range c.BounceProfiles {
		if c.BounceProfiles[i].Name == name {
			return &c.BounceProfiles[i]
		}
	}
	return nil
}

// Profile gives the profile of that name with everything it inherits filled
// in. The empty name, and one that does not exist, give Default.
func (c *Config) Profile(name string) BounceProfile {
	defaults := c.profile(DefaultProfile)
	if defaults == nil {
		defaults = new(defaultProfile())
	}
	own := c.profile(name)
	if own == nil || own.Name == DefaultProfile {
		return *defaults
	}
	b := *own
	fill(&b.MaxRetries, defaults.MaxRetries)
	fill(&b.MaxLifetime, defaults.MaxLifetime)
	fill(&b.InitialRetry, defaults.InitialRetry)
	fill(&b.MaxRetry, defaults.MaxRetry)
	fill(&b.SendBounces, defaults.SendBounces)
	fill(&b.UseDSN, defaults.UseDSN)
	fill(&b.ParseStatus, defaults.ParseStatus)
	fill(&b.SendWarnings, defaults.SendWarnings)
	fill(&b.Subject, defaults.Subject)
	fill(&b.WarningSubject, defaults.WarningSubject)
	fill(&b.WarningInterval, defaults.WarningInterval)
	fill(&b.WarningCount, defaults.WarningCount)
	b.HostInitialRetry, b.HostMaxRetry, b.MaxCopy = defaults.HostInitialRetry, defaults.HostMaxRetry, defaults.MaxCopy
	return b
}

// defaultProfile is the factory's.
func defaultProfile() BounceProfile {
	return BounceProfile{
		Name: DefaultProfile, MaxRetries: 100, MaxLifetime: 259200, InitialRetry: 60, MaxRetry: 3600,
		SendBounces: Yes, UseDSN: Yes, ParseStatus: No, SendWarnings: No,
		Subject: "Delivery Status Notification (Failure)", WarningSubject: "Delivery Status Notification (Delay)",
		WarningInterval: 14400, WarningCount: 1,
		HostInitialRetry: 60, HostMaxRetry: 3600, MaxCopy: 10240,
	}
}

func (c *Config) validateBounceProfiles(p *problems) {
	report := p.at("bounce profiles", "bounceconfig")
	if len(c.BounceProfiles) == 0 || c.BounceProfiles[0].Name != DefaultProfile {
		report("The first bounce profile must be %q.", DefaultProfile)
	}
	if len(c.BounceProfiles) > MaxProfiles {
		report("There is a maximum of %d bounce profiles.", MaxProfiles)
	}
	seen := map[string]bool{}
	for _, b := range c.BounceProfiles {
		report := p.at(fmt.Sprintf("bounce profile %q", b.Name), "bounceconfig -> EDIT")
		if _, err := ParseProfileName(b.Name); err != nil {
			report("%v", err)
		}
		if seen[b.Name] {
			report("Profile name already in use")
		}
		seen[b.Name] = true
		for _, err := range b.check() {
			report("%v", err)
		}
		if whole := c.Profile(b.Name); whole.InitialRetry > whole.MaxRetry {
			report("The initial retry interval, %d, must not be longer than the maximum, %d.", whole.InitialRetry, whole.MaxRetry)
		}
	}
}

// ParseSubject reads the subject of a notice.
func ParseSubject(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return "", errBlank
	}
	return text, checkText(text, maxSubject)
}

// check looks at the values of one profile.
func (b BounceProfile) check() []error {
	var errs []error
	low := int64(0) // what all but Default may leave out; also the upper bound, times it, of what they cannot have
	if b.Name == DefaultProfile {
		low = 1
	}
	for _, v := range []struct {
		what      string
		n         int
		low, high int64
	}{
		{"Maximum number of retries", b.MaxRetries, low, MaxRetries},
		{"Maximum number of seconds in the queue", b.MaxLifetime, low, MaxLifetime},
		{"Initial number of seconds before a retry", b.InitialRetry, low, MaxRetryInterval},
		{"Maximum number of seconds before a retry", b.MaxRetry, low, MaxRetryInterval},
		{"Interval between delay warnings", b.WarningInterval, low, MaxLifetime},
		{"Number of delay warnings", b.WarningCount, low, MaxWarnings},
		{"Initial number of seconds before retrying a host", b.HostInitialRetry, low, low * MaxRetryInterval},
		{"Maximum number of seconds before retrying a host", b.HostMaxRetry, low, low * MaxRetryInterval},
		{"Maximum size of the original message", b.MaxCopy, 0, low * MaxBounceCopy},
	} {
		if err := inRange(int64(v.n), v.low, v.high); err != nil {
			errs = append(errs, refuse("%s: %v", v.what, err))
		}
	}
	if b.HostInitialRetry > b.HostMaxRetry {
		errs = append(errs, refuse("The initial retry interval of a host, %d, must not be longer than the maximum, %d.", b.HostInitialRetry, b.HostMaxRetry))
	}
	for _, t := range []Tri{b.SendBounces, b.UseDSN, b.ParseStatus, b.SendWarnings} {
		if t != Yes && t != No && (t != Inherit || b.Name == DefaultProfile) {
			errs = append(errs, refuse("Please answer Yes or No, not %q.", t))
		}
	}
	for _, s := range []string{b.Subject, b.WarningSubject} {
		if b.Name == DefaultProfile && strings.TrimSpace(s) == "" {
			errs = append(errs, errBlank)
		} else if err := checkText(s, maxSubject); err != nil {
			errs = append(errs, refuse("Subject: %v", err))
		}
	}
	if b.Alternate != "" {
		if _, err := ParseEmail(b.Alternate); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
