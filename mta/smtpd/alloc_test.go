package smtpd

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"esa/mta/message"
)

// allocations counts those of receiving a text of so many lines.
func allocations(t *testing.T, lines int) float64 {
	t.Helper()
	b := newBench(t)
	wire := []byte("Subject: x\r\n\r\n" + strings.Repeat(".."+strings.Repeat("x", 70)+"\r\n", lines) + ".\r\n")
	f := &feed{}
	w := newWire(f, time.Minute)
	return testing.AllocsPerRun(20, func() {
		f.in = bytes.NewReader(wire)
		s := newSession(b.srv, b.settings(), b.settings)
		tx := &transaction{set: s.set, param: s.decision.Params, draft: devNull{}}
		tx.param.MaxSize = -1
		one := &text{session: s, tx: tx, store: counted{w: tx.draft}, lines: message.LineEnds{Mode: message.Clean}}
		one.header = message.NewHeader(&one.store, message.HeaderLimits{})
		if err := one.receive(&dataReader{wire: w, pace: newPace(time.Minute, 500)}); err != nil || one.got < int64(72*lines) {
			t.Errorf("%d bytes received: %v", one.got, err)
		}
	})
}

func TestText_CostsNoAllocationPerLine(t *testing.T) {
	few, many := allocations(t, 10), allocations(t, 20_000)
	if many > few+2 { // the pool of buffers may be emptied meanwhile
		t.Errorf("%.0f allocations for 10 lines, %.0f for 20,000", few, many)
	}
}
