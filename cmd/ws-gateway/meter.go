package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// meterEvery is how often the progress is shown.
const meterEvery = 200 * time.Millisecond

// clearLine makes room on a terminal's last line.
const clearLine = "\r\x1b[K"

// meter shows the progress on a terminal's last line. What is written to it
// scrolls by above.
type meter struct {
	shown bool
	size  int64

	mu   sync.Mutex // guards the following
	out  io.Writer
	text string
}

func newMeter(out io.Writer, file *os.File) *meter {
	m := &meter{out: out, shown: isTerminal(out)}
	if info, err := file.Stat(); err == nil {
		m.size = info.Size()
	}
	return m
}

// Write writes lines.
func (m *meter) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.text != "" {
		fmt.Fprint(m.out, clearLine)
	}
	n, err := m.out.Write(p)
	fmt.Fprint(m.out, m.text)
	return n, err
}

func (m *meter) show(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.text = text
	fmt.Fprint(m.out, clearLine+text)
}

// run shows what count says until the function that it returns is called.
func (m *meter) run(count func() (delivered, refused int, offset int64)) (stop func()) {
	if !m.shown {
		return func() {}
	}
	quit := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		ticker := time.NewTicker(meterEvery)
		defer ticker.Stop()
		for {
			delivered, refused, offset := count()
			m.show(fmt.Sprintf("%3d %%  delivered %d, refused %d", 100*offset/max(m.size, 1), delivered, refused))
			select {
			case <-ticker.C:
			case <-quit:
				m.show("")
				return
			}
		}
	})
	return func() {
		close(quit)
		done.Wait()
	}
}
