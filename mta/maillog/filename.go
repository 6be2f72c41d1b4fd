package maillog

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// fileName is the name of one log file, "mail.@20260102T150405.s" (2.7).
type fileName struct {
	base   string
	stamp  string // local time it was begun, later for each file of a directory
	status string
}

// What a file name ends with.
const (
	current = "current" // is being written
	saved   = "s"       // is complete
	copied  = "c"       // seen elsewhere, read like saved
)

const stampForm = "20060102T150405"

func (n fileName) String() string { return n.base + ".@" + n.stamp + "." + n.status }

// link is the stable name that points to the current file.
func link(base string) string { return base + "." + current }

func parseFileName(s string) (fileName, bool) {
	base, rest, ok := strings.Cut(s, ".@")
	stamp, status, ok2 := strings.Cut(rest, ".")
	n := fileName{base, stamp, status}
	if !ok || !ok2 || status != current && status != saved && status != copied {
		return n, false
	}
	_, err := time.Parse(stampForm, stamp)
	return n, err == nil
}

// begun is when the file was begun, its stamp taken in a time zone.
func (n fileName) begun(zone *time.Location) time.Time {
	t, _ := time.ParseInLocation(stampForm, n.stamp, zone) // parseFileName has checked it
	return t
}

// list gives the log files of a directory, oldest first.
func list(dir string) ([]fileName, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []fileName
	for _, e := range entries {
		if n, ok := parseFileName(e.Name()); ok && e.Type().IsRegular() {
			names = append(names, n)
		}
	}
	slices.SortStableFunc(names, func(a, b fileName) int { return strings.Compare(a.stamp, b.stamp) })
	return names, nil
}

// nextStamp is now, or the first second after the newest file: names tell the
// order of the files also when two begin in one second or the clock goes back.
func nextStamp(names []fileName, now time.Time) string {
	stamp := now.Format(stampForm)
	if len(names) > 0 && names[len(names)-1].stamp >= stamp {
		return names[len(names)-1].begun(time.UTC).Add(time.Second).Format(stampForm)
	}
	return stamp
}

// open opens a file for reading, which may have been saved since its name was
// read.
func (n fileName) open(dir string) (*os.File, error) {
	f, err := os.Open(filepath.Join(dir, n.String()))
	if errors.Is(err, fs.ErrNotExist) && n.status == current {
		n.status = saved
		return os.Open(filepath.Join(dir, n.String()))
	}
	return f, err
}
