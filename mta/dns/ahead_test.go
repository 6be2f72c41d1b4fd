package dns

import (
	"testing"
	"time"

	"esa/mta/lookup"
	"esa/mta/mtatest"

	mdns "github.com/miekg/dns"
)

// TestChainIsAskedForAtOnce: a server that answers nothing before it has the
// first six questions of a lookup gets them, and no question more than the
// chain has.
func TestChainIsAskedForAtOnce(t *testing.T) {
	lab := mtatest.NewLab(t, time.Now(), signedZones...)
	server := mtatest.NewLabServer(t, lab)
	release := make(chan struct{})
	server.Usually(mtatest.Held(release, mtatest.Honest))
	r := newSigned(t, Options{}, lab, server)
	answered := make(chan lookup.MXAnswer, 1)
	go func() { answered <- r.Checked().MX(t.Context(), "ex.test") }()
	server.Await(t, 6)
	close(release)
	if mx := <-answered; mx.Status != lookup.Secure {
		t.Errorf("%+v", mx)
	}
	asked := map[string]int{}
	for _, q := range server.Queries() {
		asked[q.Type]++
	}
	if asked["MX"] != 1 || asked["DNSKEY"] != 3 || asked["DS"] != 2 {
		t.Errorf("asked %v", asked)
	}
}

// TestAheadIsNoMoreThanATry: what comes early and does not do, or does not come,
// is asked for in its turn, of the next server too.
func TestAheadIsNoMoreThanATry(t *testing.T) {
	for name, act := range map[string]mtatest.Act{
		"stripped": mtatest.Stripped,
		"refused":  mtatest.Refused,
		"forged":   mtatest.Changed(func(m *mdns.Msg) { m.Answer = m.Answer[:min(1, len(m.Answer))] }),
	} {
		lab := mtatest.NewLab(t, time.Now(), signedZones...)
		bad, good := mtatest.NewLabServer(t, lab), mtatest.NewLabServer(t, lab)
		for _, q := range [][2]string{{".", "DNSKEY"}, {"test", "DS"}, {"test", "DNSKEY"}, {"ex.test", "DS"}} {
			bad.Script(q[0], q[1], act, act)
		}
		r := newSigned(t, Options{}, lab, bad, good)
		if mx := r.Checked().MX(t.Context(), "ex.test"); mx.Status != lookup.Secure {
			t.Errorf("%s: %+v", name, mx)
		}
	}
}
