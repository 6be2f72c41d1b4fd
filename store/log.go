package store

import (
	"fmt"
	"slices"
	"strings"
)

// Types of log: what a subscription holds.
const (
	TextMailLog       = "mail"           // the journey of every message
	CLIAuditLog       = "cli"            // what operators type, secrets masked
	AuthenticationLog = "authentication" // who logs in, and who was refused
	SystemLog         = "system"         // commits, start and end of the gateway
)

// LogTypes lists the types in the order of the appliance.
func LogTypes() []string {
	return []string{TextMailLog, SystemLog, CLIAuditLog, AuthenticationLog}
}

// ParseLogType reads a type.
func ParseLogType(text string) (string, error) {
	kind := strings.ToLower(text)
	if !slices.Contains(LogTypes(), kind) {
		return "", ValueError("The value must be one of " + strings.Join(LogTypes(), ", ") + ".")
	}
	return kind, nil
}

// NewLog gives a subscription of a type with the defaults of the appliance.
func NewLog(name, kind string) LogSubscription {
	return LogSubscription{Name: name, Type: kind, Level: 3, FileName: kind, MaxSize: 10485760, MaxFiles: 10}
}

// Bounds of log subscriptions.
const (
	MaxLogs     = 100
	MinLogSize  = 1 << 10
	MaxLogSize  = 10 << 30
	MaxLogFiles = 1000
)

// LogSubscription is one log: what it holds, and its files.
type LogSubscription struct {
	Name     string `label:"Name"`
	Type     string `label:"Log type"`
	Level    int    `label:"Log level"` // 1 Critical, 2 Warning, 3 Information, 4 Debug, 5 Trace
	FileName string `label:"File name"`
	MaxSize  int64  `label:"Maximum file size"`
	MaxFiles int    `label:"Maximum number of files"`
}

func (l LogSubscription) key() string { return l.Name }

// LogSettings is what all mail logs write beside the events.
type LogSettings struct {
	MessageID      bool `label:"Message-ID headers in mail logs"`
	Subject        bool `label:"Original subject header of each message"`
	RemoteResponse bool `label:"Remote response text in mail logs"`
}

// LogLevels gives the names of the levels; the first is level 1.
func LogLevels() []string {
	return []string{"Critical", "Warning", "Information", "Debug", "Trace"}
}

func (c *Config) validateLogs(p *problems) {
	if len(c.Logs) > MaxLogs {
		p.at("logs", "logconfig -> DELETE")("There is a maximum of %d log subscriptions.", MaxLogs)
	}
	seen := map[string]bool{}
	for _, l := range c.Logs {
		report := p.at(fmt.Sprintf("log %q", l.Name), "logconfig -> EDIT")
		if _, err := ParseLogName(l.Name); err != nil {
			report("%v", err)
		}
		if seen[l.Name] {
			report("Log name '%s' already in use", l.Name)
		}
		seen[l.Name] = true
		if !slices.Contains(LogTypes(), l.Type) {
			report("The log type %q is not known.", l.Type)
		}
		if _, err := ParseFileName(l.FileName); err != nil {
			report("File name: %v", err)
		}
		for _, v := range []struct {
			what         string
			n, low, high int64
		}{
			{"Log level", int64(l.Level), 1, int64(len(LogLevels()))},
			{"Maximum file size", l.MaxSize, MinLogSize, MaxLogSize},
			{"Maximum number of files", int64(l.MaxFiles), 1, MaxLogFiles},
		} {
			if err := inRange(v.n, v.low, v.high); err != nil {
				report("%s: %v", v.what, err)
			}
		}
	}
}
