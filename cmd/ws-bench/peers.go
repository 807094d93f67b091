package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"ws-gateway/bench/report"
	"ws-gateway/bench/scenario"
)

// inC is the peer that is built by the C compiler.
const inC = "c"

// knownPeers are the servers in bench/peers, in the order of the tables.
var knownPeers = []scenario.Peer{
	{Name: inC},
	{Name: "coder"},
	{Name: "easygo", Descriptors: 2},
	{Name: "gnet"},
	{Name: "gobwas"},
	{Name: "gorilla"},
	{Name: "gws"},
	{Name: "nbio"},
}

// choosePeers keeps those that are named; none named is all.
func choosePeers(names []string) ([]scenario.Peer, error) {
	var all []string
	for _, p := range knownPeers {
		all = append(all, p.Name)
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("there is no peer %q; there are: %s", name, strings.Join(all, ", "))
		}
	}
	chosen := slices.Clone(knownPeers)
	if len(names) > 0 {
		return slices.DeleteFunc(chosen, func(p scenario.Peer) bool { return !slices.Contains(names, p.Name) }), nil
	}
	if _, err := exec.LookPath("cc"); err != nil {
		return slices.DeleteFunc(chosen, func(p scenario.Peer) bool { return p.Name == inC }), nil
	}
	return chosen, nil
}

// buildPeers builds the peers that are named, all when none is, into a folder that
// remove removes.
func buildPeers(ctx context.Context, names []string, progress report.Progress) (peers []scenario.Peer, remove func(), err error) {
	if peers, err = choosePeers(names); err != nil {
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
		progress.Say("building %s", p.Name)
		p.Path = filepath.Join(dir, p.Name)
		compile := exec.CommandContext(ctx, "go", "build", "-o", p.Path, "./"+p.Name)
		if p.Name == inC {
			compile = exec.CommandContext(ctx, "cc", "-std=c11", "-O2", "-o", p.Path, "c/server.c")
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
