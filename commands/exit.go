package commands

import "esa/shell"

// exit leaves the session. A person who has uncommitted changes is asked
// first; a script's are dropped and told by the shell.
func exit() Command {
	return Command{
		Name:    "exit",
		Aliases: []string{"quit", "q"},
		Short:   "Leave the session.",
		Dialog:  exitDialog,
	}
}

func exitDialog(d *Dialog, env Env) error {
	if env.Session.Dirty() && d.Interactive() {
		leave := d.YesNo("Configuration changes entered but not committed.  Exiting will lose changes.\n"+
			"Type 'commit' at the command prompt to commit changes.\n"+
			"Are you sure you wish to exit?", false)
		if err := d.Err(); err != nil || !leave {
			return err
		}
	}
	return shell.ErrExit
}
