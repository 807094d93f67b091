package docs_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The examples in docs/ are run. A comment before a fenced block says what the
// block is, and one of its own can stand where readers need not see the step:
//
//	<!-- scene: ARGS -->          a gateway with these options, and an app beside it
//	<!-- clients: STEP; STEP -->  steps of clients that are not shown
//	<!-- clients -->              steps of clients, one a line (see perform)
//	<!-- run -->                  "$ command" lines, each with what it prints
//	<!-- request -->              what somebody sends the gateway, byte for byte
//	<!-- response -->             what the gateway answers to that
//	<!-- callback -->             the POST that the app gets next of that action and user
//	<!-- callback: {EVENT} -->    the same, which is not shown
//	<!-- answer -->               what the app answers to that, 200 without one
//
// In what is expected … stands for anything: within quotes for what is in them,
// elsewhere for the rest of the line, alone on a line for any lines.
type step struct {
	kind   string
	text   string
	line   int
	hidden bool // not in the document's text
}

// scene is the steps that share a gateway.
type scene struct {
	name  string
	args  []string
	steps []step
}

var marker = regexp.MustCompile(`^<!-- (scene|clients|run|request|response|callback|answer)(?::(?: (.*?))?)? -->$`)

// scenesOf reads the examples of a document. Each fenced block of it must be one,
// unless it says that it is only text.
func scenesOf(t *testing.T, path string) (scenes []scene) {
	t.Helper()
	lines := strings.Split(read(t, path), "\n")
	pending := ""
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if m := marker.FindStringSubmatch(line); m != nil {
			switch {
			case m[1] == "scene":
				name := fmt.Sprintf("%s:%d", filepath.Base(path), i+1)
				scenes = append(scenes, scene{name: name, args: strings.Fields(m[2])})
			case len(scenes) == 0:
				t.Fatalf("%s:%d: an example before the first scene", path, i+1)
			case strings.Contains(line, ": "):
				now := &scenes[len(scenes)-1]
				now.steps = append(now.steps, step{kind: m[1], text: strings.ReplaceAll(m[2], "; ", "\n"), line: i + 1, hidden: true})
			default:
				pending = m[1]
			}
			continue
		}
		if !strings.HasPrefix(line, "```") {
			continue
		}
		from := i + 1
		for i++; i < len(lines) && lines[i] != "```"; i++ {
		}
		switch language := strings.TrimPrefix(line, "```"); {
		case pending != "":
			now := &scenes[len(scenes)-1]
			now.steps = append(now.steps, step{kind: pending, text: strings.Join(lines[from:i], "\n"), line: from + 1})
			pending = ""
		case language != "text":
			t.Errorf("%s:%d: a block that is neither run nor marked as text", path, from)
		}
	}
	return scenes
}

// likeness makes an expression of what an example shows.
func likeness(t *testing.T, shown string) *regexp.Regexp {
	t.Helper()
	var b strings.Builder
	b.WriteString(`\A`)
	for i, line := range strings.Split(strings.TrimRight(shown, "\n"), "\n") {
		if line == "…" {
			b.WriteString(`(?:\n?[^\n]*)*?`)
			continue
		}
		if i > 0 {
			b.WriteString(`\n`)
		}
		parts := strings.Split(line, "…")
		for j, part := range parts {
			if j > 0 {
				if strings.HasPrefix(part, `"`) {
					b.WriteString(`[^"\n]*`)
				} else {
					b.WriteString(`[^\n]*?`)
				}
			}
			b.WriteString(regexp.QuoteMeta(part))
		}
	}
	b.WriteString(`\s*\z`)
	return regexp.MustCompile(b.String())
}

// compare fails the test if what is there is not what the example shows.
func (s step) compare(t *testing.T, document, shown, got string) {
	t.Helper()
	if !likeness(t, shown).MatchString(got) {
		t.Errorf("%s:%d shows\n%s\n\nand there is\n%s", document, s.line, shown, got)
	}
}

func TestAnExampleThatLiesIsFoundOut(t *testing.T) {
	for _, c := range []struct {
		shown, got string
		alike      bool
	}{
		{"a", "a\n", true},
		{"a", "b", false},
		{"a", "a\nb", false},
		{"a.c", "abc", false},
		{`{"id":"…"}`, `{"id":"x"}`, true},
		{`{"id":"…"}`, `{"id":"x","more":"y"}`, false},
		{"Length: …\nb", "Length: 12\nb", true},
		{"Length: …\nb", "Length: 12\nc\nb", false},
		{"a\n…", "a\nb\nc", true},
		{"…\nc", "a\nb\nc", true},
		{"a\n…\nd", "a\nb\nc\nd", true},
		{"a\n…\nd", "a\nb\nc", false},
		{"a\n\nb", "a\n\nb", true},
		{"a\n\nb", "a\nb", false},
	} {
		if got := likeness(t, c.shown).MatchString(c.got); got != c.alike {
			t.Errorf("%q and %q: %v", c.shown, c.got, got)
		}
	}
}
