package textfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhatAnEditorPutsInFrontIsPassedOverOrNamed(t *testing.T) {
	for _, test := range []struct {
		content, text string
		mark, secret  string // in the error of Read, of ReadSecret; "" for none
	}{
		{"listen: :1\n", "listen: :1\n", "", ""},
		{"", "", "", ""},
		{"\xEF\xBB", "\xEF\xBB", "", ""},
		{"\xEF\xBB\xBFlisten: :1\n", "listen: :1\n", "", "byte order mark"},
		{"\xEF\xBB\xBF", "", "", "without BOM"},
		{"a\xEF\xBB\xBF", "a\xEF\xBB\xBF", "", ""},
		{"\xFF\xFEa\x00", "", "save it as UTF-8", "save it as UTF-8"},
		{"\xFE\xFF\x00a", "", "UTF-16", "UTF-16"},
		{"\xFF\xFE\x00\x00a\x00\x00\x00", "", "UTF-32", "UTF-32"},
		{"\x00\x00\xFE\xFF\x00\x00\x00a", "", "UTF-32", "UTF-32"},
	} {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path)
		if string(got) != test.text || !says(err, test.mark) {
			t.Errorf("Read of %q: %q, %v; want %q, %q", test.content, got, err, test.text, test.mark)
		}
		if _, err := ReadSecret(path); !says(err, test.secret) {
			t.Errorf("ReadSecret of %q: %v; want %q", test.content, err, test.secret)
		}
	}
	if _, err := Read("/nonexistent"); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := ReadSecret("/nonexistent"); !os.IsNotExist(err) {
		t.Errorf("a secret that is not there: %v", err)
	}
}

func says(err error, part string) bool {
	if part == "" {
		return err == nil
	}
	return err != nil && strings.Contains(err.Error(), part)
}
