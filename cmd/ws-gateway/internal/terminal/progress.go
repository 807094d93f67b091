package terminal

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progressEvery is how often the progress is shown.
const progressEvery = 200 * time.Millisecond

// clearLine empties a terminal's last line.
const clearLine = "\r\x1b[K"

// Progress is a progress bar on a terminal's last line. What is written to it scrolls
// by above.
type Progress struct {
	mu   sync.Mutex // guards the following
	out  io.Writer
	text string
}

// NewProgress shows nothing yet. out should be a terminal.
func NewProgress(out io.Writer) *Progress { return &Progress{out: out} }

// Write writes whole lines.
func (p *Progress) Write(lines []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.text != "" {
		fmt.Fprint(p.out, clearLine)
	}
	n, err := p.out.Write(lines)
	fmt.Fprint(p.out, p.text)
	return n, err
}

func (p *Progress) show(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = text
	fmt.Fprint(p.out, clearLine+text)
}

// Run shows what text returns, again and again, until the function that it returns is
// called; that one empties the line.
func (p *Progress) Run(text func() string) (stop func()) {
	quit := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		ticker := time.NewTicker(progressEvery)
		defer ticker.Stop()
		for {
			p.show(text())
			select {
			case <-ticker.C:
			case <-quit:
				p.show("")
				return
			}
		}
	})
	return func() {
		close(quit)
		done.Wait()
	}
}
