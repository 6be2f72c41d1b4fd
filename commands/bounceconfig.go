package commands

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"esa/shell"
	"esa/store"
)

// bounceconfig says how long delivery is tried, and what the sender hears.
func bounceconfig() Command {
	keys := bounceKeys(&store.BounceProfile{})
	return Command{
		Name:  "bounceconfig",
		Short: "Configure the behavior of bounces.",
		Long: `A listener names the profile of the mail it takes; that of a destination
(destconfig) goes before it. The value default, in the
dialog and in the one-line forms, leaves a setting to the profile Default, which
cannot be deleted. How often a host is tried that is unreachable, and how much
of a message a bounce holds, is set in the profile Default only.`,
		Commit: true,
		Forms: []Form{
			{Usage: usage("bounceconfig new|edit PROFILE [name=NAME]", keys), Run: bounceSetForm},
			{Usage: "bounceconfig delete PROFILE", Run: bounceDeleteForm},
			{Usage: "bounceconfig setup bounce_down=yes|no", Run: bounceSetupForm},
			{Usage: "bounceconfig print", Run: bouncePrintForm},
		},
		Dialog: bounceDialog,
	}
}

func bounceDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		ops := []shell.Op{
			{Word: "NEW", Text: "Create a new profile."},
			{Word: "EDIT", Text: "Modify a profile."},
			{Word: "DELETE", Text: "Remove a profile."},
			{Word: "SETUP", Text: "Configure global bounce settings."},
		}
		for d.Menu(bounceList(cfg), ops...) {
			switch d.Op() {
			case "NEW":
				bounceNew(d, cfg)
			case "EDIT":
				bounceEdit(d, cfg)
			case "DELETE":
				bounceDelete(d, cfg)
			case "SETUP":
				cfg.BounceDown = d.YesNo("Do you want to bounce all enqueued messages bound for a domain if the host is down?", cfg.BounceDown)
			}
		}
		return d.Err()
	})
}

// bounceList is the numbered list above the menu (reference esa-cli-config 9).
func bounceList(cfg *store.Config) string {
	var b strings.Builder
	b.WriteString("Current bounce profiles:\n")
	for i, name := range profileNames(cfg) {
		fmt.Fprintf(&b, "%d. %s\n", i+1, name)
	}
	return b.String()
}

func profileNames(cfg *store.Config) []string {
	names := make([]string, len(cfg.BounceProfiles))
	for i, p := range cfg.BounceProfiles {
		names[i] = p.Name
	}
	return names
}

// bounceNew adds a profile and gives its name, "" if that was refused.
func bounceNew(d *Dialog, cfg *store.Config) (name string) {
	if err := roomForProfile(cfg); err != nil {
		tell(d, err)
		return ""
	}
	p := store.BounceProfile{
		Name: shell.Ask(d, "Please create a name for the profile:", "", func(s string) (string, error) { return freeProfileName(cfg, s, "") }),
	}
	p = bounceQuestions(d, cfg, p)
	if d.Err() == nil {
		cfg.BounceProfiles = append(cfg.BounceProfiles, p)
	}
	return p.Name
}

func roomForProfile(cfg *store.Config) error {
	if len(cfg.BounceProfiles) >= store.MaxProfiles {
		return shell.Refusedf("There is a maximum of %d bounce profiles.", store.MaxProfiles)
	}
	return nil
}

// freeProfileName reads a name that no other profile than own has, in whatever
// case.
func freeProfileName(cfg *store.Config, text, own string) (string, error) {
	name, err := store.ParseProfileName(text)
	if err != nil {
		return "", err
	}
	if n := find(profileNames(cfg), name); n >= 0 && cfg.BounceProfiles[n].Name != own {
		return "", shell.Refusedf("Profile name already in use")
	}
	return name, nil
}

