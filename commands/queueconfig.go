package commands

import (
	"strings"

	"esa/shell"
	"esa/store"
)

// queueconfig sets how the queue makes accepted mail durable. No appliance has
// it: there the disk is the vendor's.
func queueconfig() Command {
	return Command{
		Name:  "queueconfig",
		Short: "Configure the queue.",
		Long: `A message is accepted when it is on stable storage. All messages that wait for
that share one sync of the file system, which is fastest where the queue has a
file system of its own. Where much else is written to the same file system, a
sync waits for all of that: then each message is better synced by itself.`,
		Commit: true,
		Forms:  []Form{{Usage: usage("queueconfig setup", queueKeys(&store.Queue{})), Run: queueSetup}},
		Dialog: queueDialog,
	}
}

// The words for both ways.
const (
	syncTogether = "filesystem"
	syncEach     = "files"
)

func syncWord(each bool) string {
	if each {
		return syncEach
	}
	return syncTogether
}

func queueDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		for d.Menu(queueSummary(cfg), shell.Op{Word: "SETUP", Text: "Configure the queue."}) {
			way := d.ChooseName("Choose how accepted messages are made durable.", []shell.Choice{
				{Name: syncTogether, Text: "Together: one sync of the file system for all that wait"},
				{Name: syncEach, Text: "Each by itself: where much else is written to that file system"},
			}, syncWord(cfg.Queue.EachFile))
			if d.Err() != nil {
				break
			}
			cfg.Queue.EachFile = way == syncEach
		}
		return d.Err()
	})
}

func queueSummary(cfg *store.Config) string {
	if cfg.Queue.EachFile {
		return "Accepted messages are made durable: each by itself"
	}
	return "Accepted messages are made durable: together"
}

func queueKeys(set *store.Queue) []key {
	return []key{{"sync", syncTogether + "|" + syncEach, func(text string) error {
		switch strings.ToLower(text) {
		case syncTogether:
			set.EachFile = false
		case syncEach:
			set.EachFile = true
		default:
			return shell.Refusedf("The value must be %s or %s.", syncTogether, syncEach)
		}
		return nil
	}}}
}

func queueSetup(_ *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		set := cfg.Queue
		if err := setKeys(queueKeys(&set), args); err != nil {
			return err
		}
		cfg.Queue = set
		return nil
	})
}
