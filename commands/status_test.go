package commands

import (
	"math"
	"strings"
	"testing"
	"time"

	"esa/shell/shelltest"
)

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 12345: "12,345", 123456: "123,456", 1234567: "1,234,567",
		-1: "-1", -999: "-999", -1000: "-1,000", -123456: "-123,456", math.MaxInt64: "9,223,372,036,854,775,807", math.MinInt64: "-9,223,372,036,854,775,808",
	} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestUptime(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                             "0h 0m 0s",
		59*time.Second + 999999999:    "0h 0m 59s",
		time.Hour - time.Second:       "0h 59m 59s",
		22*time.Hour + 45*time.Minute: "22h 45m 0s",
		24 * time.Hour:                "1d 0h 0m 0s",
		169*24*time.Hour + time.Hour + 39*time.Minute + 8*time.Second: "169d 1h 39m 8s",
	} {
		if got := uptime(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestAge(t *testing.T) {
	const day, week = 24 * time.Hour, 7 * 24 * time.Hour
	for d, want := range map[time.Duration]string{
		0: "0 secs", 999 * time.Millisecond: "0 secs", time.Second: "1 sec", 2 * time.Minute: "2 mins", -time.Hour: "0 secs",
		4*week + 46*time.Minute + 53*time.Second:              "4 weeks 46 mins 53 secs",
		week + day + time.Hour + time.Minute + time.Second:    "1 week 1 day 1 hour 1 min 1 sec",
		60*week + 6*day + 23*time.Hour + 59*time.Second + 999: "60 weeks 6 days 23 hours 59 secs",
	} {
		if got := age(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestIdleTime(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", time.Minute: "1m", 5*time.Minute + 59*time.Second: "5m", time.Hour: "1h 0m", 2*time.Hour + 5*time.Minute: "2h 5m", 50 * time.Hour: "50h 0m",
	} {
		if got := idleTime(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// TestStatusStates shows what a healthy gateway has not.
func TestStatusStates(t *testing.T) {
	w := newWorld(t)
	now := w.time.Now()
	line := "status"
	show := func(s Status) string {
		env := w.env("admin", true)
		env.Gateway = fixedStatus{w.gateway, s}
		screen := shelltest.NewScreen()
		screen.Plain = true
		w.shell(env, screen).Exec(t.Context(), line)
		return screen.String()
	}
	const offline = "Status as of:                  Mon Mar  2 09:30:00 2026 UTC\nSystem status:                 Offline\n"
	if got := show(Status{At: now, State: "Offline"}); got != offline {
		t.Errorf("offline:\n%s", got)
	}
	got := show(Status{
		At: now, Since: now, State: "Online", LastReset: now.Add(-time.Hour), Damaged: 3, Unread: 40, Unreadable: 2, Refusing: "no space for the queue", Possible: 1234,
		Unbound: []string{`listener "In": Binding 192.0.2.10:25: permission denied.`},
		NoSSH:   []string{`SSH of interface "In": Port 22 on 192.0.2.10 is in use.`},
	})
	for _, want := range []string{
		"(0h 0m 0s)\n", "Last counter reset:            Mon Mar  2 08:30:00 2026 UTC\n", "Oldest Message:                No Messages\n",
		"Listener not started:          listener \"In\": Binding 192.0.2.10:25: permission denied.\nSSH not started:               SSH of interface \"In\": Port 22 on 192.0.2.10 is in use.\nNo mail is received:           no space for the queue\n" +
			"Messages not yet read:         40\nMessages of a newer version:   2\nDamaged messages set aside:    3\n\nCounters:",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing:\n%s", want, got)
		}
	}
	if strings.Contains(got, "Possible") {
		t.Errorf("possible deliveries are a detail:\n%s", got)
	}
	line = "status detail"
	got = show(Status{At: now, Since: now, State: "Online", Possible: 1234})
	if !strings.Contains(got, "Possible deliveries:           1,234 recipients since the start\n") || strings.Contains(got, "Utilization") {
		t.Errorf("with possible deliveries, and nothing that can be measured:\n%s", got)
	}
}

// TestDiskSize gives a size as monitoring programs know it.
func TestDiskSize(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0K", 1023: "0K", 5 << 10: "5K", 3<<20 + 1: "3M", 388<<30 + 1: "388G"} {
		if got := diskSize(bytes); got != want {
			t.Errorf("%d: %s, want %s", bytes, got, want)
		}
	}
}

// fixedStatus is a gateway in one state.
type fixedStatus struct {
	Gateway
	status Status
}

func (f fixedStatus) Status() Status { return f.status }

// TestVersionUnknown: a binary that does not know when it was built says so.
func TestVersionUnknown(t *testing.T) {
	w := newWorld(t)
	env := w.env("admin", false)
	env.Version.Built = time.Time{}
	if got := w.run(env, "version"); !strings.Contains(got, "\nBuild Date: Unknown\n") {
		t.Error(got)
	}
}
