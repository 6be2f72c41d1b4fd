package dnslab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
)

// Zone is a zone of the lab. Its SOA and NS records, its keys, and the DS
// records of what is below it are added.
type Zone struct {
	Name     string
	Text     string // records in zone-file form, names relative to the zone
	Unsigned bool
	Sign     []string  // more words for dnssec-signzone
	Spoil    [2]string // text of the signed zone, and what stands there instead
}

func (z Zone) file() string { return "zone-" + strings.Trim(z.Name, ".") }

// signAll writes the files of all zones, the root last.
func (l *Lab) signAll() error {
	below := make([]string, len(l.Zones))
	failed := make([]error, runtime.GOMAXPROCS(0))
	var next atomic.Int64
	var signing sync.WaitGroup
	for worker := range failed {
		signing.Go(func() {
			for failed[worker] == nil {
				i := int(next.Add(1)) - 1
				if i >= len(l.Zones) {
					return
				}
				var ds string
				ds, failed[worker] = l.sign(l.Zones[i])
				below[i] = l.Zones[i].Name + " IN NS ns.test.\n" + ds
			}
		})
	}
	signing.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	ds, err := l.sign(Zone{Name: "test.", Text: fmt.Sprintf("ns IN A %s\nns.root IN A %s\n%s", l.Other, l.Root.Addr(), strings.Join(below, ""))})
	if err != nil {
		return err
	}
	root := Zone{Name: ".", Text: fmt.Sprintf("test. IN NS ns.test.\nns.test. IN A %s\n%s", l.Other, ds)}
	if _, err := l.sign(root); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(l.Dir, root.file()))
	l.Anchor = strings.Join(strings.Fields(rootKey.FindString(string(text))), " ")
	if err == nil && l.Anchor == "" {
		err = errors.New("the root has no key")
	}
	return err
}

// rootKey is the key signing key as dnssec-keygen writes it.
var rootKey = regexp.MustCompile(`(?m)^\. IN DNSKEY 257 3 13 [^;\n]*$`)

// sign writes the file of a zone and gives its DS records.
func (l *Lab) sign(z Zone) (ds string, err error) {
	ns := "ns.test."
	if z.Name == "." {
		ns = "ns.root.test."
	}
	text := fmt.Sprintf("$TTL 300\n@ IN SOA %[1]s admin.test. 1 7200 3600 1209600 300\n@ IN NS %[1]s\n%[2]s\n", ns, z.Text)
	if z.Unsigned {
		_, err := l.write(z.file(), text)
		return "", err
	}
	for _, flag := range [][]string{{"-f", "KSK"}, nil} {
		name, err := l.run("dnssec-keygen", append(append([]string{"-q", "-a", "13"}, flag...), z.Name)...)
		if err != nil {
			return "", err
		}
		key, err := os.ReadFile(filepath.Join(l.Dir, name+".key"))
		if err != nil {
			return "", err
		}
		text += string(key)
	}
	// The keys stay in the file that is signed: the root's is read out of it.
	path, err := l.write(z.file(), text)
	if err != nil {
		return "", err
	}
	words := append([]string{"-o", z.Name, "-f", z.file() + ".signed"}, z.Sign...)
	if _, err := l.run("dnssec-signzone", append(words, path)...); err != nil {
		return "", err
	}
	if err := l.spoil(z); err != nil {
		return "", err
	}
	set, err := os.ReadFile(filepath.Join(l.Dir, "dsset-"+z.Name))
	return string(set), err
}

// spoil changes a signed zone behind the back of its signatures.
func (l *Lab) spoil(z Zone) error {
	if z.Spoil[0] == "" {
		return nil
	}
	name := z.file() + ".signed"
	text, err := os.ReadFile(filepath.Join(l.Dir, name))
	if err != nil {
		return err
	}
	if !strings.Contains(string(text), z.Spoil[0]) {
		return fmt.Errorf("%q is not in zone %s", z.Spoil[0], z.Name)
	}
	_, err = l.write(name, strings.Replace(string(text), z.Spoil[0], z.Spoil[1], 1))
	return err
}
