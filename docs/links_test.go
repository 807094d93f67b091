package docs_test

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
	fenced := false
	for line := range strings.Lines(read(t, path)) {
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
	count := 0
	for _, document := range allDocuments(t) {
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

// contents are the links that a document has to its own headings before the first of
// them.
func contents(lines []string) map[string]bool {
	found := map[string]bool{}
	for _, line := range lines {
		if strings.HasPrefix(line, "## ") {
			break
		}
		for _, m := range link.FindAllStringSubmatch(line, -1) {
			if anchor, own := strings.CutPrefix(m[1], "#"); own {
				found[anchor] = true
			}
		}
	}
	return found
}

// manyHeadings is from how many a document must have contents.
const manyHeadings = 10

func TestContentsNameEveryHeading(t *testing.T) {
	listed := 0
	for _, document := range documents(t) {
		lines := prose(t, document)
		have := contents(lines)
		var missing []string
		headings := 0
		for _, line := range lines {
			m := heading.FindStringSubmatch(line)
			if m == nil || strings.HasPrefix(line, "# ") {
				continue
			}
			if headings++; !have[anchorOf(m[1])] {
				missing = append(missing, m[1])
			}
		}
		if headings < manyHeadings {
			continue
		}
		listed++
		if len(missing) > 0 {
			t.Errorf("the contents of %s lack %q", document, missing)
		}
	}
	if listed < 3 {
		t.Errorf("only %d documents were found that are long enough", listed)
	}
}

// Rows that a blank line has cut off their table are shown as text.
func TestNoTableIsBroken(t *testing.T) {
	row := func(line string) bool { return strings.HasPrefix(line, "|") }
	for _, document := range allDocuments(t) {
		lines := prose(t, document)
		for i, line := range lines {
			begins := row(line) && (i == 0 || !row(lines[i-1]))
			if begins && (i+1 == len(lines) || !strings.HasPrefix(lines[i+1], "|-") && !strings.HasPrefix(lines[i+1], "| -")) {
				t.Errorf("%s: a row without a head: %.80s", document, line)
			}
		}
	}
}
