package store

import (
	"crypto"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math"
	"slices"

	"software.sslmate.com/src/go-pkcs12"
)

// A PKCS #12 file (RFC 7292) says itself how much work its passphrase makes:
// how often a hash is iterated, for its MAC and for each encrypted part. So the
// counts are read before anything is derived:
//
//	readPFX      the outer structure: the MAC and the parts, and their counts
//	checkCounts  refuses counts that would take long
//	checkInner   refuses encrypted parts that hold another encrypted key, whose
//	             count cannot be seen from outside
//	ReadPKCS12   then decodes, and puts key and certificates together
//
// Decoding and encoding themselves are those of go-pkcs12.

// Bounds of a PKCS #12 file.
const (
	MaxPKCS12Bytes     = 1 << 20
	MaxGiven           = 50 // certificates in a file or a paste; not all need be of the chain
	maxIterations      = 1000000
	exportIterations   = 100000
	maxPKCS12Parts     = 2 // as many as go-pkcs12 takes
	errPKCS12          = ValueError("The file is not a PKCS#12 file in DER encoding, or it is damaged.")
	errPKCS12Hidden    = ValueError("The file keeps its private key inside of an encrypted part, which is not supported.\nConvert it with another program first, as \"openssl pkcs12\".")
	errPKCS12NoKey     = ValueError("There is no private key in the file. Export it again together with the key.")
	errPKCS12NoCert    = ValueError("There is no certificate in the file.")
	errPassphrase      = ValueError("The passphrase is not correct, or the file is damaged.")
	errPassphraseRunes = ValueError("The passphrase has characters that a PKCS#12 file cannot use.")
)

// oids of RFC 7292 and RFC 8018.
func oidData() asn1.ObjectIdentifier      { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1} }
func oidEncrypted() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6} }
func oidKeyBag() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}
}
func oidShroudedKeyBag() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
}
func oidPBES2() asn1.ObjectIdentifier  { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13} }
func oidPBMAC1() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14} }
func oidPBKDF2() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12} }
func oidHMACSHA256() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
}

