package commands

import (
	"strings"

	"esa/shell"
	"esa/store"
)

// This file is the one-line forms of logconfig.

// logKeys lists the keys of the one-line forms over one subscription.
func logKeys(l *store.LogSubscription) []key {
	return []key{
		{"level", "1..5", number(&l.Level, 1, len(store.LogLevels()))},
		{"filename", "NAME", parsed(&l.FileName, store.ParseFileName)},
		{"size", "BYTES", parsed(&l.MaxSize, store.ParseLogSize)},
		{"files", "N", number(&l.MaxFiles, 1, store.MaxLogFiles)},
	}
}

// logNewKeys adds what only a new subscription can be given.
func logNewKeys(l *store.LogSubscription) []key {
	return append([]key{{"type", strings.Join(store.LogTypes(), "|"), parsed(&l.Type, store.ParseLogType)}}, logKeys(l)...)
}

// logSettingKeys lists the keys of the one-line form of SETUP.
func logSettingKeys(s *store.LogSettings) []key {
	return []key{
		{"message_id", "yes|no", yesNo(&s.MessageID)},
		{"subject", "yes|no", yesNo(&s.Subject)},
		{"remote_response", "yes|no", yesNo(&s.RemoteResponse)},
	}
}

func logNewForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		if err := roomForLog(cfg); err != nil {
			return err
		}
		name, err := freeLogName(cfg, args[0], "")
		if err != nil {
			return err
		}
		l := store.NewLog(name, store.TextMailLog)
		l.FileName = ""
		if len(args) > 1 {
			if err := setKeys(logNewKeys(&l), args[1:]); err != nil {
				return err
			}
		}
		if l.FileName == "" {
			l.FileName = store.NewLog(name, l.Type).FileName
		}
		cfg.Logs = append(cfg.Logs, l)
		d.Printf("Log %s created.\n", name)
		return nil
	})
}

func logEditForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		n, err := findLogOf(cfg.Logs, args[0])
		if err != nil {
			return err
		}
		l := cfg.Logs[n]
		own := l.Name
		keys := append(logKeys(&l), key{"name", "NAME", parsed(&l.Name, func(text string) (string, error) { return freeLogName(cfg, text, own) })})
		if err := setKeys(keys, args[1:]); err != nil {
			return err
		}
		cfg.Logs[n] = l
		d.Printf("Log %s changed.\n", l.Name)
		return nil
	})
}

func findLogOf(logs []store.LogSubscription, name string) (int, error) {
	n := find(logNames(logs), name)
	if n < 0 {
		return -1, shell.Refusedf("The log %q does not exist. Use logconfig to list the logs.", name)
	}
	return n, nil
}

func logDeleteForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		n, err := findLogOf(cfg.Logs, args[0])
		if err == nil {
			deleteLog(d, cfg, n)
		}
		return err
	})
}

func logSetupForm(_ *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error { return setKeys(logSettingKeys(&cfg.LogSettings), args) })
}

func logPrintForm(d *Dialog, env Env, _ []string) error {
	d.Text(logList(env.Config()))
	return d.Err()
}
