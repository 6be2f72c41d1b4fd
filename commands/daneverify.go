package commands

import (
	"context"
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
	"time"

	"esa/mta/envelope"
	"esa/mta/lookup"
	"esa/shell"
	"esa/store"
)

// daneverify tries whether DANE protects the mail to a domain (reference
// dane-dnssec 2).
func daneverify() Command {
	return Command{
		Name:  "daneverify",
		Short: "Verify DANE support of a domain.",
		Long: `Looks up the mail hosts of a domain, with what DNSSEC proves of each answer,
connects to them on port 25 and holds their certificates against their TLSA
records (RFC 7672). No mail is sent. It ends with the first host that passes.
The exit status is 0 on DANE SUCCESS and 1 otherwise. SMTP routes are looked at
by destinations alone. Every DNS lookup is in mail_logs at the level Debug.

With all, every address of every host is tried, and all of them must pass. It
shows the TLSA records, the names that a certificate may be for, the certificate
and the days until it expires, which record matched it (usage, selector,
matching type; depth 0 is the host's own certificate), and in a word why a host
fails.

Several domains, or those of a file in the configuration directory (one a line,
"#" begins a comment), are tried at the same time: a line for each as it is
done, then a table of how they ended. The exit status is 0 if all succeeded.

destinations tries every domain of destconfig and of the queue and tells what
would become of mail to it with DANE Opportunistic and with Mandatory. Where an
SMTP route takes mail to hosts, and daneconfig has DANE done for them, it tries
those, on the ports of the route. "DANE" is sent authenticated, "TLS ..." as the
TLS setting says because DANE does not apply, "encrypted" with any certificate,
"waits" is not sent while that lasts, "bounces" is returned, and "-" is decided
by what stands beside it.

json gives all that was found, an object a line.

daneverify works on any machine: where no gateway is configured the DNS servers
of the system are asked.`,
		Forms: []Form{
			{Usage: "daneverify DOMAIN...", Run: daneDomains},
			{Usage: "daneverify all DOMAIN", Run: daneAll},
			{Usage: "daneverify file FILE", Run: daneFile},
			{Usage: "daneverify destinations", Run: daneDestinations},
			{Usage: "daneverify json DOMAIN...", Run: daneJSON},
			{Usage: "daneverify json file FILE", Run: daneJSONFile},
		},
		Dialog: func(d *Dialog, env Env) error {
			domain := shell.Ask(d, "Enter the DANE domain to verify against:", "", parseMailDomain)
			if d.Err() != nil {
				return d.Err()
			}
			d.Text("")
			return verifyDANE(d, env, DANETrial{Domain: domain})
		},
	}
}

// DANETrial is what a trial is to find out.
type DANETrial struct {
	Domain string // lower case, in the form that DNS knows
	All    bool   // try every address of every host, and pass only if all do
	Port   uint16 // 0: 25
	Host   bool   // Domain is a mail host, of which no MX records are asked for
}

// DANEWitness is told what happens in a trial. For each mail host in turn: MX,
// then for each address that is tried Address, Connecting, Connected, TLSA,
// Checking, Established, Presented, Matched; last Judged. All text that comes
// from the network is to be escaped.
type DANEWitness interface {
	// MX is a host that the domain's mail goes to; empty where the answer names
	// none.
	MX(host string, a lookup.MXAnswer)
	// Address is invalid where the answer has none.
	Address(host, family string, addr netip.Addr, a lookup.Answer)
	NextAddress(host, family string, addr netip.Addr)
	NextMX()
	Connecting(to netip.AddrPort)
	Connected(to netip.AddrPort, from netip.Addr)
	// TLSA is the answer that decides, which of its records can be used, and
	// the names that a certificate may be for under usage 2.
	TLSA(host string, a lookup.TLSAAnswer, usable []lookup.TLSA, names []string)
	Checking()
	Established(protocol, cipher string)
	Presented(chain []*x509.Certificate) // the host's own certificate first
	Matched(record lookup.TLSA, depth int, name string)
	Failed(to netip.AddrPort, f envelope.Failure)
	// Judged says of a host why mail to it is not protected; nil: it is.
	Judged(host string, why *envelope.Failure)
}

// DANE is how commands try DANE.
type DANE interface {
	DANETrials() (DANETrials, error)
	// Handling tells of a domain what c says of it: its destination controls
	// with the default filled in, and its SMTP route, nil if it has none.
	Handling(c *store.Config) func(domain string) (store.Destination, *store.Route)
}

// DANETrials share what they learn from DNS. They may be made at the same
// time; who has them closes them after the last.
type DANETrials interface {
	// Try gives nil if the domain is protected.
	Try(ctx context.Context, t DANETrial, w DANEWitness) *envelope.Failure
	Close()
}

// parseMailDomain reads a domain in the form that DNS knows.
func parseMailDomain(text string) (string, error) {
	if name, ok := lookup.ASCII(strings.ToLower(strings.TrimSuffix(text, "."))); ok {
		text = name
	}
	return store.ParseDomain(text)
}

