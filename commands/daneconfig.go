package commands

import (
	"esa/store"
)

// daneconfig holds the rulings on DANE that are the same for all destinations.
func daneconfig() Command {
	return Command{
		Name:  "daneconfig",
		Short: "Configure what DANE does beyond its standard.",
		Long: `Which destinations use DANE is for destconfig to say. These answers hold for all
of them:

Hosts of SMTP routes. As the appliance has it, DANE cannot be had for a domain
with an SMTP route other than USEDNS: its mail waits in the queue, and bounces
in the end. The other way is that of RFC 7672: the name of the host that the
route names is looked up and authenticated instead; a route to an address goes
by the TLS setting of the destination, and waits where DANE is mandatory.

Insecure MX records. They name no host that anybody vouches for, so DANE does
not apply. It can be used for hosts that they name all the same, where these
have secure TLSA records: the connection is protected then, though it may lead
to the wrong host. Mandatory DANE waits either way.

Algorithms with SHA-1. Zones signed with nothing better (5 and 7) count as not
signed (RFC 9905), or can be relied upon.`,
		Commit: true,
		Forms: []Form{
			{Usage: usage("daneconfig", daneKeys(&store.DANE{})), Run: func(_ *Dialog, env Env, args []string) error {
				return env.Edit(func(cfg *store.Config) error { return setKeys(daneKeys(&cfg.DANE), args) })
			}},
			{Usage: "daneconfig print", Run: func(d *Dialog, env Env, _ []string) error {
				d.Text(daneSummary(env.Config().DANE))
				return d.Err()
			}},
		},
		Dialog: func(d *Dialog, env Env) error {
			return env.Edit(func(cfg *store.Config) error {
				d.Text(daneSummary(cfg.DANE))
				set := cfg.DANE
				set.RouteHosts = d.YesNo("Do you want DANE to be used for the hosts of SMTP routes?", set.RouteHosts)
				set.InsecureMX = d.YesNo("Do you want DANE to be used for hosts that insecure MX records name?", set.InsecureMX)
				set.SHA1 = d.YesNo("Do you want to rely on DNSSEC signatures that use SHA-1?", set.SHA1)
				if d.Err() == nil {
					cfg.DANE = set
				}
				return d.Err()
			})
		},
	}
}

// daneKeys lists the keys of the one-line form, in the order of the dialog.
func daneKeys(dane *store.DANE) []key {
	return []key{
		{"route_hosts", "yes|no", yesNo(&dane.RouteHosts)},
		{"insecure_mx", "yes|no", yesNo(&dane.InsecureMX)},
		{"sha1", "yes|no", yesNo(&dane.SHA1)},
	}
}

func daneSummary(dane store.DANE) string {
	return "DANE for the hosts of SMTP routes: " + onOff(dane.RouteHosts) +
		"\nDANE for hosts that insecure MX records name: " + onOff(dane.InsecureMX) +
		"\nDNSSEC signatures that use SHA-1: " + onOff(dane.SHA1) + "\n"
}

func onOff(on bool) string {
	if on {
		return "Yes"
	}
	return "No"
}
