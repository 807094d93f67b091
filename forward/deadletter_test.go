package forward

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestTheDeadLetterFileIsForItsOwnerAloneAndAppendedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	var pool eventPool
	for range 2 { // two runs of the gateway
		d, err := openDeadLetters(path, zerolog.Nop())
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

func TestAFullDiskIsLoggedOnceAndMended(t *testing.T) {
	log := &logBuffer{}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	d := &deadLetters{log: zerolog.New(log), file: full}
	var pool eventPool
	e := pool.message(&alice, []byte("1"), false)
	for range 3 {
		if d.write(e, TimedOut, 0, time.Now()) {
			t.Error("written to a full disk")
		}
	}
	_ = full.Close()
	d.file, d.torn = file, true // there is room again, behind half a line
	_, _ = file.WriteString(`{"time":"20`)
	for range 2 {
		if !d.write(e, TimedOut, 0, time.Now()) {
			t.Error("not written")
		}
	}
	d.close()
	equal(t, "errors", d.errors.Load(), 3)
	equal(t, "written", d.written.Load(), 2)
	equal(t, "error lines", log.count(`"level":"error"`), 1)
	equal(t, "lines that say it works again", log.count("can be written to again"), 1)
	equal(t, "cookies in the log", log.count("a=b"), 0)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	equal(t, "lines", len(lines), 3)
	for _, line := range lines[1:] {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

func FuzzADeadLetterIsOneLineOfJSON(f *testing.F) {
	f.Add([]byte("[1,\r\n2]"), false, "a=\xff\n\"")
	f.Fuzz(func(t *testing.T, data []byte, binary bool, cookie string) {
		src := alice
		src.Headers = cookie
		var pool eventPool
		e := pool.message(&src, data, binary)
		line := appendDeadLetter(nil, e, Broken, 0, time.Now())
		if strings.Count(string(line), "\n") != 1 || strings.Contains(string(line), "\r") {
			t.Errorf("not one line: %q", line)
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
