package scenario

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/sink"
)

// profiled does f, which takes so long, and has the gateway take a profile of its
// processor use meanwhile, which goes to a file in Env.Profiles. Without such a
// folder it only does f.
func (s *stage) profiled(gateway *child.Process, duration time.Duration, f func()) {
	if s.Profiles == "" || s.rival.Path != "" { // a rival has none
		f()
		return
	}
	taken := make(chan error, 1)
	go func() {
		path := fmt.Sprintf("/debug/pprof/profile?seconds=%g", duration.Seconds())
		profile, err := sink.Call(gateway.Addr(), http.MethodGet, path, nil, duration+apiTimeout)
		if err == nil {
			err = os.WriteFile(filepath.Join(s.Profiles, s.name+".pprof"), profile, 0o644)
		}
		taken <- err
	}()
	err := attempt(f)
	if profiling := <-taken; profiling != nil {
		err = errors.Join(err, fmt.Errorf("taking a profile: %w", profiling))
	}
	check(err)
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
