package store

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

const testPassphrase = "grüße aus 東京"

// testFile is a key with its chain, as others write it.
type testFile struct {
	key   crypto.Signer
	certs []*x509.Certificate
}

func newTestFile(t testing.TB) testFile {
	t.Helper()
	root := testEntity(t, "Root", true, nil)
	lower := testEntity(t, "Lower", true, &root)
	leaf := testEntity(t, "mx.example.com", false, &lower)
	return testFile{leaf.key, []*x509.Certificate{leaf.cert, lower.cert, root.cert}}
}

func (f testFile) encode(t testing.TB, as *pkcs12.Encoder, passphrase string) []byte {
	t.Helper()
	der, err := as.Encode(f.key, f.certs[0], f.certs[1:], passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// encoders are the ways that files are written in.
func encoders() map[string]*pkcs12.Encoder {
	return map[string]*pkcs12.Encoder{
		"RC2": pkcs12.LegacyRC2, "3DES": pkcs12.LegacyDES, "2023": pkcs12.Modern2023, "2026": pkcs12.Modern2026,
		"many iterations": pkcs12.Modern2023.WithIterations(20000),
	}
}

func TestReadPKCS12(t *testing.T) {
	f := newTestFile(t)
	for name, as := range encoders() {
		for _, passphrase := range []string{"secret", testPassphrase, ""} {
			der := f.encode(t, as, passphrase)
			key, certs, err := ReadPKCS12(der, passphrase)
			if err != nil || !Fits(f.certs[0], key) || len(certs) != 3 || !certs[2].Equal(f.certs[2]) {
				t.Errorf("%s, %q: %d certificates, %v", name, passphrase, len(certs), err)
			}
			if _, _, err := ReadPKCS12(der, "wrong"); !errors.Is(err, errPassphrase) {
				t.Errorf("%s: wrong passphrase: %v", name, err)
			}
		}
	}
}

// TestReadPKCS12_WrongPassphraseWithTheRightPadding: one in 256 decrypts a part
// to what ends as it should and is nothing.
func TestReadPKCS12_WrongPassphraseWithTheRightPadding(t *testing.T) {
	nothing := encryptedPart(t, []byte("not a list of bags"), "wrong")
	file := rewrite(t, newTestFile(t).encode(t, pkcs12.Modern2023, "right"), func(_ *pfx, parts []contentInfo) []contentInfo {
		return []contentInfo{nothing, parts[1]}
	})
	if _, _, err := ReadPKCS12(file, "wrong"); !errors.Is(err, errPassphrase) {
		t.Error(err)
	}
}

func TestPKCS12IsReadByOthers(t *testing.T) {
	f := newTestFile(t)
	secret, err := EncodeKey(f.key)
	if err != nil {
		t.Fatal(err)
	}
	c := Certificate{Name: "one", Key: secret, Chain: EncodeCertificates(f.certs)}
	der, err := c.PKCS12(testPassphrase)
	if err != nil {
		t.Fatal(err)
	}
	key, leaf, others, err := pkcs12.DecodeChain(der, testPassphrase)
	if err != nil || !Fits(f.certs[0], key.(crypto.Signer)) || !leaf.Equal(f.certs[0]) || len(others) != 2 {
		t.Errorf("%v", err)
	}
	for name, bad := range map[string]Certificate{
		"no key":   {Chain: c.Chain},
		"no chain": {Key: c.Key},
	} {
		if der, err := bad.PKCS12("secret"); err == nil || der != nil {
			t.Errorf("%s: written", name)
		}
	}
	if _, err := c.PKCS12("\U0001F600"); !errors.Is(err, errPassphraseRunes) {
		t.Error(err)
	}
	if _, _, err := ReadPKCS12(der, "\U0001F600"); !errors.Is(err, errPassphraseRunes) {
		t.Error(err)
	}
}

// rewrite takes a file apart, changes it and puts it together again; its MAC
// is no longer right then.
func rewrite(t testing.TB, der []byte, change func(*pfx, []contentInfo) []contentInfo) []byte {
	t.Helper()
	file, parts, err := readPFX(der)
	if err != nil {
		t.Fatal(err)
	}
	parts = change(&file, parts)
	content := marshal(t, parts)
	file.AuthSafe.Content = explicit(marshal(t, content))
	return marshal(t, file)
}

func marshal(t testing.TB, value any) []byte {
	t.Helper()
	der, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestPKCS12Bombs is attack G6: a small file that asks for hours of work, at
// each place where a count can stand, is refused at once.
func TestPKCS12Bombs(t *testing.T) {
	const bomb = 1<<31 - 1
	f := newTestFile(t)
	// 65536 is written in as many bytes as 8388607.
	nth := func(as *pkcs12.Encoder, n int) []byte {
		parts := strings.Split(string(f.encode(t, as.WithIterations(65536), "x")), "\x02\x03\x01\x00\x00")
		if len(parts) <= n+1 {
			t.Fatalf("the count stands %d times in the file", len(parts)-1)
		}
		parts[n] += "\x02\x03\x7f\xff\xff" + parts[n+1]
		return []byte(strings.Join(slices.Delete(parts, n+1, n+2), "\x02\x03\x01\x00\x00"))
	}
	for name, der := range map[string][]byte{
		"MAC": rewrite(t, f.encode(t, pkcs12.LegacyDES, "x"), func(file *pfx, parts []contentInfo) []contentInfo {
			file.MAC.Iterations = bomb
			return parts
		}),
		"MAC in place": nth(pkcs12.LegacyDES, 2),
		"PBMAC1":       nth(pkcs12.Modern2026, 2),
		"certificates": nth(pkcs12.LegacyDES, 0),
		"key":          nth(pkcs12.LegacyRC2, 1),
		"PBES2":        nth(pkcs12.Modern2023, 0),
		"key of PBES2": nth(pkcs12.Modern2023, 1),
	} {
		begun := time.Now()
		if _, _, err := ReadPKCS12(der, "x"); err == nil || !strings.Contains(err.Error(), "iterations of its passphrase") {
			t.Errorf("%s: %v", name, err)
		}
		// A count of this size would take many minutes.
		if took := time.Since(begun); took > 30*time.Second {
			t.Errorf("%s: %v", name, took)
		}
	}
}

// TestPKCS12HiddenBomb: a key that is encrypted inside of an encrypted part has
// a count that nobody can see from outside.
func TestPKCS12HiddenBomb(t *testing.T) {
	f := newTestFile(t)
	// The two parts of the file are an encrypted one with the certificates and
	// one in the clear with the encrypted key; the key goes into the first.
	inner := f.encode(t, pkcs12.Modern2023, "x")
	_, parts, err := readPFX(inner)
	if err != nil {
		t.Fatal(err)
	}
	var keyBags []byte
	if err := unmarshal(parts[1].Content.Bytes, &keyBags); err != nil {
		t.Fatal(err)
	}
	hidden := encryptedPart(t, keyBags, "x")
	if err := checkInner(hidden, "x"); !errors.Is(err, errPKCS12Hidden) {
		t.Errorf("an encrypted key in an encrypted part: %v", err)
	}
	if err := checkInner(parts[0], "x"); err != nil {
		t.Errorf("certificates in an encrypted part: %v", err)
	}
	// Nothing but the look inside sees it: the file is refused for it before
	// its MAC, which is not right any more, is looked at.
	file := rewrite(t, inner, func(_ *pfx, parts []contentInfo) []contentInfo { return []contentInfo{hidden, parts[1]} })
	if _, _, err := ReadPKCS12(file, "x"); !errors.Is(err, errPKCS12Hidden) {
		t.Errorf("in a file: %v", err)
	}
	if err := checkInner(parts[0], "wrong"); !errors.Is(err, errPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
}

// encryptedPart encrypts bags with PBES2 (RFC 8018 §6.2).
func encryptedPart(t testing.TB, bags []byte, passphrase string) contentInfo {
	t.Helper()
	salt, iv := []byte("saltsalt"), make([]byte, aes.BlockSize)
	key, err := pbkdf2.Key(sha256.New, passphrase, salt, 2048, 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	pad := aes.BlockSize - len(bags)%aes.BlockSize
	bags = append(bytes.Clone(bags), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(bags, bags)
	kdf := kdfParams{Salt: asn1.RawValue{FullBytes: marshal(t, salt)}, Iterations: 2048, PRF: pkix.AlgorithmIdentifier{Algorithm: oidHMACSHA256()}}
	scheme := pbes2Params{
		KDF: pkix.AlgorithmIdentifier{Algorithm: oidPBKDF2(), Parameters: asn1.RawValue{FullBytes: marshal(t, kdf)}},
		Scheme: pkix.AlgorithmIdentifier{
			Algorithm:  asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, // AES-256-CBC
			Parameters: asn1.RawValue{FullBytes: marshal(t, iv)},
		},
	}
	var data encryptedData
	data.Info.Type = oidData()
	data.Info.Algorithm = pkix.AlgorithmIdentifier{Algorithm: oidPBES2(), Parameters: asn1.RawValue{FullBytes: marshal(t, scheme)}}
	data.Info.Content = asn1.RawValue{Class: asn1.ClassContextSpecific, Bytes: bags}
	return contentInfo{oidEncrypted(), explicit(marshal(t, data))}
}

func TestBadPKCS12(t *testing.T) {
	f := newTestFile(t)
	good := f.encode(t, pkcs12.Modern2023, "x")
	keyed := func(change func([]contentInfo) []contentInfo) []byte {
		return rewrite(t, good, func(_ *pfx, parts []contentInfo) []contentInfo { return change(parts) })
	}
	other := testEntity(t, "other.example", false, nil)
	for name, tt := range map[string]struct {
		der  []byte
		want string
	}{
		"empty":         {nil, "not a PKCS#12 file"},
		"PEM":           {[]byte("-----BEGIN CERTIFICATE-----"), "not a PKCS#12 file"},
		"cut off":       {good[:len(good)-1], "not a PKCS#12 file"},
		"trailing":      {append([]byte{}, append(good, 0)...), "not a PKCS#12 file"},
		"too long":      {make([]byte, MaxPKCS12Bytes+1), "must not be longer than 1048576 bytes"},
		"a certificate": {f.certs[0].Raw, "not a PKCS#12 file"},
		"no part":       {keyed(func([]contentInfo) []contentInfo { return nil }), "The file has 0 parts"},
		"three parts":   {keyed(func(p []contentInfo) []contentInfo { return append(p, p[0]) }), "The file has 3 parts"},
		"strange part": {keyed(func(p []contentInfo) []contentInfo {
			p[0].Type = oidPBES2()
			return p
		}), "not a PKCS#12 file"},
		"long key": {keyed(func(p []contentInfo) []contentInfo {
			type bag struct {
				ID    asn1.ObjectIdentifier
				Value asn1.RawValue
			}
			bags := marshal(t, []bag{{oidShroudedKeyBag(), explicit(make([]byte, MaxKeyBytes+1))}})
			p[1].Content = explicit(marshal(t, bags))
			return p
		}), "longer than any that is taken"},
		"signed instead": {rewriteOuter(t, good, func(p *pfx) { p.AuthSafe.Type = oidEncrypted() }), "not protected by a passphrase"},
		"changed":        {keyed(func(p []contentInfo) []contentInfo { return p[:1] }), "passphrase is not correct, or the file is damaged"},
		"no key":         {trustStore(t, f.certs), "There is no private key in the file"},
		"no certificate": {rewrite(t, good, func(file *pfx, p []contentInfo) []contentInfo {
			mac, err := probeMAC(marshal(t, p[1:]), "x")
			if err != nil {
				t.Fatal(err)
			}
			file.MAC = mac
			return p[1:]
		}), "There is no certificate in the file"},
		"many certificates": {testFile{other.key, append([]*x509.Certificate{other.cert}, repeated(f.certs[2], MaxGiven)...)}.encode(t, pkcs12.Modern2023, "x"),
			"more than 50 certificates"},
	} {
		if key, _, err := ReadPKCS12(tt.der, "x"); err == nil || key != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

func repeated(cert *x509.Certificate, n int) []*x509.Certificate {
	all := make([]*x509.Certificate, n)
	for i := range all {
		all[i] = cert
	}
	return all
}

func rewriteOuter(t testing.TB, der []byte, change func(*pfx)) []byte {
	t.Helper()
	file, _, err := readPFX(der)
	if err != nil {
		t.Fatal(err)
	}
	change(&file)
	return marshal(t, file)
}

func trustStore(t testing.TB, certs []*x509.Certificate) []byte {
	t.Helper()
	der, err := pkcs12.Modern2023.EncodeTrustStore(certs, "x")
	if err != nil {
		t.Fatal(err)
	}
	return der
}
