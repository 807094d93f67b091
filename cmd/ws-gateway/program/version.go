package program

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// The linker sets both: -ldflags "-X PACKAGE.version=… -X PACKAGE.commit=…", where
// PACKAGE is this package's import path.
var (
	version = "dev"
	commit  = ""
)

// Version is the version that was linked in, or "dev".
func Version() string { return version }

// VersionText is what the command version prints.
func VersionText() string {
	return fmt.Sprintf("ws-gateway %s (commit %s, %s %s/%s)\n", version, buildCommit(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// buildCommit is the linked-in commit, or the one that the Go tool recorded.
func buildCommit() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
