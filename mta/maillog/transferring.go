package maillog

// FileUse is what an operator's file client did with a file, or tried.
type FileUse struct {
	Action string // "read", "write", "rename", "remove"
	Path   string // as the client sees it
	Size   int64  // of the file, in bytes
	Err    error  // why it did not come about
}

// FileUsed writes what was done with a file of configuration/ or logs/, in
// words of ours.
func (l *Log) FileUsed(o Operator, u FileUse) {
	if u.Err != nil {
		l.note(CLIAudit, Warning, "PID %d: User %s file %s of %s failed: %s",
			o.Session, word(audited(o.User)), u.Action, line(audited(u.Path)), line(audited(u.Err.Error())))
		return
	}
	l.note(CLIAudit, Information, "PID %d: User %s file %s of %s (%d bytes)",
		o.Session, word(audited(o.User)), u.Action, line(audited(u.Path)), u.Size)
}
