package forward

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestTheDeadLetterFileIsForItsOwnerAloneAndAppendedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	pool := eventPool{levels: MaxJSONDepth}
	for range 2 { // two runs of the gateway
		d, err := openDeadLetters(path, 1<<20, 1, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		e := pool.message(&alice, []byte(`{"a":1}`), false)
		e.attempts = 3
		if !d.write(e, Rejected, 404, time.Date(2024, 1, 2, 3, 4, 5, 6000, time.FixedZone("x", 3600))) {
			t.Error("not written")
		}
		d.close()
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "mode", info.Mode(), 0o600)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const line = `{"time":"2024-01-02T02:04:05.000006Z","request_id":"c1-42","action":"message","attempts":3,"status":404,"cookie":"a=b","event":{"data":{"a":1},"action":"message","user_name":"alice","conn_id":"c1"}}` + "\n"
	equal(t, "lines", string(raw), line+line)
}

func TestADeadLetterFileThatCannotBeOpenedIsRefusedAtOnce(t *testing.T) {
	_, err := New(Config{URL: "http://127.0.0.1:1/", DeadLetter: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "dead-letter file") {
		t.Errorf("%v", err)
	}
}

// letters opens a dead-letter file and returns a function that writes a letter
// to it, n seconds after the epoch.
func letters(t *testing.T, path string, maxSize int64, keep int, log *logBuffer) (d *deadLetters, write func(n int) bool) {
	t.Helper()
	d, err := openDeadLetters(path, maxSize, keep, zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	pool := eventPool{levels: MaxJSONDepth}
	return d, func(n int) bool {
		src := alice
		src.Seq = uint32(n)
		return d.write(pool.message(&src, []byte("1"), false), TimedOut, 0, time.Unix(int64(n), 0))
	}
}

// seqs are the numbers of the events in a file, all of whose lines must be
// letters; a line that is none is -1.
func seqs(t *testing.T, path string) (seqs []int) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		l, err := ParseLetter([]byte(strings.TrimSuffix(line, "\n")))
		if err != nil {
			seqs = append(seqs, -1)
			continue
		}
		seq, _ := strconv.Atoi(strings.TrimPrefix(l.RequestID, l.ConnID+"-"))
		seqs = append(seqs, seq)
	}
	return seqs
}

func wantSeqs(t *testing.T, path string, want ...int) {
	t.Helper()
	if got := seqs(t, path); !slices.Equal(got, want) {
		t.Errorf("%s has %v, want %v", filepath.Base(path), got, want)
	}
}

func TestAFullDiskIsLoggedOnceAndMended(t *testing.T) {
	dir, log := t.TempDir(), &logBuffer{}
	path, file := filepath.Join(dir, "dead.jsonl"), filepath.Join(dir, "file")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	d, write := letters(t, path, 1<<20, 1, log)
	for range 3 {
		if write(0) {
			t.Error("written to a full disk")
		}
	}
	// There is room again, behind half a line.
	if err := os.WriteFile(file, []byte(`{"time":"20`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(path), os.Symlink(file, path)); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		if !write(2 + n) {
			t.Error("not written")
		}
	}
	equal(t, "errors", d.errors.Load(), 3)
	equal(t, "written", d.written.Load(), 2)
	equal(t, "error lines", log.count(`"level":"error"`), 1)
	equal(t, "lines that say it works again", log.count("can be written to again"), 1)
	equal(t, "cookies in the log", log.count("a=b"), 0)
	wantSeqs(t, path, -1, 2, 3)
}

func TestALineThatWasTornByACrashStaysByItself(t *testing.T) {
	path, log := filepath.Join(t.TempDir(), "dead.jsonl"), &logBuffer{}
	if err := os.WriteFile(path, []byte(`{"time":"20`), 0o644); err != nil {
		t.Fatal(err)
	}
	_, write := letters(t, path, 1<<20, 1, log)
	write(1)
	write(2)
	wantSeqs(t, path, -1, 1, 2)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "mode of a file that was there", info.Mode(), 0o600)
}

