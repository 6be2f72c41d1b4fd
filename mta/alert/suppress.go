package alert

import (
	"fmt"
	"time"
)

// maxWaits bounds the things that alerts are remembered about. Beyond it, all
// new ones of a Name count as the same.
const maxWaits = 1000

// wait is the pause after an alert, in which its repetitions are counted only.
type wait struct {
	Until       time.Time
	Interval    time.Duration
	Latest      Alert // of the repetitions
	Count       int
	First, Last time.Time // when they came
}

// waitKey joins what makes two alerts repetitions of each other. Names have no
// blank.
func waitKey(name, about string) string { return name + " " + about }

// admit reports whether an alert is told now. One that is not is counted, and
// told with its repetitions when the interval is over.
func (s *state) admit(a Alert, now time.Time, set Settings) bool {
	key := waitKey(a.Name, a.About)
	w, known := s.Waits[key]
	if !known && len(s.Waits) >= maxWaits {
		key = waitKey(a.Name, "")
		w, known = s.Waits[key]
	}
	switch {
	case set.Initial <= 0:
		return true
	case known && (w.Count > 0 || w.waits(now)):
		if w.Count == 0 {
			w.First = now
		}
		w.Count++
		w.Latest, w.Last = a, now
		s.setWait(key, w)
		return false
	default:
		s.setWait(key, wait{Until: now.Add(set.Initial), Interval: set.Initial})
		return true
	}
}

// waits reports whether the interval is not over. One that seems to end later
// than it could is of a clock that was set back: it is over.
func (w wait) waits(now time.Time) bool {
	return w.Until.After(now) && !w.Until.After(now.Add(w.Interval))
}

func (s *state) setWait(key string, w wait) {
	if s.Waits == nil {
		s.Waits = map[string]wait{}
	}
	s.Waits[key] = w
}

// over gives the alerts whose interval is over and that were repeated in it,
// and forgets what was not repeated. An interval that follows is twice the one
// before and the first.
func (s *state) over(now time.Time, set Settings) []Alert {
	var due []Alert
	for key, w := range s.Waits {
		switch {
		case w.waits(now) && set.Initial > 0:
		case w.Count == 0:
			delete(s.Waits, key)
		default:
			due = append(due, w.repeated())
			next := 2*w.Interval + set.Initial
			next = max(set.Initial, min(next, set.Max))
			s.Waits[key] = wait{Until: now.Add(next), Interval: next}
		}
	}
	return due
}

// repeated is the last of the repetitions, with how many there were.
func (w wait) repeated() Alert {
	a := w.Latest
	times := "times"
	if w.Count == 1 {
		times = "time"
	}
	a.Details = append(append([]string(nil), a.Details...), fmt.Sprintf("Last message occurred %d %s between %s and %s.",
		w.Count, times, w.First.Format(time.ANSIC), w.Last.Format(time.ANSIC)))
	return a
}

// nextOver gives when the first interval ends, the zero time if there is none.
func (s *state) nextOver() time.Time {
	var next time.Time
	for _, w := range s.Waits {
		if next.IsZero() || w.Until.Before(next) {
			next = w.Until
		}
	}
	return next
}
