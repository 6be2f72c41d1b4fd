package store

import (
	"strconv"
	"strings"
	"time"
)

// Reception is what holds for all listeners together (reference
// esa-cli-config 7.4). Times are in seconds.
type Reception struct {
	MaxConnections   int  `label:"Max concurrent connections"`
	MaxTLS           int  `label:"Max concurrent TLS connections"`
	HeaderLines      int  `label:"Max message header lines"` // 0: no limit
	CounterReset     int  `label:"Seconds until injection control counters are reset"`
	Unsuccessful     int  `label:"Timeout for unsuccessful inbound connections"`
	ConnectionTime   int  `label:"Maximum connection time"`
	AddMessageID     bool `label:"Add Message-ID to incoming messages"` // to those for relaying it is always added
	RejectRecipients bool `label:"Reject at the message recipient level"`
}

// Bounds of Reception.
const (
	MaxReceptionConns = 50000
	MaxHeaderLines    = 100000
	MinCounterReset   = 60
	MaxCounterReset   = 4 * 3600
	MaxInboundTime    = 24 * 3600
)

func factoryReception() Reception {
	return Reception{MaxConnections: MaxReceptionConns, MaxTLS: 100, HeaderLines: 1000, CounterReset: 3600, Unsuccessful: 300, ConnectionTime: 900}
}

func (c *Config) validateReception(p *problems) {
	report := p.at("global listener settings", "listenerconfig -> SETUP")
	for _, limit := range []struct {
		what            string
		n               int
		least, greatest int64
	}{
		{"Maximum concurrent connections", c.Reception.MaxConnections, 1, MaxReceptionConns},
		{"Maximum concurrent TLS connections", c.Reception.MaxTLS, 1, MaxReceptionConns},
		{"Maximum message header lines", c.Reception.HeaderLines, 0, MaxHeaderLines},
		{"Reset of injection control counters", c.Reception.CounterReset, MinCounterReset, MaxCounterReset},
		{"Timeout for unsuccessful inbound connections", c.Reception.Unsuccessful, 1, MaxInboundTime},
		{"Maximum connection time", c.Reception.ConnectionTime, 1, MaxInboundTime},
	} {
		if err := inRange(int64(limit.n), limit.least, limit.greatest); err != nil {
			report("%s: %v", limit.what, err)
		}
	}
}

// ParsePeriod reads a time as an operator writes it ("15m", "1h30m", "1h 30m",
// "1d", or a number of seconds) and gives whole seconds from least to greatest.
func ParsePeriod(text string, least, greatest int) (int, error) {
	wrong := refuse("The value must be a time from %s to %s. (Ex: 90s, 15m, 1h, 1h30m)", FormatPeriod(least), FormatPeriod(greatest))
	text = strings.ToLower(strings.Join(strings.Fields(text), ""))
	days := 0
	if number, rest, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return 0, wrong
		}
		days, text = int(n), rest+"0s"
	}
	if _, err := strconv.ParseUint(text, 10, 32); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	n := days*24*3600 + int(d/time.Second)
	if err != nil || d%time.Second != 0 || d < 0 || n < least || n > greatest {
		return 0, wrong
	}
	return n, nil
}

// FormatPeriod writes seconds as ParsePeriod reads them: "1h30m", "15m".
func FormatPeriod(seconds int) string {
	var b strings.Builder
	for _, unit := range []struct {
		seconds int
		letter  string
	}{{24 * 3600, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}} {
		if n := seconds / unit.seconds; n > 0 {
			b.WriteString(strconv.Itoa(n) + unit.letter)
			seconds %= unit.seconds
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}
