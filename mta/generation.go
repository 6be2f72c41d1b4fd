package mta

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"esa/mta/alert"
	"esa/mta/bounce"
	"esa/mta/crl"
	"esa/mta/delivery"
	"esa/mta/dns"
	"esa/mta/dnssec"
	"esa/mta/envelope"
	"esa/mta/maillog"
	"esa/mta/message"
	"esa/mta/policy"
	"esa/mta/queue"
	"esa/mta/route"
	"esa/mta/smtpd"
	"esa/mta/socket"
	"esa/mta/tlsconf"
	"esa/store"
)

// generation is everything built from one configuration, in the terms of the
// packages that obey it. It never changes: a session or an attempt that holds
// one sees one configuration. This file and destinations.go are the only ones
// that translate.
type generation struct {
	revision    uint64
	config      *store.Config
	listeners   map[netip.AddrPort]*smtpd.Settings
	consoles    map[netip.AddrPort]string // the interface of each SSH port
	sockets     []socket.Want             // of listeners, then of SSH ports
	delivery    *delivery.Settings
	alerts      alert.Settings
	revocation  crl.Settings
	queue       queue.Policy
	dns         dns.Settings
	logs        []maillog.Subscription
	logSettings maillog.Settings
	// alertDelivery is delivery but for the interface that alerts leave by.
	alertDelivery *delivery.Settings
}

// trust is what peers' certificates are judged by beside the configuration.
type trust struct {
	system  []*x509.Certificate // authorities that the machine trusts
	revoked func(chain []*x509.Certificate) error
}

// build makes a generation, or says everything that keeps the configuration
// from running. It opens nothing.
func build(c *store.Config, revision uint64, by trust) (*generation, []store.Problem) {
	g := &generation{
		revision: revision, config: c,
		listeners: map[netip.AddrPort]*smtpd.Settings{}, consoles: map[netip.AddrPort]string{},
	}
	var problems []store.Problem
	exceptions, err := exceptionTable(c.Exceptions)
	if err != nil {
		problems = append(problems, store.Problem{Place: "domain exception table", Text: sentence(err), Fix: "exceptionconfig -> EDIT"})
	}
	inbound, err := sslOptions(c.SSL.Inbound)
	if err != nil {
		problems = append(problems, store.Problem{Place: "inbound SSL settings", Text: sentence(err), Fix: "sslconfig -> INBOUND"})
	}
	outbound, err := sslOptions(c.SSL.Outbound)
	if err != nil {
		problems = append(problems, store.Problem{Place: "outbound SSL settings", Text: sentence(err), Fix: "sslconfig -> OUTBOUND"})
	}
	roots := c.Authorities.Roots(by.system)
	inbound.Roots = roots
	if c.Revocation.Listener {
		inbound.Revoked = by.revoked
	}
	largest := int64(0)
	for _, l := range c.Listeners {
		settings, err := listenerSettings(c, l, revision)
		if err == nil {
			settings.TLS, err = listenerTLS(c, l, inbound)
		}
		if err != nil {
			problems = append(problems, store.Problem{
				Place: fmt.Sprintf("listener %q", l.Name), Text: sentence(err), Fix: "listenerconfig -> EDIT",
			})
			// Its sockets are tried all the same: everything is told at once.
			settings = &smtpd.Settings{Listener: l.Name}
		}
		largest = max(largest, largestMessage(settings.HAT))
		for _, addr := range c.Addresses(l) {
			if g.listeners[addr] != nil {
				continue // Validate tells of two listeners on one address
			}
			own := *settings
			own.Addr, own.Exceptions = addr, exceptions
			g.listeners[addr] = &own
			g.sockets = append(g.sockets, socket.Want{Addr: addr, Backlog: l.QueueSize})
		}
	}
	to := newDestinations(c)
	g.delivery = deliverySettings(c, to, g.sockets, revision)
	g.listenForConsoles()
	g.delivery.TLS = deliveryTLS(c, outbound, roots)
	if c.Revocation.Delivery {
		g.delivery.TLS.Revoked = by.revoked
	}
	g.revocation = revocationSettings(c, by.system)
	g.alertDelivery = alertDelivery(c, g.delivery)
	g.alerts = alertSettings(c)
	g.queue = queuePolicy(c, to)
	g.queue.MaxMessage = largest
	if g.dns, err = dnsSettings(c); err != nil {
		problems = append(problems, store.Problem{Place: "DNS", Text: sentence(err), Fix: "dnsconfig -> ANCHORS"})
	}
	for _, l := range c.Logs {
		g.logs = append(g.logs, maillog.Subscription{
			Name: l.Name, Kind: logKind(l.Type), FileName: l.FileName, Level: maillog.Level(l.Level), MaxSize: l.MaxSize, MaxFiles: l.MaxFiles,
		})
	}
	g.logSettings = maillog.Settings(c.LogSettings)
	return g, problems
}

