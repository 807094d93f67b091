package netpoll

import (
	"errors"
	"sync"
)

// ErrStopped is returned by Post once the loop has ended.
var ErrStopped = errors.New("netpoll: loop has stopped")

// maxTasks bounds a mailbox. Whoever posts to a full one waits: posters are
// requests of the management API, callback workers and the acceptor, and for all
// of them waiting is the right kind of pressure.
const maxTasks = 16 << 10

type task = func(*Loop) (more bool)

// mailbox is the way into a loop from other goroutines.
type mailbox struct {
	wake func() // wakes the loop's wait

	mu      sync.Mutex
	room    sync.Cond // signalled when tasks have been taken
	tasks   []task
	asleep  bool // the loop waits, or is about to: the next post must wake it
	stopped bool
}

func newMailbox(wake func()) *mailbox {
	m := &mailbox{wake: wake}
	m.room.L = &m.mu
	return m
}

// post appends t. It costs a system call only if the loop is asleep.
func (m *mailbox) post(t task) error {
	m.mu.Lock()
	for len(m.tasks) >= maxTasks && !m.stopped {
		m.room.Wait()
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
	if len(tasks) >= maxTasks {
		m.room.Broadcast()
	}
	m.mu.Unlock()
	return tasks
}

// sleep reports whether the loop may wait: from then on a post wakes it.
func (m *mailbox) sleep() bool {
	m.mu.Lock()
	m.asleep = len(m.tasks) == 0
	asleep := m.asleep
	m.mu.Unlock()
	return asleep
}

// awake undoes sleep, so that posts save themselves the wake-up.
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

// stop refuses further posts and returns what had been posted.
func (m *mailbox) stop() []task {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
	m.room.Broadcast()
	tasks := m.tasks
	m.tasks = nil
	return tasks
}
