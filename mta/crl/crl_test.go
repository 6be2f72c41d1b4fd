package crl

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"esa/mta/mtatest"
)

const patience = 30 * time.Second

// world is Lists of one source, whose host serves what a test says, at a time
// that a test moves.
type world struct {
	t    *testing.T
	dir  string
	host *httptest.Server
	ca   *mtatest.Authority
	*Lists

	mu     sync.Mutex
	now    time.Time
	serve  http.HandlerFunc
	asked  int
	lacks  []Lack
	peer   *x509.Certificate // issued by ca
	source Source
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "crl"), now: time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)}
	w.ca = mtatest.NewAuthority(t, "List CA")
	w.peer = w.ca.Issue(t, mtatest.CertificateSpec{CommonName: "mx.test"}).Leaf
	w.host = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		w.mu.Lock()
		serve := w.serve
		w.asked++
		w.mu.Unlock()
		serve(out, in)
	}))
	t.Cleanup(w.host.Close)
	w.source = Source{Name: "ca", URL: w.host.URL + "/ca.crl", Refresh: Schedule{Every: 6 * time.Hour}}
	w.Lists = w.lists()
	return w
}

// lists is what a gateway that starts makes.
func (w *world) lists() *Lists {
	l := New(Options{Dir: w.dir, HTTP: w.host.Client(), Clock: w.clock, Lacking: func(lack Lack) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.lacks = append(w.lacks, lack)
	}})
	l.Configure(Settings{Sources: []Source{w.source}, Authorities: []*x509.Certificate{w.ca.Certificate}})
	return l
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	w.now = w.now.Add(d)
	w.mu.Unlock()
	w.signal()
}

func (w *world) requests() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

// serves has the host give these bytes from now on.
func (w *world) serves(text []byte) {
	w.answers(func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write(text) })
}

func (w *world) answers(serve http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serve = serve
}

// revokes gives a list of the authority that is good now.
func (w *world) revokes(certs ...*x509.Certificate) []byte {
	return w.ca.Revoke(w.t, mtatest.ListSpec{Now: w.clock()}, certs...)
}

func (w *world) update() error {
	w.t.Helper()
	_, err := w.Update(w.t.Context(), "ca")
	return err
}

// refuses reports whether the peer's chain is refused.
func (w *world) refuses() bool {
	return w.Revoked([]*x509.Certificate{w.peer, w.ca.Certificate}) != nil
}

