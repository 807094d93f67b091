package config

import (
	"strings"
	"testing"
)

func TestTheDemoListensToThisHostAloneAndSaysWhatDoesNotCount(t *testing.T) {
	c := mustParse(t, []string{"demo", "--callback-url", "http://127.0.0.1:8888/x"})
	if c.Listen != "127.0.0.1:40010" {
		t.Errorf("listens at %s", c.Listen)
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "--callback-url (from flag) does not count") {
		t.Errorf("warnings: %q", c.Warnings)
	}
	if c = mustParse(t, []string{"demo", "--listen", ":40010"}); c.Listen != ":40010" || len(c.Warnings) != 0 {
		t.Errorf("listens at %s, warns %q", c.Listen, c.Warnings)
	}
}
