package commands

import (
	"errors"
	"strconv"
	"strings"

	"esa/shell"
	"esa/store"
)

// How revisions are named where an operator types one: by number, by a name
// that commit name gave, or as running.

// runningWord stands for the revision that runs.
const runningWord = "running"

// findRevision reads a revision.
func findRevision(env Env, text string) (store.Record, error) {
	if strings.EqualFold(text, runningWord) {
		_, number := env.Store.Running()
		return keptRevision(env, number)
	}
	if number, err := strconv.ParseUint(text, 10, 64); err == nil {
		return keptRevision(env, number)
	}
	if _, err := store.ParseRevisionName(text); err != nil {
		return store.Record{}, shell.Refusedf("That value is not valid. Use rollbackconfig list.")
	}
	number, err := env.Store.NamedRevision(text)
	if errors.Is(err, store.ErrNoName) {
		return store.Record{}, shell.Refusedf("No revision has the name %q. Use rollbackconfig list.", text)
	}
	if err != nil {
		return store.Record{}, err
	}
	return keptRevision(env, number)
}

// keptRevision refuses the number of a revision that is not there.
func keptRevision(env Env, number uint64) (store.Record, error) {
	r, err := env.Store.Revision(number)
	if errors.Is(err, store.ErrNoRevision) {
		return r, shell.Refusedf("Revision %d is not kept. Use rollbackconfig list.", number)
	}
	return r, err
}

// commitName gives a revision a name.
func commitName(d *Dialog, env Env, args []string) error {
	text := runningWord
	if len(args) > 1 {
		text = args[1]
	}
	r, err := findRevision(env, text)
	if err != nil {
		return err
	}
	err = env.Store.NameRevision(args[0], r.Number)
	if taken, ok := errors.AsType[*store.NamedError](err); ok {
		return shell.Refusedf("Revision %d has the name %q. Use commit unname first.", taken.Revision, taken.Name)
	}
	if err != nil {
		return refused(err)
	}
	d.Printf("Revision %d has the name %q now, and is kept as long as it has it.\n", r.Number, args[0])
	return d.Err()
}

// commitUnname takes a name away.
func commitUnname(d *Dialog, env Env, args []string) error {
	number, err := env.Store.UnnameRevision(args[0])
	if errors.Is(err, store.ErrNoName) {
		return shell.Refusedf("No revision has the name %q. Use rollbackconfig list.", args[0])
	}
	if err != nil {
		return err
	}
	d.Printf("Revision %d does not have the name %q any more.\n", number, args[0])
	return d.Err()
}
