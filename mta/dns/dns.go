// Package dns is the resolver of the gateway: a stub that forwards to the
// configured servers (RFC 1034 §5.3.1, RFC 5452), with the cache that
// receiving, delivery and commands share. miekg/dns packs and unpacks
// messages and does nothing else: sockets, server choice, what is believed
// and how long it is kept are decided here.
//
// A lookup takes these steps, each in a file of its own:
//
//	name.go      gives a name its one form; what DNS cannot hold is not asked for
//	cache.go     answers what is known, joins those who ask the same at the same time (RFC 2308 §5)
//	servers.go   chooses whom to ask: priority, chance among equals, those that keep failing last
//	exchange.go  asks one server: UDP from a fresh port, TCP when truncated or when somebody guesses (RFC 7766 §5)
//	wire.go      writes the question, reads the answer, refuses what is not an answer to it (RFC 5452 §9.1)
//	iterate.go   asks the name servers of the Internet from the root down instead, where that is configured
//	lookup.go    tries servers in turn until an answer can be believed
//	ahead.go     asks for the chain of trust while the answer is on its way
//	trail.go     follows aliases (RFC 1034 §3.6.2)
//	records.go   MX, addresses, names of an address: what is kept of each
//
// Every question has the DO and the CD bit set and offers EDNS with 1232
// bytes, and the AD bit of an answer is not looked at: what a server says of
// its own checking is no proof. The proof is of package dnssec, which sees
// every reply before it is believed and can send the lookup on to the next
// server. Two sides of a resolver differ in what it is given:
//
//	Checked   has the trust anchors: answers are Secure, Insecure, Bogus or Failed
//	Resolver  has none: answers are Insecure or Failed, and no key is asked for
//
// So mail that asks for no proof goes on where servers strip signatures or
// know private names that the root denies.
//
// DNS answers are hostile input. Bounds: 11 aliases, 32 questions sent (96
// where keys are asked for too) and twelve times the timeout for one lookup, 64 mail exchangers, addresses or
// names kept of one answer, 32 MiB of cache.
//
// Names that are not asked for: "localhost" and names below it are 127.0.0.1
// and ::1 (RFC 6761 §6.3), and an address written where a host name belongs,
// as in some MX records, is that address. There is no hosts file and no
// search list: every name is a full name.
package dns

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"esa/mta/dnssec"
	"esa/mta/maillog"
)

// Options are what a resolver needs of the world. The zero value works.
type Options struct {
	Clock func() time.Time // for the cache and for how long a server is avoided; nil is time.Now
	Rand  func() uint64    // unpredictable and safe for concurrent use; nil is the generator of the system
	Log   *maillog.Log     // mail log; nil writes none
	Diag  *slog.Logger     // our own diagnostics; nil writes none
	Dial  DialFunc         // nil dials
	Watch Watch            // is told of what keeps answers from being validated; nil: nobody
}

// Watch hears of what an operator has to mend before answers can be validated.
// It is called from many goroutines, often with the same, and must not wait.
type Watch interface {
	// Lame is a server whose answer did not validate where another's did.
	Lame(server netip.AddrPort, why string)
	// Anchorless is a trust anchor whose zone's keys no server gives as they
	// must be: the clock, the servers or the anchor are wrong.
	Anchorless(zone, why string)
}

// Settings are what an operator configures.
type Settings struct {
	Servers        []Server
	Roots          []Root // if there are any, the name servers of the Internet are asked from here down, and Servers are not
	Alternates     []Alternate
	Source         netip.Addr    // local address to ask from; invalid lets the system choose
	Timeout        time.Duration // for the first question to a server of the best priority; 0 is 5 s
	ReverseTimeout time.Duration // for all of Reverse; 0 is 20 s
	MinTTL         time.Duration // answers are kept at least so long, except failures, a "none" without its lifetime, and validated answers
	DNSSEC         dnssec.Policy // what validated answers are held against
}

// Server is a recursive server. Lower priorities are asked first, equal ones
// in an order left to chance.
type Server struct {
	Addr     netip.AddrPort
	Priority int
}

// Alternate names the servers for a domain and everything below it; the
// longest matching domain decides. The other servers are never asked for
// such names.
type Alternate struct {
	Domain  string
	Servers []netip.AddrPort
}

const (
	defaultTimeout        = 5 * time.Second
	defaultReverseTimeout = 20 * time.Second
)

// Resolver answers questions from its cache or by asking servers. All methods
// are safe for concurrent use.
type Resolver struct {
	clock func() time.Time
	rand  func() uint64
	log   *maillog.Log
	diag  *slog.Logger
	dial  DialFunc
	watch Watch
	stats stats

	believer *dnssec.Validator // has no trust anchor: all is insecure

	state atomic.Pointer[state]

	mu      sync.Mutex // held while state is replaced, and to begin or end work
	base    context.Context
	stop    context.CancelFunc
	closed  bool
	running sync.WaitGroup // lookups under way
}

