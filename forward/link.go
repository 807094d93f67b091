package forward

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// Answers of which nothing is wanted are cut off past this: the connection is
	// closed instead of reading them.
	maxAnswerBody = 64 << 10
	// Of an answer with a longer head only the status line is understood.
	maxAnswerHead = 8 << 10
	// Bodies up to this size leave together with the head, in one write.
	maxJoined = 32 << 10
	// How long the rest of an answer may take that has its status and of which nothing
	// else is wanted. A connection is then closed instead.
	restLimit = time.Second
	// 1xx answers before the final one.
	maxInterim = 8
)

var (
	errCutOff   = errors.New("forward: stopped")
	errNoAnswer = errors.New("forward: the connection ended before an answer began")
)

// link is a worker's connection to the app, with what it takes to POST on it.
// It writes the request itself: fasthttp parses and re-writes cookies, and they
// must arrive as the client sent them. Reading answers is fasthttp's.
//
// Its methods are for the worker, interrupt excepted.
type link struct {
	target *target
	dial   dialFunc
	secure *tls.Config // nil: not secured
	signer *signer     // nil: nothing is signed
	watch  *watch      // nil: nobody looks

	reader  *bufio.Reader
	unasked unasked
	answer  fasthttp.Response
	behind  int // answers that follow the one that is read
	bare    bareHead
	batch   bool // what is POSTed is one: its answer may be partial
	out     []byte
	vectors [2][]byte

	// Of the last answer.
	salvaged     bool // of its head only the status is known
	partial      bool // it says that the app has taken part of a batch
	completeness completeness
	start        []byte // of an excessive one, where it was wanted

	until   time.Time            // of the exchange
	clock   func() time.Duration // Config.Clock; nil: there is none
	allowed allowance            // of the exchange, by that clock

	mu   sync.Mutex
	conn net.Conn // guarded by mu for interrupt's sake
	cut  bool     // guarded by mu: interrupt has been called
}

func (l *link) connected() bool { return l.conn != nil }

// connect makes the connection.
func (l *link) connect(ctx context.Context, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	conn, err := l.dial(ctx)
	if err != nil {
		return &dialError{err}
	}
	l.unasked.of(conn, l.secure != nil)
	if l.watch != nil {
		conn = l.watch.conn(conn)
	}
	if l.secure != nil {
		secured := tls.Client(conn, l.secure)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close() // nothing has been sent on it
			return &dialError{err}
		}
		conn = secured
	}
	source := &patientReader{l, conn}
	if l.reader == nil {
		l.reader = bufio.NewReaderSize(source, maxAnswerHead)
	} else {
		l.reader.Reset(source)
	}
	l.mu.Lock()
	l.conn = conn
	l.mu.Unlock()
	return nil
}

// vet ends a connection on which something has come that nobody asked for.
func (l *link) vet() {
	if l.conn != nil && l.unasked.has() {
		l.hangUp()
	}
}

// hangUp ends the connection.
func (l *link) hangUp() {
	l.mu.Lock()
	conn := l.conn
	l.conn = nil
	l.mu.Unlock()
	if conn != nil {
		_ = conn.Close() // nothing is lost: answers have been read or given up
	}
}

// interrupt ends what is going on, from another goroutine, and all that would
// follow.
func (l *link) interrupt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	if l.conn != nil {
		_ = l.conn.SetDeadline(time.Unix(1, 0)) // fails where the connection is gone already
	}
}

// limit gives the exchange that follows its deadline.
func (l *link) limit(deadline time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return errCutOff
	}
	l.until = deadline
	l.allow(time.Until(deadline))
	if err := l.conn.SetDeadline(deadline); err != nil {
		return errNoAnswer // it has ended already
	}
	return nil
}

// hasten gives the rest of an answer restLimit.
func (l *link) hasten() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rest := time.Now().Add(restLimit); !l.cut && rest.Before(l.until) {
		l.allow(restLimit)
		_ = l.conn.SetReadDeadline(rest) // fails where it has ended, as the read will
	}
}

func (l *link) wasCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

// post makes one attempt at p on the connection, which must be there, and
// returns the status of the answer. retryAfter is the answer's wish.
//
// The status decides as soon as it is here, whatever happens to the rest of the
// answer. After any mishap the connection is closed. errNoAnswer means that not
// a byte came back.
func (l *link) post(p *parcel, deadline time.Time) (status int, retryAfter time.Duration, err error) {
	if err := l.limit(deadline); err != nil {
		l.hangUp()
		return 0, 0, err
	}
	l.out = l.out[:0]
	return l.read(l.write(p), p.wanted)
}

