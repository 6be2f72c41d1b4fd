package route

import (
	"strings"
	"unicode/utf8"
)

// ASCII gives the form of a domain that DNS knows: labels beyond ASCII as
// A-labels (RFC 5891 §4.4, Punycode of RFC 3492). The domain is lower case and
// in normal form already. A label that has no such form is left as it is; the
// lookup of it will then find nothing.
func ASCII(domain string) string {
	if isASCII(domain) {
		return domain
	}
	labels := strings.Split(domain, ".")
	for i, label := range labels {
		if code, ok := punycode(label); ok && !isASCII(label) {
			labels[i] = "xn--" + code
		}
	}
	return strings.Join(labels, ".")
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Parameters of RFC 3492 §5.
const (
	base        = 36
	tmin        = 1
	tmax        = 26
	skew        = 38
	damp        = 700
	initialBias = 72
	initialN    = 128
)

// punycode is the encoding procedure of RFC 3492 §6.3. A label is at most 63
// letters here, so that the sums cannot overflow.
func punycode(label string) (string, bool) {
	runes := []rune(label)
	if len(runes) > 63 || !utf8.ValidString(label) {
		return "", false
	}
	var out []byte
	for _, r := range runes {
		if r < initialN {
			out = append(out, byte(r))
		}
	}
	basic := len(out)
	if basic > 0 {
		out = append(out, '-')
	}
	n, delta, bias := rune(initialN), 0, initialBias
	for done := basic; done < len(runes); {
		next := smallestFrom(runes, n)
		delta += int(next-n) * (done + 1)
		n = next
		for _, r := range runes {
			switch {
			case r < n:
				delta++
			case r == n:
				out = appendVariable(out, delta, bias)
				bias = adapt(delta, done+1, done == basic)
				delta = 0
				done++
			}
		}
		delta++
		n++
	}
	return string(out), true
}

func smallestFrom(runes []rune, n rune) rune {
	m := rune(utf8.MaxRune)
	for _, r := range runes {
		if r >= n && r < m {
			m = r
		}
	}
	return m
}

// appendVariable writes delta as a variable-length integer (RFC 3492 §3.3).
func appendVariable(out []byte, delta, bias int) []byte {
	for k := base; ; k += base {
		t := min(max(k-bias, tmin), tmax)
		if delta < t {
			return append(out, digit(delta))
		}
		out = append(out, digit(t+(delta-t)%(base-t)))
		delta = (delta - t) / (base - t)
	}
}

func digit(d int) byte {
	if d < 26 {
		return byte('a' + d)
	}
	return byte('0' + d - 26)
}

// adapt is the bias adaptation of RFC 3492 §6.1.
func adapt(delta, points int, first bool) int {
	if first {
		delta /= damp
	} else {
		delta /= 2
	}
	delta += delta / points
	k := 0
	for ; delta > (base-tmin)*tmax/2; k += base {
		delta /= base - tmin
	}
	return k + (base-tmin+1)*delta/(delta+skew)
}
