package commands

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"esa/shell"
	"esa/store"
)

// dnssecverify shows what DNSSEC proves of a name.
func dnssecverify() Command {
	return Command{
		Name:  "dnssecverify",
		Short: "Show the DNSSEC chain of trust of a name.",
		Long: `Validates the records of a name from the trust anchor down, past all caches, and
tells each step. The last line says how it ended: SECURE (an unbroken chain),
INSECURE (proven to be unsigned), BOGUS (signed, or it must be, and it does not
hold) or INDETERMINATE (no trust anchor, or it could not be found out); and what
the answer was: NOERROR, NXDOMAIN, NODATA or SERVFAIL. On anything but SECURE
the reason stands before it, and the exit status is 1.

TYPE is a record type by name or as TYPE65280; without it, A. at=TIME validates
as of that time, as in at=2026-11-22T12:00:00Z. server=ADDRESS[:PORT] asks that
server instead of those of dnsconfig. anchors=FILE trusts the DS and DNSKEY
records of a file in the configuration directory, in zone-file form, instead of
the anchors of dnsconfig.`,
		Forms: []Form{{Usage: "dnssecverify NAME [TYPE] [at=TIME] [server=SERVER] [anchors=FILE]", Run: dnssecverifyForm}},
		Dialog: func(d *Dialog, env Env) error {
			name := d.Required("Enter the name to verify:", "")
			rrtype := d.String("Enter the record type.", "A")
			if d.Err() != nil {
				return d.Err()
			}
			d.Text("")
			return proveName(d, env, ProofQuery{Name: name, Type: rrtype})
		},
	}
}

// ProofQuery asks what DNSSEC proves of a name. A zero At is now, an invalid
// Server stands for the configured ones, no Anchors for those in use.
type ProofQuery struct {
	Name, Type string
	At         time.Time
	Server     netip.AddrPort
	Anchors    []string
}

// Proof is what came of it. Its texts come from the network, in the form of
// zone files.
type Proof struct {
	Chain, Records   []string
	State, Code, Why string
}

// RootKey is a key of the DNS root, as it is followed over its changes.
type RootKey struct {
	Tag   uint16
	State string // of RFC 5011: "Valid"
	Since time.Time
}

// DNSSEC is what commands ask about chains of trust.
type DNSSEC interface {
	// Prove validates the records of a name. The error refuses the query.
	Prove(ctx context.Context, q ProofQuery) (Proof, error)
	// ParseAnchors reads DS and DNSKEY records in zone-file form, as operators
	// enter them, and gives each in its one form. The error names what cannot
	// be used.
	ParseAnchors(text string) ([]string, error)
	// ParseRoots reads root hints.
	ParseRoots(text string) ([]store.RootServer, error)
	// Roots gives the root servers that are built in.
	Roots() []store.RootServer
	// RootKeys gives the keys of the root that are known.
	RootKeys() []RootKey
}

func dnssecverifyForm(d *Dialog, env Env, args []string) error {
	q := ProofQuery{Name: args[0], Type: "A"}
	for i, arg := range args[1:] {
		name, value, isKey := strings.Cut(arg, "=")
		if !isKey && i == 0 {
			q.Type = arg
			continue
		}
		if err := q.set(env, strings.ToLower(name), value); err != nil {
			return err
		}
	}
	return proveName(d, env, q)
}

// set takes one option.
func (q *ProofQuery) set(env Env, name, value string) (err error) {
	switch name {
	case "at":
		if q.At, err = time.Parse(time.RFC3339, value); err != nil {
			return shell.Refusedf("at= takes a time such as 2026-11-22T12:00:00Z.")
		}
	case "server":
		if q.Server, err = store.ParseDNSServer(value); err != nil {
			return refused(err)
		}
	case "anchors":
		text, err := env.Files.Read(value)
		if err != nil {
			return err
		}
		if q.Anchors, err = env.DNSSEC.ParseAnchors(string(text)); err != nil {
			return shell.Refusedf("The file %q holds no trust anchors: %w.", value, err)
		}
	default:
		return shell.Refusedf("Unknown option %s.", name)
	}
	return nil
}

// prove validates the records of a name, unless Ctrl-C comes first. The type
// is shown in upper case from then on.
func prove(d *Dialog, env Env, q *ProofQuery) (Proof, error) {
	q.Type = strings.ToUpper(q.Type)
	proof, err := env.DNSSEC.Prove(d.Context(), *q)
	if err == nil && d.Context().Err() != nil {
		err = shell.ErrInterrupt
	}
	return proof, err
}

func proveName(d *Dialog, env Env, q ProofQuery) error {
	proof, err := prove(d, env, &q)
	if err != nil {
		return err
	}
	for _, step := range proof.Chain {
		d.Text(printable(step))
	}
	for _, record := range proof.Records {
		d.Text(printable(record))
	}
	if proof.Why != "" {
		d.Printf("Reason: %s\n", printable(proof.Why))
	}
	d.Printf("RESULT: %s %s\n", proof.State, proof.Code)
	if d.Err() == nil && proof.State != "SECURE" {
		return shell.ErrFailed
	}
	return d.Err()
}
