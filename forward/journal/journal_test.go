package journal

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logBuffer takes log lines from several goroutines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), part)
}

// journal opens dir and closes it at the end of the test.
func journal(t testing.TB, dir string) (*Journal, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	j, err := Open(dir, zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	// On a busy disk a record may take more than the second for which a connection
	// waits; here what has been recorded is on the disk.
	j.queue.mu.Lock()
	j.queue.patience = time.Hour
	j.queue.mu.Unlock()
	return j, log
}

// opened records a connection and waits for it.
func (j *Journal) opened(id string) {
	done := make(chan struct{})
	j.Opened([]byte(id), []byte("state of "+id), func() { close(done) })
	<-done
}

func ids(entries []Entry) (ids []string) {
	for _, e := range entries {
		if string(e.State) != "state of "+e.ID {
			ids = append(ids, "WRONG STATE")
		}
		ids = append(ids, e.ID)
	}
	return ids
}

func wantLost(t *testing.T, j *Journal, want ...string) {
	t.Helper()
	if got := ids(j.Lost()); !slices.Equal(got, want) {
		t.Errorf("lost %q, want %q", got, want)
	}
}

// crashed returns a copy of a journal's folder as a process would leave it that
// ended at this moment. Copying takes a while: if segments come or go meanwhile, which
// would make a copy of no moment at all, it is begun anew.
func crashed(t testing.TB, dir string) string {
	t.Helper()
	for {
		before := segments(t, dir)
		to := t.TempDir()
		err := os.CopyFS(to, os.DirFS(dir))
		if !slices.Equal(segments(t, dir), before) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return to
	}
}

// segments names all files of a journal.
func segments(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestWhatWasOpenedAndNotClosedIsLostUntilItIsClosed(t *testing.T) {
	dir := t.TempDir()
	j, _ := journal(t, dir)
	wantLost(t, j)
	for _, id := range []string{"a", "b", "c", "d"} {
		j.opened(id)
	}
	j.Closed([]byte("b"))
	j.opened("e")
	dir = crashed(t, dir)

	j, _ = journal(t, dir)
	wantLost(t, j, "a", "c", "d", "e")
	wantLost(t, j)
	j.Closed([]byte("a"))
	j.Closed([]byte("e"))
	j.opened("f")
	dir = crashed(t, dir)

	j, log := journal(t, dir)
	wantLost(t, j, "c", "d", "f")
	for _, id := range []string{"c", "d", "f"} {
		j.Closed([]byte(id))
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, _ = journal(t, dir)
	wantLost(t, j)
	if n := log.count("damaged"); n != 0 {
		t.Errorf("%d complaints", n)
	}
}

func TestAFolderIsForOneProcessAndItsOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	j, _ := journal(t, dir)
	if _, err := Open(dir, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("opened twice: %v", err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, runPath(dir, 1): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	journal(t, dir)
}

func TestAFolderThatCannotBeMadeIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, zerolog.Nop()); err == nil {
		t.Error("a file was opened")
	}
}

// lastSegment is the file that the run is written to.
func lastSegment(t *testing.T, dir string) string {
	t.Helper()
	runs, err := listRuns(dir)
	if err != nil || len(runs) == 0 {
		t.Fatal(runs, err)
	}
	files, err := filepath.Glob(filepath.Join(runs[len(runs)-1].path, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	return files[len(files)-1]
}

func TestATornTailLosesItsLastRecordOnly(t *testing.T) {
	dir := t.TempDir()
	j, _ := journal(t, dir)
	for i := range 5 {
		j.opened(fmt.Sprint(i))
	}
	for cut := int64(1); cut < 20; cut++ { // of the last record's 20 bytes
		dir := crashed(t, dir)
		segment := lastSegment(t, dir)
		info, err := os.Stat(segment)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(segment, info.Size()-cut); err != nil {
			t.Fatal(err)
		}
		j, log := journal(t, dir)
		wantLost(t, j, "0", "1", "2", "3")
		if log.count("set aside as") != 1 {
			t.Errorf("%d bytes less: no complaint", cut)
		}
		// What was saved is safe, and the complaint is not repeated.
		j, log = journal(t, crashed(t, dir))
		wantLost(t, j, "0", "1", "2", "3")
		if log.count("damaged") != 0 {
			t.Error("damaged again")
		}
	}
}

func TestNoDamageIsARefusalToStart(t *testing.T) {
	dir := t.TempDir()
	j, _ := journal(t, dir)
	var all []string
	for i := range 2000 {
		id := fmt.Sprintf("connection-%04d", i)
		j.opened(id)
		all = append(all, id)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		dir := crashed(t, dir)
		segment := lastSegment(t, dir)
		content, err := os.ReadFile(segment)
		if err != nil {
			t.Fatal(err)
		}
		at := random.IntN(len(content))
		for i := range min(1+random.IntN(100), len(content)-at) {
			content[at+i] = byte(random.Uint32())
		}
		if err := os.WriteFile(segment, content, 0o600); err != nil {
			t.Fatal(err)
		}
		j, log := journal(t, dir)
		got := ids(j.Lost())
		if len(got) > len(all) || !slices.Equal(got, all[:len(got)]) {
			t.Fatalf("damage at %d: %d connections, not the first ones", at, len(got))
		}
		if len(got) < len(all) && log.count("set aside as") != 1 {
			t.Errorf("damage at %d: %d of %d connections, and no complaint", at, len(got), len(all))
		}
	}
	for _, mess := range []func(dir string) error{
		func(dir string) error { return os.WriteFile(lastSegment(t, dir), []byte("garbage"), 0o600) },
		func(dir string) error { return os.Mkdir(filepath.Join(dir, runPrefix+"00000007"), 0o700) },
		func(dir string) error { return os.WriteFile(filepath.Join(dir, runPrefix+"00000008"), nil, 0o600) },
		func(dir string) error { return os.WriteFile(filepath.Join(dir, "run-x"), nil, 0o600) },
		func(dir string) error { return os.Mkdir(lastSegment(t, dir)+"9", 0o700) },
		func(dir string) error { return os.Remove(filepath.Join(dir, "lock")) },
	} {
		dir := crashed(t, dir)
		if err := mess(dir); err != nil {
			t.Fatal(err)
		}
		journal(t, dir)
	}
}

func TestOfDamagedRunsTheLastFewAreKept(t *testing.T) {
	dir := t.TempDir()
	for range maxBroken + 2 {
		j, _ := journal(t, dir)
		j.opened("a")
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(lastSegment(t, dir), []byte("garbage"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	journal(t, dir)
	broken, err := filepath.Glob(filepath.Join(dir, brokenPrefix+"*"))
	if err != nil || len(broken) != maxBroken {
		t.Errorf("%q, %v", broken, err)
	}
}

func TestAStartThatDiesHalfWayLosesNothing(t *testing.T) {
	dir := t.TempDir()
	j, _ := journal(t, dir)
	j.opened("a")
	j.opened("b")
	before := crashed(t, dir)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, _ = journal(t, dir)
	j.Closed([]byte("a"))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	// The second start has carried over and not yet removed the first run.
	if err := os.CopyFS(runPath(dir, 1), os.DirFS(runPath(before, 1))); err != nil {
		t.Fatal(err)
	}
	runs, err := listRuns(dir)
	if err != nil || len(runs) != 2 {
		t.Fatal(runs, err)
	}
	j, _ = journal(t, dir)
	wantLost(t, j, "b")
}

// compactions knows when the next compaction is due.
type compactions struct {
	seen uint64
	due  int64 // size of the journal
}

// await waits for the compaction that is due, if one is. How long that takes is the
// disk's affair: the journal syncs what it has copied before it removes anything.
func (c *compactions) await(t *testing.T, j *Journal) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if n := j.Stats().Compactions; n != c.seen || c.due == 0 {
			c.seen, c.due = n, max(minCompaction, 2*j.Stats().Bytes)
		}
		if j.Stats().Bytes < c.due {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing is compacted: %+v", j.Stats())
		}
	}
}

func TestCompactionBoundsTheSizeAndLosesNothing(t *testing.T) {
	dir := t.TempDir()
	j, log := journal(t, dir)
	state := bytes.Repeat([]byte("s"), 300)
	var due compactions
	due.await(t, j)
	var last sync.WaitGroup
	open := func(id string) {
		last.Add(1)
		j.Opened([]byte(id), state, last.Done)
	}
	stays := map[string]bool{}
	for i := range 60_000 { // 20 MiB in all
		id := fmt.Sprintf("connection-%06d", i)
		open(id)
		if i%100 == 0 {
			stays[id] = true
		} else {
			j.Closed([]byte(id))
		}
		if i%1000 == 999 {
			last.Wait()
			due.await(t, j)
		}
	}
	last.Wait()
	due.await(t, j)
	copied := crashed(t, dir)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	stats := j.Stats()
	if stats.Compactions < 2 || stats.Bytes > 3*minCompaction || stats.Dropped != 0 {
		t.Errorf("%+v", stats)
	}
	var size int64
	_ = filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		size += info.Size()
		return err
	})
	if size > 3*minCompaction {
		t.Errorf("%d bytes on disk", size)
	}
	if log.count("warn") > 0 {
		t.Errorf("complaints: %s", log.b.String())
	}
	for _, dir := range []string{copied, dir} {
		j, _ := journal(t, dir)
		lost := j.Lost()
		for _, e := range lost {
			// Of the copy, which was made while records were written, the last closes may be missing.
			if !stays[e.ID] && dir != copied {
				t.Errorf("%s was closed", e.ID)
			}
		}
		if len(lost) < len(stays) {
			t.Errorf("%d are lost, want %d", len(lost), len(stays))
		}
	}
}

func TestMetadataIsLostWithItsConnectionAndTheLastOfItCounts(t *testing.T) {
	dir := t.TempDir()
	j, _ := journal(t, dir)
	var due compactions
	due.await(t, j)
	for _, id := range []string{"with", "without", "cleared", "closed"} {
		j.opened(id)
		if id != "without" {
			j.Meta([]byte(id), 1, []byte("1"))
		}
	}
	j.Meta([]byte("cleared"), 2, nil)
	j.Closed([]byte("closed"))
	j.Meta([]byte("closed"), 2, []byte("2"))
	value := bytes.Repeat([]byte("v"), 1000)
	for i := range 20_000 { // 20 MiB in all, as of an app that counts
		number := uint64(i + 2)
		if i%2 == 1 {
			number -= 2 // and one that was overtaken on the way to the journal
		}
		j.Meta([]byte("with"), number, append(value, fmt.Sprint(number)...))
		if i%1000 == 999 {
			j.opened("passing")
			j.Closed([]byte("passing"))
			due.await(t, j)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if s := j.Stats(); s.Compactions < 2 || s.Bytes > 3*minCompaction || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
	want := map[string]string{"with": string(value) + "20000", "without": "", "cleared": ""}
	for range 2 { // and once more from what the first start has carried over
		j, _ := journal(t, dir)
		lost := j.Lost()
		for _, e := range lost {
			if meta, ok := want[e.ID]; !ok || string(e.Meta) != meta {
				t.Errorf("%s has %.20q…%.10q", e.ID, e.Meta, e.Meta[max(len(e.Meta)-10, 0):])
			}
		}
		if len(lost) != len(want) {
			t.Errorf("%d are lost", len(lost))
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// As of connections that the app decides about and names the users of: the copies that compaction
// makes of older records come behind newer ones.
func TestTheStateOfAConnectionThatWasRenamedCountsWhateverTheOrder(t *testing.T) {
	dir := t.TempDir()
	j, _ := journal(t, dir)
	var due compactions
	due.await(t, j)
	old, renamed := bytes.Repeat([]byte("o"), 300), bytes.Repeat([]byte("n"), 300)
	want := map[string]bool{}
	record := func(id string, reverse bool) {
		if reverse {
			j.Renamed([]byte(id), renamed)
		}
		j.Opened([]byte(id), old, func() {})
		if !reverse {
			j.Renamed([]byte(id), renamed)
		}
	}
	for i := range 25_000 { // 16 MiB in all
		id := fmt.Sprint(i)
		record(id, i%2 == 1)
		switch {
		case i%1000 == 0:
			want[id] = true
		default:
			j.Closed([]byte(id))
		}
		if i%1000 == 999 {
			due.await(t, j)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if s := j.Stats(); s.Compactions < 2 || s.Bytes > 3*minCompaction || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
	for range 2 { // and once more from what the first start has carried over
		j, _ := journal(t, dir)
		lost := j.Lost()
		for _, e := range lost {
			if !want[e.ID] || !bytes.Equal(e.State, renamed) {
				t.Errorf("%s has %.10q", e.ID, e.State)
			}
		}
		if len(lost) != len(want) {
			t.Errorf("%d are lost, want %d", len(lost), len(want))
		}
		j.Opened([]byte("0"), old, func() {}) // as of a session that goes on
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestManyGoroutinesRecordAtOnce(t *testing.T) {
	dir := t.TempDir()
	j, _ := journal(t, dir)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 500 {
				id := fmt.Sprintf("%d/%d", g, i)
				j.opened(id)
				if i%2 == 0 {
					j.Closed([]byte(id))
				}
			}
		})
	}
	all.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, _ = journal(t, dir)
	if n := len(j.Lost()); n != 8*250 {
		t.Errorf("%d are lost", n)
	}
}

// The file is a segment that the journal wrote when its log was Prometheus's: 40
// connections, every third closed, with records that span pages.
func TestAJournalOfAnEarlierGatewayIsRead(t *testing.T) {
	packed, err := os.Open("testdata/prometheus-wlog-segment.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	segment, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 40 {
		if i%3 != 0 {
			want = append(want, fmt.Sprintf("old-%02d", i))
		}
	}
	for _, cut := range []int{0, 1, 4000} {
		dir := t.TempDir()
		if err := os.Mkdir(runPath(dir, 1), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(runPath(dir, 1), "00000000"), segment[:len(segment)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		for life := range 2 { // the second reads what the first has carried over
			j, log := journal(t, dir)
			lost := j.Lost()
			var got []string
			for _, e := range lost {
				got = append(got, e.ID)
				if n, _ := strconv.Atoi(e.ID[len("old-"):]); !bytes.Equal(e.State, bytes.Repeat([]byte("s"), 1000*n)) {
					t.Errorf("state of %s: %d bytes", e.ID, len(e.State))
				}
			}
			if cut == 0 && !slices.Equal(got, want) || len(got) < len(want)-1 {
				t.Errorf("%d bytes less, life %d: lost %q", cut, life, got)
			}
			if damaged := log.count("damaged") > 0; damaged != (cut > 0 && life == 0) {
				t.Errorf("%d bytes less, life %d: damaged: %v", cut, life, damaged)
			}
			dir = crashed(t, dir)
		}
	}
}

func TestAfterCloseNobodyWaits(t *testing.T) {
	j, _ := journal(t, t.TempDir())
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j.opened("a")
	j.Closed([]byte("a"))
	if n := j.Stats().Dropped; n != 2 {
		t.Errorf("%d dropped", n)
	}
}

func FuzzARecordIsParsedOrRefused(f *testing.F) {
	f.Add([]byte("o\x01astate"))
	f.Add([]byte("c\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, record []byte) {
		kind, id, state, err := parseRecord(record)
		if err == nil {
			again := appendRecord(nil, kind, id, state)
			if k, i, s, err := parseRecord(again); err != nil || k != kind || !bytes.Equal(i, id) || !bytes.Equal(s, state) {
				t.Errorf("%q became %q", record, again)
			}
		}
	})
}

// BenchmarkOpened is what a connection costs that waits for its record, and is
// closed: cpu time is user's and system's.
func BenchmarkOpened(b *testing.B) {
	for _, waiting := range []int{1, 64} {
		b.Run(fmt.Sprint(waiting), func(b *testing.B) {
			j, _ := journal(b, b.TempDir())
			state := bytes.Repeat([]byte("s"), 100)
			slots := make(chan struct{}, waiting)
			recorded := func() { <-slots }
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				id := fmt.Appendf(nil, "%024d", i)
				slots <- struct{}{}
				j.Opened(id, state, recorded)
				j.Closed(id)
			}
		})
	}
}
