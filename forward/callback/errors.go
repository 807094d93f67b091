package callback

import (
	"errors"
	"syscall"

	"ws-gateway/exchange"
)

var (
	// ErrInterrupted means that Interrupt has been called.
	ErrInterrupted = errors.New("callback: interrupted")
	// ErrNoAnswer means that the connection ended and not a byte had come back.
	ErrNoAnswer = errors.New("callback: the connection ended before an answer began")
	// ErrUnasked means that something, its end or bytes, had come on the connection before
	// the request was sent.
	ErrUnasked = exchange.ErrUnasked
)

// DialError means that no connection could be made.
type DialError struct{ Err error }

func (e *DialError) Error() string { return e.Err.Error() }
func (e *DialError) Unwrap() error { return e.Err }

// IsTimeout reports whether err means that a deadline has passed.
func IsTimeout(err error) bool {
	var timeout interface{ Timeout() bool } // fasthttp's error is no net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// OutOfResources reports whether a connection could not be made because this process
// or host lacks something, such as descriptors or ports.
func OutOfResources(err error) bool {
	for _, errno := range [...]syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
