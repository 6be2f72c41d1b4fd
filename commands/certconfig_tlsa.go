package commands

import "esa/store"

// showTLSA gives the records to publish for each listener with a certificate,
// and what DNS has now.
func showTLSA(d *Dialog, env Env, cfg *store.Config) {
	found := env.Gateway.PublishedTLSA(d.Context(), cfg)
	if len(found) == 0 {
		d.Text("No public listener has a certificate (listenerconfig -> EDIT -> CERTIFICATE).")
	}
	for _, p := range found {
		d.Printf("\nListener %s, certificate %s:\n", p.Listener, p.Certificate)
		for _, r := range p.Records {
			d.Printf("  %s. IN TLSA %s\n", p.Name, r)
		}
		d.Printf("In DNS: %s", p.State)
		if p.Why != "" {
			d.Printf(" (%s)", printable(p.Why))
		}
		d.Text(".")
		if p.State == store.TLSAFits || p.State == store.TLSANone {
			continue
		}
		for _, text := range p.Published {
			d.Printf("  %s. IN TLSA %s\n", p.Name, printable(text))
		}
		if p.State == store.TLSABroken {
			d.Text("Hosts that use DANE will not deliver to this listener.")
		}
	}
}
