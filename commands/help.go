package commands

import "esa/shell"

// help lists the commands, or explains one with its one-line forms.
func help() Command {
	return Command{
		Name:    "help",
		Aliases: []string{"h", "?"},
		Short:   "List commands, or explain one.",
		Forms: []Form{
			{Usage: "help", Run: helpList},
			{Usage: "help COMMAND", Run: helpCommand},
		},
	}
}

func helpList(d *Dialog, env Env, _ []string) error {
	d.Text(shell.HelpList(shell.Permitted(Table(), env.May)))
	return d.Err()
}

func helpCommand(d *Dialog, _ Env, args []string) error {
	c := shell.Lookup(Table(), args[0])
	if c == nil {
		return shell.Unknown(args[0])
	}
	d.Text(shell.Help(c))
	return d.Err()
}
