package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// The oldest tool chain and modules whose known holes are mended: below them a
// peer can end the process or be taken for another.
var oldest = map[string]string{
	"go":                  "1.26.6",
	"golang.org/x/crypto": "0.52.0",
}

// newer reports whether a version is not below another.
func newer(version, floor string) bool {
	part := func(text string, i int) int {
		parts := strings.Split(text, ".")
		if i >= len(parts) {
			return 0
		}
		n, _ := strconv.Atoi(regexp.MustCompile(`^\d*`).FindString(parts[i]))
		return n
	}
	for i := range 3 {
		if a, b := part(version, i), part(floor, i); a != b {
			return a > b
		}
	}
	return true
}

func TestToolchainIsNotTooOld(t *testing.T) {
	if v := strings.TrimPrefix(runtime.Version(), "go"); !newer(v, oldest["go"]) {
		t.Errorf("built with Go %s, which has known holes: use %s or later", v, oldest["go"])
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	const module = "golang.org/x/crypto"
	found := regexp.MustCompile(fmt.Sprintf(`(?m)^\s*(?:require )?%s v(\S+)`, module)).FindSubmatch(mod)
	if found == nil || !newer(string(found[1]), oldest[module]) {
		t.Errorf("go.mod has %s %q: %s or later is needed", module, found, oldest[module])
	}
	if newer("1.26.5", "1.26.6") || newer("0.9.1", "0.52.0") || !newer("1.27rc1", "1.26.6") {
		t.Error("versions are compared wrongly")
	}
}
