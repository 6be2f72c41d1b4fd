package commands

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"time"

	"esa/shell"
	"esa/store"
	"esa/store/configfile"
)

// showconfig shows the configuration that runs as the file that saveconfig
// writes (reference esa-cli-config 2.5).
func showconfig() Command {
	return Command{
		Name:  "showconfig",
		Short: "Display all configuration values.",
		Long: `Shows the running configuration in XML, as saveconfig writes it. Encrypted
passphrases are encrypted with the key of this gateway: only it can load them.
Who is not one of the Administrators sees masked passphrases, whatever is
chosen.

In one line, y masks the passphrases and n shows them; a number behind it is the
answer to the question.`,
		Forms: []Form{
			{Usage: "showconfig y|n", Run: showForm},
			{Usage: "showconfig y|n 1|2|3", Run: showForm},
		},
		Dialog: func(d *Dialog, env Env) error {
			choice := askSecrets(d)
			if d.Err() != nil {
				return d.Err()
			}
			return showConfig(d, env, choice)
		},
	}
}

// secretChoices are the answers to the question in its order.
func secretChoices() []configfile.Secrets {
	return []configfile.Secrets{configfile.Masked, configfile.Encrypted, configfile.Plain}
}

// askSecrets asks what becomes of passphrases and keys. The words, and the
// break in them, are those that programs look for.
func askSecrets(d *Dialog) configfile.Secrets {
	return secretChoices()[d.Choose("Choose the passphrase option:", []string{
		"Mask passphrases (Files with masked passphrases cannot be loaded using\nloadconfig command)",
		"Encrypt passphrases",
		"Plain passphrases",
	}, 0)]
}

// secretsOf reads the words of a one-line form: y or n, and perhaps the number
// of the answer.
func secretsOf(args []string) configfile.Secrets {
	for i, number := range []string{"1", "2", "3"} {
		if len(args) > 1 && args[1] == number {
			return secretChoices()[i]
		}
	}
	if args[0] == "n" || args[0] == "N" {
		return configfile.Plain
	}
	return configfile.Masked
}

func showForm(d *Dialog, env Env, args []string) error { return showConfig(d, env, secretsOf(args)) }

func showConfig(d *Dialog, env Env, choice configfile.Secrets) error {
	o, err := fileOptions(d, env, choice)
	if err != nil {
		return err
	}
	if o.Secrets == configfile.Encrypted {
		if o.Key, err = gatewayKey(env); err != nil {
			return err
		}
	}
	running, _ := env.Store.Running()
	if err := configfile.Write(d, running, o); !errors.Is(err, shell.ErrStopped) && err != nil {
		return err
	}
	return d.Err()
}

// fileOptions says how the configuration is written for this operator: secrets
// are for Administrators.
func fileOptions(d *Dialog, env Env, choice configfile.Secrets) (configfile.Options, error) {
	running, _ := env.Store.Running()
	user, _ := running.User(env.Who.User)
	if choice != configfile.Masked && user.Role != store.Administrators {
		d.Text("The passphrases are masked: only Administrators have them encrypted or plain.")
		choice = configfile.Masked
	}
	v := env.Version
	return configfile.Options{Secrets: choice, About: configfile.About{
		Product: v.Product, Model: v.Model, Version: v.Version, Serial: v.Serial, MemoryMB: v.MemoryMB, Time: env.Clock().Local(),
	}}, d.Err()
}

// gatewayKey is the key that needs no passphrase.
func gatewayKey(env Env) (*configfile.Key, error) {
	secret, err := env.FileKey()
	if err != nil {
		return nil, err
	}
	return configfile.GatewayKey(secret)
}

// askFileKey asks for the passphrase of a file that leaves the gateway.
func askFileKey(d *Dialog, env Env) (*configfile.Key, error) {
	const question = "Enter a passphrase to encrypt with: whoever loads the file needs it. Press\nEnter without one to use the key of this gateway: nobody else can load it then."
	for {
		passphrase := d.Passphrase(question)
		if d.Err() != nil {
			return nil, d.Err()
		}
		if passphrase == "" {
			return gatewayKey(env)
		}
		err := checkFilePassphrase(passphrase)
		if err == nil && d.Passphrase("Enter the same passphrase again:") != passphrase && d.Err() == nil {
			err = shell.Refusedf("The passphrases do not match.")
		}
		if d.Err() != nil {
			return nil, d.Err()
		}
		if err == nil {
			return configfile.PassphraseKey(passphrase, rand.Reader)
		}
		if !d.Refuse(err) {
			return nil, d.Err()
		}
	}
}

func checkFilePassphrase(text string) error {
	if len(text) < configfile.MinPassphrase || len(text) > configfile.MaxPassphrase {
		return shell.Refusedf("The passphrase must have from %d to %d characters.", configfile.MinPassphrase, configfile.MaxPassphrase)
	}
	return nil
}

// passphraseFile reads a passphrase from the first line of a file in
// configuration/.
func passphraseFile(env Env, name string) (string, error) {
	data, err := env.Files.Read(name)
	if err != nil {
		return "", fileFailed("Error reading file.", err)
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	passphrase := string(bytes.TrimSuffix(line, []byte("\r")))
	return passphrase, checkFilePassphrase(passphrase)
}

// fileSettings reads the key=value words of a one-line form: a passphrase is
// never one of them, only the file that has it.
func fileSettings(env Env, args []string) (passphrase string, err error) {
	settings, err := shell.Settings(args)
	if err != nil {
		return "", err
	}
	if name, ok := settings["passphrase_file"]; ok {
		return passphraseFile(env, name)
	}
	return "", nil
}

// writeRunning writes what runs for somebody elsewhere. passphrase may have come
// already.
func writeRunning(d *Dialog, env Env, choice configfile.Secrets, passphrase string) (func(io.Writer) error, error) {
	o, err := fileOptions(d, env, choice)
	switch {
	case err != nil || o.Secrets != configfile.Encrypted:
	case passphrase != "":
		o.Key, err = configfile.PassphraseKey(passphrase, rand.Reader)
	default:
		o.Key, err = askFileKey(d, env)
	}
	if err != nil {
		return nil, err
	}
	running, _ := env.Store.Running()
	return func(w io.Writer) error { return configfile.Write(w, running, o) }, nil
}

// fileName names a file as the appliance does: model, serial number and time.
func fileName(env Env) string { return fileNameAt(env, env.Clock()) }

func fileNameAt(env Env, at time.Time) string {
	return env.Version.Model + "-" + env.Version.Serial + "-" + at.Local().Format("20060102T150405") + ".xml"
}

// tellPending says that what is not committed is in no file.
func tellPending(d *Dialog, env Env) {
	if env.Session.Dirty() {
		d.Text("Your uncommitted changes are not part of it.")
	}
}
