package dnssec

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"esa/mta/lookup"
	"esa/mta/mtatest"

	"github.com/miekg/dns"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is a lab whose answers a test may change before they are judged.
type world struct {
	*mtatest.Lab
	policy Policy
	now    time.Time
	change map[dns.Question]func(*dns.Msg)
	fails  map[dns.Question]error
	asked  map[dns.Question]int
	told   []string
}

func newWorld(t *testing.T, zones ...mtatest.Zone) *world {
	t.Helper()
	w := &world{Lab: mtatest.NewLab(t, noon, zones...), now: noon, change: make(map[dns.Question]func(*dns.Msg)),
		fails: make(map[dns.Question]error), asked: make(map[dns.Question]int)}
	w.policy = Policy{Skew: DefaultSkew}
	w.trust(t, w.Anchor(zones[0].Name))
	return w
}

func (w *world) trust(t *testing.T, lines ...string) {
	t.Helper()
	anchors, err := ParseAnchors(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	w.policy.Anchor = anchors
}

func question(name string, rrtype uint16) dns.Question {
	return dns.Question{Name: name, Qtype: rrtype, Qclass: dns.ClassINET}
}

// tamper changes the answer to one question.
func (w *world) tamper(name string, rrtype uint16, change func(*dns.Msg)) {
	w.change[question(name, rrtype)] = change
}

func (w *world) answer(q dns.Question) *dns.Msg {
	m := w.Answer(q)
	q.Name = one(q.Name)
	if change := w.change[q]; change != nil {
		change(m)
	}
	return m
}

// Ask is the Asker of the validator under test.
func (w *world) Ask(_ context.Context, q dns.Question, accept func(*dns.Msg) error) error {
	w.asked[q]++
	if err := w.fails[q]; err != nil {
		return err
	}
	return accept(w.answer(q))
}

// judge validates the answer to a question from nothing.
func (w *world) judge(name string, rrtype uint16) ([]Step, error) {
	v := New(func() time.Time { return w.now }, w.policy)
	w.told = nil
	l := v.Begin(w, func(s string) { w.told = append(w.told, s) })
	q := question(name, rrtype)
	return l.Judge(context.Background(), q, w.answer(q), nil)
}

// verdict is the weakest status of the steps, or the error.
func verdict(steps []Step, err error) string {
	if errors.As(err, new(*BogusError)) {
		return "bogus: " + err.Error()
	}
	if err != nil {
		return "error: " + err.Error()
	}
	word := "secure"
	for _, s := range steps {
		if s.Status == lookup.Insecure {
			word = "insecure"
		} else if s.Status != lookup.Secure {
			return s.Status.String()
		}
	}
	return word
}

// expect holds the verdict on a question against its first words.
func (w *world) expect(t *testing.T, name string, rrtype uint16, want string) {
	t.Helper()
	if got := verdict(w.judge(name, rrtype)); !strings.HasPrefix(got, want) {
		t.Errorf("%s %s: %s, want %s\n%s", dns.Type(rrtype), name, got, want, strings.Join(w.told, "\n"))
	}
}

var (
	root  = mtatest.Zone{Name: "."}
	tld   = mtatest.Zone{Name: "test."}
	plain = mtatest.Zone{Name: "ex.test.", Text: `
@        MX    10 mx
mx       A     127.0.0.1
www      CNAME mx
_25._tcp.mx TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000000
*.wild   TXT   "expanded"
a.b.c    A     127.0.0.2
sub      DNAME other.ex.test.
x.other  A     127.0.0.3
`}
)

func withNSEC3(z mtatest.Zone, p mtatest.NSEC3) mtatest.Zone {
	z.NSEC3 = &p
	return z
}

func TestHonestAnswers(t *testing.T) {
	for name, zone := range map[string]mtatest.Zone{
		"NSEC": plain, "NSEC3": withNSEC3(plain, mtatest.NSEC3{}), "NSEC3 with salt": withNSEC3(plain, mtatest.NSEC3{Iterations: 5, Salt: "ab12"}),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, root, tld, zone)
			for _, q := range []struct {
				name   string
				rrtype uint16
			}{
				{"ex.test.", dns.TypeMX},                // V-01
				{"EX.test.", dns.TypeMX},                // V-68
				{"mx.ex.test.", dns.TypeA},              //
				{"_25._tcp.mx.ex.test.", dns.TypeTLSA},  //
				{"www.ex.test.", dns.TypeA},             // V-5C
				{"www.ex.test.", dns.TypeCNAME},         //
				{"ex.test.", dns.TypeDNSKEY},            //
				{"ex.test.", dns.TypeDS},                //
				{"test.", dns.TypeDS},                   //
				{".", dns.TypeDNSKEY},                   //
				{".", dns.TypeDS},                       // none
				{"any.wild.ex.test.", dns.TypeTXT},      // V-30
				{"a.deep.wild.ex.test.", dns.TypeTXT},   // V-30
				{"*.wild.ex.test.", dns.TypeTXT},        // V-33
				{"any.wild.ex.test.", dns.TypeA},        // V-3E, V-52
				{"mx.ex.test.", dns.TypeTLSA},           // V-36, V-51
				{"b.c.ex.test.", dns.TypeA},             // V-39: an empty name
				{"nothing.ex.test.", dns.TypeA},         // V-38, V-50
				{"deep.nothing.ex.test.", dns.TypeA},    //
				{"zzz.ex.test.", dns.TypeA},             // V-3D: after the last name
				{"_25._tcp.www.ex.test.", dns.TypeTLSA}, // below an alias
				{"mx.ex.test.", dns.TypeDS},             // V-53, not a cut
				{"x.sub.ex.test.", dns.TypeA},           // V-5F
				{"y.sub.ex.test.", dns.TypeA},           // its target does not exist
				{"nothing.", dns.TypeMX},                //
			} {
				w.expect(t, q.name, q.rrtype, "secure")
			}
			w.expect(t, "mx.ex.test.", dns.TypeA, "secure")
		})
	}
}

