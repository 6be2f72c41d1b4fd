package store

import (
	"slices"
	"strings"
	"time"
)

// CommitRequest is what a session asks for with commit.
type CommitRequest struct {
	Session *Session
	Comment string
	Force   bool          // what AskError asks is answered with yes
	Confirm time.Duration // 0: the commit stands; else what was before comes back unless it is confirmed in that time

	// OwnPassphrase says that the change is of the user's own passphrase, who has
	// shown to be the user and chosen it by the policy.
	OwnPassphrase bool
}

// Review judges what the request would make of the running configuration: what
// has to be asked before, or, as a *RightsError, that its user may not commit it.
func (r CommitRequest) Review(running, next *Config) (questions []string, err error) {
	who, may := r.Session.Who(), running.MayCommit
	if r.OwnPassphrase {
		may = running.MayChangePassphrase
	}
	if err := may(who.User, next); err != nil {
		return nil, err
	}
	return slices.Concat(OpensRelay(running, next), LocksOutAdministrators(running, next),
		EndsSession(running, next, who), CutsOff(running, next, who)), nil
}

// CommitReport tells what a commit did, or what a check found.
type CommitReport struct {
	Revision  Revision // of a check: zero
	Changes   []Change // against what ran before
	Warnings  []Problem
	Questions []string // of a check: what the commit will ask
	Notes     []string // what was tried beside it: DNS servers that were probed
	Took      time.Duration
}

// CheckError refuses a commit for all that is wrong with the configuration or
// with the machine it is to run on. Nothing was changed.
type CheckError struct{ Problems []Problem }

func (e *CheckError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return "the configuration cannot run: " + strings.Join(lines, "; ")
}

// AskError refuses a commit that needs an answer first: it would do what an
// operator rarely means. Nothing was changed.
type AskError struct{ Questions []string }

func (e *AskError) Error() string {
	return "the commit has to be confirmed: " + strings.Join(e.Questions, "; ")
}
