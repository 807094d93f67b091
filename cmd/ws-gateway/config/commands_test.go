package config

import (
	"strings"
	"testing"
)

func TestTheDemoListensToThisHostAloneAndSaysWhatDoesNotCount(t *testing.T) {
	c := mustParse(t, []string{"demo", "--callback-url", "http://127.0.0.1:8888/x"})
	if c.Listen != "127.0.0.1:40010" || c.ResumeFor != demoResumeFor {
		t.Errorf("listens at %s, resumes for %v", c.Listen, c.ResumeFor)
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "--callback-url (from flag) does not count") {
		t.Errorf("warnings: %q", c.Warnings)
	}
	if c = mustParse(t, []string{"demo", "--listen", ":40010", "--resume-for", "0s"}); c.Listen != ":40010" || c.ResumeFor != 0 || len(c.Warnings) != 0 {
		t.Errorf("listens at %s, warns %q", c.Listen, c.Warnings)
	}
}
