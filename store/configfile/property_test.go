package configfile

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"esa/store"
)

// maker makes random configurations by walking the declarations of the tree.
// A value that a reader would refuse is in rules; everything else is made of
// its kind. A field of a new kind, or one that no element of the file is
// about, fails TestRoundTrip.
type maker struct {
	*rand.Rand
	n     int // makes names differ
	rules map[string]func(m *maker) any
	demo  []store.Certificate
	seen  map[string]map[string]bool // what each field held
}

// made is what a rule gives.
func (m *maker) name(prefix string) string {
	m.n++
	return fmt.Sprintf("%s%d", prefix, m.n)
}

// oneOf picks a value.
func oneOf[T any](m *maker, values ...T) T { return values[m.IntN(len(values))] }

// strange are texts that are hard to write.
func strange() []string {
	return []string{"", "plain", " blanks around ", `<a> & "b" 'c' ]]> -->`, "Grüße, €, \U0001f600", "a\tb", "line one #\nme> \n[x]> \nlast", "***", "$x"}
}

// accessRules are those of who may operate the gateway, and of archives.
func accessRules() map[string]func(m *maker) any {
	return map[string]func(m *maker) any{
		"User.Name":          func(m *maker) any { return m.name("user") },
		"User.Role":          func(m *maker) any { return oneOf(m, store.Roles()...) },
		"User.Keys":          func(m *maker) any { return oneOf(m, nil, []string{"ssh-ed25519 AAAA me@example.com", "ssh-rsa BBBB"}) },
		"User.Changed":       func(m *maker) any { return store.Day(m.IntN(20000)) },
		"User.Passphrase":    func(m *maker) any { return oneOf(m, "", "$argon2id$v=19$m=19456,t=2,p=1$"+m.name("salt")) },
		"Archive.Passphrase": func(m *maker) any { return oneOf(m, "", " blanks around ", "********", m.name("a <b> & \"c\" ")) },
		"User.Former":        func(m *maker) any { return oneOf(m, nil, []store.Secret{"$argon2id$one", "$argon2id$two"}) },
		"Archive.Secrets":    func(m *maker) any { return oneOf(m, store.ArchiveSecretsChoices()...) },
	}
}

