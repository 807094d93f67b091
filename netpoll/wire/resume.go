package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strconv"
)

// Resumable sessions, as the client and the gateway speak of them (docs/protocol.md).
//
// A text message that begins with RecordSeparator is about the session. If a message of
// the client or the app begins so, a second one is put before it. All other data messages
// are counted, in both directions.

// ResumeProtocol is the subprotocol that a client offers, and the gateway selects, for a
// session that can be resumed.
const ResumeProtocol = "ws-gateway.resume.v1"

// RecordSeparator is U+001E (RFC 7464).
const RecordSeparator = 0x1E

// ResumeOffer is what a handshake says about a session that can be resumed.
type ResumeOffer struct {
	Asked    bool   // the client speaks ResumeProtocol
	Token    []byte // of the session that it wants to resume; nil: a new one
	Received uint64 // how many messages of that session it has received

	Unreadable bool // it wants to resume one, and does not say so in a form that can be read
}

// ResumeOffer looks for the offer among the subprotocols. A token is offered as
// ResumeProtocol.TOKEN.RECEIVED; one that has another form counts as none.
func (r *Request) ResumeOffer() (o ResumeOffer) {
	r.EachSubprotocol(func(name []byte) bool {
		switch rest, ok := bytes.CutPrefix(name, resumeProtocol); {
		case !ok:
		case len(rest) == 0:
			o.Asked = true
		case rest[0] == '.' && o.Token == nil:
			token, received, _ := bytes.Cut(rest[1:], dot)
			if n, ok := parseCount(received); ok && len(token) > 0 {
				o.Token, o.Received = token, n
			} else {
				o.Unreadable = true
			}
		}
		return false
	})
	if !o.Asked {
		return ResumeOffer{}
	}
	o.Unreadable = o.Unreadable && o.Token == nil
	return o
}

// IsResumeName reports whether a subprotocol is about sessions that can be resumed, so
// that it is never selected for the app.
func IsResumeName(name []byte) bool {
	return bytes.HasPrefix(name, resumeProtocol)
}

var (
	resumeProtocol = []byte(ResumeProtocol)
	dot            = []byte{'.'}
)

// Greeting is the first message of a transport.
type Greeting struct {
	Resumed  bool
	ID       []byte // of the connection, as the app knows it
	Token    []byte
	Seconds  int64  // for which a lost session is kept
	Received uint64 // messages of the client that the gateway has
	Protocol string // selected for the app; "" for none
}

// AppendTo appends the message's payload. ID and Token must need no escapes in JSON.
func (g *Greeting) AppendTo(dst []byte) []byte {
	dst = append(dst, RecordSeparator)
	dst = append(dst, `{"resumed":`...)
	dst = strconv.AppendBool(dst, g.Resumed)
	dst = append(append(dst, `,"id":"`...), g.ID...)
	dst = append(append(dst, `","token":"`...), g.Token...)
	dst = strconv.AppendInt(append(dst, `","for":`...), g.Seconds, 10)
	dst = strconv.AppendUint(append(dst, `,"received":`...), g.Received, 10)
	if g.Protocol != "" { // a token of HTTP, which has neither quotes nor backslashes
		dst = append(append(append(dst, `,"protocol":"`...), g.Protocol...), '"')
	}
	return append(dst, '}')
}

// AppendAck appends the payload of an acknowledgement of n messages.
func AppendAck(dst []byte, n uint64) []byte {
	return strconv.AppendUint(append(dst, RecordSeparator), n, 10)
}

// ParseAck parses the payload of an acknowledgement.
func ParseAck(payload []byte) (n uint64, ok bool) {
	if len(payload) == 0 || payload[0] != RecordSeparator {
		return 0, false
	}
	return parseCount(payload[1:])
}

// parseCount parses a decimal number without a sign or leading zeros, below 2^63.
func parseCount(b []byte) (n uint64, ok bool) {
	if len(b) == 0 || len(b) > 18 || len(b) > 1 && b[0] == '0' {
		return 0, false
	}
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// ResumeToken names a session. Its MAC vouches for ID, Turn and the user.
type ResumeToken struct {
	ID   []byte // the connection's, as the app knows it
	Turn uint32 // each resume makes a new token, with the next turn
	MAC  [MACBytes]byte
}

// MACBytes is how much of the HMAC-SHA256 is in a token.
const MACBytes = 20

const (
	sealBytes = 4 + MACBytes // turn and MAC
	sealChars = sealBytes * 8 / 6
)

var tokenEncoding = base64.RawURLEncoding.Strict()

// AppendTo appends the token: the id, then turn and MAC as URL-safe base64.
func (t *ResumeToken) AppendTo(dst []byte) []byte {
	var seal [sealBytes]byte
	binary.BigEndian.PutUint32(seal[:], t.Turn)
	copy(seal[4:], t.MAC[:])
	return tokenEncoding.AppendEncode(append(dst, t.ID...), seal[:])
}

// ParseResumeToken is the inverse of AppendTo. It does not look at the MAC. ID points
// into s.
func ParseResumeToken(s []byte) (t ResumeToken, ok bool) {
	if len(s) <= sealChars {
		return t, false
	}
	cut := len(s) - sealChars
	var seal [sealBytes]byte
	if n, err := tokenEncoding.Decode(seal[:], s[cut:]); err != nil || n != sealBytes {
		return t, false
	}
	return ResumeToken{ID: s[:cut], Turn: binary.BigEndian.Uint32(seal[:]), MAC: [MACBytes]byte(seal[4:])}, true
}
