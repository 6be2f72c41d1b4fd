package commands

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"esa/shell"
	"esa/store"
)

// sshconfig sets how the SSH server speaks, and whose keys it knows (reference
// esa-cli-config 14.4). Where it listens is interfaceconfig's matter.
func sshconfig() Command {
	return Command{
		Name:  "sshconfig",
		Short: "Configure SSH server and user key settings.",
		Long: `SSHD sets the algorithms of the SSH server and shows its host keys: a client is
shown the same fingerprint when it connects for the first time. Connections
that are open go on as they began.

USERKEY manages the public keys by which users log in. A KEY is a line as in
authorized_keys, without options, or a file that PuTTY exports (RFC 4716).

A LIST is names with commas between them, best first; default stands for the
list of this version.`,
		Commit: true,
		Forms: []Form{
			{Usage: "sshconfig sshd print", Run: sshdPrintForm},
			{Usage: usage("sshconfig sshd setup", sshdKeys(&store.SSHD{})), Run: sshdSetupForm},
			{Usage: "sshconfig userkey print USER", Run: userKeyPrintForm},
			{Usage: "sshconfig userkey new USER KEY...", Run: userKeyNewForm},
			{Usage: "sshconfig userkey delete USER NUMBER|FINGERPRINT", Run: userKeyDeleteForm},
		},
		Dialog: sshDialog,
	}
}

func sshDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		for d.Menu("",
			shell.Op{Word: "SSHD", Text: "Edit SSH server settings."},
			shell.Op{Word: "USERKEY", Text: "Edit SSH User Key settings."},
		) {
			if d.Op() == "SSHD" {
				sshdMenu(d, env, cfg)
			} else {
				userKeyMenu(d, env, cfg)
			}
		}
		return d.Err()
	})
}

func sshdMenu(d *Dialog, env Env, cfg *store.Config) {
	for d.Menu(sshdSummary(env, cfg), shell.Op{Word: "SETUP", Text: "Setup SSH server configuration settings."}) {
		set := cfg.SSHD
		for _, l := range sshLists(&set) {
			if l.place == &set.KEX {
				set.MinRSABits = d.Int("Enter the Minimum Server Key Size do you want to use", set.MinRSABits, store.LeastSSHKeyBits, store.MostSSHKeyBits)
			}
			*l.place = shell.Ask(d, "Enter the "+l.question+" do you want to use", strings.Join(l.current, ","), l.parse)
		}
		if d.Err() == nil {
			cfg.SSHD = set
		}
	}
}

// sshList is one list of algorithms, where it is asked for.
type sshList struct {
	title, question, key string
	place                *[]string
	current              []string // spoken now
	parse                func(string) ([]string, error)
}

// sshLists is the lists in the order of the appliance's questions; the minimum
// size of keys comes before the last.
func sshLists(set *store.SSHD) []sshList {
	now, can, own := set.Algorithms(), store.SupportedSSH(), store.StandardSSH()
	of := func(supported, standard []string) func(string) ([]string, error) {
		return func(text string) ([]string, error) { return store.ParseSSHAlgorithms(text, supported, standard) }
	}
	return []sshList{
		{"Public Key Authentication Algorithms", "Public Key Authentication Algorithms", "signatures", &set.Signatures, now.Signatures, of(can.Signatures, own.Signatures)},
		{"Cipher Algorithms", "Cipher Algorithms", "ciphers", &set.Ciphers, now.Ciphers, of(can.Ciphers, own.Ciphers)},
		{"MAC Methods", "MAC Methods", "macs", &set.MACs, now.MACs, of(can.MACs, own.MACs)},
		{"KEX Algorithms", "KEX Algorithms", "kex", &set.KEX, now.KEX, of(can.KEX, own.KEX)},
	}
}

