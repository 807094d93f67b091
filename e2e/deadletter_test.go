package e2e_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// deadLetters returns the lines of a dead-letter file, each of which must be a
// JSON object, in a file that only its owner may read.
func deadLetters(t testing.TB, path string) []string {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("the dead-letter file has mode %o, want 600", mode)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(content) == 0 {
		return nil
	}
	if !strings.HasSuffix(string(content), "\n") {
		t.Errorf("the dead-letter file ends in the middle of a line: %q", content)
	}
	lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	for _, line := range lines {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Errorf("not a JSON object: %v: %.300q", err, line)
		}
	}
	return lines
}

// letterHas reports whether a dead letter holds text somewhere: as its own JSON,
// or inside one of its strings.
func letterHas(letter, text string) bool {
	quoted, err := json.Marshal(text)
	return strings.Contains(letter, text) || err == nil && strings.Contains(letter, strings.Trim(string(quoted), `"`))
}
