package queue

import (
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/envelope"
)

// faults remembers what was told.
type faults struct {
	mu  sync.Mutex
	all []Fault
}

func (f *faults) tell(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, fault)
}

func (f *faults) kinds() []FaultKind {
	f.mu.Lock()
	defer f.mu.Unlock()
	var kinds []FaultKind
	for _, fault := range f.all {
		kinds = append(kinds, fault.Kind)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// TestFault_EachIsTold fails one operation of the disk after the other.
func TestFault_EachIsTold(t *testing.T) {
	for name, tt := range map[string]struct {
		op   string
		with error
		want FaultKind
		body string
	}{
		"a message cannot be created": {"create", syscall.EIO, FaultWrite, bodyText},
		"no space for a message":      {"create", syscall.ENOSPC, FaultSpace, bodyText},
		"an attempt cannot be marked": {"mark", syscall.EIO, FaultWrite, bodyText},
		"a message cannot be removed": {"remove", syscall.EIO, FaultWrite, large}, // small ones leave their files
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told faults
				d := &faultDisk{fail: func(op, path string) error {
					if op == tt.op && !strings.Contains(path, "version") {
						return tt.with
					}
					return nil
				}}
				r := setup{disk: d, fault: told.tell}.open(t).run()
				_ = r.tryAdd(r.message("a@sender.test", "a@there.test"), tt.body)
				time.Sleep(time.Second)
				synctest.Wait()
				if got := told.kinds(); !slices.Equal(got, []FaultKind{tt.want}) {
					t.Errorf("%+v", told.all)
				}
				r.close()
			})
		})
	}
}

func TestFault_DamagedAndVanishedMessagesAreTold(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"damaged":  func(path string) error { return os.Truncate(path, headerSize+5) },
		"vanished": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				r := setup{dir: dir}.open(t)
				r.add(r.message("a@sender.test", "a@there.test"))
				r.close()
				var told faults
				r = setup{dir: dir, fault: told.tell}.open(t)
				if err := harm(r.store.path(envelope.MID(1), messageSuffix)); err != nil {
					t.Fatal(err)
				}
				r.run()
				synctest.Wait()
				if got := told.kinds(); !slices.Equal(got, []FaultKind{FaultDamaged}) || told.all[0].MID != 1 {
					t.Errorf("%+v", told.all)
				}
				r.close()
			})
		})
	}
}

// A message that is larger than usual is the client's wish; that what is usual
// has no room is a fault.
func TestFault_NoRoomIsTold(t *testing.T) {
	var told faults
	r := setup{fault: told.tell}.open(t)
	defer r.close()
	if err := r.Room(1 << 60); err == nil || len(told.all) != 0 {
		t.Errorf("%v %+v", err, told.all)
	}
	r.Configure(Policy{MaxMessage: 1 << 60})
	if err := r.Room(1000); err == nil || len(told.all) != 1 || told.all[0].Kind != FaultSpace {
		t.Errorf("%v %+v", err, told.all)
	}
	if _, err := r.Begin(r.message("a@sender.test", "a@there.test")); err == nil || len(told.all) != 2 {
		t.Errorf("%v %+v", err, told.all)
	}
}