func TestAlgorithms(t *testing.T) {
	for _, algorithm := range []uint8{8, 10, 13, 14, 15} { // V-49
		zone := plain
		zone.Algorithm = algorithm
		newWorld(t, root, tld, zone).expect(t, "ex.test.", dns.TypeMX, "secure")
	}
	for _, algorithm := range []uint8{5, 7} { // C9
		zone := plain
		zone.Algorithm = algorithm
		w := newWorld(t, root, tld, zone)
		w.expect(t, "ex.test.", dns.TypeMX, "insecure")
		w.policy.SHA1 = true
		w.expect(t, "ex.test.", dns.TypeMX, "secure")
	}
	for _, digest := range []uint8{1, 2, 4} { // V-48
		zone := plain
		zone.Digest = digest
		newWorld(t, root, tld, zone).expect(t, "ex.test.", dns.TypeMX, "secure")
	}
}

func TestInsecureDelegations(t *testing.T) {
	unsigned := mtatest.Zone{Name: "un.test.", Unsigned: true, Text: "@ MX 10 mx\nmx A 127.0.0.1\n"}
	island := mtatest.Zone{Name: "island.un.test.", Text: "@ MX 10 mx\n"}
	noDS := mtatest.Zone{Name: "nods.test.", NoDS: true, Text: "@ MX 10 mx\nmx A 127.0.0.1\n"}
	for name, parent := range map[string]mtatest.Zone{
		"NSEC": tld, "NSEC3": withNSEC3(tld, mtatest.NSEC3{}), "opt-out": withNSEC3(tld, mtatest.NSEC3{OptOut: true}),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, root, parent, unsigned, island, noDS, plain)
			w.expect(t, "un.test.", dns.TypeMX, "insecure") // V-43, V-54
			w.expect(t, "mx.un.test.", dns.TypeA, "insecure")
			w.expect(t, "none.un.test.", dns.TypeA, "insecure")
			w.expect(t, "island.un.test.", dns.TypeMX, "insecure") // V-46
			w.expect(t, "nods.test.", dns.TypeMX, "insecure")      // V-14 is not this: the parent proves it
			w.expect(t, "ex.test.", dns.TypeMX, "secure")
			want := "secure"
			if name == "opt-out" {
				want = "insecure" // V-56
			}
			w.expect(t, "missing.test.", dns.TypeMX, want)
		})
	}
}

func TestWithoutAnchor(t *testing.T) {
	w := newWorld(t, mtatest.Zone{Name: "test."}, plain)
	w.expect(t, "ex.test.", dns.TypeMX, "secure")
	w.expect(t, "other.", dns.TypeMX, "insecure") // SERVFAIL in the lab, but nothing is asked
	w.policy.Anchor = Anchors{}
	steps, err := w.judge("ex.test.", dns.TypeMX)
	if err != nil || steps[0].Status != lookup.Insecure || steps[0].Why != NoAnchor("ex.test.") {
		t.Errorf("without anchors: %+v, %v", steps, err)
	}
}

// V-7D: an anchor of a private zone beside that of the root.
func TestSeveralAnchors(t *testing.T) {
	w := newWorld(t, root, tld, mtatest.Zone{Name: "priv.test.", NoDS: true, Text: "@ MX 10 mx\n"}, plain)
	w.expect(t, "priv.test.", dns.TypeMX, "insecure")
	w.trust(t, w.Anchor("."), w.Anchor("priv.test."))
	w.expect(t, "priv.test.", dns.TypeMX, "secure")
	w.trust(t, w.Anchor("."), w.AnchorKey("priv.test."))
	w.expect(t, "priv.test.", dns.TypeMX, "secure")
	w.trust(t, w.Anchor("."), strings.Replace(w.Anchor("ex.test."), " 13 2 ", " 13 2 00", 1)[:0]+"ex.test. DS 1 13 2 "+strings.Repeat("00", 32))
	w.expect(t, "ex.test.", dns.TypeMX, "secure") // the anchor of the root will do
	const unsupported = "ex.test. DS 1 200 200 00"
	w.trust(t, w.Anchor("."), unsupported)
	w.expect(t, "ex.test.", dns.TypeMX, "secure") // so it will beside one that nobody can use
	w.trust(t, unsupported)
	w.expect(t, "ex.test.", dns.TypeMX, "insecure")
}

