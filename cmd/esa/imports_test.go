package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport is the architecture: which packages of ours each package may
// import, and why not more. A package that is missing here may import none.
var mayImport = []struct {
	pkg     string // "esa/mta/..." also covers what is below
	allowed []string
	why     string
}{
	{"esa/cmd/esa", []string{"esa/..."}, "cmd wires everything"},
	{"esa/commands", []string{"esa/shell", "esa/store", "esa/store/configfile", "esa/mta/envelope", "esa/mta/lookup"},
		"commands see the gateway only through the interfaces of env.go"},
	{"esa/shell", nil, "the shell knows terminals and questions, not mail"},
	{"esa/shell/sshd", nil, "the session server knows SSH, not mail"},
	{"esa/shell/files", nil, "file transfer knows SFTP and scp, not who may use them"},
	{"esa/shell/attach", nil, "the local client knows SSH, not mail"},
	{"esa/shell/logins", nil, "a leaf: a list in a file"},
	{"esa/shell/shelltest", []string{"esa/shell"}, "test support of shell"},
	{"esa/store", nil, "what is configured does not know who obeys it"},
	{"esa/store/configfile", []string{"esa/store"}, "the configuration as a file: a view of the store's types, which do not know it"},
	{"esa/mta", []string{"esa/store", "esa/mta/..."}, "the gateway is below the console"},
	{"esa/mta/envelope", nil, "the nouns everybody shares"},
	{"esa/mta/lookup", nil, "plain results of DNS"},
	{"esa/mta/tlsconf", nil, "a leaf: options in, TLS settings out"},
	{"esa/mta/policy", []string{"esa/mta/envelope", "esa/mta/lookup"}, "pure decisions"},
	{"esa/mta/message", []string{"esa/mta/envelope", "esa/mta/lookup"}, "pure: bytes in, bytes out"},
	{"esa/mta/bounce", []string{"esa/mta/envelope", "esa/mta/lookup", "esa/mta/message"}, "pure: notices and schedules"},
	{"esa/mta/route", []string{"esa/mta/envelope", "esa/mta/lookup"}, "pure but for the resolver it is given"},
	{"esa/mta/identity", []string{"esa/mta/envelope", "esa/mta/lookup"}, "pure: does a certificate speak for a destination"},
	{"esa/mta/durable", nil, "a leaf"},
	{"esa/mta/counters", []string{"esa/mta/envelope", "esa/mta/durable"}, "a leaf"},
	{"esa/mta/maillog", []string{"esa/mta/envelope", "esa/mta/lookup"}, "a leaf"},
	{"esa/mta/socket", nil, "a leaf"},
	{"esa/mta/dns", []string{"esa/mta/lookup", "esa/mta/maillog", "esa/mta/dnssec"}, "the resolver asks and caches, it does not decide"},
	{"esa/mta/dnssec", []string{"esa/mta/lookup"}, "pure: it asks through an interface and is given the time"},
	{"esa/mta/dane", []string{"esa/mta/envelope", "esa/mta/lookup", "esa/mta/identity"}, "pure decisions about hosts and certificates"},
	{"esa/mta/smtpd", []string{"esa/mta/envelope", "esa/mta/lookup", "esa/mta/policy", "esa/mta/message", "esa/mta/tlsconf", "esa/mta/maillog", "esa/mta/counters"},
		"receiving knows neither the store nor delivery"},
	{"esa/mta/delivery", []string{"esa/mta/envelope", "esa/mta/lookup", "esa/mta/route", "esa/mta/dane", "esa/mta/identity", "esa/mta/message", "esa/mta/tlsconf", "esa/mta/maillog", "esa/mta/counters"},
		"delivery knows neither the store nor receiving"},
	{"esa/mta/queue", []string{"esa/mta/envelope", "esa/mta/bounce", "esa/mta/message", "esa/mta/maillog", "esa/mta/counters"},
		"the queue delivers through its own interface"},
	{"esa/mta/crl", []string{"esa/mta/durable", "esa/mta/maillog"}, "lists of revoked certificates, for whoever verifies a chain"},
	{"esa/mta/archive", []string{"esa/mta/durable"}, "it copies files and does not know what they say"},
	{"esa/mta/alert", []string{"esa/mta/envelope", "esa/mta/durable", "esa/mta/message", "esa/mta/maillog"},
		"alerts are delivered through an interface of their own"},
	{"esa/mta/mtatest", []string{"esa/mta/..."}, "test support of mta"},
	{"esa/mta/mtatest/smtpload", nil, "a load and a sink, for whatever speaks SMTP"},
	{"esa/mta/mtatest/dnslab", nil, "it runs the programs of others"},
	{"esa/mta/mtatest/bench", []string{"esa/mta/..."}, "it runs the gateway as a program, and fills its queue"},
}

// homes gives each outside module the packages that may import it. Everything
// else stays behind them.
var homes = map[string][]string{
	"github.com/chzyer/readline":         {"esa/shell"},
	"golang.org/x/crypto/ssh":            {"esa/mta/archive", "esa/shell/sshd", "esa/shell/attach"},
	"golang.org/x/crypto/argon2":         {"esa/store", "esa/store/configfile"},
	"github.com/pkg/sftp":                {"esa/shell/files"},
	"golang.org/x/term":                  {"esa/shell/attach", "esa/cmd/esa"},
	"golang.org/x/sys/unix":              {"esa/shell/sshd", "esa/shell/attach", "esa/mta/socket", "esa/mta/queue", "esa/mta/maillog", "esa/cmd/esa", "esa/mta"},
	"go.etcd.io/bbolt":                   {"esa/store"},
	"github.com/emersion/go-smtp":        {"esa/mta/smtpd", "esa/mta/delivery", "esa/mta/mtatest"},
	"github.com/miekg/dns":               {"esa/mta/dns", "esa/mta/dnssec", "esa/mta/mtatest"},
	"software.sslmate.com/src/go-pkcs12": {"esa/store"},
}

// listed is what `go list -json` tells of a package.
type listed struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "esa/...").Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("reading the package list: %v", err)
		}
		all = append(all, p)
	}
}

func TestImportTable(t *testing.T) {
	for _, p := range packages(t) {
		i := slices.IndexFunc(mayImport, func(row struct {
			pkg     string
			allowed []string
			why     string
		}) bool {
			return row.pkg == p.ImportPath
		})
		if i < 0 {
			t.Errorf("%s has no row in the import table: say what it may import, and why", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, "esa/") && !covered(mayImport[i].allowed, imported) {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, mayImport[i].why)
			}
		}
	}
}

func TestHomes(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			first, _, _ := strings.Cut(imported, "/")
			if first == "esa" || !strings.Contains(first, ".") {
				continue
			}
			home, ok := homes[imported]
			if !ok {
				t.Errorf("%s imports %s, which has no home in the table", p.ImportPath, imported)
			} else if !slices.Contains(home, p.ImportPath) {
				t.Errorf("%s imports %s, whose home is %v", p.ImportPath, imported, home)
			}
		}
	}
}

func covered(allowed []string, pkg string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		prefix, below := strings.CutSuffix(a, "/...")
		return a == pkg || below && strings.HasPrefix(pkg, prefix+"/")
	})
}