// listenForConsoles adds the SSH ports. Validate tells of one that a listener
// has too.
func (g *generation) listenForConsoles() {
	for _, addr := range g.config.SSHAddresses() {
		if g.listeners[addr] == nil && g.consoles[addr] == "" {
			g.consoles[addr] = g.config.SSHInterface(addr)
			g.sockets = append(g.sockets, socket.Want{Addr: addr})
		}
	}
}

// listener gives the settings of the listener on addr, nil if there is none.
func (g *generation) listener(addr netip.AddrPort) *smtpd.Settings { return g.listeners[addr] }

// limits are those that hold for all listeners.
func limits(r store.Reception) smtpd.Limits {
	lines := r.HeaderLines
	if lines == 0 {
		lines = -1
	}
	return smtpd.Limits{
		HeaderLines: lines, RateWindow: seconds(r.CounterReset), Unsuccessful: seconds(r.Unsuccessful), Total: seconds(r.ConnectionTime),
	}
}

func exceptionTable(all []store.Exception) (policy.Exceptions, error) {
	entries := make([]policy.Exception, len(all))
	for i, e := range all {
		entries[i] = policy.Exception(e)
	}
	return policy.NewExceptions(entries)
}

func listenerSettings(c *store.Config, l store.Listener, revision uint64) (*smtpd.Settings, error) {
	hat, err := hostAccess(l.HAT)
	if err != nil {
		return nil, err
	}
	entries := make([]policy.Entry, len(l.RAT))
	for i, e := range l.RAT {
		entries[i] = policy.Entry(e)
	}
	rat, err := policy.NewRAT(entries)
	if err != nil {
		return nil, err
	}
	on, _ := c.Interface(l.Interface)
	return &smtpd.Settings{
		Listener:       l.Name,
		Interface:      on.Name,
		Hostname:       on.Hostname,
		Public:         l.Type == store.Public,
		HAT:            hat,
		RAT:            rat,
		MaxConnections: l.MaxConnections,
		DefaultDomain:  l.DefaultDomain,
		Received:       l.Received,
		BareLines:      bareLines(l.CleanSMTP),
		BounceProfile:  l.BounceProfile,
		Revision:       revision,

		MaxTotal:         c.Reception.MaxConnections,
		MaxTLS:           c.Reception.MaxTLS,
		Limits:           limits(c.Reception),
		AddMessageID:     c.Reception.AddMessageID,
		RejectRecipients: c.Reception.RejectRecipients,
	}, nil
}

// sslOptions are the protocol versions and ciphers of one direction.
func sslOptions(s store.SSLSettings) (tlsconf.Options, error) {
	var o tlsconf.Options
	var err error
	if o.Min, o.Max, err = tlsconf.ParseMethod(s.Method()); err == nil && s.Ciphers != "" {
		o.Ciphers, err = tlsconf.ParseCiphers(s.Ciphers)
	}
	return o, err
}

