package commands

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"esa/shell"
	"esa/store"
)

// sslconfig sets the protocol versions and ciphers of all listeners and of all
// deliveries (reference esa-cli-config 12).
func sslconfig() Command {
	keys := sslKeys(new(store.SSLSettings))
	return Command{
		Name:  "sslconfig",
		Short: "Configure SSL settings.",
		Long: `A method is one or more versions, written one behind the other: tlsv1_0,
tlsv1_1, tlsv1_2, tlsv1_3; they leave no gap. Ciphers are an OpenSSL cipher
string and hold up to TLS 1.2; the order in it has no effect. DEFAULT is our
own choice. There is no web interface, and so nothing to set for one; there is
no renegotiation.`,
		Commit: true,
		Forms: []Form{
			{Usage: usage("sslconfig inbound", keys), Run: sslForm(sslInbound())},
			{Usage: usage("sslconfig outbound", keys), Run: sslForm(sslOutbound())},
			{Usage: "sslconfig verify CIPHERS", Run: sslVerifyForm},
			{Usage: "sslconfig print", Run: func(d *Dialog, env Env, _ []string) error {
				d.Text(sslSummary(env, env.Config()))
				return d.Err()
			}},
		},
		Dialog: sslDialog,
	}
}

// sslSide is one direction: how it is written, where its settings stand, and
// who knows what they come to.
type sslSide struct {
	title, name string
	place       func(*store.Config) *store.SSLSettings
	speak       func(Ciphers) func(method, ciphers string) (lines, warnings []string, err error)
}

func sslInbound() sslSide {
	return sslSide{"Inbound", "inbound", func(c *store.Config) *store.SSLSettings { return &c.SSL.Inbound },
		func(c Ciphers) func(string, string) ([]string, []string, error) { return c.Inbound }}
}

func sslOutbound() sslSide {
	return sslSide{"Outbound", "outbound", func(c *store.Config) *store.SSLSettings { return &c.SSL.Outbound },
		func(c Ciphers) func(string, string) ([]string, []string, error) { return c.Outbound }}
}

func sslDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		for d.Menu(sslSummary(env, cfg),
			shell.Op{Word: "INBOUND", Text: "Edit Inbound SMTP ssl settings."},
			shell.Op{Word: "OUTBOUND", Text: "Edit Outbound SMTP ssl settings."},
			shell.Op{Word: "VERIFY", Text: "Verify and show ssl cipher list."}) {
			switch d.Op() {
			case "INBOUND":
				sslEdit(d, env, cfg, sslInbound())
			case "OUTBOUND":
				sslEdit(d, env, cfg, sslOutbound())
			case "VERIFY":
				text := d.Required("Enter the ssl cipher you want to verify.", "")
				tell(d, sslVerify(d, env, text))
			}
		}
		return d.Err()
	})
}

// sslSummary is the block above the menu: ciphers one a line.
func sslSummary(env Env, cfg *store.Config) string {
	var b strings.Builder
	b.WriteString("sslconfig settings:\n")
	for _, side := range []sslSide{sslInbound(), sslOutbound()} {
		set := side.place(cfg)
		fmt.Fprintf(&b, "  %s SMTP method:  %s\n  %s SMTP ciphers:\n", side.title, set.Method(), side.title)
		words := strings.Split(set.Ciphers, ":")
		if set.Ciphers == "" {
			lines, _, _ := side.speak(env.Ciphers)(set.Method(), "") // of our own choice there is always one
			words = cipherNames(lines)
		}
		for _, word := range words {
			fmt.Fprintf(&b, "    %s\n", word)
		}
	}
	return b.String()
}

// cipherNames are the first words of lines of ciphers.
func cipherNames(lines []string) []string {
	names := make([]string, len(lines))
	for i, line := range lines {
		names[i], _, _ = strings.Cut(line, " ")
	}
	return names
}

func sslEdit(d *Dialog, env Env, cfg *store.Config, side sslSide) {
	set := *side.place(cfg)
	for {
		set.Versions = askVersions(d, side.name, set.Versions)
		set.Ciphers = shell.Ask(d, fmt.Sprintf("Enter the %s SMTP ssl cipher you want to use.", side.name), cipherText(set.Ciphers), parseCiphers)
		if d.Err() != nil {
			return
		}
		err := setSSL(d, env, cfg, sslChange{side, set})
		if err == nil || !d.Refuse(err) {
			return
		}
	}
}

// sslChange is what becomes of one side.
type sslChange struct {
	sslSide
	set store.SSLSettings
}

