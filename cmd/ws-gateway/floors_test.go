package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// floors are the packages of the program, from the ground up. A package imports only
// what stands on a lower floor.
var floors = []string{
	"internal/address internal/awake internal/finding internal/logqueue internal/logtest internal/reload internal/signals internal/sizing internal/terminal internal/textfile",
	"api internal/exposure internal/help settings systemd",
	"host locate program",
	"cli config",
	"config/configtest gateway replay",
	"demo preflight",
	"check",
	".",
}

func TestNoPackageImportsOneThatStandsAboveIt(t *testing.T) {
	floorOf := map[string]int{}
	for i, floor := range floors {
		for name := range strings.FieldsSeq(floor) {
			floorOf[name] = i
		}
	}
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata/") {
			return err
		}
		name := filepath.Dir(path)
		floor, known := floorOf[name]
		if !known {
			t.Errorf("on which floor is %s?", name)
		}
		seen[name] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			below, ours := strings.CutPrefix(imported, "ws-gateway/cmd/ws-gateway/")
			if ours && floorOf[below] >= floor {
				t.Errorf("%s imports %s, which does not stand below %s", path, below, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range floorOf {
		if !seen[name] {
			t.Errorf("there is no package %s", name)
		}
	}
}
