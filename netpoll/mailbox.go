package netpoll

import (
	"context"
	"errors"
	"sync"
)

// ErrStopped is returned by Post once the loop has ended.
var ErrStopped = errors.New("netpoll: loop has stopped")

// maxTasks is how many tasks a mailbox holds. Who posts to a full one waits, until
// its context is done. Management requests, callback workers and the acceptor post:
// to make them wait is the back-pressure that they need.
const maxTasks = 16 << 10

type task = func(*Loop) (more bool)

// mailbox holds tasks that other goroutines post to a loop.
type mailbox struct {
	wake func() // wakes the loop's wait

	mu      sync.Mutex
	room    chan struct{} // closed when tasks have been taken; nil if nobody waits for room
	tasks   []task
	asleep  bool // the loop waits, or will: the next post must wake it
	stopped bool
}

func newMailbox(wake func()) *mailbox { return &mailbox{wake: wake} }

// post appends t. It takes a system call only if the loop is asleep. If there is no
// room before ctx is done, it returns ctx's error.
func (m *mailbox) post(ctx context.Context, t task) error {
	m.mu.Lock()
	for len(m.tasks) >= maxTasks && !m.stopped {
		if m.room == nil {
			m.room = make(chan struct{})
		}
		room := m.room
		m.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
		m.mu.Lock()
	}
	if m.stopped {
		m.mu.Unlock()
		return ErrStopped
	}
	m.tasks = append(m.tasks, t)
	wake := m.asleep
	m.asleep = false
	m.mu.Unlock()
	if wake {
		m.wake()
	}
	return nil
}

// nudge wakes the loop if it sleeps. It never waits.
func (m *mailbox) nudge() {
	m.mu.Lock()
	wake := m.asleep
	m.asleep = false
	m.mu.Unlock()
	if wake {
		m.wake()
	}
}

// take hands over all tasks in exchange for an empty slice.
func (m *mailbox) take(empty []task) []task {
	m.mu.Lock()
	tasks := m.tasks
	m.tasks = empty
	m.madeRoomLocked()
	m.mu.Unlock()
	return tasks
}

// madeRoomLocked wakes those who wait for room.
func (m *mailbox) madeRoomLocked() {
	if m.room != nil {
		close(m.room)
		m.room = nil
	}
}

// sleep reports whether the mailbox is empty; if so, the next post wakes the loop.
func (m *mailbox) sleep() bool {
	m.mu.Lock()
	m.asleep = len(m.tasks) == 0
	asleep := m.asleep
	m.mu.Unlock()
	return asleep
}

// awake undoes sleep: posts need not wake the loop any more.
func (m *mailbox) awake() {
	m.mu.Lock()
	m.asleep = false
	m.mu.Unlock()
}

func (m *mailbox) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.tasks)
}

// stop makes later posts fail, and returns the tasks that are left.
func (m *mailbox) stop() []task {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
	m.madeRoomLocked()
	tasks := m.tasks
	m.tasks = nil
	return tasks
}
