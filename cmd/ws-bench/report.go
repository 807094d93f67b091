package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"ws-gateway/bench/report"
)

type reportCommand struct {
	Runs []string `arg:"" name:"RUNS" type:"existingfile" help:"Files that scenarios wrote with --json. Those of two commits are compared: the first one named is the one before."`
	HTML string   `name:"html" placeholder:"FILE" help:"Write the report with its charts to this file, too: one page that needs no network."`
}

// Run reports what is in the files.
func (c *reportCommand) Run(io *streams) error {
	var all []report.Recording
	for _, name := range c.Runs {
		recordings, err := readRuns(name)
		if err != nil {
			return err
		}
		all = slices.Concat(all, recordings)
	}
	if err := report.WriteText(io.out, all); err != nil {
		return err
	}
	if c.HTML == "" {
		return nil
	}
	if err := writePage(c.HTML, all); err != nil {
		return err
	}
	_, err := fmt.Fprintf(io.out, "report with charts: %s\n", c.HTML)
	return err
}

func readRuns(name string) ([]report.Recording, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading runs: %w", err)
	}
	defer f.Close()
	return report.Read(f, name)
}

func writePage(name string, all []report.Recording) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return errors.Join(report.WriteHTML(f, all), f.Close())
}
