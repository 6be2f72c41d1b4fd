package commands

import (
	"errors"
	"fmt"
	"time"

	"esa/shell"
	"esa/store"
)

// The lock on commits: for scripts that make a change in several of them.

// lockMinutes is how long a lock lasts if nothing is said.
const lockMinutes = 10

func commitLock(d *Dialog, env Env, args []string) error {
	minutes := lockMinutes
	if len(args) > 0 {
		if err := setNumber(&minutes, args[0], 1, int(store.MaxLock/time.Minute)); err != nil {
			return err
		}
	}
	lock, err := env.Session.LockCommits(time.Duration(minutes) * time.Minute)
	if err != nil {
		return lockRefused(err)
	}
	d.Printf("Only this session can commit until %s.\n", commitTime(lock.Until))
	return d.Err()
}

func commitUnlock(d *Dialog, env Env, _ []string) error {
	if err := env.Session.UnlockCommits(); err != nil {
		return lockRefused(err)
	}
	if other, ok := env.Store.Locked(); ok {
		d.Text(lockedText(other)) // a lock was lost, and somebody has it
		return d.Err()
	}
	d.Text("Every session can commit.")
	return d.Err()
}

func commitUnlockForce(d *Dialog, env Env, _ []string) error {
	lock, err := env.Store.BreakLock(env.Who)
	if err != nil {
		return lockRefused(err)
	}
	d.Printf("The lock of %s (%s) is broken. Every session can commit.\n", lock.Who.User, lock.Who.Source)
	return d.Err()
}

func lockRefused(err error) error {
	if locked, ok := errors.AsType[*store.LockedError](err); ok {
		return shell.Refusedf("%s\nUse \"commit unlock force\" to break the lock.", lockedText(locked.Lock))
	}
	if errors.Is(err, store.ErrNotLocked) {
		return shell.Refusedf("Commits are not locked.")
	}
	return err
}

// lockedText says who has the lock.
func lockedText(lock store.Lock) string {
	return fmt.Sprintf("%s (%s) has locked commits since %s, until\n%s.", lock.Who.User, lock.Who.Source, commitTime(lock.Since), commitTime(lock.Until))
}

// lockLostText says what became of the lock of this session.
func lockLostText(e *store.LockLostError) string {
	what := fmt.Sprintf("The lock of this session ended at %s.", commitTime(e.At))
	if e.By.User != "" {
		what = fmt.Sprintf("%s (%s) broke the lock of this session at %s.", e.By.User, e.By.Source, commitTime(e.At))
	}
	return what + "\nOthers may have committed since. Use \"commit lock\" to take it again, or\n\"commit unlock\" to go on without it."
}

// noticeLock tells everybody who looks that only one session can commit.
func noticeLock(d *Dialog, env Env) {
	if lock, ok := env.Store.Locked(); ok {
		d.Text("NOTE: " + lockedText(lock))
	}
}
