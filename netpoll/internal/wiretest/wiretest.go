// Package wiretest is what the tests of netpoll and of netpoll/wire judge by: the
// standard library's view of the protocol, which shares no code with ours. It
// imports none of the project's packages.
package wiretest

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// RFC 7692, 7.2.1 and 7.2.2: a message's payload lacks syncMarker. finalBlock is an
// empty block behind it, for decoders that want to see the end.
const (
	syncMarker = "\x00\x00\xff\xff"
	finalBlock = "\x01\x00\x00\xff\xff"
)

// Deflate compresses the payload of a message as another sender might. If final is
// true its last block has the BFINAL bit.
func Deflate(t testing.TB, payload []byte, final bool) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 6)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(payload)
	if final {
		if err = errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		return append(b.Bytes(), 0)
	}
	if err = errors.Join(err, w.Flush()); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte(syncMarker))
}

// Inflate decompresses the payload of a message as another receiver does.
func Inflate(payload []byte) ([]byte, error) {
	return io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(payload), strings.NewReader(syncMarker+finalBlock))))
}

// Completable reports whether some bytes behind p make it valid UTF-8. It tries the
// continuations that the boundaries of RFC 3629 leave.
func Completable(p []byte) bool {
	for _, a := range []string{"\x80", "\x90", "\xa0", "\xbf"} {
		for _, rest := range []string{"", "\x80", "\x80\x80"} {
			if utf8.ValidString(string(p) + a + rest) {
				return true
			}
		}
	}
	return false
}