func parseMailDomains(args []string) ([]string, error) {
	var domains []string
	for _, arg := range args {
		domain, err := parseMailDomain(arg)
		if err != nil {
			return nil, shell.Refusedf("%s: %w", printable(arg), err)
		}
		if !slices.Contains(domains, domain) {
			domains = append(domains, domain)
		}
	}
	return domains, nil
}

func daneDomains(d *Dialog, env Env, args []string) error {
	if len(args) > 1 {
		domains, err := parseMailDomains(args)
		if err != nil {
			return err
		}
		return verifyMany(d, env, domains)
	}
	domain, err := parseMailDomain(args[0])
	if err != nil {
		return refused(err)
	}
	return verifyDANE(d, env, DANETrial{Domain: domain})
}

func daneAll(d *Dialog, env Env, args []string) error {
	domain, err := parseMailDomain(args[0])
	if err != nil {
		return refused(err)
	}
	return verifyDANE(d, env, DANETrial{Domain: domain, All: true})
}

func verifyDANE(d *Dialog, env Env, t DANETrial) error {
	trials, err := env.DANE.DANETrials()
	if err != nil {
		return err
	}
	defer trials.Close()
	d.Live()
	report := &daneReport{d: d, domain: t.Domain}
	var w DANEWitness = report
	if t.All {
		w = &daneDetails{daneReport: report, now: env.Clock()}
	}
	f := trials.Try(d.Context(), t, w)
	if d.Context().Err() != nil {
		return shell.ErrInterrupt
	}
	if f != nil {
		if t.All {
			d.Printf("Reason: %s\n", failureText(*f))
		}
		d.Printf("DANE FAILED for %s\nDANE verification completed.\n", t.Domain)
		return shell.ErrFailed
	}
	d.Printf("DANE SUCCESS for %s\nDANE verification completed.\n", t.Domain)
	return d.Err()
}

// failureText is a failure with the word for it.
func failureText(f envelope.Failure) string {
	text := printable(strings.Join(f.Reply, " "))
	if text == "" || text == string(f.Reason) {
		return string(f.Reason)
	}
	return string(f.Reason) + " (" + text + ")"
}

// daneReport shows a trial as it goes on. Its lines are those of the reference.
type daneReport struct {
	d        *Dialog
	domain   string
	checking bool // STARTTLS was asked for at the present address
	shown    bool // and a certificate was shown
}

// rcode is how an answer without records is named.
func rcode(a lookup.Answer) string {
	if a.NXDomain {
		return "NXDomain"
	}
	return "NoError"
}

func (r *daneReport) MX(host string, a lookup.MXAnswer) {
	switch {
	case a.Status == lookup.Bogus:
		r.d.Printf("BOGUS MX record found for %s\n", r.domain)
	case !a.Usable():
		r.d.Printf("DNS error(%s) while looking up MX record for %s\n", printable(a.Why), r.domain)
	case a.Null():
		r.d.Printf("No MX record(Null MX) found for %s\n", r.domain)
	case host == "":
		r.d.Printf("No MX record(%s) found for %s\n", rcode(a.Answer), r.domain)
	case a.Status == lookup.Insecure:
		r.d.Printf("INSECURE MX record(%s) found for %s\n", host, r.domain)
		r.d.Printf("INSECURE MX record(%s) found. The command will still proceed.\n", host)
	default:
		r.d.Printf("SECURE MX record(%s) found for %s\n", host, r.domain)
	}
}

func (r *daneReport) Address(host, family string, addr netip.Addr, a lookup.Answer) {
	r.checking, r.shown = false, false
	switch {
	case a.Status == lookup.Bogus:
		r.d.Printf("BOGUS %s record found for MX(%s) in %s\n", family, host, r.domain)
	case !a.Usable():
		r.d.Printf("DNS error(%s) while looking up %s record for MX(%s) in %s\n", printable(a.Why), family, host, r.domain)
	case !addr.IsValid():
		r.d.Printf("No %s record(%s) found for MX(%s) in %s\n", family, rcode(a), host, r.domain)
	default:
		r.d.Printf("%s %s record (%s) found for MX(%s) in %s\n", a.Status, family, addr, host, r.domain)
	}
}

func (r *daneReport) NextAddress(host, family string, addr netip.Addr) {
	r.d.Printf("Trying next %s record (%s) for MX(%s) in %s\n", family, addr, host, r.domain)
}

func (r *daneReport) NextMX() { r.d.Printf("Trying next MX record in %s\n", r.domain) }

func (r *daneReport) Connecting(to netip.AddrPort) {
	r.d.Printf("Connecting to %s on port %d.\n", to.Addr(), to.Port())
}

func (r *daneReport) Connected(to netip.AddrPort, from netip.Addr) {
	r.d.Printf("Connected to %s from interface %s.\n", to.Addr(), from)
}

