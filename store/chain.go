package store

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Chain is what was found in the certificates of a profile: in the order that
// TLS wants (RFC 8446 §4.4.2), each certificate followed by its issuer.
type Chain struct {
	Ordered    []*x509.Certificate // the leaf, its issuers, then other issuers of one of these
	Moved      bool                // the order was another
	Duplicates []*x509.Certificate // were there more than once; in Ordered once
	Unrelated  []*x509.Certificate // issued none of Ordered, and are not in it
	Missing    string              // who issued the last issuer, if it is neither there nor known; "" if the chain is whole
}

// NewChain puts certificates in order: the first is the leaf. A chain is whole
// if it ends in a self-signed certificate, or in one that was issued by one of
// known, the authorities that peers are expected to have.
func NewChain(certs, known []*x509.Certificate) Chain {
	var c Chain
	if len(certs) == 0 {
		return c
	}
	var rest []*x509.Certificate
	for i, cert := range certs {
		if slices.ContainsFunc(certs[:i], cert.Equal) {
			c.Duplicates = append(c.Duplicates, cert)
		} else if i > 0 {
			rest = append(rest, cert)
		}
	}
	c.Ordered = []*x509.Certificate{certs[0]}
	last := certs[0]
	for !SelfSigned(last) {
		next := issuerIn(rest, last)
		if next < 0 {
			break
		}
		last = rest[next]
		c.Ordered = append(c.Ordered, last)
		rest = slices.Delete(rest, next, next+1)
	}
	if !SelfSigned(last) && issuerIn(known, last) < 0 {
		c.Missing = IssuerName(last)
	}
	// A certificate authority can have several certificates for one key: those
	// that were not needed stay, behind.
	for changed := true; changed; {
		changed = false
		for i, cert := range rest {
			if slices.ContainsFunc(c.Ordered, func(child *x509.Certificate) bool { return issued(cert, child) }) {
				c.Ordered, rest, changed = append(c.Ordered, cert), slices.Delete(rest, i, i+1), true
				break
			}
		}
	}
	c.Unrelated = rest
	c.Moved = c.moved(certs)
	return c
}

// moved reports whether the certificates that stay stood in another order.
func (c Chain) moved(before []*x509.Certificate) bool {
	at := 0
	for _, cert := range c.Ordered {
		n := slices.IndexFunc(before, cert.Equal)
		if n < at {
			return true
		}
		at = n
	}
	return false
}

// issuerIn finds who issued a certificate, rather one that is issued by
// another than a root: -1 if nobody did.
func issuerIn(certs []*x509.Certificate, child *x509.Certificate) int {
	found := -1
	for i, cert := range certs {
		if !issued(cert, child) {
			continue
		}
		if !SelfSigned(cert) {
			return i
		}
		found = i
	}
	return found
}

// issued reports whether parent's key signed child. What parent may sign is
// for the one who verifies.
func issued(parent, child *x509.Certificate) bool {
	return bytes.Equal(parent.RawSubject, child.RawIssuer) && signed(parent, child)
}

// signed checks a signature. One by an algorithm that is too weak to be
// checked is believed: nothing is trusted for it here.
func signed(parent, child *x509.Certificate) bool {
	err := parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
	var weak x509.InsecureAlgorithmError
	return err == nil || errors.As(err, &weak)
}

// Notes tells what was found, for the operator; nothing if all is well.
func (c Chain) Notes() []string {
	var notes []string
	if c.Moved {
		notes = append(notes, "The intermediate certificates were not in the order of their issuers.")
	}
	for _, cert := range c.Duplicates {
		notes = append(notes, fmt.Sprintf("The intermediate certificate %q is there more than once.", CommonName(cert)))
	}
	for _, cert := range c.Unrelated {
		notes = append(notes, fmt.Sprintf("The intermediate certificate %q does not belong to the chain of this certificate.", CommonName(cert)))
	}
	if c.Missing != "" {
		notes = append(notes, fmt.Sprintf("The issuer %q is neither in the chain nor in a list of authorities: peers that do not know it cannot verify the certificate.", c.Missing))
	}
	return notes
}

// Bounds of what is read as lists of certificate authorities.
const (
	maxBundleBytes = 16 << 20
	maxBundle      = 5000
)

// bundles are where systems keep the certificates of the authorities they
// trust: Debian, Red Hat, SUSE, Alpine and BSD.
func bundles() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem",
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		"/etc/ssl/cert.pem",
		"/usr/local/share/certs/ca-root-nss.crt",
	}
}

// SystemAuthorities reads the authorities that the machine trusts: those of
// SSL_CERT_FILE and SSL_CERT_DIR where these are set, else its bundle. Without
// any there is an error.
func SystemAuthorities() ([]*x509.Certificate, error) {
	files := bundles()
	if file := os.Getenv("SSL_CERT_FILE"); file != "" {
		files = []string{file}
	}
	var dirs []string
	if list := os.Getenv("SSL_CERT_DIR"); list != "" {
		dirs = filepath.SplitList(list)
	}
	return readAuthorities(files, dirs)
}

// readAuthorities reads the first of files that is there, and the directories.
func readAuthorities(files, dirs []string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	var failed error
	for _, file := range files {
		certs, err := readBundle(file)
		if errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
			continue
		}
		all, failed = certs, err
		break
	}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			failed = errors.Join(failed, err)
		}
		for _, entry := range entries {
			if len(all) >= maxBundle {
				break
			}
			if certs, err := readBundle(filepath.Join(dir, entry.Name())); err == nil {
				all = append(all, certs...)
			}
		}
	}
	all = distinct(all)
	if len(all) == 0 {
		return nil, fmt.Errorf("reading the system's certificate authorities: %w", errors.Join(failed, errors.New("there are none")))
	}
	return all, nil
}

func readBundle(path string) ([]*x509.Certificate, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxBundleBytes))
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for len(certs) < maxBundle {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		// One that cannot be read is of no use, and takes no other's away.
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == certificateBlock {
			certs = append(certs, cert)
		}
	}
	return certs, nil
}

func distinct(certs []*x509.Certificate) []*x509.Certificate {
	seen := make(map[string]bool, len(certs))
	return slices.DeleteFunc(certs, func(c *x509.Certificate) bool {
		was := seen[string(c.Raw)]
		seen[string(c.Raw)] = true
		return was
	})
}

// ReadAuthorities reads a file of certificate authorities for the custom list:
// certificates in PEM, one after the other, with any text around them.
func ReadAuthorities(text []byte) ([]*x509.Certificate, error) {
	certs, err := readCertificates(string(text), MaxAuthorities)
	if err != nil || len(certs) == 0 {
		return nil, refuse("Could not read PEM data from file.")
	}
	return certs, nil
}

// readCertificates reads the certificates of a text that people gave: with
// other text around them, at least none.
func readCertificates(text string, most int) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if strings.Contains(string(rest), "-----BEGIN") {
				return nil, errNotCertificates
			}
			return certs, nil
		}
		if block.Type != certificateBlock && block.Type != "X509 CERTIFICATE" {
			return nil, refuse("A certificate is expected, not a block of type %.40q.", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errNotCertificates
		}
		if certs = append(certs, cert); len(certs) > most {
			return nil, refuse("There are more than %d certificates.", most)
		}
	}
}