// listenerTLS is what a listener shakes hands with; nil if it has no
// certificate.
func listenerTLS(c *store.Config, l store.Listener, o tlsconf.Options) (*smtpd.TLS, error) {
	profile := c.Certificate(l.Certificate)
	if profile == nil {
		return nil, nil // Validate tells of one that does not exist
	}
	pair, err := profile.TLS()
	if err != nil {
		return nil, fmt.Errorf("certificate %q: %w", profile.Name, err)
	}
	o.Certificate = &pair
	with := func(wanted tlsconf.ClientCertificate) *tls.Config {
		o.Clients = wanted
		return tlsconf.Server(o)
	}
	return &smtpd.TLS{NotAsked: with(tlsconf.NotAsked), IfGiven: with(tlsconf.IfGiven), Needed: with(tlsconf.Needed)}, nil
}

// policyTLS translates what a policy says with the defaults filled in.
func policyTLS(t store.PolicyTLS) (policy.TLS, error) {
	modes := map[store.TLSMode]policy.TLSMode{
		store.TLSPreferred: policy.TLSPreferred, store.TLSPreferredVerify: policy.TLSPreferredVerify,
		store.TLSRequired: policy.TLSRequired, store.TLSRequiredVerify: policy.TLSRequiredVerify,
	}
	senders, err := addressTable(t.Addresses)
	return policy.TLS{Mode: modes[t.Mode], Senders: senders}, err
}

// addressTable accepts the addresses of a list as store.ParseExceptions gives
// it; nil of an empty one.
func addressTable(list string) (*policy.RAT, error) {
	if list == "" {
		return nil, nil
	}
	var entries []policy.Entry
	for address := range strings.SplitSeq(list, ", ") {
		entries = append(entries, policy.Entry{Address: address, Accept: true})
	}
	table, err := policy.NewRAT(entries)
	return &table, err
}

func bareLines(c store.CleanSMTP) message.Mode {
	switch c {
	case store.Reject:
		return message.Reject
	case store.Allow:
		return message.Allow
	default:
		return message.Clean
	}
}

func hostAccess(h store.HAT) (policy.HAT, error) {
	standard, err := policyParams(h.Default)
	if err != nil {
		return policy.HAT{}, err
	}
	hat := policy.HAT{Default: standard}
	for _, g := range h.Groups {
		word, params, ok := h.Resolve(g)
		if !ok {
			return hat, fmt.Errorf("sender group %q refers to a policy that does not exist", g.Name)
		}
		behavior, ok := policy.ParseBehavior(string(word))
		if !ok {
			return hat, fmt.Errorf("sender group %q has the unknown behavior %q", g.Name, word)
		}
		members, err := policy.ParseMembers(g.Hosts)
		if err != nil {
			return hat, err
		}
		limits, err := policyParams(params)
		if err != nil {
			return hat, err
		}
		hat.Groups = append(hat.Groups, policy.Group{Name: g.Name, Members: members, Behavior: behavior, Params: limits})
	}
	return hat, nil
}

// policyParams translates parameters with the defaults filled in.
func policyParams(p store.PolicyParams) (policy.Params, error) {
	params := policy.Params{
		MaxSize: p.MaxSize, MaxMessages: p.MaxMessages, MaxRecipients: p.MaxRecipients, MaxConnections: p.MaxConnections,
		BannerHost: p.BannerHost.Name, AcceptReply: policyReply(p.AcceptReply), RejectReply: policyReply(p.RejectReply),
		MaxPerHour: p.MaxPerHour, LimitReply: policyReply(p.LimitReply),
		MaxInvalid: p.MaxInvalid, DropHarvester: p.DropHarvester.Is(), HarvestReply: policyReply(p.HarvestReply),
		SignificantBits: p.SignificantBits,
		UseExceptions:   p.UseExceptions.Is(),
	}
	if check := p.SenderCheck; check.Use.Is() {
		params.SenderCheck = policy.SenderCheck{On: true, Malformed: policyReply(check.Malformed),
			Unresolved: policyReply(check.Unresolved), Nonexistent: policyReply(check.Nonexistent)}
	}
	var err error
	if params.TLS, err = policyTLS(p.TLS); err != nil {
		return params, err
	}
	rate := p.SenderRate
	if !rate.Use.Is() {
		return params, nil
	}
	params.SenderRate = policy.SenderRate{Most: rate.MaxRecipients, Every: time.Duration(rate.Interval) * time.Minute, Reply: policyReply(rate.Reply)}
	params.SenderRate.Exceptions, err = addressTable(rate.Exceptions)
	return params, err
}

