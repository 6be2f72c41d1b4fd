package dns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"esa/mta/lookup"
	"esa/mta/mtatest"

	mdns "github.com/miekg/dns"
)

// chain gives n aliases from c0.example.test to an address.
func chain(n int) string {
	var b strings.Builder
	b.WriteString("example.test. IN SOA ns. admin. 1 2 3 4 600\n")
	for i := range n {
		fmt.Fprintf(&b, "c%d.example.test. 60 IN CNAME c%d.example.test.\n", i, i+1)
	}
	fmt.Fprintf(&b, "c%d.example.test. 60 IN A 192.0.2.1\n", n)
	return b.String()
}

const loops = `
example.test.      IN SOA ns. admin. 1 2 3 4 600
self.example.test. IN CNAME self.example.test.
a.example.test.    IN CNAME b.example.test.
b.example.test.    IN CNAME a.example.test.
`

// firstRecord drops all but the first record, so that aliases have to be
// asked on.
func firstRecord(m *mdns.Msg) {
	m.Answer, m.Ns = m.Answer[:min(1, len(m.Answer))], nil
}

// TestHostileAnswers is the table of attacks F1 and F2 of the reference, V-69
// among them: each
// row asks one server for the address of a name.
func TestHostileAnswers(t *testing.T) {
	const honest, failed = "192.0.2.1", "FAILED"
	then := func(change func(*mdns.Msg)) []mtatest.Act {
		return []mtatest.Act{mtatest.Then(mtatest.Forged(change), mtatest.Honest)}
	}
	one := func(a mtatest.Act) []mtatest.Act { return []mtatest.Act{a} }
	for _, tt := range []struct {
		name string
		zone string
		ask  string
		acts []mtatest.Act // for every name, each once, the last ever after
		want string
	}{
		{"F1 wrong id", chain(0), "c0", then(mtatest.WrongID), honest},
		{"F1 wrong name in the question", chain(0), "c0", then(mtatest.WrongName), honest},
		{"F1 wrong type in the question", chain(0), "c0", then(mtatest.WrongType), honest},
		{"F1 wrong class in the question", chain(0), "c0", then(mtatest.WrongClass), honest},
		{"F1 wrong case of the name", chain(0), "c0", then(mtatest.WrongCase), honest},
		{"F1 no question", chain(0), "c0", then(mtatest.NoQuestion), honest},
		{"F1 a question instead of an answer", chain(0), "c0", then(mtatest.NotReply), honest},
		{"F1 from another port", chain(0), "c0", one(mtatest.Then(mtatest.FromElsewhere, mtatest.Honest)), honest},
		{"F1 two answers, the first counts", chain(0), "c0", one(mtatest.Then(mtatest.Honest, mtatest.Forged(nil))), honest},
		{"F1 only wrong ids", chain(0), "c0", one(mtatest.OverUDP(mtatest.Forged(mtatest.WrongID))), failed},
		{"F1 a hundred guesses: asked over TCP", chain(0), "c0", one(mtatest.OverUDP(repeat(100, mtatest.Forged(mtatest.WrongID)))), honest},
		{"F1 server that lowers the case: asked over TCP", chain(0), "c0", one(mtatest.LowerCase), honest},
		{"F1 records of another name", chain(0), "c0", one(mtatest.Forged(mtatest.OtherName)), failed},
		{"F2 self alias", loops, "self", one(mtatest.Honest), failed},
		{"F2 alias loop in one answer", loops, "a", one(mtatest.Honest), failed},
		{"F2 alias loop asked on", loops, "a", one(mtatest.Changed(firstRecord)), failed},
		{"F2 chain of 11", chain(11), "c0", one(mtatest.Honest), honest},
		{"F2 chain of 11 asked on", chain(11), "c0", one(mtatest.Changed(firstRecord)), honest},
		{"F2 chain of 12", chain(12), "c0", one(mtatest.Honest), failed},
		{"F2 chain of 100", chain(100), "c0", one(mtatest.Honest), failed},
		{"F2 chain of 100 asked on", chain(100), "c0", one(mtatest.Changed(firstRecord)), failed},
		{"F2 pointer loop", chain(0), "c0", one(mtatest.PointerLoop), failed},
		{"F2 garbage", chain(0), "c0", one(mtatest.Garbage), failed},
		{"F2 rdata past the end", chain(0), "c0", one(mtatest.Cut(14)), failed},
		{"F2 cut after the question", chain(0), "c0", one(mtatest.Raw(func(b []byte) []byte { return b[:headerSize+21] })), failed},
		{"F2 nothing but a header", chain(0), "c0", one(mtatest.Raw(func(b []byte) []byte { return b[:headerSize] })), failed},
		{"F2 one byte", chain(0), "c0", one(mtatest.Raw(func(b []byte) []byte { return b[:1] })), failed},
		{"F2 65,535 bytes over TCP", chain(0), "c0", one(mtatest.Filled), fmt.Sprint(maxRecords, " addresses")},
		{"F2 truncated, then TCP", chain(0), "c0", one(mtatest.OverUDP(mtatest.Truncated)), honest},
		{"F2 truncated over TCP too", chain(0), "c0", one(mtatest.Truncated), failed},
		{"F2 TCP hangs up", chain(0), "c0", one(truncatedThen(mtatest.HangUp)), failed},
		{"F2 TCP is silent", chain(0), "c0", one(mtatest.OverTCP(mtatest.NoAnswer)), honest},
		{"F2 truncated, TCP is silent", chain(0), "c0", one(truncatedThenSilent), failed},
		{"F2 wrong id over TCP", chain(0), "c0", one(truncatedThen(mtatest.Forged(mtatest.WrongID))), failed},
		{"F2 larger than announced", many(120), "c0", one(mtatest.OverUDP(oversized)), fmt.Sprint(maxRecords, " addresses")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := mtatest.NewDNSServer(t, tt.zone)
			for i := range 101 {
				s.Script(fmt.Sprintf("c%d.example.test", i), "A", tt.acts...)
			}
			for _, name := range []string{"self", "a", "b"} {
				s.Script(name+".example.test", "A", tt.acts...)
			}
			timeout := ample
			if tt.want == failed { // some of these wait for nothing
				timeout = brief
			}
			r := newResolver(t, timeout, s)
			a := r.Addrs(t.Context(), tt.ask+".example.test", false)
			if got := shape(a); got != tt.want {
				t.Errorf("got %s (%s), want %s", got, a.Why, tt.want)
			}
			if n := len(s.Queries()); n > maxAsked {
				t.Errorf("%d questions were sent for one lookup", n)
			}
			for _, addr := range a.Addrs {
				if addr == mtatest.ForgedAddr {
					t.Errorf("the forged address is believed")
				}
			}
		})
	}
}

