package listen

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnothersSocketFileIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := On("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte("mine"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if made, err := ln.(*SocketFile).restore(); made || err != nil {
		t.Errorf("%v, %v", made, err)
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if made, err := ln.(*SocketFile).restore(); made || err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without a folder: %v, %v", made, err)
	}
}