func bounceEdit(d *Dialog, cfg *store.Config) {
	n := d.Pick("Please enter the number of the profile to edit:", profileNames(cfg), -1)
	if d.Err() != nil {
		return
	}
	p := cfg.BounceProfiles[n]
	if own := p.Name; own != store.DefaultProfile {
		p.Name = shell.Ask(d, "Please enter a name for the profile:", own, func(s string) (string, error) { return freeProfileName(cfg, s, own) })
	}
	p = bounceQuestions(d, cfg, p)
	if d.Err() == nil {
		changeProfile(cfg, n, p)
	}
}

// changeProfile is where dialog and one-line form of EDIT meet: listeners and
// destinations go on using the profile under its new name.
func changeProfile(cfg *store.Config, n int, p store.BounceProfile) {
	for i := range cfg.Listeners {
		if cfg.Listeners[i].BounceProfile == cfg.BounceProfiles[n].Name {
			cfg.Listeners[i].BounceProfile = p.Name
		}
	}
	for i := range cfg.Destinations.Entries {
		if e := &cfg.Destinations.Entries[i]; e.BounceProfile == cfg.BounceProfiles[n].Name {
			e.BounceProfile = p.Name
		}
	}
	cfg.BounceProfiles[n] = p
}

func bounceDelete(d *Dialog, cfg *store.Config) {
	n := d.Pick("Please enter the number of the profile to delete:", profileNames(cfg), -1)
	if d.Err() != nil {
		return
	}
	if err := deletableProfile(cfg, n); err != nil {
		tell(d, err)
		return
	}
	if d.YesNo(fmt.Sprintf("Are you sure you want to delete %q?", cfg.BounceProfiles[n].Name), false) {
		cfg.BounceProfiles = slices.Delete(cfg.BounceProfiles, n, n+1)
	}
}

// deletableProfile refuses to delete the profile Default and those in use.
func deletableProfile(cfg *store.Config, n int) error {
	name := cfg.BounceProfiles[n].Name
	if name == store.DefaultProfile {
		return shell.Refusedf("The default profile may not be deleted")
	}
	for _, l := range cfg.Listeners {
		if l.BounceProfile == name {
			return shell.Refusedf("The profile %q is in use by listener %q. Choose another one there first.", name, l.Name)
		}
	}
	if domain := destinationOf(cfg, name); domain != "" {
		return shell.Refusedf("The profile %q is in use by destination %q. Choose another one there first.", name, domain)
	}
	return nil
}

// bounceQuestions is what NEW and EDIT ask after the name, in the order of the
// appliance.
func bounceQuestions(d *Dialog, cfg *store.Config, p store.BounceProfile) store.BounceProfile {
	from := cfg.Profile(store.DefaultProfile)
	q := profileDialog{d: d, inherits: p.Name != store.DefaultProfile}
	p.MaxRetries = q.number("Please enter the maximum number of retries.", p.MaxRetries, from.MaxRetries, bounds{1, store.MaxRetries})
	p.MaxLifetime = q.number("Please enter the maximum number of seconds a message may stay in the queue before being hard bounced.", p.MaxLifetime, from.MaxLifetime, bounds{1, store.MaxLifetime})
	p.InitialRetry = q.number("Please enter the initial number of seconds to wait before retrying a message.", p.InitialRetry, from.InitialRetry, bounds{1, store.MaxRetryInterval})
	p.MaxRetry = q.number("Please enter the maximum number of seconds to wait before retrying a message.", p.MaxRetry, from.MaxRetry, bounds{cmp.Or(p.InitialRetry, from.InitialRetry), store.MaxRetryInterval})
	p.SendBounces = q.tri("Do you want a message sent for each hard bounce?", p.SendBounces, from.SendBounces)
	if cmp.Or(p.SendBounces, from.SendBounces).Is() {
		p.UseDSN = q.tri("Do you want bounce messages to use the DSN message format?", p.UseDSN, from.UseDSN)
		p.Subject = q.subject(p.Subject, from.Subject)
		p.ParseStatus = q.tri(`Do you want to parse the DSN "Status" field received from bounce responses to include in the DSN generated by the appliance?`, p.ParseStatus, from.ParseStatus)
	}
	p.SendWarnings = q.tri("If a message is undeliverable after some interval, do you want to send a delay warning message?", p.SendWarnings, from.SendWarnings)
	if cmp.Or(p.SendWarnings, from.SendWarnings).Is() {
		p.WarningSubject = q.subject(p.WarningSubject, from.WarningSubject)
		p.WarningInterval = q.number("Please enter the minimum interval in seconds between delay warning messages.", p.WarningInterval, from.WarningInterval, bounds{1, store.MaxLifetime})
		p.WarningCount = q.number("Please enter the maximum number of delay warning messages to send per recipient.", p.WarningCount, from.WarningCount, bounds{1, store.MaxWarnings})
	}
	p.Alternate = q.alternate(p.Alternate)
	if !q.inherits {
		p.HostInitialRetry = d.Int("Please enter the initial number of seconds to wait before retrying a host  that is unreachable.", p.HostInitialRetry, 1, store.MaxRetryInterval)
		p.HostMaxRetry = d.Int("Please enter the maximum number of seconds to wait before retrying a host that is unreachable.", p.HostMaxRetry, p.HostInitialRetry, store.MaxRetryInterval)
		p.MaxCopy = d.Int("Please enter the maximum size of the original message (in bytes) to include in a bounce.", p.MaxCopy, 0, store.MaxBounceCopy)
	}
	return p
}