func shape(a lookup.AddrAnswer) string {
	switch {
	case a.Status == lookup.Failed:
		return "FAILED"
	case len(a.Addrs) > 2:
		return fmt.Sprint(len(a.Addrs), " addresses")
	default:
		return addrs(a)
	}
}

func repeat(n int, act mtatest.Act) mtatest.Act {
	acts := make([]mtatest.Act, n)
	for i := range acts {
		acts[i] = act
	}
	return mtatest.Then(acts...)
}

func truncatedThen(tcp mtatest.Act) mtatest.Act {
	return func(x *mtatest.DNSExchange) {
		if x.TCP {
			tcp(x)
		} else {
			mtatest.Truncated(x)
		}
	}
}

func truncatedThenSilent(x *mtatest.DNSExchange) { truncatedThen(mtatest.NoAnswer)(x) }

// many gives a name with n addresses.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "c0.example.test. 60 IN A 10.0.%d.%d\n", i/256, i%256)
	}
	return b.String()
}

// oversized sends the honest reply whole, however large.
func oversized(x *mtatest.DNSExchange) {
	raw, err := x.Reply().Pack()
	if err != nil {
		panic(err)
	}
	x.SendRaw(raw)
}

// F2: truncated, and nobody listens on TCP.
func TestHostile_F2_TruncatedWithoutTCP(t *testing.T) {
	s := mtatest.NewDNSServer(t, zone)
	s.CloseTCP()
	s.Script("example.test", "MX", mtatest.Truncated)
	r := newResolver(t, ample, s)
	if a := r.MX(t.Context(), "example.test"); a.Status != lookup.Failed || !strings.Contains(a.Why, s.Addr().String()) {
		t.Errorf("MX = %+v, want a failure that names the server", a)
	}
}

