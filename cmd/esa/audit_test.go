package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// audit gives the current file of a log about operators, without times and
// header.
func audit(t *testing.T, dir, name, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "logs", name, file+".current"))
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^.{24} `).ReplaceAllString(string(text), "")
	_, lines, _ = strings.Cut(lines, "seconds\n")
	return lines
}

// TestAudit_CLILogs: who typed what is in cli_logs, of a person, a batch and an
// exec line alike, to the end of the gateway.
func TestAudit_CLILogs(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	h.exec("whoami; bogus").want(t, 1)
	h.batch(false, "sethostname", "new.test", "clear", "y").want(t, 0)
	p := sitDown(t, dir)
	p.sees("gw.test> ")
	p.types("certconfig", "[]> ")
	if _, err := io.WriteString(p.keys, "\x03"); err != nil {
		t.Fatal(err)
	}
	p.sees("gw.test> ")
	h.close()
	got := audit(t, dir, "cli_logs", "cli")
	want := "Info: PID 1: User admin login from console on console\n" +
		"Info: PID 1: User admin entered 'whoami'; prompt was ''\n" +
		"Info: PID 1: User admin entered 'bogus'; prompt was ''\n" +
		"Info: PID 1: User admin logged out\n" +
		"Info: PID 2: User admin login from console on console\n" +
		"Info: PID 2: User admin entered 'sethostname'; prompt was 'gw.test> '\n" +
		"Info: PID 2: User admin entered 'new.test'; prompt was '[gw.test]> '\n" +
		"Info: PID 2: User admin entered 'clear'; prompt was 'gw.test> '\n" +
		`Info: PID 2: User admin entered 'y'; prompt was 'Are you sure you want to clear all changes since the last commit? [Y]> '` + "\n" +
		"Info: PID 2: User admin logged out\n" +
		"Info: PID 3: User admin login from console on console\n" +
		"Info: PID 3: User admin entered 'certconfig'; prompt was 'gw.test> '\n" +
		"Info: PID 3: User admin logged out\n"
	if got != want {
		t.Errorf("cli_logs has\n%s\nwant\n%s", got, want)
	}
}

// TestAudit_SystemLogs: commits, and the life of the gateway.
func TestAudit_SystemLogs(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	h.exec(`sethostname new.test; commit "a new name" Y`).want(t, 0)
	h.exec(`commit "nothing to do" Y`)
	h.close()
	want := "Info: The gateway has started with configuration revision 1.\n" +
		"Info: User admin: Commit changes: a new name\n" +
		"Info: Configuration revision 2, committed by admin from console, is in effect.\n" +
		"Info: The gateway stops.\n"
	if got := audit(t, dir, "system_logs", "system"); got != want {
		t.Errorf("system_logs has\n%s\nwant\n%s", got, want)
	}
}

// TestAudit_Offline: what is done while the gateway does not run is in the
// logs too, and nothing is written into those of mail.
func TestAudit_Offline(t *testing.T) {
	dir, _ := prepared(t)
	esa(t, dir, "", `sethostname new.test; commit "offline" Y`).want(t, 0, "Changes committed")
	if got := audit(t, dir, "cli_logs", "cli"); !strings.Contains(got, "entered 'sethostname new.test'; prompt was ''\n") {
		t.Errorf("cli_logs has\n%s", got)
	}
	if got := audit(t, dir, "system_logs", "system"); !strings.Contains(got, "User admin: Commit changes: offline\n") {
		t.Errorf("system_logs has\n%s", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "logs", "mail_logs")); !os.IsNotExist(err) {
		t.Errorf("mail_logs: %v", err)
	}
}