// state is what one lookup sees from its beginning to its end: the cache
// belongs to it, so that a lookup begun under servers that have been taken
// away cannot put their answers before those who ask the new ones.
type state struct {
	set       Settings
	servers   directory
	cache     *cache
	validator *dnssec.Validator // with the keys that it has found
	roots     *delegations      // nil: configured servers resolve for us
}

// New makes a resolver without servers: every lookup fails until Configure.
func New(o Options) *Resolver {
	r := &Resolver{clock: o.Clock, rand: o.Rand, log: o.Log, diag: o.Diag, dial: o.Dial, watch: o.Watch}
	if r.dial == nil {
		r.dial = dialDirect
	}
	if r.clock == nil {
		r.clock = time.Now
	}
	if r.rand == nil {
		r.rand = rand.Uint64 // ChaCha8, seeded by the system
	}
	if r.diag == nil {
		r.diag = slog.New(slog.DiscardHandler)
	}
	r.base, r.stop = context.WithCancel(context.Background())
	r.believer = dnssec.New(r.clock, dnssec.Policy{})
	r.state.Store(&state{cache: newCache(cacheBytes), validator: r.believer})
	r.Configure(Settings{})
	return r
}

// Configure makes s the settings of every lookup that begins from now on;
// those under way end under the settings they began with. The cache is
// emptied when other servers are to be asked than before. What is known of a
// server's health stays with its address.
func (r *Resolver) Configure(s Settings) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.state.Load()
	s = withDefaults(s)
	next := &state{set: s, servers: newDirectory(s, old.servers), cache: old.cache, validator: old.validator, roots: old.roots}
	if !sameServers(old.set, s) || !old.set.DNSSEC.Equal(s.DNSSEC) {
		next.forget(r.clock)
	}
	r.state.Store(next)
}

// forget makes what is known of other servers' answers empty.
func (st *state) forget(clock func() time.Time) {
	st.cache, st.validator, st.roots = newCache(cacheBytes), dnssec.New(clock, st.set.DNSSEC), nil
	if len(st.set.Roots) > 0 {
		st.roots = newDelegations(st.set.Roots)
	}
}

// Flush empties the cache. A lookup under way still answers those who wait
// for it, but is not kept.
func (r *Resolver) Flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := *r.state.Load()
	next.forget(r.clock)
	r.state.Store(&next)
}

// Close ends the lookups under way as failed and waits for them. Later
// lookups fail unless the cache knows the answer.
func (r *Resolver) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.stop()
	r.running.Wait()
}

// begin counts one more lookup under way, unless the resolver is closed.
func (r *Resolver) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.running.Add(1)
	}
	return !r.closed
}

func withDefaults(s Settings) Settings {
	if s.Timeout <= 0 {
		s.Timeout = defaultTimeout
	}
	if s.ReverseTimeout <= 0 {
		s.ReverseTimeout = defaultReverseTimeout
	}
	s.Servers = slices.Clone(s.Servers)
	s.Alternates = slices.Clone(s.Alternates)
	for i := range s.Alternates {
		s.Alternates[i].Servers = slices.Clone(s.Alternates[i].Servers)
	}
	return s
}

// sameServers reports whether both settings ask the same servers for the same
// names. The same in another order count as others: a cache is soon full again.
func sameServers(a, b Settings) bool {
	return slices.Equal(a.Servers, b.Servers) &&
		slices.EqualFunc(a.Roots, b.Roots, func(x, y Root) bool { return x.Name == y.Name && slices.Equal(x.Addrs, y.Addrs) }) &&
		slices.EqualFunc(a.Alternates, b.Alternates, func(x, y Alternate) bool {
			return x.Domain == y.Domain && slices.Equal(x.Servers, y.Servers)
		})
}

// Stats counts since the resolver was made.
type Stats struct {
	Requests        uint64 // lookups asked for
	NetworkRequests uint64 // questions sent to servers, UDP and TCP
	Hits            uint64 // answered by the cache
	Misses          uint64 // not in the cache
	Exceptions      uint64 // lookups that failed, also those the cache remembered as failed
	Expired         uint64 // misses because what the cache had was too old
}

type stats struct {
	requests, network, hits, misses, exceptions, expired atomic.Uint64
}

// Stats gives the counters of dnsstatus.
func (r *Resolver) Stats() Stats {
	return Stats{
		Requests:        r.stats.requests.Load(),
		NetworkRequests: r.stats.network.Load(),
		Hits:            r.stats.hits.Load(),
		Misses:          r.stats.misses.Load(),
		Exceptions:      r.stats.exceptions.Load(),
		Expired:         r.stats.expired.Load(),
	}
}
