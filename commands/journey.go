package commands

import (
	"regexp"
	"strconv"
)

// journey is the ids that the lines of one message in a mail log bear
// (reference esa-operations 2.2–2.4).
//
// Only ids at the places where this gateway writes them count: what a client
// says (a subject, an unknown command) can hold anything.
type journey struct {
	mids  map[uint64]bool // the message and those made from it
	icids map[uint64]bool
	dcids map[uint64]bool

	about *regexp.Regexp // a line about a message or a connection
	mid   *regexp.Regexp // the message that a line is about, with the connection named before it
	start *regexp.Regexp
	made  *regexp.Regexp
	split *regexp.Regexp
	conn  *regexp.Regexp
}

func newJourney(mid uint64) *journey {
	return &journey{
		mids: map[uint64]bool{mid: true}, icids: map[uint64]bool{}, dcids: map[uint64]bool{},
		about: regexp.MustCompile(`^.{24} \w+: .*\b(?:MID|ICID|DCID) \d`),
		mid: regexp.MustCompile(`^.{24} \w+: (?:Start |Deleted: |Double bounce: |Message (?:finished |aborted )|` +
			`(?:Message done |Delivery start |Bounced: |Delayed: )(?:DCID (\d+) )|ICID \d+ )?MID (\d+)\b`),
		start: regexp.MustCompile(`^.{24} \w+: Start MID (\d+) ICID (\d+)$`),
		made:  regexp.MustCompile(`^.{24} \w+: MID (\d+) was generated (?:for bounce of|based on) MID (\d+)\b`),
		split: regexp.MustCompile(`^.{24} \w+: MID (\d+) (?:was split creating|rewritten to) MID (\d+)\b`),
		conn:  regexp.MustCompile(`^.{24} \w+: (?:New SMTP |Connection Error: )?(ICID|DCID) (\d+)\b`),
	}
}

// learn takes in the ids that a line adds. Lines come in the order of the log.
func (j *journey) learn(line string) {
	if m := j.made.FindStringSubmatch(line); m != nil && j.mids[idOf(m[2])] {
		j.mids[idOf(m[1])] = true
	}
	if m := j.split.FindStringSubmatch(line); m != nil && j.mids[idOf(m[1])] {
		j.mids[idOf(m[2])] = true
	}
	if m := j.start.FindStringSubmatch(line); m != nil && j.mids[idOf(m[1])] && m[2] != "0" {
		j.icids[idOf(m[2])] = true
	}
	if m := j.mid.FindStringSubmatch(line); m != nil && j.mids[idOf(m[2])] && m[1] != "" && m[1] != "0" {
		j.dcids[idOf(m[1])] = true
	}
}

// holds reports whether a line belongs to the journey.
func (j *journey) holds(line string) bool {
	if m := j.mid.FindStringSubmatch(line); m != nil {
		return j.mids[idOf(m[2])]
	}
	m := j.conn.FindStringSubmatch(line)
	switch {
	case m == nil:
		return false
	case m[1] == "ICID":
		return j.icids[idOf(m[2])]
	default:
		return j.dcids[idOf(m[2])]
	}
}

// idOf reads digits. A number that is none of ours is 0, which no message has.
func idOf(digits string) uint64 {
	n, _ := strconv.ParseUint(digits, 10, 64)
	return n
}
