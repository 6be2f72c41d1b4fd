package commands

import (
	"errors"
	"io"
	"io/fs"
	"time"

	"esa/store/configfile"
)

// saveconfig writes the configuration that runs to a file (reference
// esa-cli-config 2.6).
func saveconfig() Command {
	return Command{
		Name:  "saveconfig",
		Short: "Save all configuration values to a file.",
		Long: `The file is written to the directory configuration, named after model, serial
number and time. It has certificates and their keys, users and their
passphrases: masked (such a file cannot be loaded), encrypted, or plain. Who is
not one of the Administrators gets masked passphrases.

Encrypted with a passphrase, any gateway can load the file with it. Encrypted
without one, this gateway alone can, as long as its data directory is there.

In one line, y masks the passphrases and n does not; a number behind it is the
answer to the question. passphrase_file names a file in the directory
configuration whose first line is the passphrase to encrypt with.`,
		Forms: []Form{
			{Usage: "saveconfig y|n", Run: saveForm},
			{Usage: "saveconfig y|n 1|2|3", Run: saveForm},
			{Usage: "saveconfig y|n 2 [passphrase_file=FILE]", Run: func(d *Dialog, env Env, args []string) error {
				passphrase, err := fileSettings(env, args[1:])
				if err != nil {
					return err
				}
				return saveConfig(d, env, configfile.Encrypted, passphrase)
			}},
		},
		Dialog: func(d *Dialog, env Env) error {
			choice := askSecrets(d)
			if d.Err() != nil {
				return d.Err()
			}
			return saveConfig(d, env, choice, "")
		},
	}
}

func saveForm(d *Dialog, env Env, args []string) error {
	return saveConfig(d, env, secretsOf(args), "")
}

func saveConfig(d *Dialog, env Env, choice configfile.Secrets, passphrase string) error {
	write, err := writeRunning(d, env, choice, passphrase)
	if err != nil {
		return err
	}
	name, size, err := saveApart(env, write)
	if err != nil {
		return fileFailed("Error writing file.", err)
	}
	if size > configfile.MaxSize {
		d.Printf("WARNING: the file is longer than the %d MB that loadconfig reads.\n", configfile.MaxSize>>20)
	}
	tellPending(d, env)
	running, _ := env.Store.Running()
	d.Printf("File written on machine %q to the location\n\"/configuration/%s\".\nConfiguration saved.\n", running.Hostname, name)
	return d.Err()
}

// saveApart saves under the name of this second, or of the next that has no file
// yet: two that are saved at once are two.
func saveApart(env Env, write func(io.Writer) error) (name string, size int, err error) {
	for at := env.Clock(); ; at = at.Add(time.Second) {
		name, written := fileNameAt(env, at), &counted{}
		err := env.Files.SaveNew(name, func(w io.Writer) error { return write(io.MultiWriter(w, written)) })
		if !errors.Is(err, fs.ErrExist) {
			return name, written.bytes, err
		}
	}
}

// counted counts what is written.
type counted struct{ bytes int }

func (c *counted) Write(p []byte) (int, error) {
	c.bytes += len(p)
	return len(p), nil
}
