package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// documents are those of this folder.
func documents(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("*.md")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d documents are found: %v", len(paths), err)
	}
	return paths
}

// allDocuments are also those that people read elsewhere in the project.
func allDocuments(t *testing.T) []string {
	t.Helper()
	examples, err := filepath.Glob("../examples/*/README.md")
	if err != nil || len(examples) == 0 {
		t.Fatalf("%d examples are found: %v", len(examples), err)
	}
	return slices.Concat(documents(t), examples, []string{
		"../README.md", "../ARCHITECTURE.md", "../CONTRIBUTING.md", "../CHANGELOG.md", "../client/README.md", "../examples/README.md",
	})
}

// texts are the project's files with an extension.
func texts(t *testing.T, extension string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "node_modules", "bin", "dist", "testdata"}, entry.Name()):
			return filepath.SkipDir
		case filepath.Ext(path) == extension && !strings.HasSuffix(path, "_test.go") && entry.Name() != "CHANGELOG.md":
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// write puts a document right if make readme asks for it; otherwise one that is not
// right is an error.
func write(t *testing.T, path, is, should, wrong string) {
	t.Helper()
	switch {
	case is == should:
	case os.Getenv("UPDATE_README") == "":
		t.Errorf("%s %s: run make readme", path, wrong)
	default:
		if err := os.WriteFile(path, []byte(should), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// writeSection is write for what is between a document's two comments called name.
func writeSection(t *testing.T, path, name, want string) {
	t.Helper()
	before, got, after := cutSection(t, path, name)
	write(t, path, before+got+after, before+want+after, "has a section "+name+" that is out of date")
}

// section is what is between a document's two comments called name.
func section(t *testing.T, path, name string) string {
	t.Helper()
	_, got, _ := cutSection(t, path, name)
	return got
}

// cutSection divides a document, in Markdown or a man page, at a section's comments.
func cutSection(t *testing.T, path, name string) (before, got, after string) {
	t.Helper()
	text := read(t, path)
	open, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	if filepath.Ext(path) != ".md" {
		open, end = `.\" `+name+"\n", `.\" /`+name+"\n"
	}
	before, rest, ok := strings.Cut(text, open)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no section %s", path, name)
	}
	return before + open, got, end + after
}
