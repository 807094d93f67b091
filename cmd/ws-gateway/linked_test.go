package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// What tests alone need must not come along with a library into the program.
func TestNoTestLibraryIsLinkedIntoTheProgram(t *testing.T) {
	output, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(output))
	if !slices.Contains(packages, "ws-gateway/netpoll") {
		t.Fatalf("that is not the program's list: %s", output)
	}
	forTests := []string{"github.com/stretchr/", "github.com/google/go-cmp/", "go.uber.org/goleak", "github.com/kylelemons/", "github.com/nats-io/nats-server/", "github.com/santhosh-tekuri/", "ws-gateway/e2e/"}
	for _, p := range packages {
		if slices.ContainsFunc(forTests, func(prefix string) bool {
			return p == prefix || strings.HasSuffix(prefix, "/") && strings.HasPrefix(p, prefix)
		}) {
			t.Errorf("%s is linked into the program", p)
		}
	}
}