// sshdSummary is the settings with the host keys, which are no setting.
func sshdSummary(env Env, cfg *store.Config) string {
	var b strings.Builder
	b.WriteString("ssh server config settings:\n")
	set := cfg.SSHD
	for _, l := range sshLists(&set) {
		if l.place == &set.KEX {
			fmt.Fprintf(&b, "Minimum Server Key Size:\n        %d\n", set.MinRSABits)
		}
		b.WriteString(l.title + ":\n")
		for _, name := range l.current {
			b.WriteString("        " + name + "\n")
		}
	}
	b.WriteString("Host keys:\n")
	keys, err := env.SSH.HostKeys()
	if err != nil {
		fmt.Fprintf(&b, "        cannot be read: %v\n", err)
	}
	for _, k := range keys {
		fmt.Fprintf(&b, "        %s %s\n", keyKind(k), k.Fingerprint)
	}
	return b.String()
}

// keyKind gives "ssh-ed25519" or "ssh-rsa, 3072 bits".
func keyKind(k SSHKey) string {
	if k.Bits == 0 {
		return k.Type
	}
	return fmt.Sprintf("%s, %d bits,", k.Type, k.Bits)
}

func sshdPrintForm(d *Dialog, env Env, _ []string) error {
	d.Text(sshdSummary(env, env.Config()))
	return d.Err()
}

func sshdKeys(set *store.SSHD) []key {
	var keys []key
	for _, l := range sshLists(set) {
		keys = append(keys, key{l.key, "LIST", parsed(l.place, l.parse)})
	}
	return append(keys, key{"minkey", "BITS", number(&set.MinRSABits, store.LeastSSHKeyBits, store.MostSSHKeyBits)})
}

func sshdSetupForm(_ *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		set := cfg.SSHD
		if err := setKeys(sshdKeys(&set), args); err != nil {
			return err
		}
		cfg.SSHD = set
		return nil
	})
}

// userKeyMenu edits the keys of one user: the operator's own, until USER
// chooses another.
func userKeyMenu(d *Dialog, env Env, cfg *store.Config) {
	name := env.Who.User
	for {
		n, err := userIndex(cfg, name)
		if err != nil {
			tell(d, err)
			return
		}
		u := &cfg.Users[n]
		if !d.Menu(userKeySummary(env, *u), userKeyOps(*u)...) {
			return
		}
		switch d.Op() {
		case "NEW":
			tell(d, userKeyNew(d, env, cfg, u))
		case "DELETE":
			if n := pickUserKey(d, *u, "Enter the number of the key you wish to delete."); d.Err() == nil {
				deleteUserKey(u, n)
			}
		case "PRINT":
			if n := pickUserKey(d, *u, "Enter the number of the key you wish to display."); d.Err() == nil {
				d.Text(u.Keys[n])
			}
		case "USER":
			name = userNames(cfg)[d.Pick(userChoice(cfg), userNames(cfg), slices.Index(userNames(cfg), name))]
		}
	}
}

func userKeyOps(u store.User) []shell.Op {
	ops := []shell.Op{{Word: "NEW", Text: "Add a new key."}}
	if len(u.Keys) > 0 {
		ops = append(ops,
			shell.Op{Word: "DELETE", Text: "Remove a key."},
			shell.Op{Word: "PRINT", Text: "Display a key."})
	}
	return append(ops, shell.Op{Word: "USER", Text: "Switch to a different user to edit."})
}

