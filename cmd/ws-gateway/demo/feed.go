package demo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

const (
	feedKept    = 200 // entries that a page gets when it connects
	feedWaiting = 64  // entries that may wait for a page
)

// feedEntry is one callback as the page shows it, or what a send that it has led to was
// answered.
type feedEntry struct {
	Number    uint64          `json:"number"`
	Time      int64           `json:"time"` // milliseconds since 1970
	RequestID string          `json:"request_id"`
	Attempt   string          `json:"attempt"`
	Body      json.RawMessage `json:"body,omitempty"`
	Answer    json.RawMessage `json:"answer,omitempty"`
}

// feed passes callbacks and answers to the pages as they arrive. A page that does not keep up is
// cut off; its browser connects again and gets what it has missed.
type feed struct {
	mu      sync.Mutex // guards following
	last    uint64
	kept    []feedEntry
	readers map[chan feedEntry]struct{} // nil once ended
}

func newFeed() *feed { return &feed{readers: map[chan feedEntry]struct{}{}} }

// publish numbers e and hands it to all readers.
func (f *feed) publish(e feedEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	e.Number = f.last
	if len(f.kept) == feedKept {
		f.kept = slices.Delete(f.kept, 0, 1)
	}
	f.kept = append(f.kept, e)
	for r := range f.readers {
		select {
		case r <- e:
		default:
			delete(f.readers, r)
			close(r)
		}
	}
}

// subscribe returns the entries after number since, and a channel of those that will
// come. The channel is closed when the reader is cut off.
func (f *feed) subscribe(since uint64) (missed []feedEntry, entries chan feedEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	entries = make(chan feedEntry, feedWaiting)
	if f.readers == nil {
		close(entries)
		return nil, entries
	}
	f.readers[entries] = struct{}{}
	for _, e := range f.kept {
		if e.Number > since {
			missed = append(missed, e)
		}
	}
	return missed, entries
}

func (f *feed) unsubscribe(entries chan feedEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.readers, entries)
}

// end cuts all readers off.
func (f *feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for r := range f.readers {
		close(r)
	}
	f.readers = nil
}

// ServeHTTP streams the feed as server-sent events.
func (f *feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	since, _ := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64) // absent or malformed: from the start
	missed, entries := f.subscribe(since)
	defer f.unsubscribe(entries)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	stream := http.NewResponseController(w)
	fmt.Fprint(w, "retry: 1000\n\n")
	for _, e := range missed {
		writeEntry(w, e)
	}
	for stream.Flush() == nil {
		select {
		case e, ok := <-entries:
			if !ok {
				return
			}
			writeEntry(w, e)
		case <-r.Context().Done():
			return
		}
	}
}

func writeEntry(w http.ResponseWriter, e feedEntry) {
	data, err := json.Marshal(e)
	if err != nil {
		return // a body that is not JSON; the handler has refused it
	}
	fmt.Fprintf(w, "id: %d\ndata: %s\n\n", e.Number, data)
}
