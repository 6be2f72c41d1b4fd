package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// A process that root starts works as the owner of its data directory, and
// makes a new directory for the account esa where the machine has it. It keeps
// one privilege: to listen on ports below 1024. In a directory that belongs to
// root it has to stay root, and says so.

// accountName is the account that a new data directory is made for.
const accountName = "esa"

// account is whom a process of root turns into.
type account struct{ uid, gid int }

// leaveRoot replaces this process by one of the right account that does the
// same, if root started it. It returns where that is not to be: without an
// error, the process goes on as it is. A gateway that stays root tells notes.
func (inv invocation) leaveRoot(notes io.Writer) error {
	if os.Geteuid() != 0 {
		return nil
	}
	who, why, err := inv.account()
	if err != nil {
		return err
	}
	if why == "" {
		held, err := capabilities()
		if err != nil {
			return err
		}
		if held&(1<<unix.CAP_SETUID) != 0 && held&(1<<unix.CAP_SETGID) != 0 {
			return inv.become(who, held)
		}
		why = "it may not change its user here (capabilities SETUID and SETGID)"
	}
	if inv.isGateway() {
		fmt.Fprintf(notes, "esa: The gateway runs as root: %s.\n", why)
	}
	return nil
}

// isGateway reports whether a gateway is to run, whatever else is done.
func (inv invocation) isGateway() bool {
	return len(inv.words) == 1 && (inv.words[0] == "serve" || inv.words[0] == "run")
}

// account finds whom the data directory belongs to, or says why it is root.
// It makes the directory if it can be the account's.
func (inv invocation) account() (who account, why string, err error) {
	info, err := os.Stat(inv.dir)
	switch {
	case err == nil && !info.IsDir():
		return who, "", fmt.Errorf("%s is not a directory", inv.dir)
	case err == nil:
		return ownerOf(inv.dir, info)
	case !errors.Is(err, fs.ErrNotExist):
		return who, "", fmt.Errorf("looking at the data directory: %w", err)
	}
	u, err := user.Lookup(accountName)
	if errors.As(err, new(user.UnknownUserError)) {
		return who, "there is no account " + accountName + " on this machine", nil
	}
	if err != nil {
		return who, "", fmt.Errorf("looking for the account %s: %w", accountName, err)
	}
	if who, err = parseAccount(u); err != nil {
		return who, "", err
	}
	// Others must be able to pass through what lies above.
	parent := filepath.Dir(inv.dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return who, "", fmt.Errorf("making the data directory: %w", err)
	}
	if blocked := who.blocked(parent); blocked != "" {
		return who, fmt.Sprintf("the account %s cannot enter %s", accountName, blocked), nil
	}
	if err := os.Mkdir(inv.dir, 0o700); err != nil {
		return who, "", fmt.Errorf("making the data directory: %w", err)
	}
	if err := os.Lchown(inv.dir, who.uid, who.gid); err != nil {
		return who, "", fmt.Errorf("making the data directory: %w", err)
	}
	return who, "", nil
}

func ownerOf(dir string, info fs.FileInfo) (who account, why string, err error) {
	uid := int(info.Sys().(*syscall.Stat_t).Uid)
	if uid == 0 {
		why = fmt.Sprintf("the data directory %s belongs to root", dir)
		if _, err := user.Lookup(accountName); err == nil {
			why += fmt.Sprintf("; chown -R %s: %s lets it run as %s", accountName, dir, accountName)
		}
		return who, why, nil
	}
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return who, "", fmt.Errorf("the data directory %s belongs to user %d, who has no account here: use chown", dir, uid)
	}
	who, err = parseAccount(u)
	return who, "", err
}

func parseAccount(u *user.User) (account, error) {
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err1 != nil || err2 != nil || uid <= 0 {
		return account{}, fmt.Errorf("the account %s has the user %s and the group %s: it cannot be used", u.Username, u.Uid, u.Gid)
	}
	return account{uid, gid}, nil
}

// blocked gives the first directory on the way to dir that the account cannot
// pass through; empty if there is none.
func (a account) blocked(dir string) string {
	if above := filepath.Dir(dir); above != dir {
		if blocked := a.blocked(above); blocked != "" {
			return blocked
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return dir
	}
	owner, mode := info.Sys().(*syscall.Stat_t), info.Mode().Perm()
	switch {
	case int(owner.Uid) == a.uid:
		mode &= 0o100
	case int(owner.Gid) == a.gid:
		mode &= 0o010
	default:
		mode &= 0o001
	}
	if mode == 0 {
		return dir
	}
	return ""
}

// capabilities gives what this thread may use, one bit each.
func capabilities() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("reading capabilities: %w", err)
	}
	return uint64(data[1].Permitted)<<32 | uint64(data[0].Permitted), nil
}

// become replaces this process by one of the account that does what inv says.
// It only returns with an error, and then nothing but an exit may follow: the
// thread may have lost its rights.
//
// The calls change this thread alone; exec makes its rights those of the
// process.
func (inv invocation) become(who account, held uint64) error {
	runtime.LockOSThread()
	if err := who.assume(held & (1 << unix.CAP_NET_BIND_SERVICE)); err != nil {
		return fmt.Errorf("changing to user %d: %w", who.uid, err)
	}
	args := []string{os.Args[0], "--data", inv.dir, "--user", inv.user}
	if inv.goOn {
		args = append(args, "--go-on")
	}
	err := syscall.Exec("/proc/self/exe", append(args, inv.words...), os.Environ())
	return fmt.Errorf("starting again as user %d: %w", who.uid, err)
}

// assume makes this thread one of the account, with these capabilities and no
// way to others.
func (a account) assume(keep uint64) error {
	for c := uintptr(0); c < 64; c++ {
		if keep&(1<<c) != 0 {
			continue
		}
		// EINVAL: the kernel knows no more. EPERM: a root that may not; what
		// is left here can no longer be had, see PR_SET_NO_NEW_PRIVS.
		if unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) != nil {
			break
		}
	}
	for _, step := range []func() error{
		func() error { return unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0) },
		func() error { return unix.Setgroups(nil) },
		func() error { return unix.Setresgid(a.gid, a.gid, a.gid) },
		func() error { return unix.Setresuid(a.uid, a.uid, a.uid) },
		func() error {
			header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			low := uint32(keep)
			data := [2]unix.CapUserData{{Effective: low, Permitted: low, Inheritable: low}}
			return unix.Capset(&header, &data[0])
		},
		func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if keep == 0 {
		return nil
	}
	return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_NET_BIND_SERVICE, 0, 0)
}
