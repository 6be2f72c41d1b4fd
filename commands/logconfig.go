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
	keys := logKeys(&store.LogSubscription{})
	all := logNewKeys(&store.LogSubscription{})
	return Command{
		Name:  "logconfig",
		Short: "Configure access to log files.",
		Long: `A log is a folder of files in the data directory. A subscription at level Debug
holds every DNS lookup beside what one at level Information has; keep few of its
files. Text mail logs hold the journey of every message, system logs commits and
the start of the gateway, CLI audit logs what operators type (never a
passphrase or a key), authentication logs who logs in and who was refused.`,
		Commit: true,
		Forms: []Form{
			{Usage: usage("logconfig new NAME", all), Run: logNewForm},
			{Usage: usage("logconfig edit NAME [name=NAME]", keys), Run: logEditForm},
			{Usage: "logconfig delete NAME", Run: logDeleteForm},
			{Usage: usage("logconfig setup", logSettingKeys(&store.LogSettings{})), Run: logSetupForm},
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
			case "LOGHEADERS":
				tell(d, shell.Refusedf("This build does not log headers of messages yet."))
			case "HOSTKEYCONFIG":
				tell(d, shell.Refusedf("This build does not push logs to other hosts: it needs no host keys."))
			}
		}
		return d.Err()
	})
}

func logMenu(cfg *store.Config) []shell.Op {
	ops := []shell.Op{{Word: "NEW", Text: "Create a new log."}}
	if len(cfg.Logs) > 0 {
		ops = append(ops,
			shell.Op{Word: "EDIT", Text: "Modify a log subscription."},
			shell.Op{Word: "DELETE", Text: "Remove a log subscription."})
	}
	return append(ops,
		shell.Op{Word: "SETUP", Text: "General settings."},
		shell.Op{Word: "LOGHEADERS", Text: "Configure headers to log."},
		shell.Op{Word: "HOSTKEYCONFIG", Text: "Configure SSH host keys."})
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

// logTypeName is a log type as the appliance lists it.
func logTypeName(kind string) string {
	switch kind {
	case store.TextMailLog:
		return "Text Mail Logs"
	case store.SystemLog:
		return "System Logs"
	case store.CLIAuditLog:
		return "CLI Audit Logs"
	case store.AuthenticationLog:
		return "Authentication Logs"
	}
	return kind
}

func logNames(logs []store.LogSubscription) []string {
	names := make([]string, len(logs))
	for i, l := range logs {
		names[i] = l.Name
	}
	return names
}

func logNew(d *Dialog, cfg *store.Config) {
	if err := roomForLog(cfg); err != nil {
		tell(d, err)
		return
	}
	var types []string
	for _, kind := range store.LogTypes() {
		types = append(types, logTypeName(kind))
	}
	kind := store.LogTypes()[d.Choose("Choose the log file type for this subscription:", types, 0)]
	name := shell.Ask(d, "Please enter the name for the log:", "", func(s string) (string, error) { return freeLogName(cfg, s, "") })
	l := logQuestions(d, store.NewLog(name, kind))
	if d.Err() == nil {
		cfg.Logs = append(cfg.Logs, l)
	}
}

func roomForLog(cfg *store.Config) error {
	if len(cfg.Logs) >= store.MaxLogs {
		return shell.Refusedf("There is a maximum of %d log subscriptions.", store.MaxLogs)
	}
	return nil
}

// freeLogName reads a name that no other log than own has, in whatever case.
func freeLogName(cfg *store.Config, text, own string) (string, error) {
	name, err := store.ParseLogName(text)
	if err != nil {
		return "", err
	}
	if n := find(logNames(cfg.Logs), name); n >= 0 && cfg.Logs[n].Name != own {
		return "", shell.Refusedf("Log name '%s' already in use", name)
	}
	return name, nil
}

// logQuestions is what NEW and EDIT ask after the name.
func logQuestions(d *Dialog, l store.LogSubscription) store.LogSubscription {
	l.Level = 1 + d.Choose("Log level:", store.LogLevels(), l.Level-1)
	for d.Choose("Choose the method to retrieve the logs.", logRetrievals(), 0) > 0 && d.Refuse(noPush()) {
	}
	l.FileName = shell.Ask(d, "Filename to use for log files:", l.FileName, store.ParseFileName)
	onlyNo(d, "Do you want to configure time-based log files rollover?", "This build rolls logs over by size, and by rollovernow.")
	l.MaxSize = shell.Ask(d, "Please enter the maximum file size:", strconv.FormatInt(l.MaxSize, 10), store.ParseLogSize)
	l.MaxFiles = d.Int("Please enter the maximum number of files:", l.MaxFiles, 1, store.MaxLogFiles)
	onlyNo(d, "Should an alert be sent when files are removed due to the maximum number of files allowed?", "This build sends no alert about that.")
	return l
}

// logRetrievals are the methods in the order of the appliance; all but the
// first are still to come.
func logRetrievals() []string {
	return []string{"Download Manually", "FTP Push", "SCP Push", "Syslog Push"}
}

func noPush() error { return shell.Refusedf("This build does not push logs to other hosts yet.") }

func logEdit(d *Dialog, cfg *store.Config) {
	n := d.Pick("Enter the number of the log you wish to edit.", logNames(cfg.Logs), -1)
	if d.Err() != nil {
		return
	}
	l := cfg.Logs[n]
	own := l.Name
	l.Name = shell.Ask(d, "Please enter the name for the log:", own, func(s string) (string, error) { return freeLogName(cfg, s, own) })
	l = logQuestions(d, l)
	if d.Err() == nil {
		cfg.Logs[n] = l
	}
}

func logDelete(d *Dialog, cfg *store.Config) {
	n := d.Pick("Enter the number of the log you wish to delete.", logNames(cfg.Logs), -1)
	if d.Err() == nil {
		deleteLog(d, cfg, n)
	}
}

// deleteLog is where dialog and one-line form of DELETE meet.
func deleteLog(d *Dialog, cfg *store.Config, n int) {
	d.Printf("Log %s deleted. Its files are kept.\n", cfg.Logs[n].Name)
	cfg.Logs = slices.Delete(cfg.Logs, n, n+1)
}

func logSetup(d *Dialog, cfg *store.Config) {
	const frequency = "60"
	shell.Ask(d, "System metrics frequency (in seconds)", frequency, func(s string) (string, error) {
		if s != frequency {
			return "", shell.Refusedf("This build does not write system metrics yet: the frequency cannot be changed.")
		}
		return s, nil
	})
	set := cfg.LogSettings
	set.MessageID = d.YesNo("Do you wish to have Message-ID headers logged in the mail logs?", set.MessageID)
	set.Subject = d.YesNo("Do you wish to have the original subject header of each message logged?", set.Subject)
	set.RemoteResponse = d.YesNo("Do you wish to have the remote response text logged in the mail logs?", set.RemoteResponse)
	if d.Err() == nil {
		cfg.LogSettings = set
	}
}
