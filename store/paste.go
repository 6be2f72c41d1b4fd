package store

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
)

// ReadCertificates reads what an operator pasted: certificates in PEM, at least
// one, with any text around them.
func ReadCertificates(text string) ([]*x509.Certificate, error) {
	certs, err := readCertificates(text, MaxGiven)
	if err == nil && len(certs) == 0 {
		err = errNotCertificates
	}
	return certs, err
}

// ReadKey reads a private key that an operator pasted, in PEM: PKCS #8, PKCS #1
// or SEC 1, not encrypted.
func ReadKey(text string) (crypto.Signer, error) {
	if len(text) > 2*MaxKeyBytes { // some write the parameters of a curve, or words, before it
		return nil, errKeyLong
	}
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errNotKey
		}
		if block.Type == "EC PARAMETERS" {
			continue
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return nil, refuse("The private key is encrypted. Take the passphrase off, or IMPORT a PKCS#12 file.")
		}
		return keyOf(block)
	}
}

func keyOf(block *pem.Block) (crypto.Signer, error) {
	if len(block.Bytes) > MaxKeyBytes {
		return nil, errKeyLong
	}
	var key any
	var err error
	switch block.Type {
	case keyBlock:
		return parseKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, refuse("A private key is expected, not a block of type %.40q.", block.Type)
	}
	if err != nil {
		return nil, errNotKey
	}
	return checkKey(key)
}

// LeafFirst puts the certificate that fits the key before the others, or says
// that there is none.
func LeafFirst(key crypto.Signer, certs []*x509.Certificate) ([]*x509.Certificate, error) {
	n := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return Fits(c, key) })
	if n < 0 {
		return nil, errKeyFits
	}
	return append([]*x509.Certificate{certs[n]}, slices.Delete(slices.Clone(certs), n, n+1)...), nil
}

// NewProfile makes a profile of a key that came from elsewhere, the leaf of its
// chain first.
func NewProfile(name string, key crypto.Signer, chain []*x509.Certificate) (Certificate, error) {
	secret, err := EncodeKey(key)
	if err != nil {
		return Certificate{}, err
	}
	return Certificate{Name: name, Key: secret}.WithChain(chain)
}

// WithChain gives the profile with another chain, whose first certificate must
// fit the key.
func (c Certificate) WithChain(chain []*x509.Certificate) (Certificate, error) {
	c.Chain = EncodeCertificates(chain)
	_, err := c.TLS()
	return c, err
}

// PutCertificate adds a profile, or puts it in the place of the one of that
// name.
func (c *Config) PutCertificate(profile Certificate) error {
	if own := c.Certificate(profile.Name); own != nil {
		*own = profile
		return nil
	}
	if err := c.RoomForCertificate(); err != nil {
		return err
	}
	c.Certificates = append(c.Certificates, profile)
	return nil
}

// RoomForCertificate refuses where there are as many profiles as there can be.
func (c *Config) RoomForCertificate() error {
	if len(c.Certificates) >= MaxCertificates {
		return refuse("There is a maximum of %d certificate profiles.", MaxCertificates)
	}
	return nil
}
