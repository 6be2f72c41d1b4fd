package dnssec

import (
	"bytes"
	"strings"

	"github.com/miekg/dns"
)

// one gives the form that names have here: lower case, with final dot.
func one(name string) string { return dns.CanonicalName(name) }

// below reports whether name is zone or stands below it, label by label.
func below(name, zone string) bool { return dns.IsSubDomain(zone, name) }

// parent gives the name without its first label; that of the root is the root.
func parent(name string) string {
	next, end := dns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[next:]
}

// ancestor gives the last n labels of a name.
func ancestor(name string, n int) string {
	starts := dns.Split(name)
	if n <= 0 {
		return "."
	}
	if n >= len(starts) {
		return name
	}
	return name[starts[len(starts)-n]:]
}

// between gives the names below top, down to name: each is one label longer.
// name must be below top.
func between(top, name string) []string {
	var names []string
	for n := dns.CountLabel(top) + 1; n <= dns.CountLabel(name); n++ {
		names = append(names, ancestor(name, n))
	}
	return names
}

// ownerLabels counts labels as the Labels field of a signature does (RFC 4034
// §3.1.3): without a leading asterisk.
func ownerLabels(name string) int {
	n := dns.CountLabel(name)
	if strings.HasPrefix(name, "*.") {
		n--
	}
	return n
}

// shared counts the labels that two names have in common from the root down.
func shared(a, b string) int { return dns.CompareDomainName(a, b) }

func wildcard(encloser string) string {
	if encloser == "." {
		return "*."
	}
	return "*." + encloser
}

// compare puts names in canonical order (RFC 4034 §6.1): by labels from the
// root down, as bytes in lower case.
func compare(a, b string) int {
	x, y := wireLabels(a), wireLabels(b)
	for i := 1; i <= len(x) && i <= len(y); i++ {
		if c := bytes.Compare(x[len(x)-i], y[len(y)-i]); c != 0 {
			return c
		}
	}
	return len(x) - len(y)
}

// wireLabels gives the labels of a name as bytes: escapes stand for one byte.
func wireLabels(name string) [][]byte {
	raw := make([]byte, 256)
	end, err := dns.PackDomainName(one(name), raw, 0, nil, false)
	if err != nil {
		return nil // names come out of messages: they pack
	}
	var labels [][]byte
	for at := 0; at < end && raw[at] != 0; at += 1 + int(raw[at]) {
		label := raw[at+1 : at+1+int(raw[at])]
		labels = append(labels, bytes.ToLower(label))
	}
	return labels
}
