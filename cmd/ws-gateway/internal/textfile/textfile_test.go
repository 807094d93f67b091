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

func TestAFileThatIsTooLargeIsNotRead(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large")
	for size, want := range map[int64]string{MaxSize: "", MaxSize + 1: "more than 4 MiB", 1 << 40: "more than 4 MiB"} {
		if err := os.WriteFile(large, []byte("a"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(large, size); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(large); !says(err, want) {
			t.Errorf("%d bytes: %v; want %q", size, err, want)
		}
	}
	for _, read := range []func(string) ([]byte, error){Read, ReadSecret} {
		if _, err := read("/dev/zero"); !says(err, "more than 4 MiB") {
			t.Errorf("a file without end: %v", err)
		}
	}
}

func says(err error, part string) bool {
	if part == "" {
		return err == nil
	}
	return err != nil && strings.Contains(err.Error(), part)
}
