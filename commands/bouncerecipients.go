package commands

import "context"

// bouncerecipients ends recipients as if they had been refused; their senders are told
// (reference esa-operations 3.5).
func bouncerecipients() Command {
	words := actWords{"bounce", "Bouncing", "bounced"}
	run := func(d *Dialog, env Env, s Selection) error {
		return actOnMail(d, env, words, func(ctx context.Context, p Progress) (Acted, error) { return env.Mail.Bounce(ctx, s, p) })
	}
	return Command{
		Name:  "bouncerecipients",
		Short: "Bounce messages from the queue.",
		Long: `Senders are told by the bounce profile. A message that is being delivered at
the time is stopped first; what its next hop takes is delivered.`,
		Forms:  selectionForms("bouncerecipients", run),
		Dialog: selectionDialog(words, true, run),
	}
}
