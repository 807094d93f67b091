package scenario

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ws-gateway/bench/child"
)

// profile has the gateway take a profile of its processor use for so long, and
// returns a function that waits for it and writes it to a file in Env.Profiles.
// Without such a folder both do nothing.
func (s stage) profile(ctx context.Context, gateway *child.Process, duration time.Duration) (write func() error) {
	if s.Profiles == "" {
		return func() error { return nil }
	}
	type result struct {
		profile []byte
		err     error
	}
	taken := make(chan result, 1)
	go func() { // write waits for it
		url := fmt.Sprintf("http://%v/debug/pprof/profile?seconds=%g", gateway.Addr(), duration.Seconds())
		profile, err := fetch(ctx, url)
		taken <- result{profile, err}
	}()
	return func() error {
		r := <-taken
		if r.err != nil {
			return fmt.Errorf("taking a profile: %w", r.err)
		}
		path := filepath.Join(s.Profiles, s.name+".pprof")
		if err := os.WriteFile(path, r.profile, 0o644); err != nil {
			return fmt.Errorf("writing a profile: %w", err)
		}
		return nil
	}
}

func fetch(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, strings.TrimSpace(string(body)))
	}
	return body, err
}

// fileName turns a case's name into one of a file.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '+', r == '-':
			return r
		case r == ',':
			return -1
		default:
			return '_'
		}
	}, name)
}
