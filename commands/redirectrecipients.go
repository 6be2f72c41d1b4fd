package commands

import (
	"context"

	"esa/mta/envelope"
	"esa/shell"
)

// redirectrecipients sends all queued mail to another machine (reference
// esa-operations 3.5).
func redirectrecipients() Command {
	return Command{
		Name:  "redirectrecipients",
		Short: "Redirect all messages to another relay host.",
		Long: `Messages that are in the queue now go to the machine, whatever smtproutes and
DNS say, until they are delivered or bounce; also after a restart. Mail that
comes later is not redirected. A port other than 25 is given as HOST:PORT.`,
		Forms: []Form{{Usage: "redirectrecipients HOST", Run: func(d *Dialog, env Env, args []string) error {
			to, err := parseMachine(args[0])
			if err != nil {
				return err
			}
			return redirect(d, env, to)
		}}},
		Dialog: redirectDialog,
	}
}

func redirectDialog(d *Dialog, env Env) error {
	if _, err := online(env); err != nil {
		return err
	}
	type machine struct {
		envelope.Machine
		typed string
	}
	to := shell.Ask(d, "Please enter the hostname or IP address of the machine you want to send all mail to.", "",
		func(text string) (machine, error) {
			m, err := parseMachine(text)
			return machine{m, text}, err
		})
	if d.Err() != nil {
		return d.Err()
	}
	d.Text("\nWARNING: redirecting recipients to a host or IP address that is not prepared to accept large volumes of SMTP mail " +
		"from this host will cause messages to bounce and possibly result in the loss of mail.")
	if !d.YesNo("Are you sure you want to redirect all mail in the queue to \""+to.typed+"\"?", false) || d.Err() != nil {
		return d.Err()
	}
	return redirect(d, env, to.Machine)
}

func redirect(d *Dialog, env Env, to envelope.Machine) error {
	words := actWords{"redirect", "Redirecting messages", "redirected"}
	done, err := actOn(d, env, words, func(ctx context.Context, p Progress) (Acted, error) { return env.Mail.Redirect(ctx, to, p) })
	if err != nil && done == (Acted{}) && d.Context().Err() == nil {
		return err
	}
	d.Printf("%d recipients redirected.\n", done.Recipients)
	tellRest(d, words, done)
	if err != nil {
		return err
	}
	return d.Err()
}
