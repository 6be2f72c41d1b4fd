package commands

import "esa/shell"

// oldmessage shows the message that waits longest (reference esa-operations
// 3.5).
func oldmessage() Command {
	return Command{
		Name:  "oldmessage",
		Short: "Show the oldest message of the queue.",
		Forms: []Form{{Usage: "oldmessage", Run: func(d *Dialog, env Env, _ []string) error {
			s, err := online(env)
			if err != nil {
				return err
			}
			if s.OldestMID == 0 {
				return shell.Refusedf("There are no messages in the queue.")
			}
			return printMessage(d, env, s.OldestMID, wholeMessage)
		}}},
	}
}
