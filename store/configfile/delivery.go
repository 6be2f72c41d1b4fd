package configfile

import (
	"slices"
	"strings"

	"esa/store"
)

// delivery is where mail goes, and what becomes of what cannot be delivered.
func delivery() []element[store.Config] {
	return []element[store.Config]{
		group("delivery_settings", func(c *store.Config) *store.Delivery { return &c.Delivery },
			interfaceName("delivery_interface", func(d *store.Delivery) *string { return &d.Interface }),
			leaf("possible_delivery", flag(), func(d *store.Delivery) *bool { return &d.Possible }),
			leaf("max_outbound_concurrency", number[int](), func(d *store.Delivery) *int { return &d.Concurrency }),
			leaf("max_outbound_tls_concurrency", number[int](), func(d *store.Delivery) *int { return &d.TLSConcurrency })),
		group("queue_settings", func(c *store.Config) *store.Queue { return &c.Queue },
			leaf("sync_each_message", flag(), func(q *store.Queue) *bool { return &q.EachFile })),
		routes(),
		group("destination_controls", func(c *store.Config) *store.Destinations { return &c.Destinations },
			leaf("certificate_name", text[string](), func(d *store.Destinations) *string { return &d.Certificate }),
			leaf("send_tls_req_alert", flag(), func(d *store.Destinations) *bool { return &d.AlertTLS }),
			group("default_destination", func(d *store.Destinations) *store.Destination { return &d.Default }, always(destinationFields()[1:])...),
			plain("destinations/destination", func(d *store.Destinations) *[]store.Destination { return &d.Entries }, store.MaxDestinationEntries,
				append([]element[store.Destination]{
					leaf("destination_domain", word(store.ParseDestination), func(d *store.Destination) *string { return &d.Domain }),
				}, destinationFields()...)...)),
		group("dane_settings", func(c *store.Config) *store.DANE { return &c.DANE },
			leaf("dane_route_hosts", flag(), func(d *store.DANE) *bool { return &d.RouteHosts }),
			leaf("dane_insecure_mx", flag(), func(d *store.DANE) *bool { return &d.InsecureMX }),
			leaf("dane_sha1", flag(), func(d *store.DANE) *bool { return &d.SHA1 })),
		bounceProfiles(),
		leaf("global_bounce_all_down_host", flag(), func(c *store.Config) *bool { return &c.BounceDown }),
	}
}

// routeForm is a route as the file has it: its hosts in the form they are typed.
type routeForm struct{ domain, hosts string }

func routes() element[store.Config] {
	return list[store.Config, routeForm]{
		name: "smtp_routes", item: "smtp_route", most: store.MaxRoutes,
		all: func(c *store.Config) []routeForm {
			return formsOf(c.Routes, func(r store.Route) routeForm { return routeForm{r.Domain, r.String()} })
		},
		keep: func(r *reader, e tag, c *store.Config, forms []routeForm) {
			c.Routes = entriesOf(r, e, forms, func(f routeForm) (store.Route, error) {
				route, err := store.ParseRouteHosts(f.hosts)
				route.Domain = f.domain
				return route, err
			})
		},
		fields: []element[routeForm]{
			leaf("route_domain", word(store.ParseRouteDomain), func(f *routeForm) *string { return &f.domain }),
			leaf("route_hosts", text[string](), func(f *routeForm) *string { return &f.hosts }),
		},
	}.element()
}

// destinationFields are named as in the text form of destconfig. What leaves
// its value to the default is not there.
func destinationFields() []element[store.Destination] {
	return []element[store.Destination]{
		optional("bounce_profile_name", text[string](), func(d *store.Destination) *string { return &d.BounceProfile }), // not in the default
		optional("max_host_concurrency", number[int](), func(d *store.Destination) *int { return &d.Concurrency }),
		optional("max_messages_per_connection", number[int](), func(d *store.Destination) *int { return &d.MaxMessages }),
		optional("recipient_minutes", number[int](), func(d *store.Destination) *int { return &d.RecipientMinutes }),
		optional("recipient_limit", number[int](), func(d *store.Destination) *int { return &d.RecipientLimit }),
		optional("limit_type", word(store.ParseScope), func(d *store.Destination) *store.LimitScope { return &d.Scope }),
		optional("limit_apply", word(store.ParsePlace), func(d *store.Destination) *store.LimitPlace { return &d.Place }),
		optional("ip_sort_pref", word(store.ParseFamilyOrder), func(d *store.Destination) *store.FamilyOrder { return &d.Family }),
		optional("table_tls", word(store.ParseDestinationTLS), func(d *store.Destination) *store.TLSMode { return &d.TLS }),
		optional("dane", word(store.ParseDANE), func(d *store.Destination) *store.DANEMode { return &d.DANE }),
	}
}

