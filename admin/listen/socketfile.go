package listen

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// lookForFile is how often Keep looks for the file.
const lookForFile = time.Second

// SocketFile is a listener at a path of the file system. If its file is removed, for
// example by a cleaner of temporary folders, nobody can connect any more, so Keep makes it
// again. A file that somebody else has put there is left alone. Close removes the file.
type SocketFile struct {
	path string

	mu     sync.Mutex // guards the following
	ln     *net.UnixListener
	file   fs.FileInfo
	closed bool
}

func bindSocket(path string) (*SocketFile, error) {
	s := &SocketFile{path: path}
	return s, s.bind()
}

// bind makes the file and listens on it.
func (s *SocketFile) bind() error {
	ln, err := bindPrivate(s.path)
	if err != nil {
		return err
	}
	ln.SetUnlinkOnClose(false)
	info, err := os.Lstat(s.path)
	if err != nil {
		ln.Close()
		return err
	}
	s.ln, s.file = ln, info
	return nil
}

// restore makes the file again if there is none, and reports whether it did. It fails if
// the folder is gone too, for example.
func (s *SocketFile) restore() (made bool, err error) {
	if _, err := os.Lstat(s.path); !errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, nil
	}
	before := s.ln
	if err := s.bind(); err != nil {
		return false, err
	}
	return true, before.Close() // connections that were accepted stay open
}

// Accept implements net.Listener.
func (s *SocketFile) Accept() (net.Conn, error) {
	for {
		ln := s.current()
		c, err := ln.Accept()
		if err != nil && errors.Is(err, net.ErrClosed) && s.current() != ln {
			continue // it was made anew
		}
		return c, err
	}
}

func (s *SocketFile) current() *net.UnixListener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ln
}

// Addr implements net.Listener.
func (s *SocketFile) Addr() net.Addr { return s.current().Addr() }

// Close implements net.Listener. It removes the file, unless somebody has replaced it.
func (s *SocketFile) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.file) {
			os.Remove(s.path)
		}
	}
	return s.ln.Close()
}

// Keep makes the file again whenever it is gone, until stop is closed.
func (s *SocketFile) Keep(stop <-chan struct{}, log zerolog.Logger) {
	ticker := time.NewTicker(lookForFile)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ticker.C:
		case <-stop:
			return
		}
		made, err := s.restore()
		switch {
		case err != nil && !failing:
			log.Error().Err(err).Msgf("the socket file %s was removed and cannot be made anew: nobody can connect there", s.path)
		case made:
			log.Warn().Msgf("the socket file %s was removed: it is made anew", s.path)
		}
		failing = err != nil
	}
}
