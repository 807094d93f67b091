//go:build examples

package examples

import (
	"os/exec"
	"path/filepath"
	"testing"
)

func TestThePagesAreUsedInABrowser(t *testing.T) {
	t.Parallel()
	s := start(t, example{"express", "start"})
	react := filepath.Join(s.root, "react")
	run(t, react, block(t, react, "start"), s.vite)
	for name, page := range map[string]string{"page.html": s.site, "React": s.vite} {
		t.Run(name, func(t *testing.T) { twoPeople(t, page) })
	}
}

// twoPeople use the page in a browser.
func twoPeople(t *testing.T, page string) {
	t.Helper()
	people := exec.CommandContext(t.Context(), "node", filepath.Join("react", "people.mjs"), page)
	if said, err := people.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, said)
	}
}
