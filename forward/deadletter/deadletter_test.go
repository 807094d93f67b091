package deadletter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/forward/headers"
	"ws-gateway/jsoncheck"
)

func TestTheDeadLetterFileIsForItsOwnerAloneAndAppendedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	for range 2 { // two runs of the gateway
		d, err := Open(path, 1<<20, 1, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		e := message(42, `{"a":1}`)
		e.Attempts, e.Status, e.Error = 3, 404, ""
		if !d.Write(e, time.Date(2024, 1, 2, 3, 4, 5, 6000, time.FixedZone("x", 3600))) {
			t.Error("not written")
		}
		d.Close()
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
	_, err := Open(t.TempDir(), 1<<20, 1, zerolog.Nop())
	if err == nil || !strings.Contains(err.Error(), "dead-letter file") {
		t.Errorf("%v", err)
	}
}

// message is an event with number n of connection c1, whose user is alice.
func message(n int, data string) *Event {
	return &Event{
		RequestID: fmt.Appendf(nil, "c1-%d", n), Action: "message", Error: "timeout", Cookie: "a=b",
		Body: []byte(`{"data":` + data + `,"action":"message","user_name":"alice","conn_id":"c1"}`),
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// letters opens a dead-letter file and returns a function that writes a letter
// to it, n seconds after the epoch.
func letters(t *testing.T, path string, maxSize int64, keep int, log *bytes.Buffer) (d *File, write func(n int) bool) {
	t.Helper()
	d, err := Open(path, maxSize, keep, zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d, func(n int) bool { return d.Write(message(n, "1"), time.Unix(int64(n), 0)) }
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
		l, err := Parse([]byte(strings.TrimSuffix(line, "\n")))
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
	dir, log := t.TempDir(), &bytes.Buffer{}
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
	written, failed := d.Counts()
	equal(t, "errors", failed, 3)
	equal(t, "written", written, 2)
	equal(t, "error lines", strings.Count(log.String(), `"level":"error"`), 1)
	equal(t, "lines that say it works again", strings.Count(log.String(), "can be written to again"), 1)
	equal(t, "cookies in the log", strings.Count(log.String(), "a=b"), 0)
	wantSeqs(t, path, -1, 2, 3)
}

func TestALineThatWasTornByACrashStaysByItself(t *testing.T) {
	path, log := filepath.Join(t.TempDir(), "dead.jsonl"), &bytes.Buffer{}
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
	path, log := filepath.Join(t.TempDir(), "dead.jsonl"), &bytes.Buffer{}
	d, write := letters(t, path, 1<<20, 2, log)
	write(1)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	d.Resize(2*info.Size()+1, 2) // two letters each
	if err := os.WriteFile(path+ReplaySuffix, []byte("progress"), 0o600); err != nil {
		t.Fatal(err)
	}
	for n := 2; n <= 7; n++ {
		if n == 7 {
			equal(t, "letters removed so far", strings.Count(log.String(), "are removed"), 0)
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
	equal(t, "removals in the log", strings.Count(log.String(), "are removed"), 1)
	for _, gone := range []string{path + ".3", path + ".2" + ReplaySuffix, path + ReplaySuffix} {
		if _, err := os.Stat(gone); !os.IsNotExist(err) {
			t.Errorf("%s is there: %v", gone, err)
		}
	}
}

func TestALetterKeepsEverything(t *testing.T) {
	for _, test := range []struct {
		name, cookie string
		fields       []headers.Field
	}{
		{"nothing", "", nil},
		{"a cookie", "a=b; c=\"d\"", nil},
		{"a cookie that is not UTF-8", "a=\xff\x80", nil},
		{"headers", "", []headers.Field{{Name: "X-A", Value: "1"}, {Name: "X-B", Value: "two: 2"}, {Name: "X-A", Value: ""}}},
		{"all of it", "\xfe", []headers.Field{{Name: "X-A", Value: "\xc3\x28"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			packed := headers.Pack(test.cookie, test.fields)
			e := message(42, `{"n":1.0}`)
			e.Attempts = 9
			e.Cookie, e.Headers = headers.Unpack(packed)
			line := e.append(nil, time.Now())
			l, err := Parse(line)
			if err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			equal(t, "headers", l.Headers, packed)
			equal(t, "body", string(l.Event), string(e.Body))
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
		if l, err := Parse([]byte(test.line)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %+v, %v, want %s", test.line, l, err, test.want)
		}
	}
}

func FuzzADeadLetterIsOneLineOfJSON(f *testing.F) {
	f.Add([]byte("[1,\r\n2]"), false, "a=\xff\n\"")
	f.Fuzz(func(t *testing.T, data []byte, binary bool, cookie string) {
		body, err := json.Marshal(string(data))
		if err != nil {
			t.Fatal(err)
		}
		if !binary && jsoncheck.Portable(data, jsoncheck.MaxDepth-2) {
			body = data
		}
		e := message(42, string(body))
		packed := headers.Pack(cookie, nil)
		e.Cookie, e.Headers = headers.Unpack(packed)
		line := e.append(nil, time.Now())
		if strings.Count(string(line), "\n") != 1 || strings.Contains(string(line), "\r") {
			t.Errorf("not one line: %q", line)
		}
		if l, err := Parse(line); err != nil || l.Headers != packed {
			t.Fatalf("%+v, %v: %q", l, err, line)
		}
		var letter struct{ Event json.RawMessage }
		if err := json.Unmarshal(line, &letter); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		var was, is any
		if json.Unmarshal(e.Body, &was) != nil || json.Unmarshal(letter.Event, &is) != nil {
			t.Fatalf("%q", line)
		}
		a, _ := json.Marshal(was)
		b, _ := json.Marshal(is)
		if string(a) != string(b) {
			t.Errorf("%s became %s", a, b)
		}
	})
}
