package tlsconf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxCipherString bounds what somebody may enter.
const maxCipherString = 4096

// ErrNoCipher is the error of a cipher string that selects nothing.
var ErrNoCipher = errors.New("no cipher selected")

// ParseCiphers reads an OpenSSL cipher string and gives the suites that it
// selects, in the order in which they are preferred: the order of the string
// has no effect, so "+WORD" and "@STRENGTH" are understood and change nothing.
// Words of ciphers that do not exist here select nothing (see UnknownCiphers).
// The error matches ErrNoCipher where nothing is selected.
func ParseCiphers(text string) ([]uint16, error) {
	if len(text) > maxCipherString {
		return nil, fmt.Errorf("reading ciphers: longer than %d characters", maxCipherString)
	}
	selected, killed := map[uint16]bool{}, map[uint16]bool{}
	for _, element := range elements(text) {
		sign, words := cutSign(element)
		if words == "" {
			return nil, fmt.Errorf("reading ciphers: %q says nothing", element)
		}
		if sign == '@' {
			if !isOrder(words) {
				return nil, fmt.Errorf("reading ciphers: %q is not known", element)
			}
			continue
		}
		for _, s := range suites() {
			if has, _ := s.matches(words); !has {
				continue
			}
			switch sign {
			case '!':
				killed[s.id] = true
			case '-':
				delete(selected, s.id)
			case 0:
				selected[s.id] = true
			}
		}
	}
	ids := matching(func(s suite) bool { return selected[s.id] && !killed[s.id] })
	if len(ids) == 0 {
		return nil, fmt.Errorf("reading ciphers %q: %w", text, ErrNoCipher)
	}
	return ids, nil
}

// UnknownCiphers gives the elements of a cipher string that name nothing
// OpenSSL's manual knows: spelling mistakes, and ciphers given up long ago.
func UnknownCiphers(text string) []string {
	var unknown []string
	for _, element := range elements(text) {
		sign, words := cutSign(element)
		if _, known := (suite{}).matches(words); !known && sign != '@' {
			unknown = append(unknown, element)
		}
	}
	return unknown
}

// elements takes a cipher string apart.
func elements(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(":, ;\t\r\n", r) })
}

func cutSign(element string) (sign byte, words string) {
	if strings.IndexByte("!-+@", element[0]) >= 0 {
		return element[0], element[1:]
	}
	return 0, element
}

// isOrder recognizes what stands behind @: it orders, or names the security
// level, which the protocol versions and crypto/tls decide here.
func isOrder(word string) bool {
	level, ok := strings.CutPrefix(strings.ToUpper(word), "SECLEVEL=")
	return strings.EqualFold(word, "STRENGTH") || ok && len(level) == 1 && '0' <= level[0] && level[0] <= '5'
}

// matches reports whether a suite has all properties of "ECDHE+AESGCM", and
// whether all its words are known.
func (s suite) matches(words string) (has, known bool) {
	has, known = true, true
	for word := range strings.SplitSeq(words, "+") {
		one, ok := s.matchesWord(word)
		has, known = has && one, known && ok
	}
	return has && known, known
}

func (s suite) matchesWord(word string) (has, known bool) {
	upper := strings.ToUpper(word)
	switch upper {
	case "ALL", "COMPLEMENTOFDEFAULT":
		return upper == "ALL" || !s.byDefault(), true
	case "DEFAULT":
		return s.byDefault(), true
	case "HIGH":
		return s.enc == "AESGCM" || s.enc == "AES" || s.enc == "CHACHA20", true
	case "MEDIUM":
		return s.enc == "3DES" || s.enc == "RC4", true
	case "KRSA", "RSA":
		return s.kx == "RSA", true
	case "ARSA":
		return s.auth == "RSA", true
	case "ECDHE", "EECDH", "KECDHE", "KEECDH", "ECDH":
		return s.kx == "ECDHE", true
	case "AECDSA", "ECDSA":
		return s.auth == "ECDSA", true
	case "AES":
		return s.enc == "AES" || s.enc == "AESGCM", true
	case "AES128", "AES256":
		return (s.enc == "AES" || s.enc == "AESGCM") && upper == fmt.Sprint("AES", s.bits), true
	case "AESGCM", "CHACHA20", "3DES", "RC4":
		return s.enc == upper, true
	case "CBC":
		return s.enc == "AES" || s.enc == "3DES", true
	case "SHA", "SHA1", "SHA256":
		return s.mac == upper || upper == "SHA" && s.mac == "SHA1", true
	case "TLSV1.2", "TLSV1", "SSLV3":
		return strings.EqualFold(s.from, upper), true
	case "TLSV1.0":
		return s.from == "TLSv1", true
	}
	if slices.Contains(absent(), upper) {
		return false, true
	}
	for _, other := range suites() {
		if strings.EqualFold(other.name, word) {
			return other.id == s.id, true
		}
	}
	return false, false
}

// absent lists the words of OpenSSL's manual for what does not exist here.
func absent() []string {
	return []string{"ANULL", "ENULL", "NULL", "ADH", "AECDH", "DH", "DHE", "EDH", "KDH", "KDHE", "KEDH", "KDHD", "KDHR", "KECDH", "KECDHR",
		"ADSS", "DSS", "PSK", "KPSK", "KECDHEPSK", "KDHEPSK", "KRSAPSK", "APSK", "SRP", "KSRP", "ASRP", "AESCCM", "AESCCM8", "CAMELLIA",
		"CAMELLIA128", "CAMELLIA256", "ARIA", "ARIA128", "ARIA256", "ARIAGCM", "SEED", "IDEA", "DES", "RC2", "MD5", "SHA384", "LOW",
		"EXP", "EXPORT", "EXPORT40", "EXPORT56", "GOST", "AGOST", "AGOST01", "KGOST", "GOST94", "GOST89MAC", "COMPLEMENTOFALL", "SSLV2", "FIPS"}
}