// F1: the answer to a question that was given up comes while another waits.
func TestHostile_F1_LateAnswer(t *testing.T) {
	t.Parallel()
	s := mtatest.NewDNSServer(t, zone)
	release := make(chan struct{})
	s.Script("mx1.example.test", "A",
		mtatest.Held(release, mtatest.Forged(nil)),
		func(x *mtatest.DNSExchange) { close(release); mtatest.Honest(x) })
	r := newResolver(t, answered, s)
	if a := r.Addrs(t.Context(), "mx1.example.test", false); addrs(a) != "192.0.2.1 192.0.2.2" {
		t.Errorf("Addrs = %+v", a)
	}
}

// F1: ids, ports and spelling differ from question to question.
func TestHostile_F1_NothingToGuess(t *testing.T) {
	s := mtatest.NewDNSServer(t, "")
	r := newResolver(t, ample, s)
	const n = 64
	for i := range n {
		r.Addrs(t.Context(), fmt.Sprintf("n%02d.a-long-name-with-letters.example.test", i), false)
	}
	ids, ports, spellings := map[uint16]bool{}, map[uint16]bool{}, map[string]bool{}
	for _, q := range s.Queries() {
		ids[q.ID] = true
		ports[q.From.Port()] = true
		spellings[q.Name[3:]] = true
	}
	if len(ids) < n-2 || len(ports) < n/2 || len(spellings) < n-2 {
		t.Errorf("in %d questions: %d ids, %d ports, %d spellings", n, len(ids), len(ports), len(spellings))
	}
}

// F2: records without data would read as the null MX and as no address.
func TestHostile_F2_RecordWithoutData(t *testing.T) {
	for _, qtype := range []uint16{mdns.TypeMX, mdns.TypeA, mdns.TypeCNAME} {
		q := mustQuery(t, question{name: "example.test", qtype: mdns.TypeMX})
		raw := header(q, 1)
		raw = append(raw, 0xc0, headerSize, 0, byte(qtype), 0, 1, 0, 0, 0, 60, 0, 0)
		if m, err := q.read(raw); err == nil {
			t.Errorf("a record of type %d without data is read as %v", qtype, m.Answer)
		}
	}
}

// F2: a section that ends before its count.
func TestHostile_F2_CountLies(t *testing.T) {
	q := mustQuery(t, question{name: "example.test", qtype: mdns.TypeA})
	record := []byte{0xc0, headerSize, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1}
	if _, err := q.read(append(header(q, 1), record...)); err != nil {
		t.Fatalf("reading an honest answer: %v", err)
	}
	if _, err := q.read(append(header(q, 2), record...)); err == nil {
		t.Error("an answer with one record where two are announced is read")
	}
	if _, err := q.read(header(q, 1)); err == nil {
		t.Error("an answer with no record where one is announced is read")
	}
}

func mustQuery(t testing.TB, q question) *query {
	t.Helper()
	asked, err := newQuery(q, func() uint64 { return 0x1234_5678_9abc_def0 })
	if err != nil {
		t.Fatal(err)
	}
	return asked
}

// header gives header and question of an answer with a record count.
func header(q *query, answers byte) []byte {
	end := headerSize + len(q.name) + 2 + 4
	raw := append([]byte(nil), q.raw[:end]...)
	raw[2], raw[3] = 0x81, 0x80
	raw[7], raw[11] = answers, 0
	return raw
}

