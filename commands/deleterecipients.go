package commands

import "context"

// deleterecipients takes recipients out of the queue; nobody is told
// (reference esa-operations 3.5).
func deleterecipients() Command {
	words := actWords{"delete", "Deleting", "deleted"}
	run := func(d *Dialog, env Env, s Selection) error {
		return actOnMail(d, env, words, func(ctx context.Context, p Progress) (Acted, error) { return env.Mail.Delete(ctx, s, p) })
	}
	return Command{
		Name:  "deleterecipients",
		Short: "Delete messages from the queue.",
		Long: `Nobody is told. A message that is being delivered at the time is stopped first;
what its next hop takes is delivered.`,
		Forms:  selectionForms("deleterecipients", run),
		Dialog: selectionDialog(words, true, run),
	}
}
