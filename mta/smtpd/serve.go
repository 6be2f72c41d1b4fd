package smtpd

import (
	"context"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"esa/mta/maillog"
	"esa/mta/policy"
)

// Replies that stand in more than one place (reference 4.4).
const (
	textUnavailable    = "Service not available, closing transaction channel"
	textBadCommands    = "Exceeded bad SMTP command limit, disconnecting."
	textNoInjection    = "Timed out waiting for successful message injection"
	textTooLong        = "Exceeded allowable connection time"
	textServerError    = "#4.3.0 Server Error"
	textQueueFull      = "#4.3.1 queue full"
	textTooBig         = "#5.3.4 message size exceeds limit"
	textPoorReputation = "Your access to this mail system has been rejected due to the sending MTA's poor reputation. " +
		"If you believe that this failure is in error, please contact the intended recipient via alternate means."
)

// ServeConn serves one connection and closes it. settings is loaded now and
// at each MAIL; nil means that the listener is gone. ctx bounds the lookup of
// the name, and its end closes the connection.
func (srv *Server) ServeConn(ctx context.Context, conn net.Conn, settings func() *Settings) {
	defer conn.Close()
	set := settings()
	if set == nil {
		// It came while its listener was being removed.
		w := newWire(conn, Limits{}.orFactory().Write)
		w.reply(421, "#4.3.2 "+textUnavailable)
		w.farewell()
		return
	}
	w := newWire(conn, set.Limits.orFactory().Write)
	switch srv.enter(w, set.Listener) {
	case draining:
		w.reply(421, set.Hostname+" "+textUnavailable)
		w.farewell()
		return
	case full:
		// Not waited for: what it holds is what there is too little of.
		w.reply(421, "#4.4.5 Too many connections to this host.")
		_ = w.flush() // whether it heard us or not
		return
	}
	defer srv.leave(w)
	stop := context.AfterFunc(ctx, w.abandon)
	defer stop()

	s := newSession(srv, set, settings)
	s.client.Addr = remoteAddr(conn)
	defer srv.rescue(w, s)
	s.serve(ctx, w)
	s.killed = w.killed.Load()
	_ = s.Logout() // it cannot fail: what it ends is ours
}

// newSession makes the session of a connection accepted under set.
func newSession(srv *Server, set *Settings, load func() *Settings) *session {
	now := time.Now()
	return &session{srv: srv, load: load, at: set, set: set, limits: set.Limits.orFactory(), begun: now, injected: now}
}

// serve decides about the connection and holds its dialogue.
func (s *session) serve(ctx context.Context, w *wire) {
	key := hostKey{s.at.Addr, s.client.Addr}
	s.show()
	defer s.hide()
	inAll, onListener, onHost := s.srv.seat(key)
	s.leave = sync.OnceFunc(func() { s.srv.unseat(key) })
	defer func() { s.leave() }() // STARTTLS makes it more
	if s.at.MaxConnections > 0 && onListener > s.at.MaxConnections {
		s.register()
		s.crowded(w, "to this listener")
		return
	}
	if s.at.MaxTotal > 0 && inAll > s.at.MaxTotal {
		s.register()
		s.crowded(w, "to this host.")
		return
	}
	s.lookUp(ctx)
	s.show()
	s.decision = s.at.HAT.Decide(s.client)
	if s.decision.Behavior == policy.TCPRefuse {
		s.srv.Log.TCPRefused(s.decision.Group, s.decision.Match)
		return
	}
	s.register()
	s.srv.Log.Admitted(s.icid, s.decision.Behavior.String(), s.decision.Group, s.decision.Match)
	c := &conversation{session: s, wire: w, announced: s.decision.Params.MaxSize, offered: s.decision.Params.TLS.Mode}
	switch most := s.decision.Params.MaxConnections; {
	case s.rejects() && !s.at.RejectRecipients:
		c.turnAway()
	case most >= 0 && onHost > most:
		s.crowded(w, "from your host")
	default:
		c.run()
	}
}

// lookUp asks for the client's name.
func (s *session) lookUp(ctx context.Context) {
	if s.srv.Names != nil {
		s.client.Host, s.client.Verified = s.srv.Names.Reverse(ctx, s.client.Addr)
	}
	if s.srv.Lists != nil && s.client.Host == "" {
		s.client.Naming = s.srv.Lists.Naming(ctx, s.client.Addr)
	}
	if s.srv.Domains != nil {
		s.resolve = func(domain string) policy.SenderDomain { return s.srv.Domains.Sender(ctx, domain) }
	}
	s.learn = func(h policy.HAT) { s.askLists(ctx, h.Zones()) }
	s.learn(s.at.HAT)
	s.asked = time.Since(s.begun)
}

// mostLists bounds how many DNS lists are asked about one client.
const mostLists = 20

// askLists asks DNS lists about the client, all at once.
func (s *session) askLists(ctx context.Context, zones []string) {
	if s.srv.Lists == nil {
		return
	}
	zones = zones[:min(len(zones), mostLists)]
	listed := make([]bool, len(zones))
	var asked sync.WaitGroup
	for i, zone := range zones {
		asked.Go(func() { listed[i] = s.srv.Lists.Listed(ctx, s.client.Addr, zone) })
	}
	asked.Wait()
	s.client.Listed = nil
	for i, zone := range zones {
		if listed[i] {
			s.client.Listed = append(s.client.Listed, zone)
		}
	}
}

// register gives the connection its id.
func (s *session) register() {
	s.icid = s.srv.Counters.NextICID()
	s.srv.Log.NewInjection(s.injection())
}

func (s *session) injection() maillog.Injection {
	return maillog.Injection{ICID: s.icid, Interface: s.at.Interface, Local: s.at.Addr.Addr(),
		Remote: s.client.Addr, Host: s.client.Host, Verified: s.client.Verified}
}

// crowded turns away a connection beyond a limit. It gives its seat back
// first: those who are turned away must not keep others out.
func (s *session) crowded(w *wire, which string) {
	s.leave()
	s.srv.Log.ReceivingFailed(s.icid, "Connection limit exceeded")
	w.reply(421, "#4.4.5 Too many connections "+which)
	w.farewell()
}

// rescue answers for a session that panicked. The others live on.
func (srv *Server) rescue(w *wire, s *session) {
	if srv.Crash {
		return
	}
	cause := recover()
	if cause == nil {
		return
	}
	srv.Diag.Error("session panicked", "icid", uint64(s.icid), "cause", cause, "stack", string(debug.Stack()))
	w.reply(421, s.at.Hostname+" "+textUnavailable)
	_ = w.flush() // the connection ends either way
	_ = s.Logout()
}
