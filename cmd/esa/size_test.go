package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// The size limits of the house: what is longer is not read whole in review.
const (
	maxFunctionLines = 80
	maxFileLines     = 600
	maxParameters    = 4
	maxResults       = 3
)

// excused lists what may be longer, each with its reason.
var excused = map[string]string{}

func TestSizeLimits(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			measure(t, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func measure(t *testing.T, path string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Errorf("parsing: %v", err)
		return
	}
	if lines := set.File(file.Pos()).LineCount(); lines > maxFileLines && excused[path] == "" {
		t.Errorf("%s has %d lines, more than %d", path, lines, maxFileLines)
	}
	for _, decl := range file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || excused[path+" "+fn.Name.Name] != "" {
			continue
		}
		where := set.Position(fn.Pos())
		if lines := set.Position(fn.End()).Line - where.Line + 1; lines > maxFunctionLines {
			t.Errorf("%s: %s has %d lines, more than %d", where, fn.Name.Name, lines, maxFunctionLines)
		}
		if n := fn.Type.Params.NumFields(); n > maxParameters {
			t.Errorf("%s: %s takes %d parameters, more than %d", where, fn.Name.Name, n, maxParameters)
		}
		if n := fn.Type.Results.NumFields(); n > maxResults {
			t.Errorf("%s: %s gives %d results, more than %d", where, fn.Name.Name, n, maxResults)
		}
		if fn.Name.Name == "init" && fn.Recv == nil {
			t.Errorf("%s: no init functions: what exists is listed, not registered", where)
		}
	}
}