func (w *world) await(what string, is func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestRevoked(t *testing.T) {
	w := newWorld(t)
	w.serves(w.revokes(w.peer))
	if w.refuses() {
		t.Error("refused without a list")
	}
	if err := w.update(); err != nil {
		t.Fatal(err)
	}
	err := w.Revoked([]*x509.Certificate{w.peer, w.ca.Certificate})
	want := fmt.Sprintf("the certificate with serial number %X was revoked at 2026-03-02 07:30:00 UTC (keyCompromise, list ca)", w.peer.SerialNumber)
	var revoked *RevokedError
	if !errors.As(err, &revoked) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	below := w.ca.Intermediate(t, "Issuing CA")
	same := mtatest.NewAuthority(t, "List CA")
	for name, chain := range map[string][]*x509.Certificate{
		"another certificate":             {w.ca.Issue(t, mtatest.CertificateSpec{}).Leaf, w.ca.Certificate},
		"below an intermediate":           {below.Issue(t, mtatest.CertificateSpec{}).Leaf, below.Certificate, w.ca.Certificate},
		"an authority of the same name":   {w.peer, same.Certificate},
		"a trusted certificate by itself": {w.peer},
	} {
		if err := w.Revoked(chain); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.serves(w.revokes(below.Certificate))
	if err := w.update(); err != nil {
		t.Fatal(err)
	}
	if w.Revoked([]*x509.Certificate{below.Issue(t, mtatest.CertificateSpec{}).Leaf, below.Certificate, w.ca.Certificate}) == nil {
		t.Error("a revoked intermediate is accepted")
	}
	if w.refuses() {
		t.Error("a certificate that the new list does not name is refused")
	}
}

// TestOutdated: a list past its next update revokes nothing, which is told.
func TestOutdated(t *testing.T) {
	w := newWorld(t)
	w.serves(w.revokes(w.peer))
	if err := w.update(); err != nil || !w.refuses() {
		t.Fatal(err, w.refuses())
	}
	w.answers(http.NotFound)
	w.advance(23 * time.Hour)
	if err := w.update(); err == nil || !w.refuses() || len(w.lacks) != 0 {
		t.Errorf("%v, refused %v, told %v", err, w.refuses(), w.lacks)
	}
	w.advance(2 * time.Hour)
	if w.refuses() {
		t.Error("an outdated list revokes")
	}
	if err := w.update(); err == nil || len(w.lacks) != 1 || w.lacks[0].NextUpdate.IsZero() {
		t.Errorf("%v, told %v", err, w.lacks)
	}
	if s := w.States()[0]; !s.Outdated(w.clock()) || s.Err == nil || s.Failed.IsZero() || s.Entries != 1 {
		t.Errorf("state %+v", s)
	}
	w.serves(w.revokes(w.peer))
	if err := w.update(); err != nil || !w.refuses() || w.States()[0].Err != nil {
		t.Errorf("%v, refused %v", err, w.refuses())
	}
}

// TestRefusedLists: what is no good list is refused, says why, and leaves the
// list that is there.
func TestRefusedLists(t *testing.T) {
	w := newWorld(t)
	other := mtatest.NewAuthority(t, "Other CA")
	impostor := mtatest.NewAuthority(t, "List CA")
	now := w.clock()
	with := func(id asn1.ObjectIdentifier, value []byte) []byte {
		return w.ca.Revoke(t, mtatest.ListSpec{Now: now, Extensions: []pkix.Extension{{Id: id, Critical: true, Value: value}}}, w.peer)
	}
	point := func(tag byte) []byte { return []byte{0x30, 3, 0x80 | tag, 1, 0xff} }
	good := w.revokes(w.peer)
	broken := append([]byte(nil), good...)
	broken[len(broken)-1] ^= 1
	for _, tt := range []struct {
		name string
		text []byte
		want string
	}{
		{"garbage", []byte("<html>\r\nnot here</html>"), "not a revocation list"},
		{"nothing", nil, "not a revocation list"},
		{"cut", good[:len(good)/2], "not a revocation list"},
		{"trailing", append(append([]byte(nil), good...), 0), "not a revocation list"},
		{"a certificate", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.peer.Raw}), "not a revocation list"},
		{"signature", broken, "its signature is not that of its issuer"},
		{"another issuer", other.Revoke(t, mtatest.ListSpec{Now: now}, w.peer), `its issuer, "CN=Other CA", is none of`},
		{"an impostor", impostor.Revoke(t, mtatest.ListSpec{Now: now}, w.peer), "its signature is not that of its issuer"},
		{"outdated", w.ca.Revoke(t, mtatest.ListSpec{ThisUpdate: now.Add(-48 * time.Hour), NextUpdate: now.Add(-time.Second)}), "it is outdated"},
		{"of the future", w.ca.Revoke(t, mtatest.ListSpec{ThisUpdate: now.Add(time.Hour), NextUpdate: now.Add(2 * time.Hour)}), "not valid before"},
		{"older", w.ca.Revoke(t, mtatest.ListSpec{ThisUpdate: now.Add(-2 * time.Hour), NextUpdate: now.Add(time.Hour)}), "older than the list that is there"},
		{"delta", with(oidDelta, []byte{2, 1, 1}), "delta list"},
		{"indirect", with(oidDistributionPoint, point(4)), "indirect list"},
		{"attributes", with(oidDistributionPoint, point(5)), "attribute certificates"},
		{"broken point", with(oidDistributionPoint, []byte{1}), "cannot be read"},
		{"unknown and critical", with(asn1.ObjectIdentifier{1, 2, 3}, []byte{5, 0}), "unknown critical extension 1.2.3"},
		{"too large", make([]byte, maxList+1), "larger than 16 MB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			w.serves(good)
			if err := w.update(); err != nil {
				t.Fatal(err)
			}
			w.serves(tt.text)
			if err := w.update(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if !w.refuses() {
				t.Error("the list that was there is gone")
			}
		})
	}
	w.t = t
	for name, text := range map[string][]byte{
		"partial": with(oidDistributionPoint, point(1)), "PEM": pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: good}),
	} {
		w.serves(text)
		if err := w.update(); err != nil || !w.refuses() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRun: fetched at once, then by the schedule, at the next update, and ten
// minutes after a failure.
func TestRun(t *testing.T) {
	w := newWorld(t)
	w.serves(w.revokes(w.peer))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	defer running.Wait()
	defer cancel()
	w.await("the first list", w.refuses)
	fetches := func(n int, d time.Duration) {
		t.Helper()
		w.advance(d - time.Second)
		due := w.clock().Add(time.Second)
		if s := w.States()[0]; !s.Due.Equal(due) {
			t.Errorf("due at %v, want %v", s.Due, due)
		}
		w.advance(time.Second)
		w.await("a fetch", func() bool { s := w.States()[0]; return w.requests() == n && s.Due.After(w.clock()) })
	}
	fetches(2, 6*time.Hour)
	w.answers(http.NotFound)
	fetches(3, 6*time.Hour)
	fetches(4, retryTime)
	w.serves(w.revokes())
	fetches(5, retryTime)
	w.await("the new list", func() bool { return !w.refuses() })
}

// TestFetch_Bounds: a host that is slow, sends on too often or elsewhere.
func TestFetch_Bounds(t *testing.T) {
	w := newWorld(t)
	good := w.revokes(w.peer)
	hops := 0
	redirects := func(n int) http.HandlerFunc {
		hops = 0
		return func(out http.ResponseWriter, in *http.Request) {
			if hops++; hops > n {
				_, _ = out.Write(good)
				return
			}
			http.Redirect(out, in, fmt.Sprintf("/%d", hops), http.StatusFound)
		}
	}
	w.answers(redirects(maxRedirects))
	if err := w.update(); err != nil {
		t.Errorf("after %d redirects: %v", maxRedirects, err)
	}
	w.answers(redirects(maxRedirects + 1))
	if err := w.update(); err == nil || !strings.Contains(err.Error(), "more than 3 redirects") {
		t.Error(err)
	}
	w.answers(func(out http.ResponseWriter, in *http.Request) {
		http.Redirect(out, in, "file:///etc/passwd", http.StatusFound)
	})
	if err := w.update(); err == nil || !strings.Contains(err.Error(), `scheme "file"`) {
		t.Error(err)
	}
	if w.o.HTTP.Timeout != fetchTime {
		t.Errorf("a fetch may take %v", w.o.HTTP.Timeout)
	}
	w.slowHost(good)
}

// slowHost: a host that stops in the middle of a list is left. On a busy machine
// the time may be over before the host is asked: then it gets more.
func (w *world) slowHost(good []byte) {
	w.t.Helper()
	asked, gone := make(chan struct{}, 20), make(chan struct{}, 20)
	w.answers(func(out http.ResponseWriter, in *http.Request) {
		asked <- struct{}{}
		_, _ = out.Write(good[:10])
		_ = http.NewResponseController(out).Flush()
		<-in.Context().Done()
		gone <- struct{}{}
	})
	for w.o.HTTP.Timeout = 50 * time.Millisecond; w.o.HTTP.Timeout < patience; w.o.HTTP.Timeout *= 2 {
		if err := w.update(); err == nil || !errors.Is(err, context.DeadlineExceeded) {
			w.t.Errorf("a slow host: %v", err)
		}
		select {
		case <-asked:
			<-gone
			return
		default:
		}
	}
	w.t.Error("the slow host was never asked")
}

// TestFetch_OnlyWhatChanged: a list that did not change does not come again.
func TestFetch_OnlyWhatChanged(t *testing.T) {
	w := newWorld(t)
	text := w.revokes(w.peer)
	w.answers(func(out http.ResponseWriter, in *http.Request) {
		if in.Header.Get("If-None-Match") == `"one"` && in.Header.Get("If-Modified-Since") != "" {
			out.WriteHeader(http.StatusNotModified)
			return
		}
		out.Header().Set("ETag", `"one"`)
		out.Header().Set("Last-Modified", "Mon, 02 Mar 2026 09:00:00 GMT")
		_, _ = out.Write(text)
	})
	if err := w.update(); err != nil {
		t.Fatal(err)
	}
	// What a restart reads is asked about in the same way.
	w.Lists = w.lists()
	w.advance(time.Hour)
	text = []byte("not to be read")
	if err := w.update(); err != nil || !w.refuses() || !w.States()[0].Fetched.Equal(w.clock()) {
		t.Errorf("%v, %+v", err, w.States())
	}
	w.advance(24 * time.Hour)
	if err := w.update(); err == nil || !strings.Contains(err.Error(), "outdated, and unchanged") {
		t.Error(err)
	}
}

// TestFurtherURL: asked where the first does not have the list.
func TestFurtherURL(t *testing.T) {
	w := newWorld(t)
	w.source.Further = w.host.URL + "/further"
	w.Lists = w.lists()
	good := w.revokes(w.peer)
	w.answers(func(out http.ResponseWriter, in *http.Request) {
		if in.URL.Path != "/further" {
			http.NotFound(out, in)
			return
		}
		_, _ = out.Write(good)
	})
	if err := w.update(); err != nil || !w.refuses() {
		t.Fatal(err)
	}
	w.answers(http.NotFound)
	if err := w.update(); err == nil || err.Error() != "the host answered 404; from the further URL: the host answered 404" {
		t.Error(err)
	}
}

// TestFile_SurvivesARestart, and a damaged one is as none.
func TestFile_SurvivesARestart(t *testing.T) {
	w := newWorld(t)
	w.serves(w.revokes(w.peer))
	if err := w.update(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.dir, "ca.crl")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	w.Lists = w.lists()
	if s := w.States()[0]; !w.refuses() || !s.Fetched.Equal(w.clock()) || !s.Due.Equal(w.clock().Add(6*time.Hour)) {
		t.Errorf("after a restart: %+v", s)
	}
	for i := 0; i < len(whole); i += 7 {
		text := append([]byte(nil), whole...)
		text[i] ^= 0x40
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		w.Lists = w.lists()
		if s := w.States()[0]; w.refuses() || !s.Fetched.IsZero() || s.Due.After(w.clock()) {
			t.Fatalf("byte %d is damaged: %+v", i, s)
		}
	}
	if err := w.update(); err != nil || !w.refuses() {
		t.Error(err)
	}
	w.source.URL = w.host.URL + "/other.crl"
	if w.Lists = w.lists(); w.refuses() {
		t.Error("a list from another URL is used")
	}
	w.Configure(Settings{})
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file of a source that is gone: %v", err)
	}
}

