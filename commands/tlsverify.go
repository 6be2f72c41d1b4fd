package commands

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"esa/mta/envelope"
	"esa/shell"
	"esa/store"
)

// tlsverify tries TLS with a host and verifies its certificate (reference
// esa-cli-config 15.1).
func tlsverify() Command {
	return Command{
		Name:  "tlsverify",
		Short: "Establish an outbound TLS connection on demand.",
		Long: `Connects to a host as a delivery to DOMAIN would whose TLS setting is Required -
Verify (destconfig), with the settings that run: sslconfig, the certificate of
destconfig, the authorities of certconfig. No mail is sent. The certificate must
lead to a trusted authority, and DOMAIN must be among its DNS names; or its
common name must be DOMAIN or the reverse name of the address. All addresses of
the host are tried until one passes. The exit status is 0 if one did.

Of a host that is a listener of this gateway the chain is shown, and what
senders will find wrong with it.`,
		Forms: []Form{{Usage: "tlsverify DOMAIN HOST[:PORT]", Run: func(d *Dialog, env Env, args []string) error {
			domain, err := store.ParseDomain(args[0])
			if err != nil {
				return refused(err)
			}
			host, err := parseTrialHost(args[1])
			if err != nil {
				return refused(err)
			}
			return verifyTLS(d, env, domain, host)
		}}},
		Dialog: func(d *Dialog, env Env) error {
			domain := shell.Ask(d, "Enter the TLS domain to verify against:", "", store.ParseDomain)
			host := shell.Ask(d, "Enter the destination host to connect to.  Append the port (example.com:26) if you are not connecting on port 25:",
				domain, parseTrialHost)
			if d.Err() != nil {
				return d.Err()
			}
			d.Text("")
			return verifyTLS(d, env, domain, host)
		},
	}
}

// TLSTrial is what TryTLS is to find out.
type TLSTrial struct {
	Domain string // that the certificate must speak for
	Host   string // a name or an address
	Port   uint16 // 0: 25
}

// TLSWitness is told what happens in a trial, in this order. The next address
// of the host begins with Connecting. All that comes from the host is to be
// escaped.
type TLSWitness interface {
	Connecting(to netip.AddrPort)
	Connected(to netip.AddrPort, from netip.Addr)
	Checking()
	Established(protocol, cipher string)
	Presented(chain []*x509.Certificate) // the host's own certificate first
	Verified(name string)                // of the certificate, that speaks for the domain
	Failed(to netip.AddrPort, f envelope.Failure)
}

// TLS is how commands try TLS with a host.
type TLS interface {
	// TryTLS tries the addresses of a host until one passes. A failure is that
	// of looking the host up.
	TryTLS(ctx context.Context, t TLSTrial, w TLSWitness) (passed bool, f *envelope.Failure, err error)
}

// parseTrialHost reads a host with the port, if it is not 25.
func parseTrialHost(text string) (store.RouteHost, error) {
	r, err := store.ParseRouteHosts(text)
	if err != nil {
		return store.RouteHost{}, err
	}
	if len(r.Hosts) != 1 || r.Hosts[0].Priority != 0 {
		return store.RouteHost{}, shell.Refusedf("The value must be one host, HOST or HOST:PORT.")
	}
	return r.Hosts[0], nil
}

func verifyTLS(d *Dialog, env Env, domain string, host store.RouteHost) error {
	d.Live()
	passed, f, err := env.TLS.TryTLS(d.Context(), TLSTrial{Domain: domain, Host: host.Host, Port: host.Port}, &tlsReport{d: d, env: env})
	switch {
	case err != nil:
		return err
	case d.Context().Err() != nil:
		return shell.ErrInterrupt
	case f != nil:
		d.Printf("%s cannot be looked up: %s (%s).\n", host.Host, f.Reason, printable(strings.Join(f.Reply, " ")))
	}
	if !passed {
		d.Printf("\nFailed to connect to %s.\nTLS verification completed.\n", host.Host)
		return shell.ErrFailed
	}
	d.Printf("\nTLS successfully connected to %s.\nTLS verification completed.\n", host.Host)
	return d.Err()
}

// tlsReport shows a trial as it goes on.
type tlsReport struct {
	d     *Dialog
	env   Env
	to    netip.AddrPort
	shown []*x509.Certificate // by the host
}

func (r *tlsReport) Connecting(to netip.AddrPort) {
	r.to, r.shown = to, nil
	r.d.Printf("Connecting to %s on port %d.\n", to.Addr(), to.Port())
}

func (r *tlsReport) Connected(to netip.AddrPort, from netip.Addr) {
	r.d.Printf("Connected to %s from interface %s.\n", to.Addr(), from)
}

