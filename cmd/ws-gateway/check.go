package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ws-gateway/admin"
)

// report is what check found.
type report struct {
	OK     bool      `json:"ok"`
	Checks []finding `json:"checks"`
}

// check looks at everything that a start would need and starts nothing. It binds
// the addresses for a moment, and connects to the app without asking it for
// anything. It returns the exit code.
func (p *process) check(cfg *config) int {
	around, err := lookAround(cfg.MemoryShare)
	if err != nil {
		fmt.Fprintf(p.stderr, "ws-gateway: %v\n", err)
		return exitFailure
	}
	found := []finding{{"configuration", stateOK, "valid", ""}}
	for _, warning := range cfg.warnings {
		found = append(found, finding{"configuration", stateWarn, warning, ""})
	}
	found = append(found, addressFindings(cfg)...)
	found = append(found, around.judge(cfg, connectionLimit(around.descriptors, cfg.MaxConnections, cfg.CallbackConcurrent))...)
	if cfg.callback != "" {
		found = append(found, appFinding(context.Background(), cfg.callback, cfg.callbackTLS))
		found = append(found, fileFindings(cfg)...)
	}
	return p.report(cfg.checking.JSON, found, exitFailure)
}

// misconfigured reports a configuration that check cannot go on with.
func (p *process) misconfigured(asJSON bool, err error) int {
	var found []finding
	for message := range strings.Lines(err.Error()) {
		found = append(found, finding{"configuration", stateFail, strings.TrimSpace(message), ""})
	}
	return p.report(asJSON, found, exitUsage)
}

// report prints the findings, and returns failed if one of them is a failure.
func (p *process) report(asJSON bool, found []finding, failed int) int {
	code := exitOK
	for _, f := range found {
		if f.State == stateFail {
			code = failed
		}
	}
	write := writeTable
	if asJSON {
		write = writeJSON
	}
	if err := write(p.stdout, report{code == exitOK, found}); err != nil {
		return exitFailure
	}
	return code
}

func writeJSON(out io.Writer, r report) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func writeTable(out io.Writer, r report) error {
	var b strings.Builder
	count := map[state]int{}
	for _, f := range r.Checks {
		count[f.State]++
		fmt.Fprintf(&b, "%-5s %-20s %s\n", f.State, f.Name, f.Message)
		if f.Fix != "" {
			fmt.Fprintf(&b, "%-5s %-20s → %s\n", "", "", f.Fix)
		}
	}
	fmt.Fprintf(&b, "\n%d ok, %d warnings, %d failures\n", count[stateOK], count[stateWarn], count[stateFail])
	_, err := io.WriteString(out, b.String())
	return err
}

// addressFindings binds what the gateway would, and lets go of it.
func addressFindings(c *config) []finding {
	found := []finding{addressFinding("listen", c.Listen, func(addr string) (net.Listener, error) { return net.Listen("tcp", addr) })}
	if c.AdminListen != "" {
		found = append(found, addressFinding("admin-listen", c.AdminListen, admin.Listen))
	}
	return found
}

func addressFinding(option, addr string, listen func(string) (net.Listener, error)) finding {
	ln, err := listen(addr)
	if err != nil {
		return finding{option, stateFail, listenError(option, addr, err).Error(), ""}
	}
	ln.Close()
	return finding{option, stateOK, addr + " is free", ""}
}

// portOf is the port of a TCP address; 0 for one that is not known yet.
func portOf(addr string) int {
	_, text, _ := net.SplitHostPort(addr)
	port, _ := strconv.Atoi(text)
	return port
}

// fileFindings looks whether what the gateway writes can be written.
func fileFindings(c *config) (found []finding) {
	if c.DeadLetter != "" {
		found = append(found, writable("dead-letter", c.DeadLetter, false))
	}
	if c.Journal != "" {
		found = append(found, writable("journal", c.Journal, true))
	}
	return found
}

// writable asks whether a file can be made or appended to, or a folder be made or
// filled, without doing so.
func writable(option, path string, folder bool) finding {
	bad := func(at string, err error) finding {
		return finding{option, stateFail, fmt.Sprintf("%s cannot be written: %s: %v", path, at, err), "make the folder, give this user the right to write there, or choose another with --" + option}
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir() != folder:
		return bad(path, errors.New("it is there and of another kind"))
	case err == nil && access(path) != nil:
		return bad(path, access(path))
	case err == nil && folder:
		return finding{option, stateOK, path + " can be written", ""}
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return bad(path, withoutPath(err))
	}
	// A folder is made with all that is missing above it; a file is not, and its
	// own folder is where it is rotated.
	parent := filepath.Dir(path)
	for folder && errors.Is(access(parent), unix.ENOENT) {
		parent = filepath.Dir(parent)
	}
	if err := access(parent); err != nil {
		return bad(parent, err)
	}
	return finding{option, stateOK, path + " can be written", ""}
}

// access asks for the right to write as the effective user.
func access(path string) error {
	return unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS)
}
