// Package mtatest holds what tests of the gateway stand against: a name
// server fed with zone text, and peers that speak SMTP well or badly. All of
// it runs in the test process on loopback addresses.
package mtatest

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	mdns "github.com/miekg/dns"
)

// DNSServer is a recursive name server that knows one zone text and nothing
// else. What it does not know does not exist. Names are followed through
// aliases within the text; "*" works as a wildcard; over UDP an answer is
// truncated to what the question allows.
//
// Script makes it misbehave for chosen names and types.
type DNSServer struct {
	udp *net.UDPConn
	tcp *net.TCPListener

	mu      sync.Mutex
	records []mdns.RR
	lab     *Lab     // if not nil, knows the answers instead of records
	zones   []string // of the lab that the server has; nil: it resolves them all
	usual   Act      // what it does without a script
	scripts map[scriptKey][]Act
	queries []DNSQuery
	arrived chan struct{} // closed and renewed with each query
	conns   map[net.Conn]bool
	closed  chan struct{}
	running sync.WaitGroup
}

type scriptKey struct {
	name  string
	qtype uint16
}

// DNSQuery is a question as it came in.
type DNSQuery struct {
	Name   string // as spelt
	Type   string
	ID     uint16
	TCP    bool
	From   netip.AddrPort
	RD, CD bool
	DO     bool
	Size   uint16 // EDNS buffer size, 0 without EDNS
}

// NewDNSServer starts a server on a free port of 127.0.0.1, UDP and TCP, that
// ends with the test.
func NewDNSServer(t testing.TB, zone string) *DNSServer {
	t.Helper()
	return NewDNSServerAt(t, netip.MustParseAddr("127.0.0.1"), zone)
}

// NewLabServer starts a server like NewDNSServer that knows what a lab knows,
// signatures included.
func NewLabServer(t testing.TB, lab *Lab) *DNSServer {
	t.Helper()
	s := NewDNSServer(t, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lab = lab
	return s
}

// NewZoneServer starts a server that has zones of a lab and nothing else, and
// refers to others for the zones below.
func NewZoneServer(t testing.TB, lab *Lab, zones ...string) *DNSServer {
	t.Helper()
	s := NewLabServer(t, lab)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zones = zones
	return s
}

// NewDNSServerAt is NewDNSServer on another loopback address.
func NewDNSServerAt(t testing.TB, addr netip.Addr, zone string) *DNSServer {
	t.Helper()
	s := &DNSServer{
		usual:   Honest,
		scripts: make(map[scriptKey][]Act),
		arrived: make(chan struct{}),
		conns:   make(map[net.Conn]bool),
		closed:  make(chan struct{}),
	}
	s.setZone(t, zone)
	s.listen(t, addr)
	s.running.Go(s.serveUDP)
	s.running.Go(s.serveTCP)
	t.Cleanup(s.Close)
	return s
}

// listen finds a port that is free for both protocols.
func (s *DNSServer) listen(t testing.TB, addr netip.Addr) {
	t.Helper()
	for range 20 {
		udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
		if err != nil {
			t.Fatalf("listening for DNS: %v", err)
		}
		local := udp.LocalAddr().(*net.UDPAddr).AddrPort()
		tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(local))
		if err == nil {
			s.udp, s.tcp = udp, tcp
			return
		}
		udp.Close()
	}
	t.Fatal("listening for DNS: no port is free for UDP and TCP")
}

// Addr is where the server listens.
func (s *DNSServer) Addr() netip.AddrPort {
	return s.udp.LocalAddr().(*net.UDPAddr).AddrPort()
}

// Close ends the server. It answers nobody afterwards.
func (s *DNSServer) Close() {
	s.mu.Lock()
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.udp.Close()
	s.tcp.Close()
	s.running.Wait()
}

// CloseTCP makes the server refuse TCP from now on.
func (s *DNSServer) CloseTCP() { s.tcp.Close() }

