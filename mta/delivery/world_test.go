package delivery

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"esa/mta/counters"
	"esa/mta/envelope"
	"esa/mta/lookup"
	"esa/mta/maillog"
	"esa/mta/mtatest"
	"esa/mta/route"
)

// world is a client and the hosts of every domain, 192.0.2.1 first. Hosts are
// reached through pipes, so that a test in a synctest bubble can let hours
// pass.
type world struct {
	t        *testing.T
	peers    []*mtatest.Peer
	settings Settings
	client   *Client
	logs     string
	diag     bytes.Buffer // read it when nothing runs
	serving  sync.WaitGroup

	mu     sync.Mutex
	dialed []string // "from > to"
	down   map[string]error
}

// inWorld runs a test in a bubble, with peers that follow the scripts. The
// bubble ends with an error if anything of the client still runs.
func inWorld(t *testing.T, test func(w *world), scripts ...mtatest.PeerScript) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scripts...)
		test(w)
		w.client.Close()
		for _, p := range w.peers {
			p.Stop()
		}
		w.serving.Wait()
		if s := w.client.Stats(); s.Open != 0 || s.Idle != 0 {
			t.Errorf("connections left: %+v", s)
		}
	})
}

func newWorld(t *testing.T, scripts ...mtatest.PeerScript) *world {
	t.Helper()
	w := &world{t: t, logs: t.TempDir(), down: make(map[string]error)}
	ids, err := counters.Open(filepath.Join(t.TempDir(), "counters"), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.client = New(Options{
		Resolver: noDNS{}, Log: openLog(t, w.logs), Counters: ids, Dial: w.dial,
		Diag: slog.New(slog.NewTextHandler(&w.diag, nil)),
	})
	var hosts []route.Host
	for i, s := range scripts {
		w.peers = append(w.peers, mtatest.NewPeer(s))
		hosts = append(hosts, route.Host{Name: fmt.Sprintf("192.0.2.%d", i+1), Priority: i})
	}
	w.settings = Settings{Hostname: "gateway.test", Routes: routes(hosts...)}
	w.configure(func(*Settings) {})
	return w
}

func openLog(t testing.TB, dir string) *maillog.Log {
	t.Helper()
	log, err := maillog.Open(dir, maillog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	sub := maillog.Subscription{Name: "m", FileName: "mail", Level: maillog.Information, MaxSize: 1 << 20, MaxFiles: 10}
	if err := log.Configure([]maillog.Subscription{sub}, maillog.Settings{RemoteResponse: true}); err != nil {
		t.Fatal(err)
	}
	return log
}

func routes(hosts ...route.Host) route.Table {
	return route.NewTable([]route.Route{{Domain: route.All, Hosts: hosts}})
}

// noDNS answers nothing: most tests go by route.
type noDNS struct{}

func (noDNS) MX(context.Context, string) lookup.MXAnswer {
	return lookup.MXAnswer{Answer: lookup.Answer{Why: "ServFail"}}
}
func (noDNS) Addrs(context.Context, string, bool) lookup.AddrAnswer {
	return lookup.AddrAnswer{}
}
func (noDNS) PTR(context.Context, netip.Addr) lookup.NameAnswer { return lookup.NameAnswer{} }

// configure changes the settings.
func (w *world) configure(change func(*Settings)) {
	change(&w.settings)
	s := w.settings
	w.client.Configure(&s)
}

func (w *world) dial(ctx context.Context, local netip.Addr, remote netip.AddrPort) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dialed = append(w.dialed, fmt.Sprintf("%v > %v", local, remote))
	if err := w.down[remote.Addr().String()]; err != nil {
		return nil, err
	}
	host := int(remote.Addr().As4()[3])
	if host > len(w.peers) {
		return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	ours, theirs := net.Pipe()
	w.serving.Go(func() { w.peers[host-1].Serve(theirs) })
	return ours, nil
}

// deliver makes one attempt.
func (w *world) deliver(j envelope.Job) []envelope.Outcome {
	w.t.Helper()
	out := w.client.Deliver(w.t.Context(), j)
	if len(out) != len(j.Recipients) {
		w.t.Fatalf("%d outcomes for %d recipients", len(out), len(j.Recipients))
	}
	return out
}

// log gives the lines of the mail log without their times, the header left out.
func (w *world) log() string {
	w.t.Helper()
	files, _ := filepath.Glob(filepath.Join(w.logs, "m", "mail.@*"))
	var out strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			w.t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if _, event, ok := strings.Cut(line, "Info: "); ok && !isHeader(event) {
				out.WriteString(event)
			}
		}
	}
	return out.String()
}

func isHeader(event string) bool {
	return strings.HasPrefix(event, "Begin Logfile") || strings.HasPrefix(event, "Version:") || strings.HasPrefix(event, "Time offset")
}

const plainText = "Subject: x\r\n\r\nbody\r\n"

// job is a message for recipients at d.test.
func job(text string, to ...string) envelope.Job {
	m := &envelope.Message{
		MID:    7,
		Sender: envelope.Address{Local: "sender", Domain: "s.test"},
		Size:   int64(len(text)),
	}
	for i, local := range to {
		m.Recipients = append(m.Recipients, envelope.Recipient{
			RID: envelope.RID(i), Address: envelope.Address{Local: local, Domain: "d.test"},
		})
	}
	return envelope.Job{
		Message:    m,
		Domain:     "d.test",
		Recipients: m.Recipients,
		Attempt:    1,
		Body:       func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
	}
}

// sum gives an outcome in a few words: "delivered", "bounced 5.1.1 550
// refused", "deferred 4.4.0 0 timeout down".
func sum(o envelope.Outcome) string {
	if o.Result == envelope.Delivered {
		return "delivered"
	}
	if o.Result == envelope.Discarded {
		return "discarded"
	}
	word := map[envelope.Result]string{envelope.Deferred: "deferred", envelope.Bounced: "bounced"}[o.Result]
	text := fmt.Sprintf("%s %s %d %s", word, o.Failure.Enhanced, o.Failure.Code, o.Failure.Reason)
	if o.HostDown {
		text += " down"
	}
	return text
}

// check compares outcomes with what they should be, in the words of sum.
func check(t *testing.T, got []envelope.Outcome, want ...string) {
	t.Helper()
	for i, o := range got {
		if i >= len(want) {
			t.Fatalf("%d outcomes, want %d", len(got), len(want))
		}
		if sum(o) != want[i] {
			t.Errorf("recipient %d: %s, want %s (%+v)", i, sum(o), want[i], o)
		}
		if o.Failure.Permanent != (o.Result == envelope.Bounced) {
			t.Errorf("recipient %d: permanent is %v: %+v", i, o.Failure.Permanent, o)
		}
		if o.Failure.Reason != "" && o.Failure.Phrase == "" && o.Result != envelope.Discarded {
			t.Errorf("recipient %d: no phrase: %+v", i, o)
		}
	}
}

// replies answers commands by their longest matching prefix.
func replies(table map[string]string) func(*mtatest.PeerConn, string) string {
	return func(_ *mtatest.PeerConn, command string) string {
		best, found := "", ""
		for prefix, reply := range table {
			if (prefix == command || prefix != "" && strings.HasPrefix(command, prefix)) && len(prefix) >= len(best) {
				best, found = prefix, reply
			}
		}
		return found
	}
}
