package wal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

var (
	errTorn     = errors.New("torn")
	errChecksum = errors.New("damaged: the checksum is another one")
	errFormat   = errors.New("not a segment of a journal, or of a newer version")
)

// Reader reads a segment from its beginning.
type Reader struct {
	file   *os.File
	in     *bufio.Reader
	left   int64 // bytes of the file that have not been read
	offset int64 // where the last record ends
	next   func() ([]byte, error)
	record []byte
	buf    []byte
	err    error
}

// Open opens the segment at path. Segments that earlier gateways have written with
// another library are read as well: see paged.
func Open(path string) (*Reader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", path)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return newReader(file, info.Size()), nil
}

func newReader(file *os.File, size int64) *Reader {
	r := &Reader{file: file, in: bufio.NewReaderSize(file, 64<<10), left: size}
	switch head, err := r.in.Peek(min(HeaderSize, int(size))); {
	case err != nil && err != io.EOF:
		r.err = err
	case string(head) == magic:
		_, r.err = r.take(HeaderSize)
		r.offset = int64(HeaderSize)
		r.next = r.framed
	case len(head) > 0 && head[0] > pageFragmentLast:
		r.err = errFormat
	default:
		r.next = r.paged
	}
	return r
}

// Next reads the next record. It returns false at the end, and if the rest cannot be read;
// Err tells which.
func (r *Reader) Next() bool {
	if r.err != nil {
		return false
	}
	record, err := r.next()
	if err != nil {
		if err != io.EOF {
			r.err = fmt.Errorf("%s, byte %d: %w", r.file.Name(), r.offset, err)
		}
		r.next = ended
		return false
	}
	r.record = record
	return true
}

func ended() ([]byte, error) { return nil, io.EOF }

// Record is the record that Next has read. It is valid until Next is called again.
func (r *Reader) Record() []byte { return r.record }

// Offset is where the record that Next has read ends, in bytes.
func (r *Reader) Offset() int64 { return r.offset }

// Err says why the segment was not read to its end; nil if it was.
func (r *Reader) Err() error { return r.err }

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }

// take reads n bytes. They are valid until it is called again.
func (r *Reader) take(n int) ([]byte, error) {
	if int64(n) > r.left { // before memory is made for a length that is damaged
		return nil, errTorn
	}
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	b := r.buf[:n]
	if _, err := io.ReadFull(r.in, b); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF { // the file has become shorter
			err = errTorn
		}
		return nil, err
	}
	r.left -= int64(n)
	return b, nil
}

// framed reads a record of this version.
func (r *Reader) framed() ([]byte, error) {
	if r.left == 0 {
		return nil, io.EOF
	}
	head, err := r.take(FrameSize)
	if err != nil {
		return nil, err
	}
	length, sum := binary.LittleEndian.Uint32(head), binary.LittleEndian.Uint32(head[4:])
	check := crc32.Checksum(head[:4], castagnoli)
	if int64(length) > r.left {
		return nil, errTorn
	}
	payload, err := r.take(int(length))
	if err != nil {
		return nil, err
	}
	if crc32.Update(check, castagnoli, payload) != sum {
		return nil, errChecksum
	}
	r.offset += int64(FrameSize) + int64(length)
	return payload, nil
}
