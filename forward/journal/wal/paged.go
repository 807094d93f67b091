package wal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// Segments of earlier gateways are those of Prometheus's tsdb/wlog, not compressed:
// pages of 32 KiB with fragments of records, each
//
//	type 1 | length 2 | checksum 4 | bytes
//
// in network byte order, the checksum being CRC-32C of the bytes. A fragment never
// leaves its page; the rest of a page may be zeros.
const (
	pageSize         = 32 << 10
	pageFragmentHead = 7
)

const (
	pageRest = iota
	pageFragmentWhole
	pageFragmentFirst
	pageFragmentMiddle
	pageFragmentLast
)

var errFragments = errors.New("damaged: fragments that do not belong together")

// paged reads a record of an old segment.
func (r *Reader) paged() ([]byte, error) {
	var record []byte
	for begun := false; ; begun = true {
		kind, part, err := r.fragment()
		if err == io.EOF && begun {
			err = errTorn
		}
		if err != nil {
			return nil, err
		}
		if first := kind == pageFragmentWhole || kind == pageFragmentFirst; first == begun {
			return nil, errFragments
		}
		record = append(record, part...)
		if kind == pageFragmentWhole || kind == pageFragmentLast {
			return record, nil
		}
	}
}

// fragment reads the next fragment, past what is left of pages.
func (r *Reader) fragment() (kind byte, part []byte, err error) {
	for r.left > 0 {
		first, err := r.take(1)
		if err != nil {
			return 0, nil, err
		}
		r.offset++
		inPage := int(pageSize - r.offset%pageSize) // of the byte's page, if it is not its last
		if kind = first[0]; kind == pageRest {
			if r.offset%pageSize == 0 {
				continue
			}
			rest, err := r.take(int(min(int64(inPage), r.left)))
			if err != nil {
				return 0, nil, err
			}
			for _, b := range rest {
				if b != 0 {
					return 0, nil, errFragments
				}
			}
			r.offset += int64(len(rest))
			continue
		}
		if kind > pageFragmentLast {
			return 0, nil, errFormat
		}
		return r.fragmentBody(kind, inPage)
	}
	return 0, nil, io.EOF
}

func (r *Reader) fragmentBody(kind byte, inPage int) (byte, []byte, error) {
	head, err := r.take(pageFragmentHead - 1)
	if err != nil {
		return 0, nil, err
	}
	length, sum := int(binary.BigEndian.Uint16(head)), binary.BigEndian.Uint32(head[2:])
	if pageFragmentHead-1+length > inPage {
		return 0, nil, errFragments
	}
	part, err := r.take(length)
	if err != nil {
		return 0, nil, err
	}
	if crc32.Checksum(part, castagnoli) != sum {
		return 0, nil, errChecksum
	}
	r.offset += int64(pageFragmentHead - 1 + length)
	return kind, part, nil
}
