package commands

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"esa/shell"
	"esa/store"
)

// This file is how certificates get into a profile by hand: PASTE and EDIT.

// The questions that a paste answers.
const (
	pasteCertificate  = "Paste public certificate in PEM format (end with '.'):"
	pasteKey          = "Paste private key in PEM format (end with '.'):"
	pasteIntermediate = "Paste intermediate certificate in PEM format (end with '.'):"
)

// certPaste makes a profile of a certificate and a key that were made
// elsewhere.
func certPaste(d *Dialog, env Env, cfg *store.Config) error {
	name, ok := askCertificateName(d, cfg, true)
	if !ok {
		return d.Err()
	}
	certs, err := pastedCertificates(d, pasteCertificate)
	if err != nil {
		return err
	}
	d.Printf("Subject: %s\n", subjectText(certs[0]))
	key, err := store.ReadKey(pasted(d, pasteKey))
	if d.Err() != nil {
		return d.Err()
	}
	if err != nil {
		return shell.Refusedf("Invalid private key ...discarding\n%w", err)
	}
	if certs, err = store.LeafFirst(key, certs); err != nil {
		return errDoesNotSign()
	}
	certs, err = askIntermediates(d, env, cfg, certs)
	if err != nil {
		return err
	}
	profile, err := store.NewProfile(name, key, certs)
	if err != nil {
		return err
	}
	return cfg.PutCertificate(profile)
}

func errDoesNotSign() error {
	return shell.Refusedf("key does not sign certificate\nThe certificate is not for the private key of this profile.")
}

// pasted reads a text that ends with a dot.
func pasted(d *Dialog, question string) string {
	return strings.Join(d.Lines(question, shell.EndDot), "\n") + "\n"
}

// pastedCertificates reads one or more certificates.
func pastedCertificates(d *Dialog, question string) ([]*x509.Certificate, error) {
	certs, err := store.ReadCertificates(pasted(d, question))
	if d.Err() != nil {
		return nil, d.Err()
	}
	if err != nil {
		return nil, shell.Refusedf("Invalid certificate...discarding\n%w", err)
	}
	return certs, nil
}

// subjectText is the subject of a certificate in one line.
func subjectText(cert *x509.Certificate) string { return printable(cert.Subject.String()) }

// certEdit puts the certificate of an authority in the place of the one that is
// there, changes intermediate certificates, and shows the signing request.
func certEdit(d *Dialog, env Env, cfg *store.Config) error {
	profile := askProfile(d, cfg, "Enter the number of the certificate profile you wish to edit:")
	if profile == nil {
		return d.Err()
	}
	if profile.Name == store.DemoCertificate {
		return shell.Refusedf("The demo certificate cannot be changed. Use NEW.")
	}
	certs, err := profile.Chain.Certificates()
	if err != nil {
		return err
	}
	if certs, err = askUpdate(d, *profile, certs); err != nil {
		return err
	}
	if certs, err = askIntermediates(d, env, cfg, certs); err != nil {
		return err
	}
	changed, err := profile.WithChain(certs)
	if err != nil {
		return err
	}
	*profile = changed
	viewRequest(d, env, changed)
	return d.Err()
}

// askUpdate asks for another certificate for the key. Those that come with it
// are intermediate ones; the ones there were stay until they are removed.
func askUpdate(d *Dialog, profile store.Certificate, certs []*x509.Certificate) ([]*x509.Certificate, error) {
	if !d.YesNo("Do you want to update the existing public certificate?", false) {
		return certs, d.Err()
	}
	update, err := pastedCertificates(d, pasteCertificate)
	if err != nil {
		return nil, err
	}
	d.Printf("Subject: %s\n", subjectText(update[0]))
	key, err := profile.Signer()
	if err != nil {
		return nil, err
	}
	if update, err = store.LeafFirst(key, update); err != nil {
		return nil, errDoesNotSign()
	}
	return append(update, certs[1:]...), nil
}

// askIntermediates asks which intermediate certificates go and which come, and
// then puts the chain in order. certs begins with the leaf.
func askIntermediates(d *Dialog, env Env, cfg *store.Config, certs []*x509.Certificate) ([]*x509.Certificate, error) {
	for len(certs) > 1 && d.YesNo("Do you want to remove an intermediate certificate?", false) {
		n := d.Choose("Choose the intermediate certificate to remove.", intermediateNames(certs), -1)
		if d.Err() != nil {
			return nil, d.Err()
		}
		certs = slices.Delete(slices.Clone(certs), n+1, n+2)
	}
	for d.YesNo("Do you want to add an intermediate certificate?", false) {
		more, err := pastedCertificates(d, pasteIntermediate)
		if d.Err() != nil {
			return nil, d.Err()
		}
		if err != nil {
			if !d.Refuse(err) {
				return nil, d.Err()
			}
			continue
		}
		if len(certs)+len(more) > store.MaxGiven {
			return nil, shell.Refusedf("There are more than %d certificates.", store.MaxGiven)
		}
		certs = append(slices.Clone(certs), more...)
	}
	if d.Err() != nil {
		return nil, d.Err()
	}
	return mendChain(d, env, cfg, certs)
}

// intermediateNames lists all but the leaf.
func intermediateNames(certs []*x509.Certificate) []string {
	names := make([]string, len(certs)-1)
	for i, cert := range certs[1:] {
		names[i] = fmt.Sprintf("%s (issued by %s, expires %s)", store.CommonName(cert), store.IssuerName(cert), cert.NotAfter.UTC().Format("2006-01-02"))
	}
	return names
}

// mendChain puts a chain in order, says what was found, and asks about what
// does not belong to it.
func mendChain(d *Dialog, env Env, cfg *store.Config, certs []*x509.Certificate) ([]*x509.Certificate, error) {
	known, err := knownAuthorities(env, cfg)
	if err != nil {
		d.Printf("The list of the system's certificate authorities cannot be read: %v.\n", err)
	}
	chain := store.NewChain(certs, known)
	if chain.Moved {
		d.Text("The intermediate certificates were put in the order of their issuers.")
	}
	for _, cert := range chain.Duplicates {
		d.Printf("The certificate %q was there more than once: it is kept once.\n", store.CommonName(cert))
	}
	certs = chain.Ordered
	for _, cert := range chain.Unrelated {
		if !d.YesNo(fmt.Sprintf("The intermediate certificate %q does not belong to the chain of this certificate. Remove it?", store.CommonName(cert)), true) {
			certs = append(certs, cert)
		}
	}
	if chain.Missing != "" {
		d.Printf("NOTE: The issuer %q is neither in this chain nor in a list of\nauthorities. Unless peers know it, they cannot verify this certificate: add its\ncertificate with EDIT if it is an intermediate one.\n", chain.Missing)
	}
	return certs, d.Err()
}

// knownAuthorities are those that peers are expected to have: the system's, and
// the operator's own.
func knownAuthorities(env Env, cfg *store.Config) ([]*x509.Certificate, error) {
	known, err := env.Machine.Authorities()
	for _, authority := range cfg.Authorities.List {
		if cert, err := authority.Certificate(); err == nil {
			known = append(known, cert)
		}
	}
	return known, err
}
