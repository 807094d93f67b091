package admin

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Cleaners of temporary folders remove sockets.
func TestASocketFileThatWasRemovedIsMadeAnewAndServed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	served := make(chan error, 1)
	go func() { served <- r.admin.Serve(ln) }()
	ask := func() error {
		c, err := net.Dial("unix", path)
		if err != nil {
			return err
		}
		defer c.Close()
		answer := make([]byte, 12)
		_, err = c.Write([]byte("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"))
		_, readErr := c.Read(answer)
		if string(answer) != "HTTP/1.1 200" {
			return errors.Join(err, readErr, errors.New(string(answer)))
		}
		return nil
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(testTimeout)
		for err = ask(); err != nil && time.Now().Before(deadline); err = ask() {
		}
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the new file: %v, %v", info, err)
		}
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the file stays: %v", err)
	}
}

func TestAnothersSocketFileIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte("mine"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if made, err := ln.(*SocketFile).Restore(); made || err != nil {
		t.Errorf("%v, %v", made, err)
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if made, err := ln.(*SocketFile).Restore(); made || err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without a folder: %v, %v", made, err)
	}
}
