package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
)

// listenError says what to do about an address that cannot be bound.
func listenError(option, addr string, err error) error {
	path, unix := strings.CutPrefix(addr, "unix:")
	folder := filepath.Dir(path)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("address %s is taken by another process; choose another with --%s or stop it", addr, option)
	case errors.Is(err, syscall.EACCES) && unix:
		return fmt.Errorf("address %s: no permission to make the socket there; choose another with --%s", addr, option)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("address %s: no permission, ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another with --%s", addr, option)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("address %s is not an address of this machine; choose another with --%s", addr, option)
	case unix && errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("address %s: the folder %s is not there; make it, or choose another with --%s", addr, folder, option)
	case unix && errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("address %s: %s is no folder; choose another with --%s", addr, folder, option)
	case unix && errors.Is(err, syscall.EROFS):
		return fmt.Errorf("address %s: %s is on a disk that is read-only; choose another with --%s", addr, folder, option)
	}
	return fmt.Errorf("cannot listen on %s (%w); choose another with --%s", addr, err, option)
}
