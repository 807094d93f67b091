package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"ws-gateway/bench/scenario"
)

// inC are the peers that are built by the C compiler, with their sources.
var inC = map[string]string{"c": "c/server.c", "c-gateway": "c/gateway.c"}

// The peers in bench/peers, in the order of the tables.
var (
	echoPeers        = []string{"c", "gnet", "gorilla", "gws", "nbio"}
	compressingPeers = []string{"gorilla", "gws", "nbio"}
	gatewayPeers     = []string{"c-gateway"}
)

// choosePeers keeps those of known that are named. None named is all that can be built.
func choosePeers(known, names []string) (peers []scenario.Peer, err error) {
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no peer %q; there are: %s", name, strings.Join(known, ", "))
		}
	}
	_, noCompiler := exec.LookPath("cc")
	for _, name := range known {
		if slices.Contains(names, name) || len(names) == 0 && (inC[name] == "" || noCompiler == nil) {
			peers = append(peers, scenario.Peer{Name: name})
		}
	}
	return peers, nil
}

// buildPeers builds those of known that are named, all when none is, into a folder that
// remove removes.
func buildPeers(ctx context.Context, known, names []string) (peers []scenario.Peer, remove func(), err error) {
	if peers, err = choosePeers(known, names); err != nil {
		return nil, nil, err
	}
	source, err := peersFolder(ctx)
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "ws-bench-peers-")
	if err != nil {
		return nil, nil, fmt.Errorf("building the peers: %w", err)
	}
	remove = func() { os.RemoveAll(dir) }
	for i := range peers {
		p := &peers[i]
		p.Path = filepath.Join(dir, p.Name)
		compile := exec.CommandContext(ctx, "go", "build", "-o", p.Path, "./"+p.Name)
		if source := inC[p.Name]; source != "" {
			compile = exec.CommandContext(ctx, "cc", "-std=c11", "-O2", "-o", p.Path, source)
		}
		compile.Dir = source
		compile.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := compile.CombinedOutput(); err != nil {
			remove()
			return nil, nil, fmt.Errorf("building the peer %s: %w\n%s", p.Name, err, text)
		}
	}
	return peers, remove, nil
}

// peersFolder finds bench/peers of the module in the working directory.
func peersFolder(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "ws-gateway").Output()
	if err != nil {
		return "", fmt.Errorf("finding bench/peers, whose servers are built for the comparison (run this in the module's folder): %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(root)), "bench", "peers"), nil
}