// TestConfigure: lists stay while they may, and go with source and authority.
func TestConfigure(t *testing.T) {
	w := newWorld(t)
	w.serves(w.revokes(w.peer))
	if err := w.update(); err != nil {
		t.Fatal(err)
	}
	known := []*x509.Certificate{w.ca.Certificate}
	second := Source{Name: "second", URL: w.host.URL + "/second", Refresh: Schedule{Minute: 150}}
	w.source.Refresh = Schedule{Every: time.Hour}
	w.Configure(Settings{Sources: []Source{second, w.source}, Authorities: known})
	if s := w.States(); !w.refuses() || len(s) != 2 || s[0].Name != "ca" || !s[0].Due.Equal(w.clock().Add(time.Hour)) || w.requests() != 1 {
		t.Errorf("%+v", s)
	}
	w.Configure(Settings{Sources: []Source{w.source}})
	if w.refuses() || w.update() == nil {
		t.Error("a list of an authority that is no longer trusted is used")
	}
	w.Configure(Settings{Sources: []Source{w.source}, Authorities: known})
	if s := w.States()[0]; s.Due.After(w.clock()) {
		t.Errorf("a list that may be good now is due at %v", s.Due)
	}
	if err := w.update(); err != nil || !w.refuses() {
		t.Error(err)
	}
	w.Configure(Settings{Authorities: known})
	if _, err := w.Update(t.Context(), "ca"); w.refuses() || !errors.Is(err, ErrUnknown) {
		t.Error("a list whose source is gone is used:", err)
	}
}

