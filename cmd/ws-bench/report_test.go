package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestAReportIsMadeOfWhatScenariosWrote(t *testing.T) {
	dir := t.TempDir()
	runs, page := filepath.Join(dir, "echo.jsonl"), filepath.Join(dir, "report.html")
	code, _, message := bench(t, "echo", "--rounds", "2", "--conns", "20", "--warmup", "10ms", "--duration", "50ms", "--json", runs)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, message)
	}
	code, out, message := bench(t, "report", runs, "--html", page)
	if code != 0 || !strings.Contains(out, "echo: 20 connections") || !strings.HasSuffix(out, "report with charts: "+page+"\n") {
		t.Fatalf("exit code %d: %s%s", code, out, message)
	}
	text, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(text), "latency, ms") || !strings.Contains(string(text), "20 connections") {
		t.Errorf("%v in %s", err, text)
	}
}

func TestAFileThatIsNoRunIsNamedWithItsLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runs.jsonl")
	if err := os.WriteFile(path, []byte(`{"record":"run"}`+"\n{]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{1, path + ": line 2: ", []string{"report", path}},
		{exitUsage, "/nonexistent", []string{"report", "/nonexistent"}},
		{exitUsage, "RUNS", []string{"report"}},
		{1, "writing JSON: open /nonexistent/runs.jsonl", []string{"echo", "--rounds", "1", "--json", "/nonexistent/runs.jsonl"}},
	} {
		code, out, message := bench(t, c.args...)
		if code != c.code || !strings.Contains(message, c.want) || out != "" {
			t.Errorf("%v: exit code %d, %q, %q", c.args, code, out, message)
		}
	}
}

func TestTwoCommitsAreComparedByBenchstat(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for commit, cpu := range map[string]float64{"aaaa": 10, "bbbb": 20} {
		var lines strings.Builder
		fmt.Fprintf(&lines, `{"record":"run","commit":%q,"args":["echo","--gateway",%q]}`+"\n", commit, commit)
		for n := range 6 {
			fmt.Fprintf(&lines, `{"record":"round","scenario":"echo","case":"100 connections","figures":[{"name":"server CPU","unit":"s","value":%v}]}`+"\n", cpu+float64(n)/10)
		}
		files = append(files, filepath.Join(dir, commit))
		if err := os.WriteFile(files[len(files)-1], []byte(lines.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(files)
	code, out, message := bench(t, append([]string{"report"}, files...)...)
	for _, want := range []string{"options: echo\n", "aaaa", "vs base", "server_CPU,_s", "echo/100_connections", "+97.56% (p=0.002 n=6)"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, %q is not in %s%s", code, want, out, message)
		}
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil || !strings.Contains(string(makefile), benchstat) {
		t.Errorf("the Makefile has another benchstat, %v", err)
	}
}
