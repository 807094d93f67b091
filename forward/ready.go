package forward

// ready are the lanes that can be attempted now. Those whose next event is a message and
// those whose next event is an open or a close have a queue each, first in first out, and
// the queues take turns. So if thousands of connections come or go at once, the others'
// messages do not wait behind all that the app is told of it, and a flood of messages does
// not delay news of who is there.
type ready struct {
	queues [2]laneQueue // by kindOf
	turn   int          // the queue to be asked first
}

// kindOf is the queue for l.
func kindOf(l *lane) int {
	if l.head.action == actionMessage {
		return 1
	}
	return 0
}

func (r *ready) push(l *lane) { r.queues[kindOf(l)].push(l) }

// first is the lane that pop would return; nil if there is none.
func (r *ready) first() *lane {
	if l := r.queues[r.turn].head; l != nil {
		return l
	}
	return r.queues[1-r.turn].head
}

// pop takes the next lane; nil if there is none.
func (r *ready) pop() *lane {
	q := r.turn
	if r.queues[q].head == nil {
		q = 1 - q
	}
	r.turn = 1 - q
	return r.queues[q].pop()
}

func (r *ready) len() int { return r.queues[0].length + r.queues[1].length }

// laneQueue is a queue of lanes, first in first out.
type laneQueue struct {
	head, tail *lane
	length     int
}

func (q *laneQueue) push(l *lane) {
	l.next = nil
	if q.tail == nil {
		q.head = l
	} else {
		q.tail.next = l
	}
	q.tail = l
	q.length++
}

// deleteFunc takes out the lanes for which leaves is true.
func (q *laneQueue) deleteFunc(leaves func(*lane) bool) {
	var kept laneQueue
	for l := q.pop(); l != nil; l = q.pop() {
		if !leaves(l) {
			kept.push(l)
		}
	}
	*q = kept
}

func (q *laneQueue) pop() *lane {
	l := q.head
	if l == nil {
		return nil
	}
	if q.head = l.next; q.head == nil {
		q.tail = nil
	}
	l.next = nil
	q.length--
	return l
}
