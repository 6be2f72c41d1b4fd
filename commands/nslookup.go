package commands

import (
	"net/netip"
	"slices"
	"strings"

	"esa/shell"
)

// nslookup asks the gateway's own resolver (reference esa-operations 3.5).
func nslookup() Command {
	return Command{
		Name:  "nslookup",
		Short: "Query a nameserver.",
		Long: `Asks the DNS servers of dnsconfig, as the gateway does, but past its cache. The
word at the end of a line is what DNSSEC says: SECURE, INSECURE, BOGUS or
FAILED; dnssecverify explains it. The default type is A, and PTR for an address.
TYPE is one of:
` + strings.Join(queryTypes(), ", "),
		Forms: []Form{{Usage: "nslookup HOST [TYPE]", Run: func(d *Dialog, env Env, args []string) error {
			queryType := defaultQuery(args[0])
			if len(args) > 1 {
				queryType = strings.ToUpper(args[1])
			}
			if !slices.Contains(queryTypes(), queryType) {
				return shell.Refusedf("Unknown option %s.", args[1])
			}
			return showRecords(d, env, args[0], queryType)
		}}},
		Dialog: func(d *Dialog, env Env) error {
			host := d.Required("Please enter the host or IP address to resolve.", "")
			types := queryTypes()
			n := d.Choose("Choose the query type:", types, slices.Index(types, defaultQuery(host)))
			if d.Err() != nil {
				return d.Err()
			}
			return showRecords(d, env, host, types[n])
		},
	}
}

// queryTypes are those that the resolver knows, in the order of the menu.
func queryTypes() []string {
	return []string{"A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "TXT", "TLSA", "DS", "DNSKEY"}
}

func defaultQuery(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return "PTR"
	}
	return "A"
}

func showRecords(d *Dialog, env Env, host, queryType string) error {
	answer, err := env.Look.QueryDNS(d.Context(), host, queryType)
	none := len(answer.Records) == 0
	switch {
	case err != nil:
		return err
	case !answer.Usable() && none && !answer.NXDomain:
		return shell.Refusedf("The lookup of %s (%s) failed: %s.", printable(host), queryType, answer.Why)
	case answer.NXDomain:
		d.Printf("%s does not exist (NXDOMAIN) %s\n", printable(host), answer.Status)
	case none:
		d.Printf("%s has no record of type %s %s\n", printable(host), queryType, answer.Status)
	}
	for _, r := range answer.Records {
		d.Printf("%s=%s TTL=%s %s\n", r.Type, printable(r.Text), lifetime(r.TTL), answer.Status)
	}
	if !answer.Usable() {
		d.Printf("%s: %s.\n", answer.Status, printable(answer.Why))
	}
	return d.Err()
}
