package lookup

import (
	"strings"
	"unicode/utf8"
)

// ASCII gives the form of a domain that DNS knows: labels beyond ASCII as
// A-labels (RFC 5891 §4.4, Punycode of RFC 3492). Nothing is mapped or
// normalised (RFC 5895 leaves that to who took the name from a person): the
// domain is in lower case already. It reports false where a label is not UTF-8
// or too long to have such a form; that label is left as it is.
func ASCII(domain string) (string, bool) {
	if isASCII(domain) {
		return domain, true
	}
	all := true
	labels := strings.Split(domain, ".")
	for i, label := range labels {
		switch {
		case isASCII(label):
		case !utf8.ValidString(label) || utf8.RuneCountInString(label) > maxLabel:
			all = false
		default:
			labels[i] = "xn--" + punycode([]rune(label))
		}
	}
	return strings.Join(labels, "."), all
}

// maxLabel is how many letters a label has at most: an A-label is never
// shorter than its U-label, and 63 bytes are all that DNS can hold.
const maxLabel = 63

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

// punycode is the encoding procedure of RFC 3492 §6.3. A label of maxLabel
// letters is too short for the sums to overflow.
func punycode(label []rune) string {
	var out []byte
	for _, r := range label {
		if r < initialN {
			out = append(out, byte(r))
		}
	}
	basic := len(out)
	if basic > 0 {
		out = append(out, '-')
	}
	n, delta, bias := rune(initialN), 0, initialBias
	for done := basic; done < len(label); {
		next := smallestFrom(label, n)
		delta += int(next-n) * (done + 1)
		n = next
		for _, r := range label {
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
	return string(out)
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