// The structures of RFC 7292, as far as counts stand in them.
type (
	pfx struct {
		Version  int
		AuthSafe contentInfo
		MAC      macData `asn1:"optional"`
	}
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"tag:0,explicit,optional"`
	}
	macData struct {
		MAC        digestInfo
		Salt       []byte
		Iterations int `asn1:"optional,default:1"`
	}
	digestInfo struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	encryptedData struct {
		Version int
		Info    struct {
			Type      asn1.ObjectIdentifier
			Algorithm pkix.AlgorithmIdentifier
			Content   asn1.RawValue `asn1:"tag:0,optional"`
		}
	}
	safeBag struct {
		ID         asn1.ObjectIdentifier
		Value      asn1.RawValue `asn1:"tag:0,explicit"`
		Attributes asn1.RawValue `asn1:"set,optional"`
	}
	encryptedKey struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbeParams struct {
		Salt       asn1.RawValue
		Iterations int
	}
	pbes2Params struct{ KDF, Scheme pkix.AlgorithmIdentifier }
	kdfParams   struct {
		Salt       asn1.RawValue
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
)

// unmarshal reads the whole of der.
func unmarshal(der []byte, value any) error {
	rest, err := asn1.Unmarshal(der, value)
	if err != nil || len(rest) > 0 {
		return errPKCS12
	}
	return nil
}

// readPFX reads the outer structure and its parts.
func readPFX(der []byte) (pfx, []contentInfo, error) {
	var file pfx
	if len(der) > MaxPKCS12Bytes {
		return file, nil, refuse("A PKCS#12 file must not be longer than %d bytes.", MaxPKCS12Bytes)
	}
	if err := unmarshal(der, &file); err != nil {
		return file, nil, err
	}
	if !file.AuthSafe.Type.Equal(oidData()) {
		return file, nil, refuse("The file is not protected by a passphrase: only that is supported.")
	}
	var content []byte
	var parts []contentInfo
	if err := errors.Join(unmarshal(file.AuthSafe.Content.Bytes, &content), unmarshal(content, &parts)); err != nil {
		return file, nil, errPKCS12
	}
	if len(parts) == 0 || len(parts) > maxPKCS12Parts {
		return file, nil, refuse("The file has %d parts: from 1 to %d are supported.", len(parts), maxPKCS12Parts)
	}
	return file, parts, nil
}

// checkCounts refuses a file that would make much work before its passphrase
// is known to be right.
func checkCounts(file pfx, parts []contentInfo) error {
	counts := []int{file.MAC.Iterations}
	if algorithm := file.MAC.MAC.Algorithm; algorithm.Algorithm.Equal(oidPBMAC1()) {
		n, err := pbes2Count(algorithm)
		if err != nil {
			return err
		}
		counts = []int{n}
	}
	for _, part := range parts {
		found, err := partCounts(part)
		if err != nil {
			return err
		}
		counts = append(counts, found...)
	}
	if most := slices.Max(counts); most > maxIterations {
		return refuse("The file asks for %d iterations of its passphrase: more than %d are not taken.", most, maxIterations)
	}
	return nil
}

// partCounts gives the counts that are seen in one part.
func partCounts(part contentInfo) ([]int, error) {
	if part.Type.Equal(oidEncrypted()) {
		var encrypted encryptedData
		if err := unmarshal(part.Content.Bytes, &encrypted); err != nil {
			return nil, err
		}
		n, err := count(encrypted.Info.Algorithm)
		return []int{n}, err
	}
	var content []byte
	var bags []safeBag
	if !part.Type.Equal(oidData()) || unmarshal(part.Content.Bytes, &content) != nil || unmarshal(content, &bags) != nil {
		return nil, errPKCS12
	}
	var counts []int
	for _, bag := range bags {
		isKey := bag.ID.Equal(oidShroudedKeyBag())
		if (isKey || bag.ID.Equal(oidKeyBag())) && len(bag.Value.Bytes) > MaxKeyBytes {
			return nil, errKeyLong
		}
		if !isKey {
			continue
		}
		var key encryptedKey
		if err := unmarshal(bag.Value.Bytes, &key); err != nil {
			return nil, err
		}
		n, err := count(key.Algorithm)
		if err != nil {
			return nil, err
		}
		counts = append(counts, n)
	}
	return counts, nil
}

// count gives the iterations of one encryption. One whose parameters cannot be
// read is refused: what go-pkcs12 reads there would not be known.
func count(algorithm pkix.AlgorithmIdentifier) (int, error) {
	if algorithm.Algorithm.Equal(oidPBES2()) {
		return pbes2Count(algorithm)
	}
	var params pbeParams
	err := unmarshal(algorithm.Parameters.FullBytes, &params)
	return params.Iterations, err
}

// pbes2Count reads the count of PBES2 and of PBMAC1, whose parameters begin in
// the same way (RFC 8018 appendix A).
func pbes2Count(algorithm pkix.AlgorithmIdentifier) (int, error) {
	var params pbes2Params
	var kdf kdfParams
	if err := unmarshal(algorithm.Parameters.FullBytes, &params); err != nil {
		return 0, err
	}
	if !params.KDF.Algorithm.Equal(oidPBKDF2()) {
		return 0, refuse("The file uses a way to derive keys that is not supported: %v.", params.KDF.Algorithm)
	}
	if err := unmarshal(params.KDF.Parameters.FullBytes, &kdf); err != nil {
		return 0, err
	}
	return kdf.Iterations, nil
}

// checkInner refuses a part that is encrypted and holds a key: that may be
// encrypted again, with a count of its own. It lets go-pkcs12 read the part
// behind a key in the clear: a second key is an error then, and is not derived.
func checkInner(part contentInfo, passphrase string) error {
	if !part.Type.Equal(oidEncrypted()) {
		return nil
	}
	probe, err := probeFile(part, passphrase)
	if err != nil {
		return fmt.Errorf("looking into PKCS#12 file: %w", err)
	}
	if _, _, _, err := pkcs12.DecodeChain(probe, passphrase); err != nil {
		// Without a certificate in this part the whole is judged later.
		if errors.Is(decodeError(err), errPKCS12NoCert) {
			return nil
		}
		if err.Error() == "pkcs12: expected exactly one key bag" {
			return errPKCS12Hidden
		}
		// One wrong passphrase in 256 leaves a padding that is right before
		// what is no structure: the MAC of the file was not looked at yet.
		if err := decodeError(err); !errors.Is(err, errPKCS12) {
			return err
		}
		return errPassphrase
	}
	return nil
}

// probeFile makes a PKCS #12 file of a key of no worth and the part.
func probeFile(part contentInfo, passphrase string) ([]byte, error) {
	key, err := NewKey(P256)
	if err != nil {
		return nil, err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	type bag struct {
		ID    asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	bags, err := asn1.Marshal([]bag{{oidKeyBag(), explicit(plain)}})
	if err != nil {
		return nil, err
	}
	data, err := asn1.Marshal(bags)
	if err != nil {
		return nil, err
	}
	content, err := asn1.Marshal([]contentInfo{{oidData(), explicit(data)}, part})
	if err != nil {
		return nil, err
	}
	mac, err := probeMAC(content, passphrase)
	if err != nil {
		return nil, err
	}
	wrapped, err := asn1.Marshal(content)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(pfx{Version: 3, AuthSafe: contentInfo{oidData(), explicit(wrapped)}, MAC: mac})
}

func explicit(der []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: der}
}

// probeMAC authenticates content as RFC 9579 says, with one iteration: the
// probe is nobody's secret.
func probeMAC(content []byte, passphrase string) (macData, error) {
	const size = sha256.Size
	salt, err := asn1.Marshal([]byte{0})
	if err != nil {
		return macData{}, err
	}
	sha := pkix.AlgorithmIdentifier{Algorithm: oidHMACSHA256()}
	kdf, err := asn1.Marshal(kdfParams{Salt: asn1.RawValue{FullBytes: salt}, Iterations: 1, KeyLength: size, PRF: sha})
	if err != nil {
		return macData{}, err
	}
	params, err := asn1.Marshal(pbes2Params{pkix.AlgorithmIdentifier{Algorithm: oidPBKDF2(), Parameters: asn1.RawValue{FullBytes: kdf}}, sha})
	if err != nil {
		return macData{}, err
	}
	key, err := pbkdf2.Key(sha256.New, passphrase, []byte{0}, 1, size)
	if err != nil {
		return macData{}, err
	}
	sum := hmac.New(sha256.New, key)
	sum.Write(content)
	return macData{
		MAC: digestInfo{
			Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidPBMAC1(), Parameters: asn1.RawValue{FullBytes: params}},
			Digest:    sum.Sum(nil),
		},
		Salt: []byte{0}, Iterations: 1,
	}, nil
}

// decodeError makes an error of go-pkcs12 one that an operator understands.
func decodeError(err error) error {
	var missing pkcs12.NotImplementedError
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return errPassphrase
	case errors.As(err, &missing):
		return refuse("The file uses what is not supported: %v.", missing)
	}
	switch err.Error() { // go-pkcs12 has no other sign of these
	case "pkcs12: private key missing":
		return errPKCS12NoKey
	case "pkcs12: certificate missing":
		return errPKCS12NoCert
	}
	return errPKCS12
}

// ReadPKCS12 reads a private key and its certificates from a file. It takes at
// most a few seconds, whatever the file says.
func ReadPKCS12(der []byte, passphrase string) (crypto.Signer, []*x509.Certificate, error) {
	file, parts, err := readPFX(der)
	if err != nil {
		return nil, nil, err
	}
	if err := checkCounts(file, parts); err != nil {
		return nil, nil, err
	}
	if !basicPlane(passphrase) {
		return nil, nil, errPassphraseRunes
	}
	for _, part := range parts {
		if err := checkInner(part, passphrase); err != nil {
			return nil, nil, err
		}
	}
	private, leaf, others, err := pkcs12.DecodeChain(der, passphrase)
	if err != nil {
		return nil, nil, decodeError(err)
	}
	key, err := checkKey(private)
	if err != nil {
		return nil, nil, err
	}
	if len(others) >= MaxGiven {
		return nil, nil, refuse("There are more than %d certificates.", MaxGiven)
	}
	return key, append([]*x509.Certificate{leaf}, others...), nil
}

// basicPlane reports whether a text can be written as BMPString, which is how
// PKCS #12 takes passphrases.
func basicPlane(text string) bool {
	for _, r := range text {
		if r > math.MaxUint16 || r >= 0xd800 && r <= 0xdfff || r == 0xfffd {
			return false
		}
	}
	return true
}

// PKCS12 writes the profile as a file: AES-256 and SHA-256, which OpenSSL 1.1.1
// and later read.
func (c Certificate) PKCS12(passphrase string) ([]byte, error) {
	if !basicPlane(passphrase) {
		return nil, errPassphraseRunes
	}
	certs, err := c.Chain.Certificates()
	if err != nil {
		return nil, err
	}
	key, err := c.Signer()
	if err != nil {
		return nil, err
	}
	data, err := pkcs12.Modern2023.WithIterations(exportIterations).Encode(key, certs[0], certs[1:], passphrase)
	if err != nil {
		return nil, fmt.Errorf("writing PKCS#12 file: %w", err)
	}
	return data, nil
}