// rules gives values for fields that do not take any of their kind, by type and
// field, or by type.
func rules() map[string]func(m *maker) any {
	hostname := func(m *maker) any { return m.name("host") + oneOf(m, ".example.com", ".Example.net", "") }
	interfaceName := func(m *maker) any { return oneOf(m, "Management", "Data_1", "") }
	email := func(m *maker) any { return m.name("user") + "@example.com" }
	addr := func(m *maker) any {
		return oneOf(m, netip.MustParseAddrPort("192.0.2.7:53"), netip.MustParseAddrPort("[2001:db8::7]:5353"), netip.MustParseAddrPort("198.51.100.1:1"))
	}
	positive := func(m *maker) any { return 1 + m.IntN(1000) }
	profile := func(m *maker) any { return oneOf(m, "", "slow", "fast_1") }
	certificate := func(m *maker) any { return oneOf(m, "", "mx.example.com", "Demo") }
	return map[string]func(m *maker) any{
		"Config.Hostname":       hostname,
		"Config.BounceProfiles": func(m *maker) any { return m.profiles() },
		"Config.Certificates":   func(m *maker) any { return m.certificates() },
		"Interface.Name":        func(m *maker) any { return m.name("if_") },
		"Interface.Hostname":    hostname,
		"Interface.IPv4": func(m *maker) any {
			return oneOf(m, netip.Prefix{}, netip.MustParsePrefix("10.1.2.3/24"), netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("192.0.2.1/32"))
		},
		"Interface.IPv6": func(m *maker) any {
			return oneOf(m, netip.Prefix{}, netip.MustParsePrefix("2001:db8::1/64"), netip.MustParsePrefix("::1/128"))
		},
		"Delivery.Interface":      interfaceName,
		"DNS.Interface":           interfaceName,
		"Alerts.Interface":        interfaceName,
		"Listener.Interface":      func(m *maker) any { return oneOf(m, "Management", "Data_1") },
		"Route":                   func(m *maker) any { return m.route() },
		"Destination.Domain":      func(m *maker) any { return oneOf(m, "example.com", ".example.org", "192.0.2.9", "2001:db8::9") },
		"Destination.Scope":       func(m *maker) any { return oneOf(m, "", store.WholeDomain, store.EachMX) },
		"Destination.Place":       func(m *maker) any { return oneOf(m, "", store.SystemWide, store.EachInterface) },
		"Destination.Family":      func(m *maker) any { return oneOf(m, append(store.FamilyOrders(), "")...) },
		"Destination.TLS":         func(m *maker) any { return oneOf(m, append(store.DestinationTLSModes(), "")...) },
		"Destination.DANE":        func(m *maker) any { return oneOf(m, append(store.DANEModes(), "")...) },
		"DNSServer.Addr":          addr,
		"RootServer.Addr":         addr,
		"AlternateDNS.Domain":     func(m *maker) any { return m.name("alt") + ".example" },
		"AlternateDNS.Servers":    func(m *maker) any { return []netip.AddrPort{addr(m).(netip.AddrPort), addr(m).(netip.AddrPort)} },
		"Listener.Name":           func(m *maker) any { return m.name("Listener_") },
		"Listener.Type":           func(m *maker) any { return oneOf(m, store.Public, store.Private) },
		"Listener.Port":           func(m *maker) any { return uint16(1 + m.IntN(65535)) },
		"Listener.MaxConnections": positive,
		"Listener.QueueSize":      positive,
		"Listener.CleanSMTP":      func(m *maker) any { return oneOf(m, store.Clean, store.Reject, store.Allow) },
		"Listener.BounceProfile":  profile,
		"Listener.Certificate":    certificate,
		"Listener.HAT":            func(m *maker) any { return m.hat() },
		"RATEntry.Address":        func(m *maker) any { return oneOf(m, "ALL", "example.com", ".example.com", "user@", "user@example.com") },
		"Exception.Address":       func(m *maker) any { return oneOf(m, "@example.com", "user@example.com", "user@", "@[192.0.2.1]") },
		"BounceProfile.Name":      func(m *maker) any { return m.name("profile_") },
		"BounceProfile.Alternate": func(m *maker) any { return oneOf(m, "", email(m).(string)) },
		"LogSubscription.Name":    func(m *maker) any { return m.name("log.") },
		"LogSubscription.Type":    func(m *maker) any { return oneOf(m, store.LogTypes()...) },
		"Secret": func(m *maker) any {
			return oneOf(m, "", "$argon2id$v=19$m=19456,t=2,p=1$"+m.name("salt"), "-----BEGIN X-----\n"+m.name("x")+"\n-----END X-----\n")
		},
		"SSHD.Signatures":          func(m *maker) any { return oneOf(m, nil, []string{"ssh-ed25519", "rsa-sha2-512"}) },
		"SSHD.Ciphers":             func(m *maker) any { return oneOf(m, nil, []string{"aes256-ctr", "aes128-gcm@openssh.com"}) },
		"SSHD.MACs":                func(m *maker) any { return oneOf(m, nil, []string{"hmac-sha2-256"}) },
		"SSHD.KEX":                 func(m *maker) any { return oneOf(m, nil, []string{"curve25519-sha256"}) },
		"AdminAccess.Sources":      func(m *maker) any { return oneOf(m, nil, []string{"10.1.1.0/24", "192.0.2.1"}) },
		"LogSubscription.Level":    func(m *maker) any { return 1 + m.IntN(5) },
		"LogSubscription.FileName": func(m *maker) any { return m.name("file") },
		"Authority":                func(m *maker) any { return store.Authority(oneOf(m, m.demo...).Chain) },
		"CRLSource.Refresh": func(m *maker) any {
			return oneOf(m, store.DailyCRL(), store.CRLSchedule{Hours: 1}, store.CRLSchedule{Hours: 7}, store.CRLSchedule{Day: "Monday", Minute: 61})
		},
		"SSLSettings.Versions": func(m *maker) any {
			return oneOf(m, store.TLSVersions()[2:], store.TLSVersions()[:1], store.TLSVersions())
		},
		"Alerts.From":            func(m *maker) any { return oneOf(m, "", email(m).(string)) },
		"AlertRecipient.Address": email,
		"AlertRecipient.Classes": func(m *maker) any { return oneOf(m, store.AlertClasses()[:1], store.AlertClasses()[1:]) },
		"AlertRecipient.Severities": func(m *maker) any {
			return oneOf(m, store.AlertSeverities()[:1], store.AlertSeverities()[1:3], store.AlertSeverities()[2:])
		},
	}
}

