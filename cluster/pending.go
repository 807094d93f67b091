package cluster

import (
	"context"
	"sync"

	"ws-gateway/cluster/call"
	"ws-gateway/cluster/packet"
)

// pending is a call that waits for the answers of other instances.
type pending struct {
	request uint64 // set by the router

	mu      sync.Mutex // guards following
	asked   bool       // the router has sent it
	waiting map[packet.Instance]string
	answers []answer
	losses  losses
	done    chan struct{} // closed when nobody is waited for any more
	over    bool
}

// answer is what an instance has answered.
type answer struct {
	name string
	call.Result
}

func newPending() *pending {
	return &pending{waiting: map[packet.Instance]string{}, done: make(chan struct{})}
}

// expect notes that an instance was asked.
func (p *pending) expect(id packet.Instance, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting[id] = name
}

// miss notes that an instance cannot be asked.
func (p *pending) miss(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.losses.names = append(p.losses.names, name)
}

// sent notes that all have been asked.
func (p *pending) sent() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = true
	p.end()
}

// end must be called with mu held.
func (p *pending) end() {
	if p.asked && len(p.waiting) == 0 && !p.over {
		p.over = true
		close(p.done)
	}
}

// answered takes an instance's answer.
func (p *pending) answered(id packet.Instance, r call.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if name, ok := p.waiting[id]; ok {
		delete(p.waiting, id)
		p.answers = append(p.answers, answer{name, r})
		p.end()
	}
}

// lost notes that an instance is not heard any more.
func (p *pending) lost(id packet.Instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if name, ok := p.waiting[id]; ok {
		delete(p.waiting, id)
		p.losses.names = append(p.losses.names, name)
		p.end()
	}
}

// giveUp waits for nobody any more.
func (p *pending) giveUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, name := range p.waiting {
		delete(p.waiting, id)
		p.losses.add(name)
	}
	p.asked = true
	p.end()
}

// wait returns the answers that have come, after the last one or when ctx is done.
func (c *Cluster) wait(ctx context.Context, p *pending) ([]answer, *losses) {
	select {
	case <-p.done:
	case <-ctx.Done():
		p.giveUp()
	}
	c.mailbox.post(context.Background(), letter{forget: p}) // has room in a moment, since the router waits for nobody
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answers, &p.losses
}