// read reads the answer to a request of which the writing ended with wrote.
func (l *link) read(wrote error, wanted int) (status int, retryAfter time.Duration, err error) {
	if wrote != nil && isTimeout(wrote) {
		l.hangUp()
		return 0, 0, wrote
	}
	// An app that refuses a request before it has read all of it answers and
	// closes; so there may be an answer after a failed write.
	l.salvaged = false
	status, err = l.readHead(wanted > 0)
	if err != nil {
		l.hangUp()
		return status, 0, err
	}
	if wish := l.answer.Header.Peek(fasthttp.HeaderRetryAfter); len(wish) > 0 {
		retryAfter = parseRetryAfter(wish, time.Now())
	}
	if l.partial = l.batch && !l.salvaged && l.isPartial(); l.partial {
		wanted = maxPartial
	}
	if wrote != nil || !l.readBody(wanted) {
		l.hangUp()
	}
	return status, retryAfter, nil
}

// write sends the request.
func (l *link) write(p *parcel) error {
	l.put(p)
	if len(p.body) <= maxJoined {
		l.out = append(l.out, p.body...)
		_, err := l.conn.Write(l.out)
		return err
	}
	l.vectors = [2][]byte{l.out, p.body}
	vectors := net.Buffers(l.vectors[:])
	_, err := vectors.WriteTo(l.conn)
	l.vectors = [2][]byte{}
	return err
}

// put appends the request's head to what is to be written.
func (l *link) put(p *parcel) {
	out := append(l.out, l.target.head...)
	if p.cookie != "" {
		out = appendField(out, "Cookie: ", p.cookie)
	}
	out = append(out, p.headers...)
	out = appendField(out, "X-Request-Id: ", p.id)
	out = append(out, "X-Attempt: "...)
	out = strconv.AppendInt(out, int64(p.attempt), 10)
	out = append(out, '\r', '\n')
	out = l.signer.appendField(out, p.body, time.Now())
	out = append(out, "Content-Length: "...)
	out = strconv.AppendInt(out, int64(len(p.body)), 10)
	l.out = append(out, "\r\n\r\n"...)
}

// appendField appends a header line. A value comes from outside: what would end
// the line becomes a blank.
func appendField[S string | []byte](dst []byte, name string, value S) []byte {
	dst = append(dst, name...)
	start := len(dst)
	dst = append(dst, value...)
	for _, c := range [...]byte{'\r', '\n', 0} {
		for i := bytes.IndexByte(dst[start:], c); i >= 0; i = bytes.IndexByte(dst[start:], c) {
			dst[start+i] = ' '
		}
	}
	return append(dst, '\r', '\n')
}

// readHead reads up to the body of the final answer and returns its status.
func (l *link) readHead(wanted bool) (status int, err error) {
	for interim := range maxInterim + 1 {
		err = l.readFields(wanted)
		if err != nil {
			status, err = l.salvage(err)
			if err == errNoAnswer && interim > 0 {
				err = io.ErrUnexpectedEOF
			}
			return status, err
		}
		switch status = l.answer.StatusCode(); {
		case status >= 200, status == fasthttp.StatusSwitchingProtocols:
			return status, nil
		case status < 100:
			return 0, errors.New("forward: an answer's status is below 100")
		}
	}
	return 0, errors.New("forward: too many interim answers")
}

// salvage looks for a status line in what has arrived of an answer whose head
// could not be read: too long, malformed or cut short, it still says how the
// app decided.
func (l *link) salvage(err error) (status int, _ error) {
	l.answer.Reset()
	head, _ := l.reader.Peek(l.reader.Buffered())
	if len(head) == 0 {
		for _, ended := range [...]error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
			if errors.Is(err, ended) {
				return 0, errNoAnswer
			}
		}
		return 0, err
	}
	if status, ok := parseStatusLine(head); ok && status >= 200 {
		l.salvaged = true
		l.answer.Header.SetConnectionClose()
		return status, nil
	}
	return 0, err
}

// parseStatusLine reads a complete status line (RFC 9112 section 4) at the
// start of head.
func parseStatusLine(head []byte) (status int, ok bool) {
	line, _, found := bytes.Cut(head, []byte("\n"))
	const form = "HTTP/1.1 200"
	if !found || len(line) < len(form) || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' {
		return 0, false
	}
	if len(line) > len(form) && line[len(form)] != ' ' && line[len(form)] != '\r' {
		return 0, false
	}
	for _, c := range line[9:len(form)] {
		if c < '0' || c > '9' {
			return 0, false
		}
		status = 10*status + int(c-'0')
	}
	return status, status >= 100
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool } // fasthttp's error is no net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// lacksResources reports whether it is for want of something of our own that a
// connection could not be made.
func lacksResources(err error) bool {
	for _, errno := range [...]syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