func (m *maker) route() store.Route {
	hosts := oneOf(m, "USEDNS", "/dev/null", "mx.example.com", "[mx.example.com]:2525/pri=5, 192.0.2.1, [2001:db8::1]:26")
	r, err := store.ParseRouteHosts(hosts)
	if err != nil {
		panic(err)
	}
	r.Domain = oneOf(m, "ALL", "example.com", ".example.org", "[192.0.2.1]")
	return r
}

func (m *maker) profiles() []store.BounceProfile {
	var all []store.BounceProfile
	m.fill("", reflect.ValueOf(&all).Elem())
	first := store.Factory(store.FactoryFacts{}).BounceProfiles[0]
	first.MaxRetries, first.MaxCopy, first.Alternate, first.Subject = 1+m.IntN(100), m.IntN(3)*1024, oneOf(m, "", "x@example.com"), oneOf(m, "Nein", "Grüße")
	first.HostInitialRetry, first.HostMaxRetry, first.SendWarnings = 1+m.IntN(100), 100+m.IntN(100), oneOf(m, store.Yes, store.No)
	return append([]store.BounceProfile{first}, all...)
}

func (m *maker) certificates() []store.Certificate {
	var all []store.Certificate
	for range m.IntN(3) {
		c := oneOf(m, m.demo...)
		c.Name = oneOf(m, "mx.example.com", "Demo")
		all = append(all, c)
	}
	return all
}

// hat makes a table that is valid: it is read as a whole.
func (m *maker) hat() store.HAT {
	h := store.NewListener("", store.Public).HAT
	h.Default.MaxMessages = 1 + m.IntN(1000)
	h.Default.MaxSize = int64(1024 + m.IntN(1000000))
	m.params(&h.Default)
	for range m.IntN(3) {
		p := store.Policy{Name: m.name("POLICY"), Behavior: oneOf(m, store.Behaviors()...)}
		m.params(&p.Params)
		h.Policies = append(h.Policies, p)
		h.Groups = slices.Insert(h.Groups, 0, store.SenderGroup{
			Name: m.name("group"), Policy: p.Name, Hosts: oneOf(m, nil, []string{"10.1.1.0/24", ".example.com", "dnslist[bl.example.com]"}, []string{"2001:db8::/32", "10.1.1.1-10.1.1.9"}),
			Comment: oneOf(m, "", "(brackets)", "a (b", "x) #", "<&> Grüße"),
		})
	}
	return h
}

// params sets some of the parameters in all their states.
func (m *maker) params(p *store.PolicyParams) {
	reply := func(code int) store.Reply {
		return oneOf(m, store.Reply{}, store.Reply{Use: store.No}, store.Reply{Use: store.Yes, Code: code, Text: oneOf(m, "one", "two\nlines #\n<end>", `back\slash "quoted"`)})
	}
	given := func(code int) store.Reply {
		r := reply(code)
		r.Use = store.TriOf(r.Use.Is())
		return r
	}
	p.AcceptReply, p.RejectReply, p.LimitReply, p.HarvestReply = reply(220), reply(554), reply(452), reply(550)
	p.BannerHost = oneOf(m, store.BannerHost{}, store.BannerHost{Use: store.No}, store.BannerHost{Use: store.Yes, Name: "mx.example.com"})
	p.MaxPerHour, p.MaxInvalid, p.SignificantBits = oneOf(m, 0, 7, store.NoLimit), oneOf(m, 0, 8, store.NoLimit), oneOf(m, 0, 24, store.NoLimit)
	p.DropHarvester, p.UseExceptions = oneOf(m, store.Inherit, store.Yes, store.No), oneOf(m, store.Inherit, store.Yes, store.No)
	p.SenderRate = oneOf(m, store.SenderRate{}, store.SenderRate{Use: store.No},
		store.SenderRate{Use: store.Yes, MaxRecipients: 5, Interval: 60, Reply: given(452), Exceptions: "a@example.com, example.net"})
	p.TLS = oneOf(m, store.PolicyTLS{}, store.PolicyTLS{Mode: store.TLSOff}, store.PolicyTLS{Mode: store.TLSPreferred, Addresses: "user@example.com"}, store.PolicyTLS{Mode: store.TLSRequiredVerify})
	p.SenderCheck = oneOf(m, store.SenderCheck{}, store.SenderCheck{Use: store.No},
		store.SenderCheck{Use: store.Yes, Malformed: given(553), Unresolved: given(451), Nonexistent: given(550)})
}

