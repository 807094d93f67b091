package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"ws-gateway/cmd/ws-gateway/api"
)

// healthTimeout is less than the time that orchestrators wait.
const healthTimeout = 2 * time.Second

// Health asks a gateway that runs whether it is well, and prints the answer: at is a URL,
// or unix:/path with the path to ask there. It is for health checks of containers that
// contain nothing but this program.
func Health(out io.Writer, at, path string) error {
	client, err := api.New(at, "", healthTimeout)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	defer client.CloseIdle()
	said, err := client.Probe(context.Background(), path)
	if no, ok := errors.AsType[*api.Refusal](err); ok {
		return fmt.Errorf("health: %s%s answers %d %s: %s", at, path, no.Status, http.StatusText(no.Status), no.Message)
	}
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	fmt.Fprintln(out, said)
	return nil
}