func policyReply(r store.Reply) policy.Reply { return policy.Reply{Code: r.Code, Text: r.Text} }

// largestMessage is the largest that any policy of the table takes: the queue
// keeps room for it.
func largestMessage(h policy.HAT) int64 {
	largest := h.Default.MaxSize
	for _, g := range h.Groups {
		largest = max(largest, g.Params.MaxSize)
	}
	return largest
}

func deliverySettings(c *store.Config, to destinations, own []socket.Want, revision uint64) *delivery.Settings {
	s := &delivery.Settings{
		Hostname: c.Hostname,
		Source:   c.Delivery.Interface,
		Routes:   routeTable(c.Routes),
		Possible: c.Delivery.Possible,
		DANE:     delivery.DANE{RouteHosts: c.DANE.RouteHosts, InsecureMX: c.DANE.InsecureMX},
		Revision: revision,
	}
	s.Destination = func(domain string) delivery.Destination { return deliveryDestination(to.find(domain)) }
	for _, i := range c.Interfaces {
		s.Interfaces = append(s.Interfaces, delivery.Interface{
			Name: i.Name, Hostname: i.Hostname, IPv4: i.IPv4.Addr(), IPv6: i.IPv6.Addr(),
		})
	}
	for _, want := range own {
		s.Self = append(s.Self, want.Addr)
	}
	return s
}

// alertDelivery is how alerts are delivered: as all mail, from the interface
// that is chosen for them.
func alertDelivery(c *store.Config, all *delivery.Settings) *delivery.Settings {
	if c.Alerts.Interface == "" {
		return all
	}
	own := *all
	own.Source = c.Alerts.Interface
	return &own
}

func alertSettings(c *store.Config) alert.Settings {
	// Validated before: an address that does not parse is none.
	from, _ := envelope.ParseAddress(c.Alerts.From)
	s := alert.Settings{
		Hostname: c.Hostname, From: from, Keep: c.Alerts.Stored,
		Initial: seconds(c.Alerts.InitialWait), Max: seconds(c.Alerts.MaxWait),
	}
	for _, r := range c.Alerts.Recipients {
		if to, err := envelope.ParseAddress(r.Address); err == nil {
			s.Recipients = append(s.Recipients, alert.Recipient{Address: to, Wants: func(a alert.Alert) bool {
				return r.Wants(store.AlertClass(a.Class), store.AlertSeverity(a.Severity))
			}})
		}
	}
	for _, p := range c.Certificates {
		if leaf, err := p.Leaf(); err == nil {
			s.Certificates = append(s.Certificates, alert.Certificate{
				Name: p.Name, Fingerprint: store.Fingerprint(leaf), CommonName: store.CommonName(leaf),
				NotAfter: leaf.NotAfter, Uses: c.CertificateUses(p.Name),
			})
		}
	}
	if c.Authorities.Custom {
		for _, a := range c.Authorities.List {
			if cert, err := a.Certificate(); err == nil {
				s.Certificates = append(s.Certificates, alert.Certificate{
					Name: store.CommonName(cert), Authority: true, Fingerprint: store.Fingerprint(cert),
					CommonName: store.CommonName(cert), NotAfter: cert.NotAfter,
				})
			}
		}
	}
	return s
}

// deliveryTLS is what hosts are spoken to with.
func deliveryTLS(c *store.Config, o tlsconf.Options, roots *x509.CertPool) delivery.TLS {
	with := delivery.TLS{Min: o.Min, Max: o.Max, Ciphers: o.Ciphers, Roots: roots}
	if profile := c.Certificate(c.Destinations.Certificate); profile != nil {
		// Validated before: one that cannot be used is not shown.
		if pair, err := profile.TLS(); err == nil {
			with.Certificate = &pair
		}
	}
	return with
}

