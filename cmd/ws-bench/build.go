package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"ws-gateway/bench/report"
)

const gatewayPackage = "ws-gateway/cmd/ws-gateway"

// gateway returns the binary to measure, and what removes it if it was built for that.
func (o serverOptions) gateway(ctx context.Context, progress report.Progress) (path string, remove func(), err error) {
	if o.Gateway != "" {
		return o.Gateway, func() {}, nil
	}
	progress.Say("building the gateway")
	return build(ctx, "CGO_ENABLED=0")
}

// buildRace builds the gateway with the race detector.
func buildRace(ctx context.Context) (path string, remove func(), err error) {
	return build(ctx, "CGO_ENABLED=1", "-race")
}

// build builds the gateway into a folder of its own.
func build(ctx context.Context, env string, flags ...string) (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "ws-bench-")
	if err != nil {
		return "", nil, fmt.Errorf("building the gateway: %w", err)
	}
	remove = func() { os.RemoveAll(dir) }
	path = filepath.Join(dir, "ws-gateway")
	args := append(append([]string{"build"}, flags...), "-o", path, gatewayPackage)
	compile := exec.CommandContext(ctx, "go", args...)
	compile.Env = append(os.Environ(), env)
	if text, err := compile.CombinedOutput(); err != nil {
		remove()
		return "", nil, fmt.Errorf("building the gateway (in the module's folder, or name a binary with --gateway): %w\n%s", err, text)
	}
	return path, remove, nil
}

// commitOf reads from a binary which commit it was built from. A binary built
// without that, as by go run, is taken to be the work tree's.
func commitOf(path string) (commit string, dirty bool) {
	if info, err := buildinfo.ReadFile(path); err == nil {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				commit = s.Value
			case "vcs.modified":
				dirty = s.Value == "true"
			}
		}
	}
	if commit != "" {
		return commit, dirty
	}
	head, err := exec.Command("git", "rev-parse", "HEAD").Output()
	if err != nil {
		return "unknown", false
	}
	status, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output()
	return strings.TrimSpace(string(head)), err != nil || len(status) > 0
}