func (r *tlsReport) Checking() { r.d.Text("Checking TLS connection.") }

func (r *tlsReport) Established(protocol, cipher string) {
	r.d.Printf("TLS connection established: protocol %s, cipher %s.\n", protocol, cipher)
}

func (r *tlsReport) Presented(chain []*x509.Certificate) {
	r.shown = chain
	r.own(chain)
	r.d.Text("Verifying peer certificate.")
}

func (r *tlsReport) Verified(name string) {
	r.names(name)
	r.d.Printf("TLS certificate match %s\nTLS certificate verified.\nTLS connection to %s succeeded.\n", printable(name), r.to.Addr())
}

// maxShownNames is how many names of one certificate are listed.
const maxShownNames = 10

// names says which names were looked at: the DNS names, then, unless one of
// them is the match, the common name.
func (r *tlsReport) names(match string) {
	if len(r.shown) == 0 {
		return
	}
	leaf := r.shown[0]
	if n := len(leaf.DNSNames); n > 0 {
		more := ""
		if n > maxShownNames {
			more = fmt.Sprintf(" and %d more", n-maxShownNames)
		}
		r.d.Printf("Verifying certificate DNS names %s%s.\n", printable(strings.Join(leaf.DNSNames[:min(n, maxShownNames)], ", ")), more)
	}
	if !slices.Contains(leaf.DNSNames, match) && leaf.Subject.CommonName != "" {
		r.d.Printf("Verifying certificate common name %s.\n", printable(leaf.Subject.CommonName))
	}
}

func (r *tlsReport) Failed(to netip.AddrPort, f envelope.Failure) {
	text := printable(strings.Join(f.Reply, " "))
	switch f.Reason {
	case envelope.ReasonCertHost, envelope.ReasonCertExpired, envelope.ReasonCertUntrusted, envelope.ReasonCertRevoked, envelope.ReasonCertificate:
		if f.Reason == envelope.ReasonCertHost {
			r.names("")
		}
		r.d.Printf("Certificate verification failed: %s.\n", strings.TrimPrefix(text, "verify error: "))
	case envelope.ReasonNoTLS:
		r.d.Printf("The host answered STARTTLS with %d %s\n", f.Code, text)
	case envelope.ReasonNoSTARTTLS, envelope.ReasonHandshake:
		r.d.Printf("TLS connection failed: %s.\n", text)
	default:
		if f.Code != 0 {
			text = fmt.Sprintf("%d %s", f.Code, text)
		}
		if text != string(f.Reason) {
			text = fmt.Sprintf("%s (%s)", f.Reason, text)
		}
		r.d.Printf("Connection to %s failed: %s.\n", to.Addr(), text)
		return
	}
	r.d.Printf("TLS connection to %s failed: %s.\nTLS was required but could not be successfully negotiated.\n", to.Addr(), f.Reason)
}

// own shows the chain of a listener of ours, and what senders will find wrong
// with it.
func (r *tlsReport) own(chain []*x509.Certificate) {
	running, _ := r.env.Store.Running()
	n := slices.IndexFunc(running.Listeners, func(l store.Listener) bool { return slices.Contains(running.Addresses(l), r.to) })
	if n < 0 {
		return
	}
	listener := running.Listeners[n]
	on, _ := running.Interface(listener.Interface)
	r.d.Printf("This is the listener %s on interface %s, host name %s.\n", listener.Name, on.Name, on.Hostname)
	for i, c := range chain {
		word, days := store.ValidityOf(c, r.env.Clock())
		r.d.Printf("Certificate %d of %d: %s\n  Names:   %s\n  Issuer:  %s\n  Valid:   %s to %s (%s, %d days remaining)\n  SHA-256: %s\n",
			i+1, len(chain), store.CommonName(c), store.NamesText(c), store.IssuerName(c),
			c.NotBefore.UTC().Format("2006-01-02"), c.NotAfter.UTC().Format("2006-01-02"), word, days, store.Fingerprint(c))
	}
	known, err := knownAuthorities(r.env, running)
	if err != nil {
		r.d.Printf("The list of the system's certificate authorities cannot be read: %v.\n", err)
	}
	wrong := false
	for _, v := range running.CertificateVerdicts(r.env.Clock(), known) {
		if v.Certificate == listener.Certificate {
			wrong = true
			r.d.Printf("Verdict: %s\n  Use %s.\n", v.Text, v.Fix)
		}
	}
	if !wrong {
		r.d.Text("Verdict: nothing is wrong with the certificate of this listener.")
	}
}