// TestSchedule: a Monday, at half past nine.
func TestSchedule(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	for _, tt := range []struct {
		Schedule
		want string
	}{
		{Schedule{Every: 90 * time.Minute}, "Mon 02 11:00"},
		{Schedule{Minute: 120}, "Tue 03 02:00"},
		{Schedule{Minute: 600}, "Mon 02 10:00"},
		{Schedule{Minute: 570}, "Tue 03 09:30"},
		{Schedule{Weekly: true, Day: time.Monday, Minute: 600}, "Mon 02 10:00"},
		{Schedule{Weekly: true, Day: time.Monday, Minute: 570}, "Mon 09 09:30"},
		{Schedule{Weekly: true, Day: time.Sunday, Minute: 0}, "Sun 08 00:00"},
	} {
		if got := tt.Next(now).Format("Mon 02 15:04"); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.Schedule, got, tt.want)
		}
	}
}

// FuzzRead: whatever comes, a list is refused or can be asked.
func FuzzRead(f *testing.F) {
	ca := mtatest.NewAuthority(f, "List CA")
	now := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	good := ca.Revoke(f, mtatest.ListSpec{Now: now}, ca.Certificate)
	f.Add(good)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: good}))
	f.Add(ca.Revoke(f, mtatest.ListSpec{Now: now, Extensions: []pkix.Extension{{Id: oidDistributionPoint, Value: []byte{0x30, 3, 0x81, 1, 0xff}}}}))
	f.Add(ca.Revoke(f, mtatest.ListSpec{Now: now, Extensions: []pkix.Extension{{Id: oidDelta, Critical: true, Value: []byte{2, 1, 1}}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if crl, err := parse(data); err == nil {
			if _, err := reduce(crl, ca.Certificate); err == nil && crl.NextUpdate.IsZero() {
				t.Error("a list without an end")
			}
		}
		if l, err := read(data, []*x509.Certificate{ca.Certificate}, now); err == nil && !l.nextUpdate.After(now) {
			t.Error("an outdated list was taken")
		}
	})
}
