package netpoll

// auditHeld adds what c holds of each budget, counted anew.
func (w *world) auditHeld(c *Conn, held *[Budgets]int64) {
	if in := c.in; in != nil {
		if bytes := int64(cap(in.head)); bytes > UsualHead && (c.state == stateHandshake || c.state == stateParked) {
			held[HeaderBudget] += bytes
		}
		if c.state != stateHandshake && c.state != stateParked && in.msgHeld.bytes > 0 {
			held[MessageBudget] += int64(cap(in.msg) + cap(in.postponed))
		}
	}
	if h := c.loop.kept[c.slot]; h != nil {
		held[HeaderBudget] += h.bytes
	}
	if o := c.out; o != nil {
		_, weight := o.recount()
		held[OutboxBudget] += weight
	}
}

// auditBudgets compares the loop's books, and the server's, with what was counted.
func (w *world) auditBudgets(l *Loop, held *[Budgets]int64) {
	frames := map[*Frame]bool{}
	var outboxes int64
	for slot := range l.slots {
		if o := l.conns.At(slot).out; o != nil {
			for _, s := range o.segments[o.head:] {
				switch {
				case s.shared == nil:
					outboxes += int64(cap(s.b))
				case !frames[s.shared]:
					frames[s.shared] = true
					outboxes += int64(s.shared.wire.Memory())
				}
			}
		}
	}
	for i := range l.holders {
		p := &l.holders[i]
		if p.held != held[i] {
			w.t.Errorf("%v: %d bytes are held, counted: %d", Budget(i), p.held, held[i])
		}
		want := held[i]
		if Budget(i) == OutboxBudget {
			want = outboxes
		}
		// One event may go over a budget before somebody gives way.
		if used := p.used.Load(); used != want || used > p.limit.Load()+readSize+fuzzMessage {
			w.t.Errorf("%v: %d bytes are used of %d, counted: %d", Budget(i), used, p.limit.Load(), want)
		}
		w.auditClasses(p)
	}
}

// auditClasses checks that every holder is in the list of its size, and that the other
// loops know how large the largest is.
func (w *world) auditClasses(p *holders) {
	var sum int64
	for class := range p.classes {
		list := &p.classes[class]
		var last *holder
		for h := list.first; h != nil; last, h = h, h.next {
			sum += h.bytes
			if sizeClass(h.bytes) != class || h.prev != last {
				w.t.Errorf("a holder of %d bytes is in class %d, or linked wrongly", h.bytes, class)
			}
		}
		if list.last != last || list.first != nil && class > p.highest {
			w.t.Errorf("class %d ends with another one, or is above the highest, %d", class, p.highest)
		}
	}
	if top := p.tops[p.loop].Load(); !p.aged && sizeClass(top) != p.highest {
		w.t.Errorf("the largest holder is said to hold %d bytes, and is in class %d", top, p.highest)
	}
	if sum != p.held {
		w.t.Errorf("the lists hold %d bytes, counted as %d", sum, p.held)
	}
}