// userKeySummary lists the keys of a user by their fingerprints, which ssh-add
// -l and the log of logins show too.
func userKeySummary(env Env, u store.User) string {
	if len(u.Keys) == 0 {
		return fmt.Sprintf("There are no keys installed for %s.", u.Name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Currently installed keys for %s:\n", u.Name)
	for n, line := range u.Keys {
		text := "cannot be read"
		if k, err := env.SSH.ParseKey(line); err == nil {
			text = keyKind(k) + " " + k.Fingerprint
			if k.Comment != "" {
				text += " (" + k.Comment + ")"
			}
		}
		fmt.Fprintf(&b, "%d. %s\n", n+1, text)
	}
	return b.String()
}

func userChoice(cfg *store.Config) string {
	var b strings.Builder
	b.WriteString("Enter the name or number of the user whose keys you wish to edit.\n")
	for i, u := range cfg.Users {
		fmt.Fprintf(&b, "%d. %s (%d keys)\n", i+1, u.Name, len(u.Keys))
	}
	return b.String()
}

func pickUserKey(d *Dialog, u store.User, question string) int {
	numbers := make([]string, len(u.Keys))
	for i := range numbers {
		numbers[i] = strconv.Itoa(i + 1)
	}
	return d.Pick(question, numbers, -1)
}

func userKeyNew(d *Dialog, env Env, cfg *store.Config, u *store.User) error {
	lines := d.Lines("Please enter the public SSH key for authorization.\nPress enter on a blank line to finish.", shell.EndEmpty)
	if d.Err() != nil {
		return d.Err()
	}
	k, err := addUserKey(env, cfg, u, strings.Join(lines, "\n"))
	if err == nil {
		d.Printf("Key %s added for %s.\n", k.Fingerprint, u.Name)
	}
	return err
}

// addUserKey is where dialog and one-line form of NEW meet.
func addUserKey(env Env, cfg *store.Config, u *store.User, text string) (SSHKey, error) {
	k, err := env.SSH.ParseKey(text)
	if err != nil {
		return k, err
	}
	switch {
	case k.Bits > 0 && strings.HasPrefix(k.Type, "ssh-rsa") && k.Bits < cfg.SSHD.MinRSABits:
		return k, shell.Refusedf("The key has only %d bits: %d are needed (sshconfig -> SSHD -> SETUP).", k.Bits, cfg.SSHD.MinRSABits)
	case len(u.Keys) >= store.MaxUserKeys:
		return k, shell.Refusedf("There is a maximum of %d SSH keys for a user.", store.MaxUserKeys)
	case slices.ContainsFunc(u.Keys, func(line string) bool {
		other, err := env.SSH.ParseKey(line)
		return err == nil && other.Fingerprint == k.Fingerprint
	}):
		return k, shell.Refusedf("The key %s is already installed for %s.", k.Fingerprint, u.Name)
	}
	u.Keys = append(u.Keys, k.Line)
	return k, nil
}

func deleteUserKey(u *store.User, n int) { u.Keys = slices.Delete(u.Keys, n, n+1) }

// withUser runs an edit of the user that a one-line form names.
func withUser(env Env, name string, edit func(cfg *store.Config, u *store.User) error) error {
	return env.Edit(func(cfg *store.Config) error {
		n, err := userIndex(cfg, name)
		if err != nil {
			return err
		}
		return edit(cfg, &cfg.Users[n])
	})
}

// userKeyNewForm takes the key in quotes or as words.
func userKeyNewForm(d *Dialog, env Env, args []string) error {
	return withUser(env, args[0], func(cfg *store.Config, u *store.User) error {
		k, err := addUserKey(env, cfg, u, strings.Join(args[1:], " "))
		if err == nil {
			d.Printf("Key %s added for %s.\n", k.Fingerprint, u.Name)
		}
		return err
	})
}

func userKeyDeleteForm(d *Dialog, env Env, args []string) error {
	return withUser(env, args[0], func(_ *store.Config, u *store.User) error {
		for n, line := range u.Keys {
			k, err := env.SSH.ParseKey(line)
			if args[1] == strconv.Itoa(n+1) || err == nil && k.Fingerprint == args[1] {
				deleteUserKey(u, n)
				d.Printf("Key %s removed.\n", args[1])
				return nil
			}
		}
		return shell.Refusedf("The user %q has no key %s.", u.Name, args[1])
	})
}

func userKeyPrintForm(d *Dialog, env Env, args []string) error {
	n, err := userIndex(env.Config(), args[0])
	if err != nil {
		return err
	}
	u := env.Config().Users[n]
	if len(u.Keys) == 0 {
		d.Text(userKeySummary(env, u))
	}
	for _, line := range u.Keys {
		d.Text(line)
	}
	return d.Err()
}
