package store

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Passphrases are kept as argon2id hashes (RFC 9106) in the form of the PHC
// string format: $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH, in base64 without
// padding.

// hashCost is what one check costs: the second choice of OWASP's Password
// Storage Cheat Sheet, which fits machines with little memory.
type hashCost struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
}

func factoryCost() hashCost { return hashCost{memory: 19 << 10, passes: 2, lanes: 1} }

// Bounds of hashes that come with a configuration file: one check must stay
// cheap whatever it says.
const (
	maxHashMemory = 64 << 10 // KiB
	maxHashPasses = 8
	maxHashLanes  = 4
	saltSize      = 16
	hashSize      = 32
)

// MaxPassphrase bounds a passphrase, in bytes.
const MaxPassphrase = 256

// hashed is a hash taken apart.
type hashed struct {
	cost      hashCost
	salt, sum []byte
}

// HashPassphrase gives the form in which a passphrase is kept; the salt is
// read from random.
func HashPassphrase(passphrase string, random io.Reader) (Secret, error) {
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(random, salt); err != nil {
		return "", fmt.Errorf("hashing a passphrase: %w", err)
	}
	h := hashed{cost: factoryCost(), salt: salt}
	h.sum = h.compute(passphrase)
	return Secret(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.cost.memory, h.cost.passes, h.cost.lanes,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.sum))), nil
}

func (h hashed) compute(passphrase string) []byte {
	return argon2.IDKey([]byte(passphrase), h.salt, h.cost.passes, h.cost.memory, h.cost.lanes, hashSize)
}

// readHash takes a hash apart. Its errors say nothing of what it holds.
func readHash(s Secret) (hashed, error) {
	var (
		h       hashed
		version int
	)
	parts := strings.Split(s.Reveal(), "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return h, errors.New("it is not an argon2id hash")
	}
	if _, err := fmt.Sscanf(parts[2]+","+parts[3], "v=%d,m=%d,t=%d,p=%d", &version, &h.cost.memory, &h.cost.passes, &h.cost.lanes); err != nil {
		return h, errors.New("the cost of the hash is not given")
	}
	if version != argon2.Version || h.cost.memory > maxHashMemory || h.cost.passes < 1 || h.cost.passes > maxHashPasses ||
		h.cost.lanes < 1 || h.cost.lanes > maxHashLanes || h.cost.memory < 8*uint32(h.cost.lanes) {
		return h, errors.New("the cost of the hash is out of bounds")
	}
	var errSalt, errSum error
	h.salt, errSalt = base64.RawStdEncoding.DecodeString(parts[4])
	h.sum, errSum = base64.RawStdEncoding.DecodeString(parts[5])
	if errSalt != nil || errSum != nil || len(h.salt) < 8 || len(h.salt) > 64 || len(h.sum) != hashSize {
		return h, errors.New("the hash is damaged")
	}
	return h, nil
}

// matches reports whether a hash is that of a passphrase.
func matches(hash Secret, passphrase string) bool {
	h, err := readHash(hash)
	if err != nil || len(passphrase) > MaxPassphrase {
		return false
	}
	return subtle.ConstantTimeCompare(h.compute(passphrase), h.sum) == 1
}

// PassphrasePolicy is what a new passphrase must be like. What it asks for is
// not asked of those that are there already, but for their age.
type PassphrasePolicy struct {
	MinLength  int  `label:"Minimum length"`
	Mixed      bool `label:"Upper and lower case letters required"`
	Digit      bool `label:"Number required"`
	Special    bool `label:"Special character required"`
	NotName    bool `label:"User name not allowed"`      // nor written backwards
	Former     int  `label:"Former passphrases refused"` // beside the present one
	ExpireDays int  `label:"Days until a passphrase expires" zero:"Never"`
}

// Bounds of the policy.
const (
	MinPassphraseLength = 6
	MaxPassphraseLength = 128
	MaxFormer           = maxFormerHashes
	MaxExpireDays       = 366
)

func factoryPassphrases() PassphrasePolicy {
	return PassphrasePolicy{MinLength: 8, Mixed: true, Digit: true, Special: true, NotName: true, Former: 3}
}

func (p PassphrasePolicy) validate(problems *problems) {
	report := problems.at("passphrase policy", "userconfig -> POLICY")
	for _, v := range []struct {
		what         string
		n, low, high int
	}{
		{"Minimum length", p.MinLength, MinPassphraseLength, MaxPassphraseLength},
		{"Former passphrases", p.Former, 0, MaxFormer},
		{"Days until a passphrase expires", p.ExpireDays, 0, MaxExpireDays},
	} {
		if err := inRange(int64(v.n), int64(v.low), int64(v.high)); err != nil {
			report("%s: %v", v.what, err)
		}
	}
}

// Check says what a new passphrase of a user lacks. Comparing it with former
// ones takes the time of a hash for each.
func (p PassphrasePolicy) Check(u User, passphrase string) error {
	if len(passphrase) > MaxPassphrase || !utf8.ValidString(passphrase) {
		return refuse("The passphrase must be text of at most %d bytes.", MaxPassphrase)
	}
	lacks := p.lacks(u.Name, passphrase)
	if p.reused(u, passphrase) {
		lacks = append(lacks, fmt.Sprintf("must not be a passphrase in use or used before (the last %d count).", p.Former+1))
	}
	if len(lacks) > 0 {
		return refuse("Following criteria for passphrase are not met:\n- %s", strings.Join(lacks, "\n- "))
	}
	return nil
}

