package commands

import (
	"slices"
	"strings"
	"testing"
)

// journeyLog is a log of two clients, a bounce, and people who write ids where
// they do not belong.
const journeyLog = `New SMTP ICID 5 interface Management (127.0.0.1) address 192.0.2.7 reverse dns host unknown verified no
ICID 5 RELAY SG RELAYLIST match 192.0.2.7 SBRS not enabled country not enabled
New SMTP ICID 51 interface Management (127.0.0.1) address 192.0.2.8 reverse dns host unknown verified no
Start MID 6 ICID 5
MID 6 ICID 5 From: <a@example.com>
MID 6 ICID 5 RID 0 To: <b@example.net>
MID 6 ICID 5 To: <c@example.org> Rejected by RAT
ICID 5 Unknown command: MID 9
Start MID 9 ICID 51
MID 9 ICID 51 From: <x@example.com>
MID 9 Subject 'MID 6 was split creating MID 77'
ICID 51 Unknown command: MID 6 and ICID 5
MID 6 Subject 'Hello MID 9'
MID 6 queued for delivery
Start MID 8 ICID 5
MID 8 queued for delivery
New SMTP DCID 3 interface 192.0.2.1 address 192.0.2.99 port 25
Delivery start DCID 3 MID 6 to RID [0]
Delivery start DCID 3 MID 9 to RID [0]
Delayed: DCID 3 MID 6 From: <a@example.com> To: <b@example.net> RID 0 - 4.3.0 - Other mail system problem ('451', ['later'])
MID 6 to RID [0] pending till Mon Mar  2 09:38:00 2026 [Default]
DCID 3 close
Bounced: DCID 0 MID 6 From: <a@example.com> To: <b@example.net> RID 0 - 5.1.2 - Bad destination host ('000', [])
Start MID 10 ICID 0
MID 10 was generated for bounce of MID 6
MID 10 ICID 0 From: <>
MID 10 queued for delivery
Start MID 60 ICID 0
Message finished MID 6 done
ICID 5 close
New SMTP DCID 4 interface 192.0.2.1 address 192.0.2.98 port 25
Delivery start DCID 4 MID 10 to RID [0]
Message done DCID 4 MID 10 to RID [0] 
Message finished MID 10 done
DCID 4 close
DCID 40 close
Double bounce: MID 60 to 0 - 5.1.0 - Unknown address error ('550', [])
Message aborted MID 9 Receiving aborted
MID 60 Subject "it's here"
MID 60 Subject 'it\'s "here" in C:\\mail \x1b[2J'
`

func journeyLines() []string {
	var lines []string
	for line := range strings.Lines(journeyLog) {
		lines = append(lines, "Mon Mar  2 09:28:01 2026 Info: "+strings.TrimSuffix(line, "\n"))
	}
	return lines
}

// TestJourney gives the lines of each message by their numbers.
func TestJourney(t *testing.T) {
	for _, tt := range []struct {
		name string
		mid  uint64
		want []int
	}{
		{"a bounce and its notice, with their connections", 6, []int{1, 2, 4, 5, 6, 7, 8, 13, 14, 17, 18, 20, 21, 22, 23, 24, 25, 26, 27, 29, 30, 31, 32, 33, 34, 35}},
		{"the notice alone", 10, []int{24, 25, 26, 27, 31, 32, 33, 34, 35}},
		{"another of the same client", 8, []int{1, 2, 8, 15, 16, 30}},
		{"a subject that lies", 9, []int{3, 9, 10, 11, 12, 17, 19, 22, 38}},
		{"without a connection", 60, []int{28, 37, 39, 40}},
		{"the number in a subject only", 77, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			lines := journeyLines()
			w.logs.lines["mail_logs"] = lines
			var want []string
			for _, n := range tt.want {
				want = append(want, lines[n-1])
			}
			var got []string
			j := newJourney(tt.mid)
			for _, line := range lines {
				j.learn(line)
			}
			for _, line := range lines {
				if j.holds(line) {
					got = append(got, line)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// TestFindEventSearches looks for addresses and subjects where they stand.
func TestFindEventSearches(t *testing.T) {
	w := newWorld(t)
	w.logs.lines["mail_logs"] = journeyLines()
	for line, want := range map[string]string{
		"findevent -f ^[ax]@ mail_logs":    "MID 6 (Mon Mar  2 09:28:01 2026) a@example.com\nMID 9 (Mon Mar  2 09:28:01 2026) x@example.com\n",
		"findevent -f ^$ mail_logs":        "MID 10 (Mon Mar  2 09:28:01 2026) \n",
		"findevent -t example mail_logs":   "MID 6 (Mon Mar  2 09:28:01 2026) b@example.net\nMID 6 (Mon Mar  2 09:28:01 2026) c@example.org\n",
		"findevent -i -s ^hello mail_logs": "MID 6 (Mon Mar  2 09:28:01 2026) Hello MID 9\n",
		"findevent -s Rejected mail_logs":  "No results were found.\n",
		"findevent -m 77 mail_logs":        "No results were found.\n",
		"findevent -m 60 mail_logs":        journeyLines()[27] + "\n" + journeyLines()[36] + "\n",
		"findevent -s \"^it's .*here\" mail_logs": "MID 60 (Mon Mar  2 09:28:01 2026) it's here\n" +
			"MID 60 (Mon Mar  2 09:28:01 2026) it's \"here\" in C:\\mail \\x1b[2J\n",
		"findevent -f ^[ax]@ -i mail_logs":  "MID 6 (Mon Mar  2 09:28:01 2026) a@example.com\nMID 9 (Mon Mar  2 09:28:01 2026) x@example.com\n",
		"findevent -i -t RELAY error_logs":  "No results were found.\n",
		"findevent -t . -s Hello mail_logs": "Invalid arguments: -t and -s exclude each other.\n",
	} {
		if got := w.run(w.env("admin", true), line); !strings.Contains(got, line+"\n"+want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

// TestLineWriter cuts lines wherever they were written apart.
func TestLineWriter(t *testing.T) {
	var got []string
	w := &lineWriter{visit: func(line string) error { got = append(got, line); return nil }}
	for _, part := range []string{"one", "\ntwo\nth", "", "ree\n\nlast"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := w.end(); err != nil || !slices.Equal(got, []string{"one", "two", "three", "", "last"}) {
		t.Errorf("%q, %v", got, err)
	}
}
