// Package textfile reads the small files that people write: configuration,
// manifests, certificates, tokens. Some editors write an invisible byte order mark in
// front of them, or another encoding than UTF-8. The package imports none of ours.
package textfile

import (
	"bytes"
	"errors"
	"os"
)

var (
	bom     = []byte{0xEF, 0xBB, 0xBF} // of UTF-8
	utf16LE = []byte{0xFF, 0xFE}       // UTF-32 of this order begins with it, too
	utf16BE = []byte{0xFE, 0xFF}
	utf32BE = []byte{0, 0, 0xFE, 0xFF}
)

var (
	errEncoding = errors.New("it is UTF-16 or UTF-32: save it as UTF-8")
	errMark     = errors.New("it begins with a byte order mark (BOM), which others that read the file may take for part of the secret: save it as UTF-8 without BOM")
)

// Read returns the file's text without a byte order mark of UTF-8. A text in UTF-16 or
// UTF-32 is an error.
func Read(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Text(data)
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
	data, err := os.ReadFile(path)
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
