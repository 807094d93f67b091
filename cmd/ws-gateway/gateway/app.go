package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/forward/callback"
)

// reachTimeout bounds the attempt to connect to the app.
const reachTimeout = 5 * time.Second

// lookForApp logs whether something listens at the callback URL. It returns when ctx
// ends.
func (g *Gateway) lookForApp(ctx context.Context) {
	c := g.config()
	f := FindApp(ctx, c)
	if ctx.Err() != nil {
		return
	}
	e := g.log.Info()
	if f.State != finding.OK {
		e = g.log.Warn().Str("fix", f.Fix)
	}
	e.Msg("app: " + f.Message)
}

// FindApp connects to the app. It makes no request: many handlers ignore the method and
// would take it for an event, and OPTIONS or HEAD may be answered by something else
// than that handler.
func FindApp(ctx context.Context, c *config.Config) finding.Finding {
	const name = "app"
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	err := callback.Reach(ctx, c.Callback, c.CallbackTLS)
	shown := c.ShownCallback()
	var certificate *tls.CertificateVerificationError
	switch {
	case err == nil:
		return finding.New(name, finding.OK, "somebody listens at "+shown, "")
	case errors.As(err, &certificate):
		return finding.New(name, finding.Fail, fmt.Sprintf("the certificate of %s is not trusted: %v", shown, certificate.Err), "name its authority with --callback-ca")
	}
	return finding.New(name, finding.Warn, fmt.Sprintf("nobody can be reached at %s yet: %v", shown, err),
		"start the app, or correct --callback-url; events are tried again for --callback-retry-for")
}
