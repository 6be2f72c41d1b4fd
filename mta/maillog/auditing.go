package maillog

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// Operator is a session of the command line, as the lines about it name it.
type Operator struct {
	Session int64  // its number, which stands where the appliance has a process
	User    string // as logged in
	Source  string // an address, or "console"
}

// Login is an operator's way in, or an attempt at one.
type Login struct {
	User      string
	Source    string // an address, or "console"
	Method    string // "password", "publickey", "local"
	Privilege string // the role; empty of an attempt that failed
}

// maxAudited is how much of a name or of a typed line a line repeats, in bytes.
const maxAudited = 4 << 10

// audited gives what an operator or an unknown client sent, cut to maxAudited.
func audited(text string) string {
	if len(text) <= maxAudited {
		return text
	}
	end := maxAudited
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "[...]"
}

// note writes one line to the logs of a kind.
func (l *Log) note(kind Kind, level Level, format string, args ...any) {
	if l.wanted(kind, level) {
		l.put(kind, level, fmt.Sprintf(format, args...))
	}
}

// Typed writes what an operator entered at a prompt. The caller has masked what
// must not be known: input is written as it is.
func (l *Log) Typed(o Operator, input, prompt string) {
	l.note(CLIAudit, Information, "PID %d: User %s entered %s; prompt was %s",
		o.Session, word(audited(o.User)), literal(audited(input)), literal(audited(prompt)))
}

// SessionBegan and SessionEnded write that a session of the command line was
// opened on a gateway's own address or its console, and that it is over.
func (l *Log) SessionBegan(o Operator, on string) {
	l.note(CLIAudit, Information, "PID %d: User %s login from %s on %s", o.Session, word(audited(o.User)), word(o.Source), word(on))
}
func (l *Log) SessionEnded(o Operator) {
	l.note(CLIAudit, Information, "PID %d: User %s logged out", o.Session, word(audited(o.User)))
}

// LoginAccepted writes that an operator is in. The words of these three are
// ours; blanks in names are escaped, so that no name adds words to a line.
func (l *Log) LoginAccepted(in Login) {
	l.note(Authentication, Information, "The user %s successfully logged on from %s with privilege %s using an SSH connection (%s).",
		word(audited(in.User)), word(in.Source), word(in.Privilege), word(in.Method))
}

// LoginRefused writes that an attempt to log in failed, and why.
func (l *Log) LoginRefused(in Login, why string) {
	l.note(Authentication, Warning, "An authentication attempt by the user %s from %s failed using an SSH connection (%s): %s",
		word(audited(in.User)), word(in.Source), word(in.Method), line(audited(why)))
}

// LoggedOut writes that the connection of an operator is over, and how long it
// was open.
func (l *Log) LoggedOut(in Login, after time.Duration) {
	l.note(Authentication, Information, "The user %s logged out from %s after %s.",
		word(audited(in.User)), word(in.Source), after.Round(time.Second))
}

// Committed writes that a revision of the configuration runs. Its second line
// is ours.
func (l *Log) Committed(revision uint64, user, source, comment string) {
	l.note(System, Information, "User %s: Commit changes: %s", word(audited(user)), line(audited(comment)))
	l.note(System, Information, "Configuration revision %d, committed by %s from %s, is in effect.", revision, word(audited(user)), word(source))
}

// OnTrial writes that the revision that was just committed waits to be
// confirmed. The words of this and of Confirmed are ours.
func (l *Log) OnTrial(revision uint64, until time.Time) {
	l.note(System, Information, "Configuration revision %d is taken back at %s unless it is confirmed.", revision, until.Local().Format(time.ANSIC))
}

// Confirmed writes that a revision on trial stays.
func (l *Log) Confirmed(revision uint64, user, source string) {
	l.note(System, Information, "Configuration revision %d was confirmed by %s from %s.", revision, word(audited(user)), word(source))
}

// GatewayStarted and GatewayStops write the life of the gateway, in words of
// ours.
func (l *Log) GatewayStarted(revision uint64) {
	l.note(System, Information, "The gateway has started with configuration revision %d.", revision)
}
func (l *Log) GatewayStops() { l.note(System, Information, "The gateway stops.") }