func (p PassphrasePolicy) lacks(name, passphrase string) []string {
	var lacks []string
	need := func(wanted, met bool, text string) {
		if wanted && !met {
			lacks = append(lacks, text)
		}
	}
	has := func(is func(rune) bool) bool { return strings.ContainsFunc(passphrase, is) }
	need(true, utf8.RuneCountInString(passphrase) >= p.MinLength, fmt.Sprintf("must be at least %d characters long.", p.MinLength))
	need(true, !has(unicode.IsControl), "must not contain control characters.")
	need(p.Mixed, has(unicode.IsUpper) && has(unicode.IsLower), "must contain at least one upper (A-Z) and one lower (a-z) case letter.")
	need(p.Digit, has(unicode.IsDigit), "must contain at least one number (0-9).")
	need(p.Special, has(isSpecial), "must contain at least one special character.")
	need(p.NotName, !containsName(passphrase, name), "must not contain the user name, also not written backwards.")
	return lacks
}

func isSpecial(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsControl(r)
}

func containsName(passphrase, name string) bool {
	backwards := []rune(strings.ToLower(name))
	slices.Reverse(backwards)
	lower := strings.ToLower(passphrase)
	return name != "" && (strings.Contains(lower, strings.ToLower(name)) || strings.Contains(lower, string(backwards)))
}

// reused reports whether a passphrase is the present one or one of the former
// ones that the policy counts.
func (p PassphrasePolicy) reused(u User, passphrase string) bool {
	known := append([]Secret{u.Passphrase}, u.Former[:min(len(u.Former), p.Former)]...)
	return slices.ContainsFunc(known, func(hash Secret) bool { return hash != "" && matches(hash, passphrase) })
}

// Expired reports whether a user has to choose another passphrase before
// anything else.
func (p PassphrasePolicy) Expired(u User, today Day) bool {
	if u.Passphrase == "" {
		return false
	}
	return u.MustChange || p.ExpireDays > 0 && today.Since(u.Changed) >= p.ExpireDays
}

// Set gives the user with another passphrase, once Check has found no fault
// with it.
func (p PassphrasePolicy) Set(u User, passphrase string, today Day, random io.Reader) (User, error) {
	hash, err := HashPassphrase(passphrase, random)
	if err != nil {
		return u, err
	}
	former := slices.Clone(u.Former)
	if u.Passphrase != "" {
		former = append([]Secret{u.Passphrase}, former...)
	}
	u.Former = former[:min(len(former), p.Former)]
	u.Passphrase, u.Changed, u.MustChange = hash, today, false
	return u, nil
}

// alphabets are what generated passphrases are made of, without what is easily
// mistaken for another.
func alphabets() []string {
	return []string{"abcdefghijkmnpqrstuvwxyz", "ABCDEFGHJKLMNPQRSTUVWXYZ", "23456789", "-+=.:_%@"}
}

// generatedLength is how long a generated passphrase is where the policy asks
// for no more: above 80 bits.
const generatedLength = 16

// Generate makes a passphrase that fits the policy.
func (p PassphrasePolicy) Generate(random io.Reader) (string, error) {
	sets := alphabets()
	all := strings.Join(sets, "")
	text := make([]byte, 0, MaxPassphraseLength)
	for i := range max(generatedLength, p.MinLength) {
		from := all
		if i < len(sets) {
			from = sets[i]
		}
		n, err := below(len(from), random)
		if err != nil {
			return "", fmt.Errorf("generating a passphrase: %w", err)
		}
		text = append(text, from[n])
	}
	for i := len(text) - 1; i > 0; i-- {
		n, err := below(i+1, random)
		if err != nil {
			return "", fmt.Errorf("generating a passphrase: %w", err)
		}
		text[i], text[n] = text[n], text[i]
	}
	return string(text), nil
}

// below gives a number from 0 to n-1, all equally likely; n is at most 256.
func below(n int, random io.Reader) (int, error) {
	var b [1]byte
	for {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return 0, err
		}
		if int(b[0]) < 256-256%n {
			return int(b[0]) % n, nil
		}
	}
}

// Authenticate gives the user that a name and a passphrase belong to, by the
// running configuration, or fails with ErrLogin. A name that is not there costs
// the same time. One check runs at a time, and those that wait end with ctx:
// guesses take one processor at most and the memory of one hash.
func (s *Store) Authenticate(ctx context.Context, name, passphrase string) (User, error) {
	select {
	case s.checking <- struct{}{}:
		defer func() { <-s.checking }()
	case <-ctx.Done():
		return User{}, context.Cause(ctx)
	}
	running, _ := s.Running()
	u, ok := running.User(name)
	if !ok || u.Passphrase == "" || u.Suspended {
		(hashed{cost: factoryCost(), salt: make([]byte, saltSize)}).compute(passphrase[:min(len(passphrase), MaxPassphrase)])
		return User{}, ErrLogin
	}
	if !u.Check(passphrase) {
		return User{}, ErrLogin
	}
	return u, nil
}
