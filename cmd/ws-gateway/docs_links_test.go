package main_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`^#{1,6} +(.+)$`)
	code    = regexp.MustCompile("`[^`]*`")
)

// prose is a document without what is in fences and, on request, in backquotes.
func prose(t *testing.T, path string) (lines []string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fenced := false
	for line := range strings.Lines(string(content)) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		} else if !fenced {
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
	}
	return lines
}

// anchorOf is how a heading is linked to: lower case, blanks as dashes, without
// punctuation.
func anchorOf(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			b.WriteRune(r)
		case r == ' ':
			b.WriteByte('-')
		}
	}
	return b.String()
}

func anchors(t *testing.T, path string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, line := range prose(t, path) {
		if m := heading.FindStringSubmatch(line); m != nil {
			found[anchorOf(m[1])] = true
		}
	}
	return found
}

func TestTheLinksOfTheDocumentsLeadSomewhere(t *testing.T) {
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "client/README.md"} {
		documents = append(documents, filepath.Join("../..", name))
	}
	count := 0
	for _, document := range documents {
		for _, line := range prose(t, document) {
			for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(line, ""), -1) {
				if strings.Contains(m[1], "://") {
					continue
				}
				count++
				checkLink(t, document, m[1])
			}
		}
	}
	if count < 30 {
		t.Errorf("only %d links were found", count)
	}
}

func checkLink(t *testing.T, document, target string) {
	t.Helper()
	path, anchor, anchored := strings.Cut(target, "#")
	file := document
	if path != "" {
		file = filepath.Join(filepath.Dir(document), path)
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s links to %s, which is not there", document, target)
		return
	}
	if anchored && !anchors(t, file)[anchor] {
		t.Errorf("%s links to %s, and there is no such heading", document, target)
	}
}