// setZone sets what the server knows. The text is in zone-file form; TTL
// is 3600 where none is given, and a zone should have its SOA record, for
// answers that say "none".
func (s *DNSServer) setZone(t testing.TB, zone string) {
	t.Helper()
	parser := mdns.NewZoneParser(strings.NewReader(zone), ".", "zone")
	parser.SetDefaultTTL(3600)
	var records []mdns.RR
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		records = append(records, rr)
	}
	if err := parser.Err(); err != nil {
		t.Fatalf("reading zone: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = records
}

// Script makes the server do acts, one for each question of the name and type
// from now on; the last one is repeated. Type "ANY" stands for all types that
// have no script of their own. No act ends the script.
func (s *DNSServer) Script(name, qtype string, acts ...Act) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts[scriptKey{oneForm(name), mdns.StringToType[qtype]}] = acts
}

// Usually sets what the server does with questions that have no script.
func (s *DNSServer) Usually(act Act) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usual = act
}

// Queries gives what was asked so far, in order of arrival.
func (s *DNSServer) Queries() []DNSQuery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.queries)
}

// Asked counts the questions for a name and type so far.
func (s *DNSServer) Asked(name, qtype string) int {
	n := 0
	for _, q := range s.Queries() {
		if oneForm(q.Name) == oneForm(name) && q.Type == qtype {
			n++
		}
	}
	return n
}

// Await waits until n questions have come in altogether.
func (s *DNSServer) Await(t testing.TB, n int) {
	t.Helper()
	for {
		s.mu.Lock()
		got, arrived := len(s.queries), s.arrived
		s.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-arrived:
		case <-t.Context().Done():
			t.Fatalf("waiting for %d questions, only %d came", n, got)
		}
	}
}

func (s *DNSServer) serveUDP() {
	buf := make([]byte, 65535)
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of a client that has gone
		}
		raw := slices.Clone(buf[:n])
		send := func(answer []byte) {
			// The client may be gone: that is its affair.
			_, _ = s.udp.WriteToUDPAddrPort(answer, from)
		}
		s.running.Go(func() { s.handle(raw, &DNSExchange{server: s, From: from, send: send}) })
	}
}

func (s *DNSServer) serveTCP() {
	for {
		conn, err := s.tcp.AcceptTCP()
		if err != nil {
			return
		}
		if !s.track(conn) {
			conn.Close()
			return
		}
		s.running.Go(func() { s.serveConn(conn) })
	}
}

func (s *DNSServer) track(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed:
		return false
	default:
		s.conns[conn] = true
		return true
	}
}

func (s *DNSServer) serveConn(conn *net.TCPConn) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	from := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		raw := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, raw); err != nil {
			return
		}
		send := func(answer []byte) {
			frame := binary.BigEndian.AppendUint16(nil, uint16(len(answer)))
			// The client may be gone: that is its affair.
			_, _ = conn.Write(append(frame, answer...))
		}
		s.handle(raw, &DNSExchange{server: s, From: from, TCP: true, send: send, hangUp: func() { conn.Close() }})
	}
}

// handle notes a question and does what the script says, else answers.
func (s *DNSServer) handle(raw []byte, x *DNSExchange) {
	q := new(mdns.Msg)
	if err := q.Unpack(raw); err != nil || len(q.Question) != 1 {
		return
	}
	x.Query = q
	s.note(x)(x)
}

// note records the question and takes the next act of its script, or the
// usual one.
func (s *DNSServer) note(x *DNSExchange) Act {
	asked := x.Query.Question[0]
	q := DNSQuery{
		Name: asked.Name, Type: mdns.Type(asked.Qtype).String(), ID: x.Query.Id, TCP: x.TCP, From: x.From,
		RD: x.Query.RecursionDesired, CD: x.Query.CheckingDisabled,
	}
	if opt := x.Query.IsEdns0(); opt != nil {
		q.DO, q.Size = opt.Do(), opt.UDPSize()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries = append(s.queries, q)
	close(s.arrived)
	s.arrived = make(chan struct{})
	for _, qtype := range []uint16{asked.Qtype, mdns.TypeANY} {
		key := scriptKey{oneForm(asked.Name), qtype}
		if acts := s.scripts[key]; len(acts) > 0 {
			if len(acts) > 1 {
				s.scripts[key] = acts[1:]
			}
			return acts[0]
		}
	}
	return s.usual
}

func oneForm(name string) string { return mdns.CanonicalName(name) }
