package commands

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"esa/shell"
	"esa/store"
)

// logconfig says which logs are written, how much goes into them, and how
// many files are kept.
func logconfig() Command {
	return Command{
		Name:  "logconfig",
		Short: "Configure access to log files.",
		Long: `A log is a folder of files in the data directory. A subscription at level Debug
holds every DNS lookup beside what one at level Information has; keep few of its
files. This build writes text mail logs.`,
		Commit: true,
		Forms: []Form{
			{Usage: "logconfig new NAME [level=1..5] [filename=NAME] [size=BYTES] [files=N]", Run: logNewForm},
			{Usage: "logconfig edit NAME [name=NAME] [level=1..5] [filename=NAME] [size=BYTES] [files=N]", Run: logEditForm},
			{Usage: "logconfig delete NAME", Run: logDeleteForm},
			{Usage: "logconfig setup [message_id=yes|no] [subject=yes|no] [remote_response=yes|no]", Run: logSetupForm},
			{Usage: "logconfig print", Run: logPrintForm},
		},
		Dialog: logDialog,
	}
}

func logDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		for d.Menu(logList(cfg), logMenu(cfg)...) {
			switch d.Op() {
			case "NEW":
				logNew(d, cfg)
			case "EDIT":
				logEdit(d, cfg)
			case "DELETE":
				logDelete(d, cfg)
			case "SETUP":
				logSetup(d, cfg)
			}
		}
		return d.Err()
	})
}

func logMenu(cfg *store.Config) []shell.Op {
	ops := []shell.Op{{Word: "NEW", Text: "Create a new log."}}
	if len(cfg.Logs) > 0 {
		ops = append(ops, shell.Op{Word: "EDIT", Text: "Modify a log subscription."},
			shell.Op{Word: "DELETE", Text: "Remove a log subscription."})
	}
	return append(ops, shell.Op{Word: "SETUP", Text: "General settings."})
}

// logList is the table above the menu (reference esa-operations 3.1).
func logList(cfg *store.Config) string {
	if len(cfg.Logs) == 0 {
		return "There are no logs configured."
	}
	rows := [][]string{{"   Log Name", "Log Type", "Retrieval", "Interval"}}
	for i, l := range cfg.Logs {
		rows = append(rows, []string{fmt.Sprintf("%d. %s", i+1, l.Name), logTypeName(l.Type), "Manual Download", "None"})
	}
	heading, rest, _ := strings.Cut(shell.Columns(rows), "\n")
	return "Currently configured logs:\n" + heading + "\n" + strings.Repeat("-", 79) + "\n" + rest
}

func logNew(d *Dialog, cfg *store.Config) {
	if len(cfg.Logs) >= store.MaxLogs {
		tell(d, shell.Refusedf("There is a maximum of %d log subscriptions.", store.MaxLogs))
		return
	}
	d.Choose("Choose the log file type for this subscription:", []string{logTypeName(store.TextMailLog)}, 0)
	l := newLog("")
	l.Name = shell.Ask(d, "Please enter the name for the log:", "", func(s string) (string, error) { return freeLogName(cfg, s, "") })
	l = logQuestions(d, l)
	if d.Err() == nil {
		cfg.Logs = append(cfg.Logs, l)
	}
}

// newLog gives a subscription with the defaults of the dialog.
func newLog(name string) store.LogSubscription {
	return store.LogSubscription{Name: name, Type: store.TextMailLog, Level: 3, FileName: "mail", MaxSize: 10485760, MaxFiles: 10}
}

// freeLogName reads a name that no other log has.
func freeLogName(cfg *store.Config, text, own string) (string, error) {
	name, err := store.ParseLogName(text)
	if err != nil {
		return "", err
	}
	taken := slices.ContainsFunc(cfg.Logs, func(l store.LogSubscription) bool { return strings.EqualFold(l.Name, name) })
	if taken && name != own {
		return "", shell.Refusedf("Log name '%s' already in use", name)
	}
	return name, nil
}

// logQuestions is what NEW and EDIT ask after the name.
func logQuestions(d *Dialog, l store.LogSubscription) store.LogSubscription {
	l.Level = 1 + d.Choose("Log level:", store.LogLevels(), l.Level-1)
	d.Choose("Choose the method to retrieve the logs.", []string{"Download Manually"}, 0)
	l.FileName = shell.Ask(d, "Filename to use for log files:", l.FileName, store.ParseFileName)
	l.MaxSize = shell.Ask(d, "Please enter the maximum file size:", strconv.FormatInt(l.MaxSize, 10), parseLogSize)
	l.MaxFiles = d.Int("Please enter the maximum number of files:", l.MaxFiles, 1, store.MaxLogFiles)
	return l
}

func parseLogSize(text string) (int64, error) {
	n, err := store.ParseSize(text)
	if err != nil {
		return 0, err
	}
	if n < store.MinLogSize || n > store.MaxLogSize {
		return 0, shell.Refusedf("The value must be from %d to %d bytes.", store.MinLogSize, int64(store.MaxLogSize))
	}
	return n, nil
}

