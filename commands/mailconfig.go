package commands

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"esa/mta/envelope"
	"esa/shell"
	"esa/store/configfile"
)

// mailconfig sends the configuration that runs by mail (reference
// esa-cli-config 2.7).
func mailconfig() Command {
	return Command{
		Name:  "mailconfig",
		Short: "Mail the current configuration to an email address.",
		Long: `The file of saveconfig is mailed as an attachment, through the queue of this
gateway. Mail may be read on its way: plain passphrases are not mailed.

In one line, y masks the passphrases; the number 2 encrypts them, and
passphrase_file names a file in the directory configuration whose first line is
the passphrase to encrypt with.`,
		Forms: []Form{
			{Usage: "mailconfig ADDRESSES y", Run: func(d *Dialog, env Env, args []string) error {
				return mailForm(d, env, args, configfile.Masked)
			}},
			{Usage: "mailconfig ADDRESSES y 1", Run: func(d *Dialog, env Env, args []string) error {
				return mailForm(d, env, args[:1], configfile.Masked)
			}},
			{Usage: "mailconfig ADDRESSES y 2 [passphrase_file=FILE]", Run: func(d *Dialog, env Env, args []string) error {
				return mailForm(d, env, args, configfile.Encrypted)
			}},
		},
		Dialog: mailDialog,
	}
}

// maxMailed bounds the addresses of one mail.
const maxMailed = 20

func mailDialog(d *Dialog, env Env) error {
	to := shell.Ask(d, "Please enter the email address to which you want to send the configuration\nfile. Separate multiple addresses with commas.", "", parseMailed)
	choice := configfile.Masked
	for {
		choice = askSecrets(d)
		if choice != configfile.Plain || !d.Refuse(errPlainMail()) {
			break
		}
	}
	if d.Err() != nil {
		return d.Err()
	}
	return mailConfig(d, env, letterTo{to, choice, ""})
}

func errPlainMail() error {
	return shell.Refusedf("Plain passphrases are not mailed. Encrypt them, or use saveconfig.")
}

// parseMailed reads addresses separated by commas.
func parseMailed(text string) ([]envelope.Address, error) {
	var to []envelope.Address
	for part := range strings.SplitSeq(text, ",") {
		address, err := envelope.ParseAddress(strings.TrimSpace(part))
		if err != nil || address.IsNull() {
			return nil, shell.Refusedf("%q is not an e-mail address.", strings.TrimSpace(part))
		}
		to = append(to, address)
	}
	if len(to) > maxMailed {
		return nil, shell.Refusedf("There is a maximum of %d addresses.", maxMailed)
	}
	return to, nil
}

func mailForm(d *Dialog, env Env, args []string, choice configfile.Secrets) error {
	to, err := parseMailed(args[0])
	if err != nil {
		return err
	}
	passphrase, err := fileSettings(env, args[1:])
	if err != nil {
		return err
	}
	return mailConfig(d, env, letterTo{to, choice, passphrase})
}

// letterTo is whom the configuration is sent to, and how it is written.
type letterTo struct {
	to         []envelope.Address
	choice     configfile.Secrets
	passphrase string
}

func mailConfig(d *Dialog, env Env, l letterTo) error {
	write, err := writeRunning(d, env, l.choice, l.passphrase)
	if err != nil {
		return err
	}
	var file bytes.Buffer
	if err := write(&file); err != nil {
		return err
	}
	running, revision := env.Store.Running()
	now := env.Clock().Local()
	_, err = env.Mail.Send(Letter{
		To: l.to, FileName: fileName(env), File: file.Bytes(),
		Subject: fmt.Sprintf("Configuration of %s (%s)", running.Hostname, now.Format(time.DateTime)),
		Text: fmt.Sprintf("The configuration of %s, revision %d, as of %s.\nIt was sent by %s.\n",
			running.Hostname, revision, now.Format(time.RFC1123Z), env.Who.User),
	})
	if err != nil {
		return err
	}
	tellPending(d, env)
	names := make([]string, len(l.to))
	for i, a := range l.to {
		names[i] = a.String()
	}
	d.Printf("The configuration file has been sent to %s.\n", strings.Join(names, ", "))
	return d.Err()
}
