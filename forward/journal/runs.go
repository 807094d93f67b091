package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"ws-gateway/forward/journal/wal"
)

const (
	runPrefix    = "run-"
	brokenPrefix = "broken-"
	// maxBroken is how many folders with damaged records are kept for inspection.
	maxBroken = 3
)

// Entry is a connection that was opened and not closed.
type Entry struct {
	ID    string
	State []byte
	Meta  []byte // empty: none

	renamed bool   // State is that of a record of this kind
	number  uint64 // of Meta
}

// lock makes sure that nobody else uses the folder.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is in use by another process", dir)
		}
		return nil, err
	}
	return f, nil
}

// InUse says why this process cannot have the journal in dir for itself; nil if it is free
// or not there. It changes nothing.
func InUse(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("journal: %s is in use by another process", dir)
	}
	return nil // and the lock goes with the descriptor
}

// run is the folder that one life of a process has written to.
type run struct {
	number  int
	path    string
	damaged bool
}

// listRuns returns the runs in dir, oldest first.
func listRuns(dir string) (runs []run, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), runPrefix)
		if number, err := strconv.Atoi(text); ok && err == nil && e.IsDir() {
			runs = append(runs, run{number: number, path: filepath.Join(dir, e.Name())})
		}
	}
	slices.SortFunc(runs, func(a, b run) int { return a.number - b.number })
	return runs, nil
}

func runPath(dir string, number int) string {
	return filepath.Join(dir, fmt.Sprintf("%s%08d", runPrefix, number))
}

// set is the set of open connections that records describe, in the order in which they
// were opened.
type set struct {
	states map[string]opened
	closed map[string]struct{}
	metas  map[string]numbered
	order  []string
}

type opened struct {
	state   []byte
	renamed bool
}

type numbered struct {
	number uint64
	value  []byte
}

func newSet() *set {
	return &set{states: make(map[string]opened), closed: make(map[string]struct{}), metas: make(map[string]numbered)}
}

// apply adds a record.
func (s *set) apply(record []byte) error {
	kind, id, state, err := parseRecord(record)
	if err != nil {
		return err
	}
	if _, gone := s.closed[string(id)]; gone {
		return nil
	}
	if kind == kindClosed {
		s.closed[string(id)] = struct{}{}
		delete(s.states, string(id))
		delete(s.metas, string(id))
		return nil
	}
	if kind == kindMeta {
		if number, value := splitMeta(state); number >= s.metas[string(id)].number {
			s.metas[string(id)] = numbered{number, slices.Clone(value)}
		}
		return nil
	}
	before, known := s.states[string(id)]
	if !known {
		s.order = append(s.order, string(id))
	}
	if renamed := kind == kindRenamed; !known || renamed && !before.renamed {
		s.states[string(id)] = opened{slices.Clone(state), renamed}
	}
	return nil
}

func (s *set) entries() (entries []Entry) {
	for _, id := range s.order {
		if o, ok := s.states[id]; ok {
			m := s.metas[id]
			entries = append(entries, Entry{ID: id, State: o.state, Meta: m.value, renamed: o.renamed, number: m.number})
		}
	}
	return entries
}

// readRuns reads the records of all runs. It logs what cannot be read, marks the run as
// damaged, and uses the rest.
func readRuns(runs []run, log zerolog.Logger) *set {
	s := newSet()
	for i := range runs {
		for _, failure := range readRun(runs[i].path, s.apply) {
			runs[i].damaged = true
			log.Warn().Err(failure).Msg("journal: damaged; what can be read of it is used, and it is set aside. " +
				"Close events of an earlier run may be missing or be sent twice")
		}
	}
	return s
}

// readRun calls apply with each record of a run, and returns why it could not read the
// others. After damage it goes on with the next segment.
func readRun(path string, apply func([]byte) error) (failures []error) {
	segments, err := os.ReadDir(path)
	if err != nil {
		return []error{err}
	}
	for _, segment := range segments { // ReadDir sorts, and all names have the same length
		if err := readSegment(filepath.Join(path, segment.Name()), apply); err != nil {
			failures = append(failures, err)
		}
	}
	return failures
}

func readSegment(path string, apply func([]byte) error) error {
	r, err := wal.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	for r.Next() {
		if err := apply(r.Record()); err != nil {
			return fmt.Errorf("%s, before byte %d: %w", path, r.Offset(), err)
		}
	}
	return r.Err()
}

// retire removes runs whose open connections are recorded elsewhere. It renames damaged
// ones instead.
func retire(dir string, runs []run, log zerolog.Logger) {
	for _, r := range runs {
		if !r.damaged {
			warn(log, os.RemoveAll(r.path))
			continue
		}
		aside := filepath.Join(dir, fmt.Sprintf("%s%08d-%s", brokenPrefix, r.number, time.Now().UTC().Format("20060102T150405")))
		if err := os.Rename(r.path, aside); err != nil {
			warn(log, err)
			continue
		}
		log.Warn().Msgf("journal: set aside as %s", aside)
	}
	removeOldest(dir, log)
}

// removeOldest keeps maxBroken of the folders that were set aside.
func removeOldest(dir string, log zerolog.Logger) {
	broken, err := filepath.Glob(filepath.Join(dir, brokenPrefix+"*"))
	warn(log, err)
	slices.Sort(broken)
	for len(broken) > maxBroken {
		warn(log, os.RemoveAll(broken[0]))
		broken = broken[1:]
	}
}

// warn logs an error while tidying up. The next start tries again.
func warn(log zerolog.Logger, err error) {
	if err != nil {
		log.Warn().Err(err).Msg("journal: tidying up")
	}
}
