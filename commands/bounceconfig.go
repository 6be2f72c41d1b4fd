package commands

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"esa/shell"
	"esa/store"
)

// bounceconfig says how long delivery is tried, and what the sender hears.
func bounceconfig() Command {
	return Command{
		Name:  "bounceconfig",
		Short: "Configure the behavior of bounces.",
		Long: `A listener names the profile of the mail it takes. What a profile leaves to
"Default" is as in the profile Default, which cannot be deleted. Keys of the
one-line forms: ` + wrapped(bounceKeyNames()) + `. The value default
takes that of the profile Default.`,
		Commit: true,
		Forms: []Form{
			{Usage: "bounceconfig new PROFILE [SETTING...]", Run: bounceNewForm},
			{Usage: "bounceconfig edit PROFILE SETTING...", Run: bounceEditForm},
			{Usage: "bounceconfig delete PROFILE", Run: bounceDeleteForm},
			{Usage: "bounceconfig setup bounce_down=yes|no", Run: bounceSetupForm},
			{Usage: "bounceconfig print", Run: bouncePrintForm},
		},
		Dialog: bounceDialog,
	}
}

// wrapped joins words with commas in lines of a help text.
func wrapped(words []string) string {
	var b strings.Builder
	column := len("one-line forms: ")
	for i, word := range words {
		if i > 0 {
			b.WriteString(",")
			if column += len(word) + 2; column > 76 {
				b.WriteString("\n")
				column = len(word)
			} else {
				b.WriteString(" ")
			}
		}
		b.WriteString(word)
	}
	return b.String()
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
				down := d.YesNo("Do you want to bounce all enqueued messages bound for a domain if the host is down?", cfg.BounceDown)
				if d.Err() == nil {
					cfg.BounceDown = down
				}
			}
		}
		return d.Err()
	})
}

func bounceList(cfg *store.Config) string {
	var b strings.Builder
	b.WriteString("Current bounce profiles:\n")
	for i, p := range cfg.BounceProfiles {
		fmt.Fprintf(&b, "%d. %s\n", i+1, p.Name)
	}
	return b.String()
}

func bounceNew(d *Dialog, cfg *store.Config) {
	if len(cfg.BounceProfiles) >= store.MaxProfiles {
		tell(d, shell.Refusedf("There is a maximum of %d bounce profiles.", store.MaxProfiles))
		return
	}
	p := store.BounceProfile{
		Name: shell.Ask(d, "Please create a name for the profile:", "", func(s string) (string, error) { return freeProfileName(cfg, s, "") }),
	}
	p = bounceQuestions(d, cfg, p)
	if d.Err() == nil {
		cfg.BounceProfiles = append(cfg.BounceProfiles, p)
	}
}

// freeProfileName reads a name that no other profile has.
func freeProfileName(cfg *store.Config, text, own string) (string, error) {
	name, err := store.ParseProfileName(text)
	if err != nil {
		return "", err
	}
	taken := slices.ContainsFunc(cfg.BounceProfiles, func(p store.BounceProfile) bool { return strings.EqualFold(p.Name, name) })
	if taken && name != own {
		return "", shell.Refusedf("Profile name already in use")
	}
	return name, nil
}

func pickProfile(d *Dialog, cfg *store.Config, question string) int {
	names := make([]string, len(cfg.BounceProfiles))
	for i, p := range cfg.BounceProfiles {
		names[i] = p.Name
	}
	return d.Pick(question, names, -1)
}

func bounceEdit(d *Dialog, cfg *store.Config) {
	n := pickProfile(d, cfg, "Please enter the number of the profile to edit:")
	if d.Err() != nil {
		return
	}
	p := cfg.BounceProfiles[n]
	if p.Name != store.DefaultProfile {
		p.Name = shell.Ask(d, "Please enter a name for the profile:", p.Name, func(s string) (string, error) {
			return freeProfileName(cfg, s, cfg.BounceProfiles[n].Name)
		})
	}
	p = bounceQuestions(d, cfg, p)
	if d.Err() == nil {
		renameProfile(cfg, cfg.BounceProfiles[n].Name, p.Name)
		cfg.BounceProfiles[n] = p
	}
}

