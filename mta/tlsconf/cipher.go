package tlsconf

import (
	"crypto/tls"
	"fmt"
)

// suite is one cipher suite with what cipher strings select it by.
type suite struct {
	id   uint16
	name string // OpenSSL's
	kx   string // "ECDHE", "RSA"
	auth string // "ECDSA", "RSA"
	enc  string // "AESGCM", "AES" in CBC mode, "CHACHA20", "3DES", "RC4"
	bits int    // of the key
	mac  string // "AEAD", "SHA1", "SHA256"
	from string // OpenSSL's word for the version it came with
}

// suites lists those there are up to TLS 1.2, in the order in which crypto/tls
// prefers them where AES is quick.
func suites() []suite {
	return []suite{
		{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE", "ECDSA", "AESGCM", 128, "AEAD", "TLSv1.2"},
		{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE", "RSA", "AESGCM", 128, "AEAD", "TLSv1.2"},
		{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE", "ECDSA", "AESGCM", 256, "AEAD", "TLSv1.2"},
		{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE", "RSA", "AESGCM", 256, "AEAD", "TLSv1.2"},
		{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE", "ECDSA", "CHACHA20", 256, "AEAD", "TLSv1.2"},
		{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE", "RSA", "CHACHA20", 256, "AEAD", "TLSv1.2"},
		{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA", "ECDHE", "ECDSA", "AES", 128, "SHA1", "TLSv1"},
		{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA", "ECDHE", "RSA", "AES", 128, "SHA1", "TLSv1"},
		{tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA", "ECDHE", "ECDSA", "AES", 256, "SHA1", "TLSv1"},
		{tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA", "ECDHE", "RSA", "AES", 256, "SHA1", "TLSv1"},
		{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, "AES128-GCM-SHA256", "RSA", "RSA", "AESGCM", 128, "AEAD", "TLSv1.2"},
		{tls.TLS_RSA_WITH_AES_256_GCM_SHA384, "AES256-GCM-SHA384", "RSA", "RSA", "AESGCM", 256, "AEAD", "TLSv1.2"},
		{tls.TLS_RSA_WITH_AES_128_CBC_SHA, "AES128-SHA", "RSA", "RSA", "AES", 128, "SHA1", "SSLv3"},
		{tls.TLS_RSA_WITH_AES_256_CBC_SHA, "AES256-SHA", "RSA", "RSA", "AES", 256, "SHA1", "SSLv3"},
		{tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA, "ECDHE-RSA-DES-CBC3-SHA", "ECDHE", "RSA", "3DES", 112, "SHA1", "TLSv1"},
		{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, "DES-CBC3-SHA", "RSA", "RSA", "3DES", 112, "SHA1", "SSLv3"},
		{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, "ECDHE-ECDSA-AES128-SHA256", "ECDHE", "ECDSA", "AES", 128, "SHA256", "TLSv1.2"},
		{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, "ECDHE-RSA-AES128-SHA256", "ECDHE", "RSA", "AES", 128, "SHA256", "TLSv1.2"},
		{tls.TLS_RSA_WITH_AES_128_CBC_SHA256, "AES128-SHA256", "RSA", "RSA", "AES", 128, "SHA256", "TLSv1.2"},
		{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA, "ECDHE-ECDSA-RC4-SHA", "ECDHE", "ECDSA", "RC4", 128, "SHA1", "TLSv1"},
		{tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA, "ECDHE-RSA-RC4-SHA", "ECDHE", "RSA", "RC4", 128, "SHA1", "TLSv1"},
		{tls.TLS_RSA_WITH_RC4_128_SHA, "RC4-SHA", "RSA", "RSA", "RC4", 128, "SHA1", "SSLv3"},
	}
}

// CipherName gives OpenSSL's name of a suite ("ECDHE-RSA-AES256-GCM-SHA384");
// the suites of TLS 1.3 have only the name of the standard. Of a suite that is
// not known it gives the number.
func CipherName(id uint16) string {
	switch id {
	case tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256:
		return tls.CipherSuiteName(id)
	}
	for _, s := range suites() {
		if s.id == id {
			return s.name
		}
	}
	return fmt.Sprintf("0x%04X", id)
}

// Ciphers13 lists the suites of TLS 1.3, which are always there where that
// version is.
func Ciphers13() []uint16 {
	return []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256}
}

// IsWeak reports whether a suite must not be used any more where it can be
// helped: no forward secrecy, or a broken or short-blocked cipher.
func IsWeak(id uint16) bool {
	for _, s := range tls.InsecureCipherSuites() {
		if s.ID == id {
			return true
		}
	}
	return false
}

// Serves reports whether a suite can be used with a version: those of
// authenticated encryption and of SHA-256 came with TLS 1.2 (RFC 5246 §1.2).
func Serves(id, version uint16) bool {
	for _, s := range suites() {
		if s.id == id {
			return version == tls.VersionTLS12 || version < tls.VersionTLS12 && s.from != "TLSv1.2"
		}
	}
	return version == tls.VersionTLS13
}

// matching gives the suites that have a property, in their order.
func matching(has func(suite) bool) []uint16 {
	var ids []uint16
	for _, s := range suites() {
		if has(s) {
			ids = append(ids, s.id)
		}
	}
	return ids
}

// byDefault is the word DEFAULT: what crypto/tls holds to be secure.
func (s suite) byDefault() bool {
	return s.kx == "ECDHE" && s.enc != "3DES" && s.enc != "RC4" && s.mac != "SHA256"
}

func (s suite) isAuthenticated() bool { return s.byDefault() && s.mac == "AEAD" }