// fill gives a value something that its field may hold.
func (m *maker) fill(field string, v reflect.Value) {
	defer func() {
		if m.seen[field] == nil {
			m.seen[field] = map[string]bool{}
		}
		m.seen[field][fmt.Sprintf("%#v", v.Interface())] = true
	}()
	for _, key := range []string{field, v.Type().Name()} {
		if rule, ok := m.rules[key]; ok {
			if made := reflect.ValueOf(rule(m)); made.IsValid() {
				v.Set(made.Convert(v.Type()))
			}
			return
		}
	}
	switch v.Kind() {
	case reflect.String:
		if v.Type() == reflect.TypeFor[store.Tri]() {
			v.SetString(string(oneOf(m, store.Inherit, store.Yes, store.No)))
			return
		}
		v.SetString(oneOf(m, strange()...))
	case reflect.Bool:
		v.SetBool(m.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(m.IntN(5000)))
	case reflect.Uint16:
		v.SetUint(uint64(m.IntN(2) * m.IntN(65536)))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), m.IntN(4), 4))
		for i := range v.Len() {
			m.fill(field+"[]", v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			m.fill(v.Type().Name()+"."+v.Type().Field(i).Name, v.Field(i))
		}
	default:
		panic(field + ": there is no rule for " + v.Kind().String())
	}
}

func newMaker(t testing.TB, seed uint64) *maker {
	t.Helper()
	m := &maker{Rand: rand.New(rand.NewPCG(seed, 7)), seen: map[string]map[string]bool{}, rules: rules()}
	maps.Copy(m.rules, accessRules())
	for range 2 {
		key, err := store.NewKey(store.P256)
		if err != nil {
			t.Fatal(err)
		}
		c, err := store.NewDemo(key, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		m.demo = append(m.demo, c)
	}
	return m
}

func (m *maker) config() *store.Config {
	var c store.Config
	m.fill("", reflect.ValueOf(&c).Elem())
	c.Destinations.Default.Domain, c.Destinations.Default.BounceProfile = "", ""
	for i := range c.Listeners {
		if c.Listeners[i].Type == store.Private {
			c.Listeners[i].RAT = nil
		}
	}
	return c.Clone()
}

// about is what files of the tests say of their gateway.
func about() About {
	return About{
		Product: "esa mail gateway", Model: "esa", Version: "0.1.0-001", Serial: "0123456789AB-CDEF012", MemoryMB: 2000,
		Time: time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC),
	}
}

// written gives a file.
func written(t testing.TB, c *store.Config, o Options) string {
	t.Helper()
	o.About = about()
	var b bytes.Buffer
	if err := Write(&b, c, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestRoundTrip: every setting comes back from a file that is loaded into a
// gateway as it leaves the factory, or into any other.
func TestRoundTrip(t *testing.T) {
	m := newMaker(t, 1)
	base := store.Factory(store.FactoryFacts{Hostname: "new.example.com"})
	for i := range 100 {
		c := m.config()
		file := written(t, c, Options{Secrets: Plain})
		read, err := Read(t.Context(), []byte(file), base, ReadOptions{Product: about().Product})
		if err != nil {
			t.Fatalf("configuration %d: %v\n%s", i, err, file)
		}
		if !read.Config.Equal(c) {
			t.Fatalf("configuration %d has other values:\n%s\n%s", i, store.FormatChanges(store.Diff(c, read.Config)), file)
		}
		if len(read.Notes) > 0 {
			t.Errorf("configuration %d: %s", i, strings.Join(read.Notes, "\n"))
		}
		if again := written(t, read.Config, Options{Secrets: Plain}); again != file {
			t.Fatalf("configuration %d is written otherwise the second time", i)
		}
		base = c // a whole file leaves nothing of what was there before
	}
	for field, values := range m.seen {
		if len(values) < 2 {
			t.Errorf("%s always held the same: %v", field, values)
		}
	}
}
