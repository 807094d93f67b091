// Package logqueue writes a log so that nobody who logs ever waits, even if the reader of
// standard error is slow, stops or ends. It imports none of ours.
//
//	Write (any goroutine) ──▶ buffer of 1 MiB ──▶ one goroutine ──▶ the file
//	never waits               full: lines are      may wait for ever
//	                          lost and counted
//
// Lines keep their order. If lines are lost, a line in their place says how many. While
// one buffer is being written the next one fills; there are no more than two.
//
// A write fails if the disk is full or nobody reads any more. It loses the lines of its
// buffer, and the next buffer is tried again. The file is used as it was inherited: if it
// were made non-blocking, it would be so for all who share it, a shell for example. If
// another program has done that, the goroutine waits until the file takes bytes.
package logqueue

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Size bounds the bytes of lines that wait while others are being written.
const Size = 1 << 20

// Queue is an io.Writer of whole lines.
type Queue struct {
	out  io.Writer
	lost func(lines uint64) []byte
	gone atomic.Uint64 // lines lost

	wake  chan struct{} // has one place: there is something to write
	ended chan struct{} // closed by the goroutine

	mu      sync.Mutex // guards the following
	buf     []byte
	missing uint64 // lines that were lost since buf was last taken
	closed  bool
	writing bool
	idle    chan struct{} // closed when everything has been written; nil: nobody waits
}

// New starts a queue that writes to out, and must be closed. lost makes the line that
// says how many lines are missing.
func New(out io.Writer, lost func(lines uint64) []byte) *Queue {
	q := &Queue{out: out, lost: lost, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go q.run()
	return q
}

// Fd is the file's descriptor, which may be a terminal; an invalid one if out is no file.
func (q *Queue) Fd() uintptr {
	if file, ok := q.out.(interface{ Fd() uintptr }); ok {
		return file.Fd()
	}
	return ^uintptr(0)
}

// Lost is how many lines have been lost so far.
func (q *Queue) Lost() uint64 { return q.gone.Load() }

// Write takes a line, or several, or loses them. It never waits and never fails.
func (q *Queue) Write(lines []byte) (int, error) {
	q.mu.Lock()
	// After one lost line all are lost until the buffer is taken, so that the line that
	// says how many is in the right place.
	switch {
	case q.closed:
		q.gone.Add(countLines(lines))
	case q.missing > 0 || len(q.buf)+len(lines) > Size:
		q.missing += countLines(lines)
		q.gone.Add(countLines(lines))
	default:
		q.buf = append(q.buf, lines...)
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return len(lines), nil
}

func countLines(lines []byte) uint64 { return uint64(max(bytes.Count(lines, []byte("\n")), 1)) }

// Flush waits until everything is written, but not longer than within. It reports
// whether everything is written.
func (q *Queue) Flush(within time.Duration) bool {
	q.mu.Lock()
	if len(q.buf) == 0 && q.missing == 0 && !q.writing {
		q.mu.Unlock()
		return true
	}
	if q.idle == nil {
		q.idle = make(chan struct{})
	}
	idle := q.idle
	q.mu.Unlock()
	select {
	case <-idle:
		return true
	case <-time.After(within):
		return false
	}
}

// Close is Flush, and then ends the goroutine. If nobody reads, the goroutine stays in
// its write until the process ends. Later lines are lost.
func (q *Queue) Close(within time.Duration) bool {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	select {
	case <-q.ended:
		return true
	case <-time.After(within):
		return false
	}
}

// run writes until the queue is closed and empty.
func (q *Queue) run() {
	defer close(q.ended)
	var spare []byte
	var untold uint64 // lines that were lost, and no line has said so
	torn := false     // the last line in the file is incomplete
	for {
		lines, missing, more := q.take(spare)
		if !more {
			return
		}
		var head []byte
		if torn {
			head = append(head, '\n')
		}
		if untold > 0 {
			head = append(head, q.lost(untold)...)
		}
		written, err := writeAll(q.out, head)
		if err == nil {
			untold = 0
			written, err = writeAll(q.out, lines)
			torn = written > 0 && lines[written-1] != '\n'
		} else {
			torn = torn || written > 0
			written = 0
		}
		if err != nil && written < len(lines) {
			n := countLines(lines[written:])
			q.gone.Add(n)
			untold += n
		}
		untold += missing // said below, or before the next lines
		if err == nil && untold > 0 {
			if _, err := writeAll(q.out, q.lost(untold)); err == nil {
				untold = 0
			}
		}
		if spare = lines[:0]; cap(spare) > 64<<10 {
			spare = nil // a quiet gateway needs no megabyte
		}
	}
}

// take waits for lines and exchanges their buffer for spare, which is empty.
func (q *Queue) take(spare []byte) (buf []byte, missing uint64, more bool) {
	for {
		q.mu.Lock()
		if len(q.buf) > 0 || q.missing > 0 {
			buf, missing = q.buf, q.missing
			q.buf, q.missing = spare, 0
			q.writing = true
			q.mu.Unlock()
			return buf, missing, true
		}
		q.writing = false
		if q.idle != nil {
			close(q.idle)
			q.idle = nil
		}
		closed := q.closed
		q.mu.Unlock()
		if closed {
			return nil, 0, false
		}
		<-q.wake
	}
}

// writeAll also writes to a file that another program has made non-blocking.
func writeAll(out io.Writer, buf []byte) (written int, err error) {
	for written < len(buf) {
		n, err := out.Write(buf[written:])
		written += n
		switch {
		case errors.Is(err, syscall.EAGAIN):
			if err := awaitWritable(out); err != nil {
				return written, err
			}
		case err != nil:
			return written, err
		case n == 0:
			return written, io.ErrShortWrite
		}
	}
	return written, nil
}

// awaitWritable waits until a descriptor takes bytes, or its reader has gone.
func awaitWritable(out io.Writer) error {
	file, ok := out.(interface{ Fd() uintptr })
	if !ok {
		return syscall.EAGAIN
	}
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(file.Fd()), Events: unix.POLLOUT}}, -1)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