// profileDialog asks for the settings of one profile. In all but Default, a
// setting may be left to the profile Default: by that word, or by Enter while
// it is. The prompt shows what holds.
type profileDialog struct {
	d        *Dialog
	inherits bool
}

// leaveToDefault is how a setting is left to the profile Default.
const leaveToDefault = "Default"

// bounds are the least and the greatest value of a number.
type bounds struct{ low, high int }

func (q profileDialog) number(question string, own, inherited int, in bounds) int {
	if !q.inherits {
		return q.d.Int(question, own, in.low, in.high)
	}
	shown := inheritable(own, inherited)
	return shell.AskShown(q.d, question, shown, func(s string) (int, error) {
		value, effective := 0, inherited
		if !strings.EqualFold(s, leaveToDefault) {
			if err := setNumber(&value, s, in.low, in.high); err != nil {
				return own, shell.Refusedf("The value must be a number from %d to %d, or Default.", in.low, in.high)
			}
			effective = value
		}
		if effective < in.low {
			return own, shell.Refusedf("The profile Default has %d. The value must be a number from %d to %d.", inherited, in.low, in.high)
		}
		return value, nil
	})
}

func (q profileDialog) subject(own, inherited string) string {
	const question = "Enter the subject to use:"
	if !q.inherits {
		return shell.Ask(q.d, question, own, store.ParseSubject)
	}
	return shell.AskShown(q.d, question, inheritable(own, inherited), func(s string) (string, error) {
		if strings.EqualFold(s, leaveToDefault) {
			return "", nil
		}
		return store.ParseSubject(s)
	})
}

// inheritable is the default of a question whose answer may be inherited.
func inheritable[T comparable](own, inherited T) shell.Shown {
	var nothing T
	if own == nothing {
		return shell.Shown{Text: fmt.Sprint(inherited), Answer: leaveToDefault}
	}
	return shell.Shown{Text: fmt.Sprint(own), Answer: fmt.Sprint(own)}
}

func (q profileDialog) tri(question string, own, inherited store.Tri) store.Tri {
	if !q.inherits {
		return store.TriOf(q.d.YesNo(question, own.Is()))
	}
	asked := map[store.Tri]shell.Tri{store.Yes: shell.Yes, store.No: shell.No, store.Inherit: shell.Default}
	answered := map[shell.Tri]store.Tri{shell.Yes: store.Yes, shell.No: store.No, shell.Default: store.Inherit}
	return answered[q.d.Tri(question+" (Yes/No/Default)", asked[own], asked[inherited])]
}

func (q profileDialog) alternate(own string) string {
	const question = "Do you want hard bounce and delay warning messages sent to an alternate address, instead of the sender?"
	if !q.d.YesNo(question, own != "") {
		return ""
	}
	return shell.Ask(q.d, "Please enter the email address to send hard bounce and delay warning messages.", own, store.ParseEmail)
}
