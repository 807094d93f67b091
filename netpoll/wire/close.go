package wire

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// maxReason is how many bytes the reason in a close frame may have, behind the code.
const maxReason = ws.MaxControlFramePayloadSize - 2

var (
	errClosePayload = &Violation{ws.StatusProtocolError, "close frame with half a code"}
	errCloseCode    = &Violation{ws.StatusProtocolError, "close code that must not be sent"}
	errCloseReason  = &Violation{ws.StatusInvalidFramePayloadData, "close reason is not UTF-8"}
)

// ParseClosePayload takes the unmasked payload of a close frame apart. Code is
// 1005 if it has none (RFC 6455, 7.1.5).
func ParseClosePayload(p []byte) (code ws.StatusCode, reason string, v *Violation) {
	if len(p) == 0 {
		return ws.StatusNoStatusRcvd, "", nil
	}
	if len(p) == 1 {
		return 0, "", errClosePayload
	}
	code = ws.StatusCode(binary.BigEndian.Uint16(p))
	if !mayBeSent(code) {
		return 0, "", errCloseCode
	}
	if !utf8.Valid(p[2:]) {
		return 0, "", errCloseReason
	}
	return code, string(p[2:]), nil
}

// mayBeSent reports whether a close frame may carry code: RFC 6455, 7.4, and the
// codes 1012 to 1014, which were registered with IANA later. 1004 to 1006 and 1015
// are reserved and never sent.
func mayBeSent(code ws.StatusCode) bool {
	switch {
	case code < 1000:
		return false
	case code <= 1003:
		return true
	case code >= 1007 && code <= 1014:
		return true
	default:
		return code >= 3000 && code <= 4999
	}
}

// CutReason makes s fit for a close frame: valid UTF-8 of at most 123 bytes, cut
// at a rune boundary.
func CutReason(s string) string {
	if len(s) <= maxReason && utf8.ValidString(s) {
		return s
	}
	b := make([]byte, 0, maxReason)
	for _, c := range s { // c is U+FFFD for each byte that is not UTF-8
		if len(b)+utf8.RuneLen(c) > maxReason {
			break
		}
		b = utf8.AppendRune(b, c)
	}
	return string(b)
}
