package mta

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"esa/mta/alert"
	"esa/mta/crl"
	"esa/store"
)

// This file is the revocation lists of the gateway: what is configured of them,
// how they are fetched, and what operators see.

// revocationDir is where lists are kept in the data directory.
const revocationDir = "crl"

func revocationSettings(c *store.Config, system []*x509.Certificate) crl.Settings {
	s := crl.Settings{Authorities: c.Authorities.Trusted(system)}
	for _, from := range c.Revocation.Sources {
		s.Sources = append(s.Sources, crl.Source{Name: from.Name, URL: from.URL, Further: from.Further, Refresh: crl.Schedule{
			Every:  time.Duration(from.Refresh.Hours) * time.Hour,
			Weekly: from.Refresh.Day != "", Day: time.Weekday(max(0, slices.Index(store.Weekdays(), from.Refresh.Day))),
			Minute: from.Refresh.Minute,
		}})
	}
	return s
}

// trust is what generations judge peers by. What it asks is there once the
// gateway is open; before, no peer is.
func (g *Gateway) trust() trust {
	return trust{system: g.Authorities, revoked: func(chain []*x509.Certificate) error { return g.live.lists.Revoked(chain) }}
}

func (g *Gateway) openLists(l *live) *crl.Lists {
	return crl.New(crl.Options{
		Dir: filepath.Join(g.Dir, revocationDir), HTTP: l.web(), Log: l.log, Clock: g.Clock, Diag: g.Diag, Lacking: alerting{g}.listLacking,
	})
}

// Bounds of an HTTP connection, within those of the fetch.
const (
	webConnect  = 10 * time.Second // to one address, and for its TLS handshake
	webHeader   = 64 << 10         // bytes
	maxWebAddrs = 5                // of a host that are tried
)

// web makes the client that lists are fetched with. Hosts are looked up by the
// DNS servers of the configuration; those of https are verified against the
// authorities of the machine. There is no proxy.
func (l *live) web() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: l.dialWeb, DisableCompression: true, DisableKeepAlives: true,
		TLSHandshakeTimeout: webConnect, MaxResponseHeaderBytes: webHeader,
	}}
}

// dialWeb connects to the first address of a host that answers.
func (l *live) dialWeb(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	if addr, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{addr}
	} else {
		for _, v6 := range []bool{false, true} {
			addrs = append(addrs, l.resolver.Addrs(ctx, host, v6).Addrs...)
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("no address was found for %s", host)
	}
	dialer := net.Dialer{Timeout: webConnect}
	var errs []error
	for _, addr := range addrs[:min(len(addrs), maxWebAddrs)] {
		conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(addr.String(), port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// RevocationLists tells of the lists that are configured, by name; offline, what
// a gateway has left of them.
func (g *Gateway) RevocationLists() []crl.State {
	if g.live != nil {
		return g.live.lists.States()
	}
	lists := crl.New(crl.Options{Dir: filepath.Join(g.Dir, revocationDir), Clock: g.Clock, Diag: g.Diag})
	lists.Configure(g.current.Load().revocation)
	return lists.States()
}

// UpdateRevocationList fetches a list of the running configuration now.
// crl.ErrUnknown if there is none of that name.
func (g *Gateway) UpdateRevocationList(ctx context.Context, name string) (crl.State, error) {
	if g.live == nil {
		return crl.State{}, ErrOffline
	}
	return g.live.lists.Update(ctx, name)
}

// listLacking tells that nothing is checked against a list.
func (a alerting) listLacking(lack crl.Lack) {
	tell := alert.Alert{
		Class: alert.System, Severity: alert.Warning, Name: "revocation-list", About: lack.Name,
		Summary: fmt.Sprintf("The certificate revocation list %q is missing.", lack.Name),
	}
	if !lack.NextUpdate.IsZero() {
		tell.Summary = fmt.Sprintf("The certificate revocation list %q is outdated.", lack.Name)
		tell.Details = []string{"Its next update was due at " + lack.NextUpdate.UTC().Format("2006-01-02 15:04:05 MST") + "."}
	}
	tell.Details = append(tell.Details,
		"No certificate is checked against it: those that it revokes are accepted.",
		fmt.Sprintf("Reason: %v", lack.Err),
		"It is tried again every ten minutes. Use certconfig -> CRL to see its state, to fetch it now or to change where it comes from.")
	a.gateway.live.alerts.Raise(tell)
}
