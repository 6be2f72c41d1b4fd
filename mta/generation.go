package mta

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"esa/mta/bounce"
	"esa/mta/delivery"
	"esa/mta/dns"
	"esa/mta/envelope"
	"esa/mta/maillog"
	"esa/mta/message"
	"esa/mta/policy"
	"esa/mta/queue"
	"esa/mta/route"
	"esa/mta/smtpd"
	"esa/mta/socket"
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
	sockets     []socket.Want
	delivery    *delivery.Settings
	queue       queue.Policy
	dns         dns.Settings
	logs        []maillog.Subscription
	logSettings maillog.Settings
}

// build makes a generation, or says everything that keeps the configuration
// from running. It opens nothing.
func build(c *store.Config, revision uint64) (*generation, []store.Problem) {
	g := &generation{revision: revision, config: c, listeners: map[netip.AddrPort]*smtpd.Settings{}}
	var problems []store.Problem
	exceptions, err := exceptionTable(c.Exceptions)
	if err != nil {
		problems = append(problems, store.Problem{Place: "domain exception table", Text: sentence(err), Fix: "exceptionconfig -> EDIT"})
	}
	largest := int64(0)
	for _, l := range c.Listeners {
		settings, err := listenerSettings(c, l, revision)
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
	g.queue = queuePolicy(c, to)
	g.queue.MaxMessage = largest
	g.dns = dnsSettings(c)
	for _, l := range c.Logs {
		g.logs = append(g.logs, maillog.Subscription{
			Name: l.Name, FileName: l.FileName, Level: maillog.Level(l.Level), MaxSize: l.MaxSize, MaxFiles: l.MaxFiles,
		})
	}
	g.logSettings = maillog.Settings(c.LogSettings)
	return g, problems
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
		Limits:           limits(c.Reception),
		AddMessageID:     c.Reception.AddMessageID,
		RejectRecipients: c.Reception.RejectRecipients,
	}, nil
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
	rate := p.SenderRate
	if !rate.Use.Is() {
		return params, nil
	}
	params.SenderRate = policy.SenderRate{Most: rate.MaxRecipients, Every: time.Duration(rate.Interval) * time.Minute, Reply: policyReply(rate.Reply)}
	if rate.Exceptions != "" {
		var entries []policy.Entry
		for address := range strings.SplitSeq(rate.Exceptions, ", ") {
			entries = append(entries, policy.Entry{Address: address, Accept: true})
		}
		table, err := policy.NewRAT(entries)
		if err != nil {
			return params, err
		}
		params.SenderRate.Exceptions = &table
	}
	return params, nil
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
		Concurrency: c.Delivery.Concurrency,
		Interface:   c.Delivery.Interface,
		Limits:      func(domain string) queue.Limits { return queueLimits(to.find(domain)) },
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

func dnsSettings(c *store.Config) dns.Settings {
	s := dns.Settings{
		ReverseTimeout: seconds(c.DNS.ReverseTimeout),
		MinTTL:         seconds(c.DNS.MinTTL),
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
	return s
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
