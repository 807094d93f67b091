package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"time"
)

// Reach makes a connection to the app of a callback URL, with the TLS handshake
// where it is https, and ends it again. Nothing is asked of the app: whatever is
// sent to a handler that does not look at the method may pass for an event.
// config is Config.TLS. An error says where it failed, without the URL.
func Reach(ctx context.Context, url string, config *tls.Config) error {
	to, err := parseTarget(url)
	if err != nil {
		return err
	}
	deadline, bounded := ctx.Deadline()
	if !bounded {
		deadline = time.Now().Add(10 * time.Second)
	}
	l := link{target: &to, dial: to.dialer(), secure: to.tlsConfig(config)}
	err = l.connect(ctx, deadline)
	l.hangUp()
	var dial *dialError
	if errors.As(err, &dial) {
		return dial.err
	}
	return err
}