// F4 is what R15 rests on: which ends are facts and which are failures.
func TestF4(t *testing.T) {
	for _, tt := range []struct {
		name   string
		act    mtatest.Act
		ask    string
		status lookup.Status
		nx     bool
		why    string
	}{
		{"F4 SERVFAIL", mtatest.ServFail, "example.test", lookup.Failed, false, "ServFail"},
		{"F4 REFUSED", mtatest.Refused, "example.test", lookup.Failed, false, "Refused"},
		{"F4 FORMERR", mtatest.FormErr, "example.test", lookup.Failed, false, "FormErr"},
		{"F4 NOTIMP", mtatest.Rcode(mdns.RcodeNotImplemented), "example.test", lookup.Failed, false, "NotImp"},
		{"F4 BADVERS", mtatest.Changed(func(m *mdns.Msg) { m.Rcode = 16 }), "example.test", lookup.Failed, false, "response code 16"},
		{"F4 YXDOMAIN", mtatest.Rcode(mdns.RcodeYXDomain), "example.test", lookup.Failed, false, "response code 6"},
		{"F4 SERVFAIL without question", mtatest.Then(mtatest.Changed(func(m *mdns.Msg) {
			m.Rcode, m.Question, m.Answer = mdns.RcodeServerFailure, nil, nil
		})), "example.test", lookup.Failed, false, "ServFail"},
		{"F4 timeout", mtatest.NoAnswer, "example.test", lookup.Failed, false, "timeout asking 127.0.0.1:"},
		{"F4 malformed", mtatest.Cut(5), "example.test", lookup.Failed, false, "malformed answer"},
		{"F4 referral", mtatest.Changed(refer), "example.test", lookup.Failed, false, "Referral"},
		{"F4 NXDOMAIN", mtatest.Honest, "none.example.test", lookup.Insecure, true, ""},
		{"F4 NXDOMAIN with records", mtatest.Changed(func(m *mdns.Msg) { m.Rcode = mdns.RcodeNameError }), "example.test", lookup.Failed, false, "malformed answer"},
		{"F4 empty", mtatest.Honest, "mx1.example.test", lookup.Insecure, false, ""},
		{"F4 empty without SOA", mtatest.Changed(func(m *mdns.Msg) { m.Ns = nil }), "mx1.example.test", lookup.Insecure, false, ""},
		{"F4 null MX", mtatest.Honest, "null.example.test", lookup.Insecure, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := mtatest.NewDNSServer(t, zone)
			s.Script(tt.ask, "MX", tt.act)
			timeout := ample
			if strings.HasPrefix(tt.why, "timeout") {
				timeout = brief
			}
			a := newResolver(t, timeout, s).MX(t.Context(), tt.ask)
			if a.Status != tt.status || a.NXDomain != tt.nx || !strings.HasPrefix(a.Why, tt.why) || (a.Why == "") != (tt.why == "") {
				t.Errorf("MX = %+v, want %v nxdomain %v why %q", a, tt.status, tt.nx, tt.why)
			}
		})
	}
}

// refer makes an answer a referral to other servers.
func refer(m *mdns.Msg) {
	m.Answer = nil
	m.Ns = []mdns.RR{&mdns.NS{Hdr: mdns.RR_Header{Name: "test.", Rrtype: mdns.TypeNS, Class: mdns.ClassINET, Ttl: 60}, Ns: "ns.test."}}
}

// F4: an alias to nothing is a fact about the alias.
func TestF4_AliasToNothing(t *testing.T) {
	s := mtatest.NewDNSServer(t, `
example.test.      IN SOA ns. admin. 1 2 3 4 600
gone.example.test. IN CNAME nowhere.example.test.
`)
	r := newResolver(t, ample, s)
	if a := r.Addrs(t.Context(), "gone.example.test", false); !a.NXDomain || a.Canonical != "nowhere.example.test" || a.Status != lookup.Insecure {
		t.Errorf("Addrs = %+v", a)
	}
}

// An answer of a server at another address is not one, whatever it says: the
// socket is connected. This shows that the forgery would otherwise work.
func TestForgedAnswerWouldBeBelieved(t *testing.T) {
	s := mtatest.NewDNSServer(t, zone)
	s.Script("mx1.example.test", "A", mtatest.Forged(nil))
	r := newResolver(t, ample, s)
	if a := r.Addrs(t.Context(), "mx1.example.test", false); len(a.Addrs) != 1 || a.Addrs[0] != mtatest.ForgedAddr {
		t.Errorf("Addrs = %+v: the forgeries of these tests prove nothing", a)
	}
	if mtatest.ForgedAddr == (netip.Addr{}) {
		t.Error("no forged address")
	}
}
