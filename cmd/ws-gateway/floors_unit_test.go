package main

import (
	"os/exec"
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
	const root = "ws-gateway/cmd/ws-gateway"
	floorOf := map[string]int{}
	for i, floor := range floors {
		for name := range strings.FieldsSeq(floor) {
			floorOf[name] = i
		}
	}
	output, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	short := func(path string) (name string, ours bool) {
		if path == root {
			return ".", true
		}
		return strings.CutPrefix(path, root+"/")
	}
	seen := 0
	for line := range strings.Lines(string(output)) {
		words := strings.Fields(line)
		name, _ := short(words[0])
		floor, known := floorOf[name]
		if !known {
			t.Errorf("on which floor is %s?", name)
		}
		seen++
		for _, path := range words[1:] {
			if imported, ours := short(path); ours && floorOf[imported] >= floor {
				t.Errorf("%s imports %s, which does not stand below it", name, imported)
			}
		}
	}
	if seen != len(floorOf) {
		t.Errorf("%d packages are there, and %d on the floors", seen, len(floorOf))
	}
}
