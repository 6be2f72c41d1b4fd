package commands

import (
	"net/netip"
	"slices"
	"strings"

	"esa/shell"
	"esa/store"
)

// dig asks a DNS server for the records of a name.
func dig() Command {
	return Command{
		Name:  "dig",
		Short: "Look up a record on a DNS server.",
		Long: `Asks the DNS servers of dnsconfig, or that of @SERVER (an address, which may
carry a port), past all caches, and shows the records as in a zone file. The
status at the end of each line is what DNSSEC says: SECURE, INSECURE, BOGUS or
INDETERMINATE; dnssecverify tells why. Records that are BOGUS are not shown;
nslookup shows them. TYPE is a record type by name or as TYPE65280, else A; a
common one may stand before NAME too. -x looks up the names of an address.`,
		Forms: []Form{
			{Usage: "dig -x ADDRESS [@SERVER]", Run: func(d *Dialog, env Env, args []string) error {
				q, words, err := digWords(args)
				if err != nil {
					return err
				}
				if len(words) != 1 {
					return shell.Refusedf("Name the address to look up: dig -x ADDRESS [@SERVER].")
				}
				addr, err := netip.ParseAddr(words[0])
				if err != nil {
					return shell.Refusedf("%s is not an IP address.", words[0])
				}
				q.Name, q.Type = addr.String(), "PTR"
				return showDig(d, env, q)
			}},
			{Usage: "dig [@SERVER] NAME [TYPE]", Run: digForm},
		},
		Dialog: func(d *Dialog, env Env) error {
			name := d.Required("Enter the host or IP address to look up:", "")
			rrtype := d.String("Enter the record type.", defaultQuery(name))
			if d.Err() != nil {
				return d.Err()
			}
			return showDig(d, env, ProofQuery{Name: name, Type: rrtype})
		},
	}
}

func digForm(d *Dialog, env Env, args []string) error {
	q, words, err := digWords(args)
	if err != nil {
		return err
	}
	if len(words) == 0 || len(words) > 2 {
		return shell.Refusedf("Name what to look up: dig [@SERVER] NAME [TYPE].")
	}
	if len(words) == 2 && isQueryType(words[0]) && !isQueryType(words[1]) {
		words[0], words[1] = words[1], words[0]
	}
	q.Name, q.Type = words[0], defaultQuery(words[0])
	if len(words) == 2 {
		q.Type = words[1]
	}
	return showDig(d, env, q)
}

// isQueryType tells a type from a name: the appliance takes them in either
// order.
func isQueryType(word string) bool {
	return slices.Contains(queryTypes(), strings.ToUpper(word))
}

// digWords takes the server out of the words of a one-line form.
func digWords(args []string) (q ProofQuery, words []string, err error) {
	for _, arg := range args {
		text, isServer := strings.CutPrefix(arg, "@")
		if !isServer {
			words = append(words, arg)
			continue
		}
		if q.Server, err = store.ParseDNSServer(text); err != nil {
			return q, nil, refused(err)
		}
	}
	return q, words, nil
}

func showDig(d *Dialog, env Env, q ProofQuery) error {
	proof, err := prove(d, env, &q)
	if err != nil {
		return err
	}
	for _, record := range proof.Records {
		d.Printf("%s %s\n", printable(record), proof.State)
	}
	if len(proof.Records) == 0 {
		d.Printf("%s %s: %s %s\n", q.Type, printable(q.Name), proof.Code, proof.State)
	}
	if proof.Why != "" && proof.State != "INSECURE" {
		d.Printf("%s: %s.\n", proof.State, printable(proof.Why))
	}
	if d.Err() == nil && proof.Code == "SERVFAIL" {
		return shell.ErrFailed
	}
	return d.Err()
}
