package commands

import (
	"errors"
	"slices"
	"strings"

	"esa/shell"
	"esa/store"
	"esa/store/configfile"
)

// loadconfig makes a file the pending configuration (reference esa-cli-config
// 2.8).
func loadconfig() Command {
	return Command{
		Name:  "loadconfig",
		Short: "Load a configuration file.",
		Long: `The file must be as saveconfig writes it, or a part of one: complete elements
inside <config>. An element that is there replaces what it is about, a list as a
whole; everything else stays as it runs now. A file with an error changes
nothing. Of a file that another product wrote, what is known here is taken over
and the rest is listed.

Files with masked passphrases cannot be loaded. A file that was encrypted with a
passphrase asks for it; passphrase_file names a file in the directory
configuration whose first line it is.`,
		Commit: true,
		Forms: []Form{
			{Usage: "loadconfig FILE [passphrase_file=FILE]", Run: loadForm},
		},
		Dialog: loadDialog,
	}
}

func loadDialog(d *Dialog, env Env) error {
	if env.Session.Dirty() && !d.YesNo("Loading a configuration drops your uncommitted changes. Are you sure?", false) || d.Err() != nil {
		return d.Err()
	}
	if d.Pick("1. Paste via CLI\n2. Load from file", []string{"Paste via CLI", "Load from file"}, 0) == 1 {
		name := d.Required("Enter the name of the file to import:", "")
		if d.Err() != nil {
			return d.Err()
		}
		data, err := env.Files.Read(name)
		if err != nil {
			return fileFailed("Error reading file.", err)
		}
		return loadConfig(d, env, loaded{data: data})
	}
	text := d.Paste("Paste the configuration file now. Press CTRL-D on a blank line when done.", configfile.MaxSize)
	if d.Err() != nil {
		return d.Err()
	}
	return loadConfig(d, env, loaded{data: []byte(text), pasted: true})
}

// loadForm does not drop uncommitted changes without asking.
func loadForm(d *Dialog, env Env, args []string) error {
	passphrase, err := fileSettings(env, args[1:])
	if err != nil {
		return err
	}
	data, err := env.Files.Read(args[0])
	if err != nil {
		return fileFailed("Error reading file.", err)
	}
	if env.Session.Dirty() {
		if !d.Interactive() {
			return shell.Refusedf("You have uncommitted changes. Use commit or clear first.")
		}
		if !d.YesNo("Loading a configuration drops your uncommitted changes. Are you sure?", false) {
			return d.Err()
		}
	}
	return loadConfig(d, env, loaded{data: data, passphrase: passphrase})
}

// loaded is a file on its way in.
type loaded struct {
	data       []byte
	pasted     bool
	passphrase string // empty: it is asked for
}

// loadConfig reads the file over what runs as it begins, and makes the result
// the pending configuration, whole or not at all.
func loadConfig(d *Dialog, env Env, l loaded) error {
	if strings.TrimSpace(string(l.data)) == "" {
		return shell.Refusedf("No data to load.")
	}
	err := env.Session.LoadFrom(func(running *store.Config) (*store.Config, error) { return readValid(d, env, running, l) })
	if err != nil {
		return err
	}
	if !env.Session.Dirty() {
		d.Text("No changes detected from current configuration.")
		return d.Err()
	}
	d.Text("Values have been loaded.\nBe sure to run \"commit\" to make these settings active.")
	return d.Err()
}

// maxLoadProblems is how many faults of a file are told.
const maxLoadProblems = 50

// readValid reads the file, and tells what is wrong with it or was left out.
func readValid(d *Dialog, env Env, base *store.Config, l loaded) (*store.Config, error) {
	result, err := readFile(d, env, base, l)
	if err != nil {
		return nil, err
	}
	if problems := newProblems(base, result.Config); len(problems) > 0 {
		d.Text("The configuration in the file is not valid:")
		for _, p := range problems[:min(len(problems), maxLoadProblems)] {
			d.Printf("- %v\n", result.Fault(p))
		}
		if more := len(problems) - maxLoadProblems; more > 0 {
			d.Printf("- and %d more\n", more)
		}
		d.Text(notLoaded)
		return nil, failed(d)
	}
	if len(result.Notes) > 0 {
		d.Text("Not taken over, or not as it is in the file:")
		for _, note := range result.Notes {
			d.Printf("- %s\n", note)
		}
		d.Text("")
	}
	warnSSL(d, env, base, result.Config)
	return result.Config, nil
}

// warnSSL warns of TLS settings that are not those of before, as sslconfig does
// where they are made. What nothing could be spoken with is refused by the
// commit.
func warnSSL(d *Dialog, env Env, before, after *store.Config) {
	for _, side := range []sslSide{sslInbound(), sslOutbound()} {
		was, is := side.place(before), side.place(after)
		if was.Method() == is.Method() && was.Ciphers == is.Ciphers {
			continue
		}
		if _, warnings, err := side.speak(env.Ciphers)(is.Method(), is.Ciphers); err == nil {
			warn(d, warnings)
		}
	}
}

// notLoaded ends what was not loaded.
const notLoaded = "Nothing was changed."

// failed ends a command that has said why.
func failed(d *Dialog) error {
	if d.Err() != nil {
		return d.Err()
	}
	return shell.ErrFailed
}

// readFile reads the file; a passphrase that is wrong is asked for again.
func readFile(d *Dialog, env Env, base *store.Config, l loaded) (configfile.Result, error) {
	own, err := gatewayKey(env)
	if err != nil {
		return configfile.Result{}, err
	}
	o := configfile.ReadOptions{Product: env.Version.Product, Pasted: l.pasted, Keys: configfile.Keys{Gateway: own, Passphrase: func() (string, error) {
		if l.passphrase != "" {
			return l.passphrase, nil
		}
		return d.Secret("Enter the passphrase that the file was encrypted with:"), d.Err()
	}}}
	for {
		result, err := configfile.Read(d.Context(), l.data, base, o)
		switch {
		case d.Err() != nil:
			return result, d.Err()
		case err == nil:
			return result, nil
		case errors.Is(err, configfile.ErrPassphrase) && l.passphrase == "":
			if d.Refuse(shell.Refusedf("The passphrase is not correct.")) {
				continue
			}
			return result, d.Err()
		}
		d.Printf("Parsing failed.  Aborting.\n%v\n%s\n", err, notLoaded)
		return result, failed(d)
	}
}

// newProblems gives what is wrong with a configuration and was not before.
func newProblems(before, after *store.Config) []store.Problem {
	known := before.Validate()
	return slices.DeleteFunc(after.Validate(), func(p store.Problem) bool { return slices.Contains(known, p) })
}
