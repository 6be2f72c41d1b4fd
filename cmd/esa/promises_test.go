package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmePromises: every test that the README's table of promises names is
// there.
func TestReadmePromises(t *testing.T) {
	readme, err := os.ReadFile(readmeFile)
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(readme), "\n## Promises\n")
	table, _, ok := strings.Cut(table, "\n## ")
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)(…?)`").FindAllStringSubmatch(table, -1)
	if !ok || len(named) < 30 {
		t.Fatalf("the table names %d tests", len(named))
	}
	var tests strings.Builder
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			var text []byte
			text, err = os.ReadFile(path)
			tests.Write(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range named {
		end := "("
		if name[2] != "" {
			end = ""
		}
		if !strings.Contains(tests.String(), "\nfunc "+name[1]+end) {
			t.Errorf("the README names %s, which is not there", name[1]+name[2])
		}
	}
}
