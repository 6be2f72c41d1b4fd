package maillog

import (
	"errors"
	"strings"
	"testing"
)

func TestFileUsed(t *testing.T) {
	h := newHarness(t, audits()...)
	before := h.text("cli_logs", "cli.current")
	ann := Operator{Session: 7, User: "ann", Source: "192.0.2.9"}
	h.FileUsed(ann, FileUse{Action: "write", Path: "/configuration/a b\n.xml", Size: 12})
	h.FileUsed(ann, FileUse{Action: "read", Path: "/logs", Err: errors.New("not a\nregular file")})
	const want = "Info: PID 7: User ann file write of /configuration/a b\\n.xml (12 bytes)\n" +
		"Warning: PID 7: User ann file read of /logs failed: not a\\nregular file\n"
	if got := strings.TrimPrefix(h.text("cli_logs", "cli.current"), before); got != want {
		t.Errorf("cli_logs has\n%swant\n%s", got, want)
	}
}