// TestAnchorsCutOff: a digest that is cut off is refused where it is entered.
// One that is stored makes its own zone bogus, even where the root proves that
// it is not signed, and no other.
func TestAnchorsCutOff(t *testing.T) {
	w := newWorld(t, root, tld, plain,
		mtatest.Zone{Name: "priv.test.", NoDS: true, Text: "@ MX 10 mx\n"},
		mtatest.Zone{Name: "cut.test.", NoDS: true, Text: "@ MX 10 mx\n"})
	whole := w.Anchor("cut.test.")
	w.trust(t, w.Anchor("."), w.Anchor("priv.test."), whole)
	if err := w.policy.Anchor.Check(); err != nil {
		t.Errorf("whole anchors: %v", err)
	}
	w.expect(t, "cut.test.", dns.TypeMX, "secure")

	w.trust(t, w.Anchor("."), w.Anchor("priv.test."), whole[:len(whole)-2])
	tag := strings.Fields(whole)[4]
	if err := w.policy.Anchor.Check(); err == nil || err.Error() != "the digest of cut.test., key "+tag+", has 62 hexadecimal digits, not 64" {
		t.Errorf("a digest that is cut off: %v", err)
	}
	w.expect(t, "cut.test.", dns.TypeMX, "bogus: no key of cut.test. is one that its parent or a trust anchor names")
	w.expect(t, "priv.test.", dns.TypeMX, "secure")
	w.expect(t, "ex.test.", dns.TypeMX, "secure")

	w.trust(t, "ex.test. DS 1 13 1 "+strings.Repeat("00", 32))
	if err := w.policy.Anchor.Check(); err == nil || !strings.Contains(err.Error(), "64 hexadecimal digits, not 40") {
		t.Errorf("a digest of another type: %v", err)
	}
	w.trust(t, "ex.test. DS 1 200 200 00")
	if err := w.policy.Anchor.Check(); err != nil {
		t.Errorf("a type of unknown length: %v", err)
	}
}

func TestRootAnchors(t *testing.T) {
	lines := RootAnchors().Lines()
	if len(lines) != 2 || !strings.Contains(lines[0], "20326") || !strings.Contains(lines[1], "38696") {
		t.Errorf("the anchors of the root: %q", lines)
	}
	whole := ". DS 1 13 2 " + strings.Repeat("00", 32) + "\n"
	if _, err := ParseAnchors(strings.Repeat(whole, maxAnchors)); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", ". A 127.0.0.1", ". DS x", strings.Repeat(whole, maxAnchors+1)} {
		if _, err := ParseAnchors(bad); err == nil {
			t.Errorf("ParseAnchors(%.20q) succeeds", bad)
		}
	}
}

func TestStepsOfAliases(t *testing.T) {
	w := newWorld(t, root, tld, plain,
		mtatest.Zone{Name: "un.test.", Unsigned: true, Text: "mx A 127.0.0.1\nback CNAME mx.ex.test.\n"},
		mtatest.Zone{Name: "al.test.", Text: "out CNAME mx.un.test.\nloop CNAME pool\npool CNAME loop\nlong DNAME " +
			strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + "." + strings.Repeat("c", 60) + ".test.\nround CNAME back.un.test.\n"})
	steps, err := w.judge("out.al.test.", dns.TypeA) // V-5D
	if err != nil || len(steps) != 2 || steps[0].Status != lookup.Secure || steps[0].Target != "mx.un.test." || steps[1].Status != lookup.Insecure {
		t.Errorf("a secure alias to an insecure host: %+v, %v", steps, err)
	}
	steps, err = w.judge("round.al.test.", dns.TypeA)
	if err != nil || len(steps) != 3 || verdict(steps, nil) != "insecure" || steps[2].Status != lookup.Secure {
		t.Errorf("secure, insecure, secure: %+v, %v", steps, err)
	}
	w.expect(t, "loop.al.test.", dns.TypeA, "error: too many aliases") // V-5I
	w.tamper("x.sub.ex.test.", dns.TypeA, func(m *dns.Msg) {           // V-5F: the CNAME is not looked at
		for _, rr := range m.Answer {
			if c, ok := rr.(*dns.CNAME); ok {
				c.Target = "mx.un.test."
			}
		}
	})
	steps, err = w.judge("x.sub.ex.test.", dns.TypeA)
	if err != nil || steps[0].Target != "x.other.ex.test." || verdict(steps, err) != "secure" {
		t.Errorf("a DNAME with a forged CNAME: %+v, %v", steps, err)
	}
	w.expect(t, "xsub.ex.test.", dns.TypeA, "secure") // V-5G: no DNAME there
	v := New(func() time.Time { return noon }, w.policy)
	q := question("www.ex.test.", dns.TypeA)
	steps, err = v.Begin(w, nil).Judge(t.Context(), q, w.answer(q), func(target string) bool { return target == "mx.ex.test." })
	if err != nil || len(steps) != 1 {
		t.Errorf("stopped at the alias: %+v, %v", steps, err)
	}
}
