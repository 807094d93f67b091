package callback

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"strconv"
	"time"
)

const signatureField = "X-Ws-Signature: "

// Signer proves to the app that a POST comes from the gateway. It signs exactly the
// bytes of the body, and the time, with each of the secrets, so that app and gateway can
// change to another secret one after the other. A nil *Signer signs nothing.
//
// It is for one goroutine at a time.
type Signer struct {
	macs []hash.Hash // one for each secret
	text []byte
	sum  [sha256.Size]byte
}

// NewSigner returns a Signer with these secrets; nil if there are none.
func NewSigner(secrets []string) *Signer {
	if len(secrets) == 0 {
		return nil
	}
	s := new(Signer)
	for _, secret := range secrets {
		s.macs = append(s.macs, hmac.New(sha256.New, []byte(secret)))
	}
	return s
}

// appendField appends the header line for body and its tail, sent at that time:
// t=<Unix seconds>, then v1=<hex HMAC-SHA256 of "t.body"> for each secret.
func (s *Signer) appendField(dst, body []byte, tail string, at time.Time) []byte {
	if s == nil {
		return dst
	}
	s.text = append(strconv.AppendInt(s.text[:0], at.Unix(), 10), '.')
	dst = append(dst, signatureField...)
	dst = append(dst, "t="...)
	dst = append(dst, s.text[:len(s.text)-1]...)
	for _, mac := range s.macs {
		mac.Reset()
		mac.Write(s.text) // never fails
		mac.Write(body)
		if tail != "" {
			io.WriteString(mac, tail)
		}
		dst = append(dst, ",v1="...)
		dst = hex.AppendEncode(dst, mac.Sum(s.sum[:0]))
	}
	return append(dst, '\r', '\n')
}
