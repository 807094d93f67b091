package console

import (
	"regexp"
	"strings"
	"testing"
)

// The policy would block both.
func TestTheConsolesFilesHaveNothingInlineAndNothingFromElsewhere(t *testing.T) {
	inline := regexp.MustCompile(`(?i)<style|\sstyle=|\son\w+=|javascript:|<script(?:\s[^>]*)?>[^<]|innerHTML|\beval\(|new Function`)
	elsewhere := regexp.MustCompile(`(?i)(?:https?:)?//[a-z0-9]`)
	entries, err := tree.ReadDir(".")
	if err != nil || len(entries) < 5 {
		t.Fatal(err, len(entries))
	}
	for _, e := range entries {
		body := strings.ReplaceAll(string(files[e.Name()].Body), "http://www.w3.org/2000/svg", "")
		if found := inline.FindString(body); found != "" {
			t.Errorf("%s has %q", e.Name(), found)
		}
		if found := elsewhere.FindString(body); found != "" {
			t.Errorf("%s has %q", e.Name(), found)
		}
	}
}
