package commands

import (
	"esa/mta/envelope"
)

// removemessage deletes one message (reference esa-operations 3.5). The dialog
// shows whose it is before it asks.
func removemessage() Command {
	return Command{
		Name:  "removemessage",
		Short: "Remove a message from the queue.",
		Long:  `Nobody is told. The one-line form does not ask.`,
		Forms: []Form{{Usage: "removemessage MID", Run: func(d *Dialog, env Env, args []string) error {
			mid, err := parseMID(args[0])
			if err != nil {
				return err
			}
			return removeMessage(d, env, envelope.MID(mid))
		}}},
		Dialog: func(d *Dialog, env Env) error {
			if _, err := online(env); err != nil {
				return err
			}
			mid := askMID(d, "Enter the MID to remove.", "")
			if d.Err() != nil {
				return d.Err()
			}
			if err := printMessage(d, env, mid, headerOnly); err != nil {
				return err
			}
			if !d.YesNo("Remove this message?", false) || d.Err() != nil {
				return d.Err()
			}
			return removeMessage(d, env, mid)
		},
	}
}

func removeMessage(d *Dialog, env Env, mid envelope.MID) error {
	_, text, err := env.Mail.Open(mid)
	if err != nil {
		return err
	}
	if err := text.Close(); err != nil {
		return err
	}
	return deleteMessage(d, env, mid)
}

// deleteMessage deletes what is left of a message.
func deleteMessage(d *Dialog, env Env, mid envelope.MID) error {
	done, err := env.Mail.Delete(d.Context(), Selection{MID: mid}, nil)
	if err == nil && done.Recipients > 0 {
		d.Printf("MID %d has been removed from the queue.\n", mid)
	}
	if err == nil && done == (Acted{}) {
		d.Printf("MID %d has left the queue meanwhile.\n", mid)
	}
	tellRest(d, actWords{done: "removed"}, done)
	if err != nil {
		return err
	}
	return d.Err()
}