// renameProfile keeps listeners on a profile whose name changes.
func renameProfile(cfg *store.Config, from, to string) {
	for i := range cfg.Listeners {
		if cfg.Listeners[i].BounceProfile == from {
			cfg.Listeners[i].BounceProfile = to
		}
	}
}

func bounceDelete(d *Dialog, cfg *store.Config) {
	n := pickProfile(d, cfg, "Please enter the number of the profile to delete:")
	if d.Err() != nil {
		return
	}
	if err := deletableProfile(cfg, n); err != nil {
		tell(d, err)
		return
	}
	if d.YesNo(fmt.Sprintf("Are you sure you want to delete %q?", cfg.BounceProfiles[n].Name), false) && d.Err() == nil {
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
	return nil
}

// bounceQuestions is what NEW and EDIT ask after the name, in the order of the
// appliance.
func bounceQuestions(d *Dialog, cfg *store.Config, p store.BounceProfile) store.BounceProfile {
	q := profileDialog{d: d, inherits: p.Name != store.DefaultProfile, from: cfg.Profile(store.DefaultProfile)}
	p.MaxRetries = q.number("Please enter the maximum number of retries.", p.MaxRetries, q.from.MaxRetries, store.MaxRetries)
	p.MaxLifetime = q.number("Please enter the maximum number of seconds a message may stay in the queue before being hard bounced.", p.MaxLifetime, q.from.MaxLifetime, store.MaxLifetime)
	p.InitialRetry = q.number("Please enter the initial number of seconds to wait before retrying a message.", p.InitialRetry, q.from.InitialRetry, store.MaxRetryInterval)
	p.MaxRetry = q.number("Please enter the maximum number of seconds to wait before retrying a message.", p.MaxRetry, q.from.MaxRetry, store.MaxRetryInterval)
	p.SendBounces = q.tri("Do you want a message sent for each hard bounce?", p.SendBounces)
	if q.on(p.SendBounces, q.from.SendBounces) {
		p.UseDSN = q.tri("Do you want bounce messages to use the DSN message format?", p.UseDSN)
		p.Subject = q.text("Enter the subject to use:", p.Subject, q.from.Subject)
		p.ParseStatus = q.tri(`Do you want to parse the DSN "Status" field received from bounce responses to include in the DSN generated by the appliance?`, p.ParseStatus)
	}
	p.SendWarnings = q.tri("If a message is undeliverable after some interval, do you want to send a delay warning message?", p.SendWarnings)
	if q.on(p.SendWarnings, q.from.SendWarnings) {
		p.WarningSubject = q.text("Enter the subject to use:", p.WarningSubject, q.from.WarningSubject)
		p.WarningInterval = q.number("Please enter the minimum interval in seconds between delay warning messages.", p.WarningInterval, q.from.WarningInterval, store.MaxLifetime)
		p.WarningCount = q.number("Please enter the maximum number of delay warning messages to send per recipient.", p.WarningCount, q.from.WarningCount, store.MaxWarnings)
	}
	p.Alternate = q.alternate(p.Alternate)
	if !q.inherits {
		p.HostInitialRetry = d.Int("Please enter the initial number of seconds to wait before retrying a host that is unreachable.", p.HostInitialRetry, 1, store.MaxRetryInterval)
		p.HostMaxRetry = d.Int("Please enter the maximum number of seconds to wait before retrying a host that is unreachable.", p.HostMaxRetry, p.HostInitialRetry, store.MaxRetryInterval)
		p.MaxCopy = d.Int("Please enter the maximum size of the original message (in bytes) to include in a bounce.", p.MaxCopy, 0, store.MaxBounceCopy)
	}
	return p
}

// profileDialog asks for the values of one profile. In all but Default, the
// answer Default leaves a value to the profile Default.
type profileDialog struct {
	d        *Dialog
	inherits bool
	from     store.BounceProfile // Default
}

const leaveToDefault = "Default"

func (q profileDialog) number(question string, own, inherited, most int) int {
	if !q.inherits {
		return q.d.Int(question, own, 1, most)
	}
	shown := leaveToDefault
	if own != 0 {
		shown = strconv.Itoa(own)
	}
	return shell.Ask(q.d, fmt.Sprintf("%s (Default: %d)", question, inherited), shown, func(s string) (int, error) {
		if strings.EqualFold(s, leaveToDefault) {
			return 0, nil
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > most {
			return own, shell.Refusedf("The value must be a number from 1 to %d, or Default.", most)
		}
		return n, nil
	})
}

func (q profileDialog) tri(question string, own store.Tri) store.Tri {
	if !q.inherits {
		return store.TriOf(q.d.YesNo(question, own.Is()))
	}
	def := shell.Default
	switch own {
	case store.Yes:
		def = shell.Yes
	case store.No:
		def = shell.No
	}
	switch q.d.Tri(question+" (Yes/No/Default)", def) {
	case shell.Yes:
		return store.Yes
	case shell.No:
		return store.No
	default:
		return store.Inherit
	}
}

// on is what a value comes to, with what it inherits.
func (q profileDialog) on(own, inherited store.Tri) bool {
	if own == store.Inherit {
		return inherited.Is()
	}
	return own.Is()
}

func (q profileDialog) text(question, own, inherited string) string {
	shown := own
	if own == "" {
		shown = inherited
	}
	answer := shell.Ask(q.d, question, shown, store.ParseSubject)
	if q.inherits && answer == inherited {
		return ""
	}
	return answer
}

func (q profileDialog) alternate(own string) string {
	const question = "Do you want hard bounce and delay warning messages sent to an alternate address, instead of the sender?"
	if !q.d.YesNo(question, own != "") {
		return ""
	}
	return shell.Ask(q.d, "Please enter the email address to send hard bounce and delay warning messages.", own, store.ParseEmail)
}

// bounceKeyNames lists the keys of the one-line forms.
func bounceKeyNames() []string {
	return []string{
		"max_retries", "max_queue_lifetime", "initial_retry", "max_retry_timeout", "send_bounces",
		"use_dsn_bounce_format", "use_bounce_response_code", "bounce_subject", "bounce_address", "send_warnings",
		"delay_subject", "send_warnings_interval", "send_warnings_count", "host_initial_retry",
		"host_max_retry_timeout", "max_bounce_copy",
	}
}

// setProfile is one key=value word of a one-line form.
func setProfile(p *store.BounceProfile, key, value string) error {
	inherit := strings.EqualFold(value, leaveToDefault)
	if inherit && p.Name == store.DefaultProfile {
		return shell.Refusedf("The profile Default cannot inherit %s.", key)
	}
	numbers := map[string]struct {
		n    *int
		most int
	}{
		"max_retries": {&p.MaxRetries, store.MaxRetries}, "max_queue_lifetime": {&p.MaxLifetime, store.MaxLifetime},
		"initial_retry": {&p.InitialRetry, store.MaxRetryInterval}, "max_retry_timeout": {&p.MaxRetry, store.MaxRetryInterval},
		"send_warnings_interval": {&p.WarningInterval, store.MaxLifetime}, "send_warnings_count": {&p.WarningCount, store.MaxWarnings},
		"host_initial_retry": {&p.HostInitialRetry, store.MaxRetryInterval}, "host_max_retry_timeout": {&p.HostMaxRetry, store.MaxRetryInterval},
		"max_bounce_copy": {&p.MaxCopy, store.MaxBounceCopy},
	}
	switches := map[string]*store.Tri{
		"send_bounces": &p.SendBounces, "use_dsn_bounce_format": &p.UseDSN,
		"use_bounce_response_code": &p.ParseStatus, "send_warnings": &p.SendWarnings,
	}
	texts := map[string]*string{"bounce_subject": &p.Subject, "delay_subject": &p.WarningSubject}
	if number, ok := numbers[key]; ok {
		if inherit {
			*number.n = 0
			return nil
		}
		return setNumber(number.n, value, 1, number.most)
	}
	if on, ok := switches[key]; ok {
		return setTri(on, value, inherit)
	}
	if text, ok := texts[key]; ok {
		return setText(text, value, inherit, store.ParseSubject)
	}
	return setText(&p.Alternate, value, inherit || value == "", store.ParseEmail)
}

func setTri(t *store.Tri, value string, inherit bool) error {
	if inherit {
		*t = store.Inherit
		return nil
	}
	on, err := parseYesNo(value)
	if err == nil {
		*t = store.TriOf(on)
	}
	return err
}

func setText(text *string, value string, inherit bool, parse func(string) (string, error)) error {
	if inherit {
		*text = ""
		return nil
	}
	parsed, err := parse(value)
	if err == nil {
		*text = parsed
	}
	return err
}

// setProfileWords reads all words of a one-line form into a profile.
func setProfileWords(p *store.BounceProfile, words []string) error {
	settings, err := shell.Settings(words)
	if err != nil {
		return err
	}
	for key, value := range settings {
		if !slices.Contains(bounceKeyNames(), key) {
			return shell.Refusedf("Invalid arguments: there is no setting %q. Use help bounceconfig.", key)
		}
		if err := setProfile(p, key, value); err != nil {
			return err
		}
	}
	return nil
}

func bounceNewForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		name, err := freeProfileName(cfg, args[0], "")
		if err != nil {
			return err
		}
		if len(cfg.BounceProfiles) >= store.MaxProfiles {
			return shell.Refusedf("There is a maximum of %d bounce profiles.", store.MaxProfiles)
		}
		p := store.BounceProfile{Name: name}
		if err := setProfileWords(&p, args[1:]); err != nil {
			return err
		}
		cfg.BounceProfiles = append(cfg.BounceProfiles, p)
		d.Printf("Bounce profile %s created.\n", name)
		return nil
	})
}

func bounceEditForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		n, err := profileIndex(cfg, args[0])
		if err != nil {
			return err
		}
		if err := setProfileWords(&cfg.BounceProfiles[n], args[1:]); err != nil {
			return err
		}
		d.Printf("Bounce profile %s changed.\n", cfg.BounceProfiles[n].Name)
		return nil
	})
}

func profileIndex(cfg *store.Config, name string) (int, error) {
	n := slices.IndexFunc(cfg.BounceProfiles, func(p store.BounceProfile) bool { return strings.EqualFold(p.Name, name) })
	if n < 0 {
		return -1, shell.Refusedf("The bounce profile %q does not exist.", name)
	}
	return n, nil
}

func bounceDeleteForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		n, err := profileIndex(cfg, args[0])
		if err != nil {
			return err
		}
		if err := deletableProfile(cfg, n); err != nil {
			return err
		}
		d.Printf("Bounce profile %s deleted.\n", cfg.BounceProfiles[n].Name)
		cfg.BounceProfiles = slices.Delete(cfg.BounceProfiles, n, n+1)
		return nil
	})
}

func bounceSetupForm(_ *Dialog, env Env, args []string) error {
	words, err := shell.Settings(args)
	if err != nil {
		return err
	}
	return env.Edit(func(cfg *store.Config) error {
		down, err := parseYesNo(words["bounce_down"])
		cfg.BounceDown = down
		return err
	})
}

func bouncePrintForm(d *Dialog, env Env, _ []string) error {
	d.Text(bounceList(env.Config()))
	return d.Err()
}
