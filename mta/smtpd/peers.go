package smtpd

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// Peer is a client with open connections to one listener.
type Peer struct {
	Host        string // the reverse name where it leads back to the address; else the address
	Addr        netip.Addr
	Listener    string
	Connections int
}

// Peers lists who is connected, those with most connections first.
func (srv *Server) Peers() []Peer {
	type key struct {
		addr     netip.Addr
		listener string
	}
	found := map[key]*Peer{}
	srv.mu.Lock()
	for _, p := range srv.present {
		k := key{p.Addr, p.Listener}
		if found[k] == nil {
			found[k] = &p
		}
		if p.Host != "" {
			found[k].Host = p.Host
		}
		found[k].Connections++
	}
	srv.mu.Unlock()
	peers := make([]Peer, 0, len(found))
	for _, p := range found {
		p.Host = cmp.Or(p.Host, p.Addr.String())
		peers = append(peers, *p)
	}
	slices.SortFunc(peers, func(a, b Peer) int {
		return cmp.Or(cmp.Compare(b.Connections, a.Connections), a.Addr.Compare(b.Addr), strings.Compare(a.Listener, b.Listener))
	})
	return peers
}

// show makes a session one that Peers counts, under the name that is known of
// its client by now.
func (s *session) show() {
	p := Peer{Addr: s.client.Addr, Listener: s.at.Listener}
	if s.client.Verified {
		p.Host = s.client.Host
	}
	s.srv.mu.Lock()
	defer s.srv.mu.Unlock()
	s.srv.present[s] = p
}

func (s *session) hide() {
	s.srv.mu.Lock()
	defer s.srv.mu.Unlock()
	delete(s.srv.present, s)
}