func (r *daneReport) TLSA(host string, a lookup.TLSAAnswer, usable []lookup.TLSA, _ []string) {
	switch {
	case a.Status == lookup.Bogus:
		r.d.Printf("BOGUS TLSA record found for MX(%s) in %s\n", host, r.domain)
	case !a.Usable():
		r.d.Printf("DNS error(%s) while looking up TLSA record for MX(%s) in %s\n", printable(a.Why), host, r.domain)
	case len(a.Records) == 0:
		r.d.Printf("No TLSA record(%s) found for MX(%s) in %s\n", rcode(a.Answer), host, r.domain)
	default:
		r.d.Printf("%s TLSA record found for MX(%s) in %s\n", a.Status, host, r.domain)
		if a.Status == lookup.Secure && len(usable) == 0 {
			r.d.Printf("No usable TLSA record found for MX(%s) in %s\n", host, r.domain)
		}
	}
}

func (r *daneReport) Checking() {
	r.checking = true
	r.d.Text("Checking TLS connection.")
}

func (r *daneReport) Established(protocol, cipher string) {
	r.d.Printf("TLS connection established: protocol %s, cipher %s.\n", protocol, cipher)
}

func (r *daneReport) Presented([]*x509.Certificate) { r.shown = true }

func (r *daneReport) Matched(lookup.TLSA, int, string) {
	r.d.Printf("Certificate verification successful\nTLS connection succeeded %s.\n", r.domain)
}

func (r *daneReport) Failed(to netip.AddrPort, f envelope.Failure) {
	text := printable(strings.Join(f.Reply, " "))
	switch {
	case r.shown:
		r.d.Text("Certificate verification failed")
	case f.Reason == envelope.ReasonNoSTARTTLS:
		r.d.Text("TLS connection failed: STARTTLS not supported.")
	case r.checking:
		r.d.Printf("TLS connection failed: %s.\n", strings.TrimSuffix(text, "."))
	default:
		r.d.Printf("Connection to %s failed: %s.\n", to.Addr(), strings.TrimSuffix(text, "."))
	}
}

func (r *daneReport) Judged(string, *envelope.Failure) {}

// daneDetails shows a trial with all that an operator may want to know.
type daneDetails struct {
	*daneReport
	now time.Time
}

func (r *daneDetails) MX(host string, a lookup.MXAnswer) {
	r.daneReport.MX(host, a)
	if a.Status == lookup.Bogus {
		r.d.Printf("  Why: %s\n", printable(a.Why))
	}
}

func (r *daneDetails) Address(host, family string, addr netip.Addr, a lookup.Answer) {
	r.daneReport.Address(host, family, addr, a)
	if a.Status == lookup.Bogus {
		r.d.Printf("  Why: %s\n", printable(a.Why))
	}
}

func (r *daneDetails) TLSA(host string, a lookup.TLSAAnswer, usable []lookup.TLSA, names []string) {
	r.daneReport.TLSA(host, a, usable, names)
	if a.Status == lookup.Bogus {
		r.d.Printf("  Why: %s\n", printable(a.Why))
	}
	for _, record := range a.Records {
		note := ""
		if !containsTLSA(usable, record) {
			note = " (not used)"
		}
		r.d.Printf("  TLSA %s%s\n", record, note)
	}
	if slices.ContainsFunc(usable, func(t lookup.TLSA) bool { return t.Usage == 2 }) {
		r.d.Printf("  Names accepted with usage 2: %s\n", strings.Join(names, ", "))
	}
}

func containsTLSA(list []lookup.TLSA, record lookup.TLSA) bool {
	return slices.ContainsFunc(list, func(t lookup.TLSA) bool { return t.String() == record.String() })
}

func (r *daneDetails) Presented(chain []*x509.Certificate) {
	r.daneReport.Presented(chain)
	for i, c := range chain {
		word, days := store.ValidityOf(c, r.now)
		r.d.Printf("  Certificate %d of %d: %s, valid until %s (%s, %d days remaining)\n",
			i+1, len(chain), printable(store.CommonName(c)), c.NotAfter.UTC().Format("2006-01-02"), word, days)
	}
}

func (r *daneDetails) Matched(record lookup.TLSA, depth int, name string) {
	r.daneReport.Matched(record, depth, name)
	r.d.Printf("  Matched by TLSA %s at depth %d", record, depth)
	if name != "" {
		r.d.Printf(", name %s", printable(name))
	}
	r.d.Text("")
}

func (r *daneDetails) Failed(to netip.AddrPort, f envelope.Failure) {
	r.daneReport.Failed(to, f)
	r.d.Printf("  Why: %s\n", failureText(f))
}

func (r *daneDetails) Judged(host string, why *envelope.Failure) {
	if why == nil {
		r.d.Printf("Host %s is protected by DANE.\n", host)
		return
	}
	r.d.Printf("Host %s is not protected by DANE: %s\n", host, failureText(*why))
}