func routeTable(routes []store.Route) route.Table {
	rows := make([]route.Route, len(routes))
	for i, r := range routes {
		rows[i] = route.Route{Domain: r.Domain, UseDNS: r.UseDNS, Discard: r.Discard}
		for _, h := range r.Hosts {
			rows[i].Hosts = append(rows[i].Hosts, route.Host{
				Name: h.Host, Port: h.Port, Priority: h.Priority, Bracketed: h.Bracketed,
			})
		}
	}
	return route.NewTable(rows)
}

// queuePolicy resolves every bounce profile once: that of the destination,
// else that of the listener a message came by, which the message names.
func queuePolicy(c *store.Config, to destinations) queue.Policy {
	profiles := map[string]bounce.Profile{}
	for _, p := range c.BounceProfiles {
		profiles[p.Name] = bounceProfile(c.Profile(p.Name))
	}
	standard := bounceProfile(c.Profile(store.DefaultProfile))
	host := c.Profile(store.DefaultProfile)
	return queue.Policy{
		Concurrency:    c.Delivery.Concurrency,
		TLSConcurrency: c.Delivery.TLSConcurrency,
		Interface:      c.Delivery.Interface,
		Limits:         func(domain string) queue.Limits { return queueLimits(to.find(domain)) },
		Profile: func(m *envelope.Message, domain string) bounce.Profile {
			if p, ok := profiles[cmp.Or(to.find(domain).BounceProfile, m.BounceProfile)]; ok {
				return p
			}
			return standard
		},
		HostRetry:  queue.HostRetry{Initial: seconds(host.HostInitialRetry), Max: seconds(host.HostMaxRetry)},
		BounceDown: c.BounceDown, PerFileSync: c.Queue.EachFile,
	}
}

func bounceProfile(p store.BounceProfile) bounce.Profile {
	// Validated before: an alternate address that does not parse is none.
	alternate, _ := envelope.ParseAddress(p.Alternate)
	return bounce.Profile{
		Name:         p.Name,
		MaxRetries:   p.MaxRetries,
		MaxLifetime:  seconds(p.MaxLifetime),
		InitialRetry: seconds(p.InitialRetry),
		MaxRetry:     seconds(p.MaxRetry),
		Send:         p.SendBounces.Is(),
		DSNFormat:    p.UseDSN.Is(),
		ParseStatus:  p.ParseStatus.Is(),
		Subject:      p.Subject,
		Warn:         p.SendWarnings.Is(),
		WarnSubject:  p.WarningSubject,
		WarnInterval: seconds(p.WarningInterval),
		WarnCount:    p.WarningCount,
		Alternate:    alternate,
		MaxCopy:      int64(p.MaxCopy),
	}
}

func dnsSettings(c *store.Config) (dns.Settings, error) {
	s := dns.Settings{
		ReverseTimeout: seconds(c.DNS.ReverseTimeout),
		MinTTL:         seconds(c.DNS.MinTTL),
		DNSSEC:         dnssec.Policy{Skew: dnssec.DefaultSkew, SHA1: c.DANE.SHA1},
	}
	var err error
	if len(c.DNS.Anchors) > 0 {
		s.DNSSEC.Anchor, err = dnssec.ParseAnchors(strings.Join(c.DNS.Anchors, "\n"))
	}
	if c.DNS.FromRoot {
		s.Roots = rootServers(c.DNS.Roots)
	}
	for _, server := range c.DNS.Servers {
		s.Servers = append(s.Servers, dns.Server{Addr: server.Addr, Priority: server.Priority})
	}
	for _, a := range c.DNS.Alternates {
		s.Alternates = append(s.Alternates, dns.Alternate{Domain: a.Domain, Servers: a.Servers})
	}
	if i, ok := c.Interface(c.DNS.Interface); ok && i.IPv4.IsValid() {
		s.Source = i.IPv4.Addr()
	} else if ok {
		s.Source = i.IPv6.Addr()
	}
	return s, err
}

// rootServers are those that are configured, else those built in.
func rootServers(configured []store.RootServer) []dns.Root {
	if len(configured) == 0 {
		return dns.RootServers()
	}
	roots := make([]dns.Root, len(configured))
	for i, r := range configured {
		roots[i] = dns.Root{Name: r.Name, Addrs: []netip.AddrPort{r.Addr}}
	}
	return roots
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
