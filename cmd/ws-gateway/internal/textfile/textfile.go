// Package textfile reads the small files that people write: configuration,
// manifests, certificates, tokens. Some editors write an invisible byte order mark in
// front of them, or another encoding than UTF-8. The package imports none of ours.
package textfile

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// MaxSize is the size of the largest file that is read. The certificates of all authorities
// that a system trusts have a twentieth of that. Something larger, or endless, is another
// file: to read it would take the memory of a gateway that is asked to reload.
const MaxSize = 4 << 20

var (
	bom     = []byte{0xEF, 0xBB, 0xBF} // of UTF-8
	utf16LE = []byte{0xFF, 0xFE}       // UTF-32 of this order begins with it, too
	utf16BE = []byte{0xFE, 0xFF}
	utf32BE = []byte{0, 0, 0xFE, 0xFF}
)

var (
	errEncoding = errors.New("it is UTF-16 or UTF-32: save it as UTF-8")
	errLarge    = errors.New("it has more than 4 MiB: is it the file that is meant?")
	errMark     = errors.New("it begins with a byte order mark (BOM), which others that read the file may take for part of the secret: save it as UTF-8 without BOM")
)

// Read returns the file's text without a byte order mark of UTF-8. A text in UTF-16 or
// UTF-32 is an error.
func Read(path string) ([]byte, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return Text(data)
}

// readFile is os.ReadFile for files of at most MaxSize.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxSize {
		return nil, errLarge
	}
	return data, nil
}

// Text is Read for a file that has been read already.
func Text(data []byte) ([]byte, error) {
	for _, mark := range [...][]byte{utf16LE, utf16BE, utf32BE} {
		if bytes.HasPrefix(data, mark) {
			return nil, errEncoding
		}
	}
	return bytes.TrimPrefix(data, bom), nil
}

// ReadSecret is Read for a secret. A byte order mark is an error: another program that
// reads the file may take it for part of the secret.
func ReadSecret(path string) ([]byte, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(data, bom) {
		return nil, errMark
	}
	return Text(data)
}

// WithoutPath drops the path from an error, for messages that name it anyway.
func WithoutPath(err error) error {
	if pathErr, ok := errors.AsType[*os.PathError](err); ok {
		return pathErr.Err
	}
	return err
}