func pickLogOf(d *Dialog, cfg *store.Config, question string) int {
	names := make([]string, len(cfg.Logs))
	for i, l := range cfg.Logs {
		names[i] = l.Name
	}
	return d.Pick(question, names, -1)
}

func logEdit(d *Dialog, cfg *store.Config) {
	n := pickLogOf(d, cfg, "Enter the number of the log you wish to edit.")
	if d.Err() != nil {
		return
	}
	l := cfg.Logs[n]
	l.Name = shell.Ask(d, "Please enter the name for the log:", l.Name, func(s string) (string, error) {
		return freeLogName(cfg, s, cfg.Logs[n].Name)
	})
	l = logQuestions(d, l)
	if d.Err() == nil {
		cfg.Logs[n] = l
	}
}

func logDelete(d *Dialog, cfg *store.Config) {
	n := pickLogOf(d, cfg, "Enter the number of the log you wish to delete.")
	if d.Err() != nil {
		return
	}
	sure := d.YesNo(fmt.Sprintf("Are you sure you want to delete %q?", cfg.Logs[n].Name), false)
	if d.Err() == nil && sure {
		cfg.Logs = slices.Delete(cfg.Logs, n, n+1)
	}
}

func logSetup(d *Dialog, cfg *store.Config) {
	set := cfg.LogSettings
	set.MessageID = d.YesNo("Do you wish to have Message-ID headers logged in the mail logs?", set.MessageID)
	set.Subject = d.YesNo("Do you wish to have the original subject header of each message logged?", set.Subject)
	set.RemoteResponse = d.YesNo("Do you wish to have the remote response text logged in the mail logs?", set.RemoteResponse)
	if d.Err() == nil {
		cfg.LogSettings = set
	}
}

func logNewForm(d *Dialog, env Env, args []string) error {
	words, err := shell.Settings(args[1:])
	if err != nil {
		return err
	}
	return env.Edit(func(cfg *store.Config) error {
		name, err := freeLogName(cfg, args[0], "")
		if err != nil {
			return err
		}
		if len(cfg.Logs) >= store.MaxLogs {
			return shell.Refusedf("There is a maximum of %d log subscriptions.", store.MaxLogs)
		}
		l := newLog(name)
		if err := setLog(&l, words); err != nil {
			return err
		}
		cfg.Logs = append(cfg.Logs, l)
		d.Printf("Log %s created.\n", name)
		return nil
	})
}

func logEditForm(d *Dialog, env Env, args []string) error {
	words, err := shell.Settings(args[1:])
	if err != nil {
		return err
	}
	return env.Edit(func(cfg *store.Config) error {
		n, err := logIndex(cfg, args[0])
		if err != nil {
			return err
		}
		l := cfg.Logs[n]
		if text, given := words["name"]; given {
			if l.Name, err = freeLogName(cfg, text, l.Name); err != nil {
				return err
			}
		}
		if err := setLog(&l, words); err != nil {
			return err
		}
		cfg.Logs[n] = l
		d.Printf("Log %s changed.\n", l.Name)
		return nil
	})
}

// setLog fills a subscription from the words of a one-line form.
func setLog(l *store.LogSubscription, words map[string]string) error {
	for key, value := range words {
		var err error
		switch key {
		case "level":
			err = setNumber(&l.Level, value, 1, len(store.LogLevels()))
		case "filename":
			l.FileName, err = store.ParseFileName(value)
		case "size":
			l.MaxSize, err = parseLogSize(value)
		case "files":
			err = setNumber(&l.MaxFiles, value, 1, store.MaxLogFiles)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func logIndex(cfg *store.Config, name string) (int, error) {
	n := slices.IndexFunc(cfg.Logs, func(l store.LogSubscription) bool { return strings.EqualFold(l.Name, name) })
	if n < 0 {
		return -1, shell.Refusedf("The log %q does not exist.", name)
	}
	return n, nil
}

func logDeleteForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		n, err := logIndex(cfg, args[0])
		if err != nil {
			return err
		}
		cfg.Logs = slices.Delete(cfg.Logs, n, n+1)
		d.Printf("Log %s deleted.\n", args[0])
		return nil
	})
}

func logSetupForm(_ *Dialog, env Env, args []string) error {
	words, err := shell.Settings(args)
	if err != nil {
		return err
	}
	return env.Edit(func(cfg *store.Config) error {
		for key, value := range words {
			on, err := parseYesNo(value)
			if err != nil {
				return err
			}
			switch key {
			case "message_id":
				cfg.LogSettings.MessageID = on
			case "subject":
				cfg.LogSettings.Subject = on
			default:
				cfg.LogSettings.RemoteResponse = on
			}
		}
		return nil
	})
}

func logPrintForm(d *Dialog, env Env, _ []string) error {
	d.Text(logList(env.Config()))
	return d.Err()
}
