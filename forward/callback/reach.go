package callback

import (
	"context"
	"crypto/tls"
	"errors"
	"time"
)

// Reach makes a connection to the app of a callback URL, with the TLS handshake if it is
// https, and closes it again. It sends no request: a handler that does not look at the
// method might take any for an event. config may be nil. An error says where it failed,
// without the URL.
func Reach(ctx context.Context, url string, config *tls.Config) error {
	to, err := ParseTarget(url)
	if err != nil {
		return err
	}
	deadline, bounded := ctx.Deadline()
	if !bounded {
		deadline = time.Now().Add(10 * time.Second)
	}
	c := Client{Target: &to, Dial: to.Dialer(), TLS: to.TLSConfig(config)}
	err = c.Connect(ctx, deadline)
	c.HangUp()
	var dial *DialError
	if errors.As(err, &dial) {
		return dial.Err
	}
	return err
}
