// Package logqueue is a log's way out of the process that never holds anybody up:
// whoever reads standard error may be slow, stop or end.
//
//	Write (any goroutine) ──▶ buffer of 1 MiB ──▶ one goroutine ──▶ the file
//	never waits               full: lines are      may wait for ever
//	                          lost and counted
//
// Lines keep their order. Where some are missing a line says how many, in their
// place. While one buffer is being written the next one fills: two are all the
// memory there is.
//
// A write that fails, for want of space or because nobody reads any more, loses
// the lines of its buffer; the next buffer is tried again. The file is used as it
// was inherited: to make it non-blocking would make it so for everybody who shares
// it, a shell for example; where somebody else has done that, it is waited for.
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

// Size is how many bytes of lines wait at most while others are being written.
const Size = 1 << 20

// Queue is an io.Writer of whole lines.
type Queue struct {
	out  io.Writer
	lost func(lines uint64) []byte
	gone atomic.Uint64 // lines lost

	wake  chan struct{} // has one place: there is something to write
	ended chan struct{} // the goroutine has

	mu      sync.Mutex // guards the following
	buf     []byte
	missing uint64 // lines that were refused since buf was last taken
	closed  bool
	writing bool
	idle    chan struct{} // closed when everything has been written; nil: nobody waits
}

// New starts a queue that writes to out. lost makes the line that says how many
// lines are missing in its place. Close is due.
func New(out io.Writer, lost func(lines uint64) []byte) *Queue {
	q := &Queue{out: out, lost: lost, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go q.run()
	return q
}

// Fd is the file's descriptor, to ask whether it is a terminal; of what is no file
// it is none.
func (q *Queue) Fd() uintptr {
	if file, ok := q.out.(interface{ Fd() uintptr }); ok {
		return file.Fd()
	}
	return ^uintptr(0)
}

// Lost is how many lines are lost, so far.
func (q *Queue) Lost() uint64 { return q.gone.Load() }

// Write takes a line, or several, or loses them. It never waits and never fails.
func (q *Queue) Write(lines []byte) (int, error) {
	q.mu.Lock()
	// Once a line is lost all are, until the buffer is taken: so that the line that
	// says so is in the right place.
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

// Flush waits until everything is written, or for as long as within, and reports
// whether it is.
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

// Close is Flush, and ends the goroutine if the file lets it go: where nobody reads
// it stays in its write, which only the process's end can end. Lines that come
// later are lost.
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
	var untold uint64 // lines that are lost, and of which no line tells
	torn := false     // the last line is incomplete
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
			untold, torn = 0, false
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
		untold += missing // told with what is written next
		if err == nil && untold > 0 {
			if _, err := writeAll(q.out, q.lost(untold)); err == nil {
				untold = 0
			}
		}
		if spare = lines[:0]; cap(spare) > 64<<10 {
			spare = nil // quiet times need no megabyte
		}
	}
}

// take waits for lines and gives spare, an empty buffer, for theirs.
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

// writeAll writes to a file that may be non-blocking by somebody else's doing.
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
