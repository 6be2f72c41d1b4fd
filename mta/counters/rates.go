package counters

import "time"

// Rate is how fast a counter grew, in events per hour, over the last one, five
// and fifteen minutes: what was counted in that time, extrapolated to the hour
// (reference 3.2). 100 in the last minute and none before are 6,000, 1,200 and
// 400. In the first minutes of a process the time before it counts as quiet.
type Rate struct {
	Minute, FiveMinutes, QuarterHour int64
}

// Rated lists the counters that have rates, in the order of the status page.
func Rated() []Name {
	return []Name{InjMsgs, InjRecips, SoftBouncedEvts, CompletedRecips, HardBouncedRecips, DeliveredRecips}
}

// Rates gives the rates of all that is Rated.
func (c *Counters) Rates() map[Name]Rate {
	now, totals := c.clock(), c.totals()
	c.past.mu.Lock()
	defer c.past.mu.Unlock()
	rates := make(map[Name]Rate, len(totals))
	for i, name := range Rated() {
		perHour := func(window time.Duration) int64 {
			grown := float64(totals[i]) - c.past.at(now.Add(-window), i)
			return int64(grown*float64(time.Hour/window) + 0.5)
		}
		rates[name] = Rate{perHour(time.Minute), perHour(5 * time.Minute), perHour(15 * time.Minute)}
	}
	return rates
}

// Samples of the past: one every pulse, for the longest rate.
const (
	pulse      = 5 * time.Second
	maxSamples = int(15*time.Minute/pulse) + 2
)

// totals is what the rated counters have counted since the start.
type totals [6]int64

func (c *Counters) totals() (t totals) {
	s := c.Snapshot()
	for i, name := range Rated() {
		t[i] = s.Counters[name].Uptime
	}
	return t
}

// sample remembers the present totals.
func (c *Counters) sample() {
	now, totals := c.clock(), c.totals()
	c.past.mu.Lock()
	defer c.past.mu.Unlock()
	c.past.add(now, totals)
}

// add takes in the totals of a moment. Samples after it are of a clock that
// was set back: they say nothing any more.
func (p *past) add(at time.Time, t totals) {
	for len(p.samples) > 0 && !p.samples[len(p.samples)-1].at.Before(at) {
		p.samples = p.samples[:len(p.samples)-1]
	}
	if len(p.samples) == maxSamples {
		p.samples = append(p.samples[:0], p.samples[1:]...)
	}
	p.samples = append(p.samples, sample{at, t})
}

// at estimates what a counter stood at. Between two samples it grew evenly;
// before the first it stood still.
func (p *past) at(when time.Time, counter int) float64 {
	for i := len(p.samples) - 1; i >= 0; i-- {
		s := p.samples[i]
		if s.at.After(when) {
			continue
		}
		value := float64(s.totals[counter])
		if i+1 < len(p.samples) {
			next := p.samples[i+1]
			share := float64(when.Sub(s.at)) / float64(next.at.Sub(s.at))
			value += share * float64(next.totals[counter]-s.totals[counter])
		}
		return value
	}
	if len(p.samples) > 0 {
		return float64(p.samples[0].totals[counter])
	}
	return 0
}
