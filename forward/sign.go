package forward

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"
	"time"
)

const signatureField = "X-Ws-Signature: "

// signer proves to the app that a POST comes from the gateway: it signs exactly
// the bytes of the body, and when, with each of the secrets, so that secrets can
// be changed one side after the other. A nil *signer signs nothing.
//
// It is for one goroutine at a time.
type signer struct {
	macs []hash.Hash // one for each secret
	text []byte
	sum  [sha256.Size]byte
}

func newSigner(secrets []string) *signer {
	if len(secrets) == 0 {
		return nil
	}
	s := new(signer)
	for _, secret := range secrets {
		s.macs = append(s.macs, hmac.New(sha256.New, []byte(secret)))
	}
	return s
}

// appendField appends the header line for body, sent at that time:
// t=<Unix seconds>, then v1=<hex HMAC-SHA256 of "t.body"> for each secret.
func (s *signer) appendField(dst, body []byte, at time.Time) []byte {
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
		dst = append(dst, ",v1="...)
		dst = hex.AppendEncode(dst, mac.Sum(s.sum[:0]))
	}
	return append(dst, '\r', '\n')
}
