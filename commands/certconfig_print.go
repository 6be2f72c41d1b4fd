package commands

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"esa/store"
)

// certPrint tells of each profile which services use it, and what peers will
// find wrong with it. DNS is asked whether the MX records agree.
func certPrint(d *Dialog, env Env, cfg *store.Config) string {
	known, err := knownAuthorities(env, cfg)
	if err != nil {
		d.Printf("The list of the system's certificate authorities cannot be read: %v.\n", err)
	}
	verdicts := eachOnce(append(cfg.CertificateVerdicts(env.Clock(), known), mailHosts(d, env, cfg)...))
	var b strings.Builder
	for _, name := range cfg.CertificateNames() {
		profile := cfg.Certificate(name)
		fmt.Fprintf(&b, "\nCertificate profile: %s\n", name)
		if certs, err := profile.Chain.Certificates(); err != nil {
			fmt.Fprintf(&b, "  %v\n", err)
		} else {
			printChain(&b, env.Clock(), certs)
		}
		printUses(&b, cfg, name)
		for _, v := range verdicts {
			if v.Certificate == name {
				fmt.Fprintf(&b, "  WARNING: %s (%s)\n", v.Text, v.Fix)
			}
		}
	}
	for _, v := range verdicts {
		if v.Certificate == "" {
			fmt.Fprintf(&b, "\nWARNING: %s: %s (%s)\n", v.Place, v.Text, v.Fix)
		}
	}
	return b.String()
}

// eachOnce leaves out what is said again of a profile, for another listener that
// it serves.
func eachOnce(all []store.Verdict) []store.Verdict {
	var kept []store.Verdict
	for _, v := range all {
		said := func(o store.Verdict) bool {
			return v.Certificate != "" && o.Certificate == v.Certificate && o.Text == v.Text
		}
		if !slices.ContainsFunc(kept, said) {
			kept = append(kept, v)
		}
	}
	return kept
}

func printChain(b *strings.Builder, now time.Time, certs []*x509.Certificate) {
	leaf := certs[0]
	word, days := store.ValidityOf(leaf, now)
	fmt.Fprintf(b, "  Subject: %s\n", subjectText(leaf))
	fmt.Fprintf(b, "  Names: %s\n", store.NamesText(leaf))
	fmt.Fprintf(b, "  Issued by: %s\n", printable(leaf.Issuer.String()))
	fmt.Fprintf(b, "  Valid: %s to %s (%s, %s)\n", commitTime(leaf.NotBefore), commitTime(leaf.NotAfter), word, count(days, "day"))
	fmt.Fprintf(b, "  Key: %s\n", publicKeyText(leaf))
	fmt.Fprintf(b, "  SHA-256: %s\n", store.LongFingerprint(leaf))
	for _, name := range intermediateNames(certs) {
		fmt.Fprintf(b, "  Intermediate: %s\n", name)
	}
}

func publicKeyText(cert *x509.Certificate) string {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA, %d bits", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return cert.PublicKeyAlgorithm.String()
}

// printUses tells which services use a profile.
func printUses(b *strings.Builder, cfg *store.Config, name string) {
	uses := cfg.CertificateUses(name)
	if len(uses) == 0 {
		b.WriteString("  Used by: no service\n")
	}
	for _, use := range uses {
		fmt.Fprintf(b, "  Used by: %s\n", use)
	}
}
