//go:build proxies

package proxies

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const page = "../../docs/proxies.md"

// block returns the one fenced block of this language on the page.
func block(t testing.TB, language string) string {
	t.Helper()
	found := blocks(t, language)
	if len(found) != 1 {
		t.Fatalf("%s has %d blocks of %s, want 1", page, len(found), language)
	}
	return found[0]
}

func blocks(t testing.TB, language string) (found []string) {
	t.Helper()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(content), -1) {
		found = append(found, m[1])
	}
	return found
}

// modules are what the page tells to enable in Apache.
func modules(t testing.TB) []string {
	t.Helper()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("`a2enmod ([a-z_ ]+)`").FindAllSubmatch(content, -1)
	if len(found) != 1 {
		t.Fatalf("%s says %d times which modules Apache needs, want once", page, len(found))
	}
	return strings.Fields(string(found[0][1]))
}

// withoutSignIn leaves out what the page says can be left out.
func withoutSignIn(t testing.TB, configuration string) string {
	t.Helper()
	marked := regexp.MustCompile(`(?ms)^\s*# auth$.*?^\s*# /auth\n`)
	if !marked.MatchString(configuration) {
		t.Fatalf("no part of this is marked with # auth and # /auth:\n%s", configuration)
	}
	return marked.ReplaceAllString(configuration, "")
}

// adapt replaces what names this machine: addresses and files. Each is there
// exactly once.
func adapt(t testing.TB, configuration string, replace map[string]string) string {
	t.Helper()
	for old, now := range replace {
		if n := strings.Count(configuration, old); n != 1 {
			t.Fatalf("%q is there %d times, want once:\n%s", old, n, configuration)
		}
		configuration = strings.Replace(configuration, old, now, 1)
	}
	return configuration
}
