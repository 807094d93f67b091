package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const secret = "change me"

// verify reports whether header, X-Ws-Signature, signs body: the bytes as they
// came, before anything has parsed them.
func verify(header string, body []byte, now time.Time) bool {
	stamp, ok := "", false
	for _, part := range strings.Split(header, ",") {
		name, value, _ := strings.Cut(part, "=")
		if name == "t" {
			stamp = value
		}
		signature, err := hex.DecodeString(value)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(stamp + "."))
		mac.Write(body)
		if name == "v1" && err == nil && hmac.Equal(signature, mac.Sum(nil)) {
			ok = true
		}
	}
	sent, err := strconv.ParseInt(stamp, 10, 64)
	return ok && err == nil && now.Sub(time.Unix(sent, 0)).Abs() < 5*time.Minute
}

func main() {
	http.HandleFunc("/ws/message", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !verify(r.Header.Get("X-Ws-Signature"), body, time.Now()) {
			w.Header().Set("X-Ws-Error", "signature") // the gateway's mistake, not the client's
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.ListenAndServe("127.0.0.1:8888", nil)
}
