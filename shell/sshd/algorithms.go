package sshd

import (
	"slices"

	"golang.org/x/crypto/ssh"
)

// config gives the algorithms to speak. Strict key exchange, which CVE-2023-48795
// made necessary, is always on.
func (a Algorithms) config() ssh.Config {
	own := ownAlgorithms()
	return ssh.Config{
		KeyExchanges: orElse(a.KEX, own.KEX),
		Ciphers:      orElse(a.Ciphers, own.Ciphers),
		MACs:         orElse(a.MACs, own.MACs),
	}
}

// signatures gives the algorithms by which clients may sign.
func (a Algorithms) signatures() []string { return orElse(a.Signatures, ownAlgorithms().Signatures) }

func orElse(chosen, own []string) []string {
	if len(chosen) == 0 {
		return own
	}
	return slices.Clone(chosen)
}

// ownAlgorithms lists what we speak, best first: no SHA-1, no CBC, no DSA, no
// group exchange (slow for us at the client's will).
func ownAlgorithms() Algorithms {
	return Algorithms{
		KEX: []string{
			ssh.KeyExchangeMLKEM768X25519,
			ssh.KeyExchangeCurve25519,
			ssh.KeyExchangeDH16SHA512,
			ssh.KeyExchangeDH14SHA256,
		},
		Ciphers: []string{
			ssh.CipherAES128GCM,
			ssh.CipherAES256GCM,
			ssh.CipherChaCha20Poly1305,
			ssh.CipherAES128CTR,
			ssh.CipherAES192CTR,
			ssh.CipherAES256CTR,
		},
		MACs: []string{
			ssh.HMACSHA256ETM,
			ssh.HMACSHA512ETM,
			ssh.HMACSHA256,
			ssh.HMACSHA512,
		},
		Signatures: []string{
			ssh.KeyAlgoED25519,
			ssh.KeyAlgoSKED25519,
			ssh.KeyAlgoSKECDSA256,
			ssh.KeyAlgoECDSA256,
			ssh.KeyAlgoECDSA384,
			ssh.KeyAlgoECDSA521,
			ssh.KeyAlgoRSASHA512,
			ssh.KeyAlgoRSASHA256,
		},
	}
}
