package listen

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func mustListen(t *testing.T, addr string) net.Listener {
	t.Helper()
	ln, err := On(addr)
	if err != nil {
		t.Fatalf("On(%s): %v", addr, err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// refuses requires that Listen fails with a message that has want in it.
func refuses(t *testing.T, addr, want string) {
	t.Helper()
	ln, err := On(addr)
	if err == nil {
		ln.Close()
		t.Fatalf("On(%.60s) succeeded", addr)
	}
	if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), addr) {
		t.Fatalf("On(%.60s): %v, want %q", addr, err, want)
	}
}

func TestTheSocketIsForItsOwnUserAndGoesWithItsListener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	mask := syscall.Umask(0)
	ln, err := On("unix:" + path)
	syscall.Umask(mask)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the file's mode is %v", info.Mode())
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Close the file is there: %v", err)
	}
	if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the second Close: %v", err)
	}
}

func TestTheSocketHasItsModeFromTheFirstMoment(t *testing.T) {
	// What bind makes is what there is before anything could have changed it.
	path := filepath.Join(t.TempDir(), "admin.sock")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Fchmod(fd, 0o600); err != nil {
		t.Fatal(err)
	}
	mask := syscall.Umask(0)
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	syscall.Umask(mask)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("bind made %v, %v", info.Mode(), err)
	}
}

func TestAStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	mustListen(t, "unix:"+path)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestALiveSocketIsRefusedAndStaysWhatItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	ln := mustListen(t, "unix:"+path)
	refuses(t, "unix:"+path, "another process listens there")
	accepted := make(chan error, 1)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				accepted <- err
				return
			}
			c.Write([]byte("x"))
			c.Close()
		}
	}()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	if n, err := c.Read(make([]byte, 1)); n != 1 {
		t.Errorf("the live socket answers %v", err)
	}
	ln.Close()
	<-accepted
}

func TestAPathThatCannotBeASocketIsRefused(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(folder, "link")
	if err := os.Symlink(filepath.Join(folder, "target"), link); err != nil {
		t.Fatal(err)
	}
	refuses(t, "unix:"+file, "another kind")
	refuses(t, "unix:"+folder, "another kind")
	refuses(t, "unix:"+link, "another kind")
	refuses(t, "unix:"+filepath.Join(folder, "missing", "admin.sock"), "no such file")
	refuses(t, "unix:"+filepath.Join(folder, strings.Repeat("x", 108)), "at most 107 bytes")
	refuses(t, "unix:admin.sock", "absolute")
	refuses(t, "unix:@abstract", "absolute")
	refuses(t, "unix:", "absolute")
	if data, err := os.ReadFile(file); err != nil || string(data) != "precious" {
		t.Errorf("the file is now %q, %v", data, err)
	}
}

func TestTwoStartsAtOnceDoNotTakeEachOthersSocket(t *testing.T) {
	folder := t.TempDir()
	unlock, err := lockFolder(folder)
	if err != nil {
		t.Fatal(err)
	}
	refuses(t, "unix:"+filepath.Join(folder, "admin.sock"), "perhaps another gateway starts right now")
	unlock()
	mustListen(t, "unix:"+filepath.Join(folder, "admin.sock"))
}

func TestASocketThatReplacedOursStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	ln := mustListen(t, "unix:"+path)
	if err := os.Rename(path, path+".ours"); err != nil { // the inode lives on, so that the next gets another
		t.Fatal(err)
	}
	theirs, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	ln.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the other's socket is gone: %v", err)
	}
}

func TestTCPAddressesAreTakenOrRefusedClearly(t *testing.T) {
	ln := mustListen(t, "127.0.0.1:0")
	refuses(t, ln.Addr().String(), "address already in use")
	refuses(t, "nonsense", "missing port")
}
