package admin

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"
)

// lookForFile is how often a socket file is looked for.
const lookForFile = time.Second

// SocketFile is a listener at a path of the file system. Where its file has been
// removed, by a cleaner of temporary folders for example, it makes it anew: nobody
// could connect any more. One that somebody else has put there is left alone. Its
// Close removes the file.
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

// bind makes the file, and listens behind it.
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

// Restore makes the file anew if there is none, and reports whether it did. An
// error says why it could not: the folder is gone, too, for example.
func (s *SocketFile) Restore() (made bool, err error) {
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
	return true, before.Close() // whoever has connected already is served on
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

// Close implements net.Listener. It removes the file, unless that has meanwhile been
// replaced by another's.
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

// keepSocket restores a socket file until stop is closed.
func (s *Server) keepSocket(file *SocketFile, stop <-chan struct{}) {
	ticker := time.NewTicker(lookForFile)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ticker.C:
		case <-stop:
			return
		}
		made, err := file.Restore()
		switch {
		case err != nil && !failing:
			s.cfg.Log.Error().Err(err).Msgf("the socket file %s was removed and cannot be made anew: nobody can connect there", file.path)
		case made:
			s.cfg.Log.Warn().Msgf("the socket file %s was removed: it is made anew", file.path)
		}
		failing = err != nil
	}
}