// always makes optional elements of what has no default: they are written
// whatever they hold.
func always[T any](fields []element[T]) []element[T] {
	for i := range fields {
		fields[i].unless = nil
	}
	return fields
}

// bounceProfiles are the profiles; what one leaves to Default is not there.
func bounceProfiles() element[store.Config] {
	return list[store.Config, store.BounceProfile]{
		name: "bounce_profiles", item: "bounce_profile", most: store.MaxProfiles, fields: bounceFields(),
		all:   func(c *store.Config) []store.BounceProfile { return c.BounceProfiles },
		fresh: func() store.BounceProfile { return store.BounceProfile{MaxCopy: notSaid} },
		keep: func(_ *reader, _ tag, c *store.Config, profiles []store.BounceProfile) {
			c.BounceProfiles = wholeProfiles(c.Profile(store.DefaultProfile), profiles)
		},
	}.element()
}

// notSaid is a number that a profile does not have.
const notSaid = -1

// wholeProfiles puts Default first, with what the file does not say of it as it
// was.
func wholeProfiles(before store.BounceProfile, profiles []store.BounceProfile) []store.BounceProfile {
	isDefault := func(p store.BounceProfile) bool { return p.Name == store.DefaultProfile }
	read := store.BounceProfile{Name: store.DefaultProfile, Alternate: before.Alternate, MaxCopy: notSaid}
	if n := slices.IndexFunc(profiles, isDefault); n >= 0 {
		read = profiles[n]
		profiles = slices.Delete(profiles, n, n+1)
	}
	// A configuration of the two fills the one from the other.
	read.Name = "read"
	whole := (&store.Config{BounceProfiles: []store.BounceProfile{before, read}}).Profile("read")
	whole.Name = store.DefaultProfile
	whole.HostInitialRetry, whole.HostMaxRetry = read.HostInitialRetry, read.HostMaxRetry
	if whole.HostInitialRetry == 0 {
		whole.HostInitialRetry = before.HostInitialRetry
	}
	if whole.HostMaxRetry == 0 {
		whole.HostMaxRetry = before.HostMaxRetry
	}
	if read.MaxCopy != notSaid {
		whole.MaxCopy = read.MaxCopy
	}
	for i := range profiles {
		if profiles[i].MaxCopy == notSaid {
			profiles[i].MaxCopy = 0
		}
	}
	return append([]store.BounceProfile{whole}, profiles...)
}

func bounceFields() []element[store.BounceProfile] {
	copied := leaf("max_bounce_copy", number[int](), func(b *store.BounceProfile) *int { return &b.MaxCopy })
	copied.unless = func(b *store.BounceProfile) bool { return b.Name != store.DefaultProfile && b.MaxCopy == 0 }
	return []element[store.BounceProfile]{
		leaf("bounce_profile_name", word(store.ParseProfileName), func(b *store.BounceProfile) *string { return &b.Name }),
		optional("max_retries", number[int](), func(b *store.BounceProfile) *int { return &b.MaxRetries }),
		optional("max_queue_lifetime", number[int](), func(b *store.BounceProfile) *int { return &b.MaxLifetime }),
		optional("initial_retry", number[int](), func(b *store.BounceProfile) *int { return &b.InitialRetry }),
		optional("max_retry_time", number[int](), func(b *store.BounceProfile) *int { return &b.MaxRetry }),
		optional("send_bounces", tri(), func(b *store.BounceProfile) *store.Tri { return &b.SendBounces }),
		optional("use_dsn_bounce_format", tri(), func(b *store.BounceProfile) *store.Tri { return &b.UseDSN }),
		optional("parse_dsn_status", tri(), func(b *store.BounceProfile) *store.Tri { return &b.ParseStatus }),
		optional("bounce_subject", text[string](), func(b *store.BounceProfile) *string { return &b.Subject }),
		optional("send_warnings", tri(), func(b *store.BounceProfile) *store.Tri { return &b.SendWarnings }),
		optional("send_warnings_interval", number[int](), func(b *store.BounceProfile) *int { return &b.WarningInterval }),
		optional("send_warnings_count", number[int](), func(b *store.BounceProfile) *int { return &b.WarningCount }),
		optional("send_warnings_subject", text[string](), func(b *store.BounceProfile) *string { return &b.WarningSubject }),
		optional("alternate_bounce_address", word(noneOr(store.ParseEmail)), func(b *store.BounceProfile) *string { return &b.Alternate }),
		optional("initial_host_retry", number[int](), func(b *store.BounceProfile) *int { return &b.HostInitialRetry }),
		optional("max_host_retry_time", number[int](), func(b *store.BounceProfile) *int { return &b.HostMaxRetry }),
		copied,
	}
}

// noneOr takes the word None for an empty text.
func noneOr(parse func(string) (string, error)) func(string) (string, error) {
	return func(s string) (string, error) {
		if strings.EqualFold(s, "none") {
			return "", nil
		}
		return parse(s)
	}
}