// setSSL is where dialog and one-line form meet: what nothing could be spoken
// with is refused, what is old or weak is warned of.
func setSSL(d *Dialog, env Env, cfg *store.Config, c sslChange) error {
	if err := c.set.Check(); err != nil {
		return err
	}
	_, warnings, err := c.speak(env.Ciphers)(c.set.Method(), c.set.Ciphers)
	if err != nil {
		return shell.Refused(err)
	}
	warn(d, warnings)
	*c.place(cfg) = c.set
	return nil
}

// ownCiphers is how our own choice of ciphers is written.
const ownCiphers = "DEFAULT"

func cipherText(ciphers string) string {
	if ciphers == "" {
		return ownCiphers
	}
	return ciphers
}

// parseCiphers reads the ciphers of one side. What separates words is a colon
// from then on.
func parseCiphers(text string) (string, error) {
	if strings.EqualFold(text, ownCiphers) {
		return "", nil
	}
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(": ,;", r) }), ":"), nil
}

// askVersions asks for the versions of a side, by their numbers or words.
func askVersions(d *Dialog, side string, current []store.TLSVersion) []store.TLSVersion {
	var b strings.Builder
	fmt.Fprintf(&b, "Enter the %s SMTP ssl method you want to use.\n", side)
	var numbers []string
	for i, v := range store.TLSVersions() {
		fmt.Fprintf(&b, "%d. %s\n", i+1, versionText(v))
		if slices.Contains(current, v) {
			numbers = append(numbers, strconv.Itoa(i+1))
		}
	}
	return shell.Ask(d, b.String(), strings.Join(numbers, ","), parseVersions)
}

// versionText writes a version as the menu does: "TLS v1.2".
func versionText(v store.TLSVersion) string {
	return "TLS v" + strings.ReplaceAll(strings.TrimPrefix(string(v), "tlsv"), "_", ".")
}

// parseVersions reads versions: numbers of the menu ("3,4", "3-4"), or words
// one behind the other or apart ("tlsv1_2tlsv1_3").
func parseVersions(text string) ([]store.TLSVersion, error) {
	all := store.TLSVersions()
	chosen := make([]bool, len(all))
	for part := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return r == ',' || r == ' ' }) {
		first, last, isRange := strings.Cut(part, "-")
		from, err := strconv.Atoi(first)
		to := from
		if err == nil && isRange {
			to, err = strconv.Atoi(last)
		}
		if err == nil && 1 <= from && from <= to && to <= len(all) {
			for n := from; n <= to; n++ {
				chosen[n-1] = true
			}
			continue
		}
		for part != "" {
			n := slices.IndexFunc(all, func(v store.TLSVersion) bool { return strings.HasPrefix(part, string(v)) })
			if n < 0 {
				return nil, shell.Refusedf("Unknown option %s.", part)
			}
			chosen[n], part = true, strings.TrimPrefix(part, string(all[n]))
		}
	}
	var versions []store.TLSVersion
	for i, v := range all {
		if chosen[i] {
			versions = append(versions, v)
		}
	}
	if err := (store.SSLSettings{Versions: versions}).Check(); err != nil {
		return nil, err
	}
	return versions, nil
}

// sslVerify shows the ciphers that a string selects, those of TLS 1.3 left
// out: it does not select them.
func sslVerify(d *Dialog, env Env, text string) error {
	lines, warnings, err := env.Ciphers.Verify(text)
	if err != nil {
		return shell.Refused(err)
	}
	d.Text("\n" + strings.Join(lines, "\n"))
	warn(d, warnings)
	return d.Err()
}

func warn(d *Dialog, warnings []string) {
	for _, w := range warnings {
		d.Printf("Warning: %s\n", w)
	}
}

// sslKeys lists the keys of the one-line forms.
func sslKeys(set *store.SSLSettings) []key {
	return []key{
		{"method", "METHOD", parsed(&set.Versions, parseVersions)},
		{"ciphers", "CIPHERS", parsed(&set.Ciphers, parseCiphers)},
	}
}

func sslForm(side sslSide) func(*Dialog, Env, []string) error {
	return func(d *Dialog, env Env, args []string) error {
		return env.Edit(func(cfg *store.Config) error {
			set := *side.place(cfg)
			if err := setKeys(sslKeys(&set), args); err != nil {
				return err
			}
			return setSSL(d, env, cfg, sslChange{side, set})
		})
	}
}

func sslVerifyForm(d *Dialog, env Env, args []string) error { return sslVerify(d, env, args[0]) }
