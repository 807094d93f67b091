package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"regexp"
	"strings"
)

// sessions stands for yours: a cookie with the user's name, signed with this secret.
type sessions string

var userName = regexp.MustCompile(`^[a-z0-9]{1,20}$`)

func (s sessions) begin(w http.ResponseWriter, user string) error {
	if !userName.MatchString(user) {
		return errors.New("a user's name has 1 to 20 of a-z and 0-9")
	}
	http.SetCookie(w, &http.Cookie{Name: "session", Value: user + "." + s.signature(user), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return nil
}

// user is whose session the request's cookie belongs to, or "".
func (s sessions) user(r *http.Request) string {
	cookie, err := r.Cookie("session")
	if err != nil {
		return ""
	}
	user, signature, _ := strings.Cut(cookie.Value, ".")
	if !hmac.Equal([]byte(signature), []byte(s.signature(user))) {
		return ""
	}
	return user
}

func (s sessions) signature(user string) string {
	mac := hmac.New(sha256.New, []byte(s))
	mac.Write([]byte(user))
	return hex.EncodeToString(mac.Sum(nil))
}