func TestAFullFileIsRenamedAndTheOldestRemoved(t *testing.T) {
	path, log := filepath.Join(t.TempDir(), "dead.jsonl"), &logBuffer{}
	d, write := letters(t, path, 1<<20, 2, log)
	write(1)
	d.maxSize = 2*d.file.Size() + 1 // two letters each
	if err := os.WriteFile(path+ReplaySuffix, []byte("progress"), 0o600); err != nil {
		t.Fatal(err)
	}
	for n := 2; n <= 7; n++ {
		if n == 7 {
			equal(t, "letters removed so far", log.count("are removed"), 0)
			if _, err := os.Stat(path + ".2" + ReplaySuffix); err != nil {
				t.Error("what replay keeps did not go along:", err)
			}
		}
		if !write(n) {
			t.Errorf("letter %d was not written", n)
		}
	}
	wantSeqs(t, path, 7)
	wantSeqs(t, path+".1", 5, 6)
	wantSeqs(t, path+".2", 3, 4)
	equal(t, "removals in the log", log.count("are removed"), 1)
	for _, gone := range []string{path + ".3", path + ".2" + ReplaySuffix, path + ReplaySuffix} {
		if _, err := os.Stat(gone); !os.IsNotExist(err) {
			t.Errorf("%s is there: %v", gone, err)
		}
	}
}

func TestALetterKeepsEverything(t *testing.T) {
	pool := eventPool{levels: MaxJSONDepth}
	for _, test := range []struct {
		name, cookie string
		fields       []Field
	}{
		{"nothing", "", nil},
		{"a cookie", "a=b; c=\"d\"", nil},
		{"a cookie that is not UTF-8", "a=\xff\x80", nil},
		{"headers", "", []Field{{"X-A", "1"}, {"X-B", "two: 2"}, {"X-A", ""}}},
		{"all of it", "\xfe", []Field{{"X-A", "\xc3\x28"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			src := alice
			src.Headers = PackHeaders(test.cookie, test.fields)
			e := pool.message(&src, []byte(`{"n":1.0}`), false)
			e.attempts = 9
			line := appendDeadLetter(nil, e, Broken, 0, time.Now())
			l, err := ParseLetter(line)
			if err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			equal(t, "headers", l.Headers, src.Headers)
			equal(t, "body", string(l.Event), string(e.bodyBytes()))
			equal(t, "request id", l.RequestID, "c1-42")
			equal(t, "connection", l.ConnID, "c1")
			equal(t, "user", l.User, "alice")
			equal(t, "action", l.Action, "message")
			equal(t, "attempts", l.Attempts, 9)
		})
	}
}

func TestALineThatIsNoLetterIsNamedByWhatIsWrong(t *testing.T) {
	const event = `"event":{"data":{},"action":"open","user_name":"u","conn_id":"c"}`
	for _, test := range []struct{ line, want string }{
		{"", "not JSON"},
		{`{"request_id":"c-1",` + event, "not JSON"},
		{`[]`, "not a dead letter"},
		{`{"request_id":7}`, "not a dead letter"},
		{`{"request_id":"c-1","action":"open"}`, `"event"`},
		{`{"request_id":"c-1","action":"open","event":3}`, `"event"`},
		{`{"action":"open",` + event + `}`, `"request_id"`},
		{`{"request_id":"c-x","action":"open",` + event + `}`, `"request_id"`},
		{`{"request_id":"c\r\nX: y-1","action":"open",` + event + `}`, `"request_id"`},
		{`{"request_id":"d-1","action":"open",` + event + `}`, "different connections"},
		{`{"request_id":"c-1","action":"close",` + event + `}`, `"action"`},
		{`{"request_id":"c-1","action":"open","attempts":-1,` + event + `}`, `"attempts"`},
		{`{"request_id":"c-1","action":"open","headers":"nothing",` + event + `}`, `"headers"`},
	} {
		if l, err := ParseLetter([]byte(test.line)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %+v, %v, want %s", test.line, l, err, test.want)
		}
	}
}

func FuzzADeadLetterIsOneLineOfJSON(f *testing.F) {
	f.Add([]byte("[1,\r\n2]"), false, "a=\xff\n\"")
	f.Fuzz(func(t *testing.T, data []byte, binary bool, cookie string) {
		src := alice
		src.Headers = PackHeaders(cookie, nil)
		pool := eventPool{levels: MaxJSONDepth}
		e := pool.message(&src, data, binary)
		line := appendDeadLetter(nil, e, Broken, 0, time.Now())
		if strings.Count(string(line), "\n") != 1 || strings.Contains(string(line), "\r") {
			t.Errorf("not one line: %q", line)
		}
		if l, err := ParseLetter(line); err != nil || l.Headers != src.Headers {
			t.Fatalf("%+v, %v: %q", l, err, line)
		}
		var letter struct{ Event json.RawMessage }
		if err := json.Unmarshal(line, &letter); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		var was, is any
		if json.Unmarshal(e.bodyBytes(), &was) != nil || json.Unmarshal(letter.Event, &is) != nil {
			t.Fatalf("%q", line)
		}
		a, _ := json.Marshal(was)
		b, _ := json.Marshal(is)
		if string(a) != string(b) {
			t.Errorf("%s became %s", a, b)
		}
	})
}
