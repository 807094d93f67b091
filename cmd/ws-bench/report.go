package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"ws-gateway/bench/report"
)

type reportCommand struct {
	Runs []string `arg:"" name:"RUNS" type:"existingfile" help:"Files that scenarios wrote with --json. Those of two commits are compared: the first one named is the one before."`
	HTML string   `name:"html" placeholder:"FILE" help:"Write the report with its charts to this file, too: one page that needs no network."`
}

// Run reports what is in the files.
func (c *reportCommand) Run(ctx context.Context, io *streams) error {
	var all []report.Recording
	for _, name := range c.Runs {
		text, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("reading runs: %w", err)
		}
		recordings, err := report.Read(bytes.NewReader(text), name)
		if err != nil {
			return err
		}
		all = slices.Concat(all, recordings)
	}
	comparison, err := compared(ctx, all)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprint(io.out, report.Text(all, comparison)); err != nil || c.HTML == "" {
		return err
	}
	f, err := os.Create(c.HTML)
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := errors.Join(report.WriteHTML(f, all, comparison), f.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(io.out, "report with charts: %s\n", c.HTML)
	return err
}

// benchstat is the Makefile's, too.
const benchstat = "golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da"

// compared is what benchstat says of the versions, if there are several.
func compared(ctx context.Context, all []report.Recording) (string, error) {
	versions := report.Versions(all)
	if len(versions) < 2 {
		return "", nil
	}
	dir, err := os.MkdirTemp("", "ws-bench-")
	if err != nil {
		return "", fmt.Errorf("comparing: %w", err)
	}
	defer os.RemoveAll(dir)
	args := []string{"run", benchstat}
	for i, v := range versions {
		var b bytes.Buffer
		path := filepath.Join(dir, strconv.Itoa(i))
		if err := errors.Join(report.WriteBench(&b, all, v), os.WriteFile(path, b.Bytes(), 0o600)); err != nil {
			return "", fmt.Errorf("comparing: %w", err)
		}
		args = append(args, v.String()+"="+path)
	}
	var failure bytes.Buffer
	compare := exec.CommandContext(ctx, "go", args...)
	compare.Stderr = &failure
	text, err := compare.Output()
	if err != nil {
		return "", fmt.Errorf("comparing with benchstat: %w\n%s", err, &failure)
	}
	return string(text), nil
}
