package netpoll

import (
	"cmp"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the kernel holds for a socket, sent and not taken or arrived and not read,
// is no memory of the process, but a cgroup counts it, and to the kernel a client
// that never reads is worth megabytes. Nobody is told of it, so a loop looks at its
// sockets when enough has been written, or stopped being read, since the last look
// that Config.SocketMemory may be over. Most gateways never look.
//
// Past the bound those go that have held much for a second and more and take
// nothing of it, largest first; past twice the bound the largest, whoever they are.

const (
	smallSocket   = 16 << 10 // bytes that a socket may hold without being noted
	socketsAtOnce = 1024     // looked at in a turn: some 300 µs
	forgetTicks   = 10       // after which what was found is looked at anew, though nothing says that it is more
	stalledTicks  = 2        // so that a socket has been stalled for a second at the least
)

// kernelWatch is a loop's view of what the kernel holds for its connections.
type kernelWatch struct {
	share   int64  // of Config.SocketMemory; 0: nobody looks
	mark    uint64 // of Stats.BytesOut: when to look next
	looking bool
	slot    uint32 // where the look has come to
	sum     int64  // of this look so far
	held    int64  // found by the last look
	tick    uint32 // of that
	notes   map[uint32]socketNote
}

// socketNote is what is known of a socket that holds much.
type socketNote struct {
	gen, tick uint32 // tick: when it last took something, or was first seen
	bytes     int64
	unread    bool // most of it has arrived and is not read
}

// configure sets the bound.
func (w *kernelWatch) configure(cfg *Config) {
	w.share = cfg.SocketMemory / int64(cfg.Loops)
	w.mark = 0
}

// watchSockets is called in each turn. ticked says that a second has passed.
func (l *Loop) watchSockets(ticked bool) {
	w := &l.kernel
	switch {
	case w.share == 0:
		return
	case w.looking:
	case l.stats.BytesOut >= w.mark, ticked && (l.stats.Paused > 0 || w.held > w.share || w.held > w.share/8 && l.now-w.tick >= forgetTicks):
		w.looking, w.slot, w.sum = true, 0, 0
	default:
		return
	}
	for n := 0; n < socketsAtOnce && w.slot < l.slots; n++ {
		l.lookAtSocket(w, l.conns.At(w.slot))
		w.slot++
	}
	if w.slot < l.slots {
		return
	}
	w.looking = false
	w.held, w.tick = w.sum, l.now
	if w.held > w.share {
		l.relieveKernel(w)
	}
	l.srv.ledger.all[SocketBudget].used.Add(w.held - l.kernelShown)
	l.kernelShown = w.held
	w.mark = l.stats.BytesOut + uint64(max(w.share-w.held, w.share/4))
}

func (l *Loop) lookAtSocket(w *kernelWatch, c *Conn) {
	if c.state == stateFree || c.fd < 0 {
		return
	}
	in, out := socketMemory(c.fd)
	bytes := in + out
	if bytes < smallSocket {
		w.sum += bytes
		delete(w.notes, c.slot)
		return
	}
	w.sum += bytes
	note, known := w.notes[c.slot]
	if !known || note.gen != c.gen || bytes < note.bytes {
		note.gen, note.tick = c.gen, l.now
	}
	note.bytes, note.unread = bytes, in > out
	if w.notes == nil {
		w.notes = make(map[uint32]socketNote)
	}
	w.notes[c.slot] = note
}

// relieveKernel ends connections until what the kernel holds is within the bound.
func (l *Loop) relieveKernel(w *kernelWatch) {
	slots := make([]uint32, 0, len(w.notes))
	for slot := range w.notes {
		slots = append(slots, slot)
	}
	slices.SortFunc(slots, func(a, b uint32) int { return cmp.Compare(w.notes[b].bytes, w.notes[a].bytes) })
	for _, slot := range slots {
		note, c := w.notes[slot], l.conns.At(slot)
		if c.gen != note.gen || c.state == stateFree {
			delete(w.notes, slot)
			continue
		}
		if w.held <= w.share {
			return
		}
		if l.now-note.tick < stalledTicks && w.held <= 2*w.share {
			continue
		}
		w.held -= note.bytes
		delete(w.notes, slot)
		l.srv.ledger.all[SocketBudget].gaveWay.Add(1)
		if note.unread {
			c.Close(OverCapacity, statusTryAgain, "try again later")
		} else {
			c.Close(SlowConsumer, statusPolicy, "slow consumer")
		}
		c.destroy(true) // what the kernel holds is free only then
	}
}

// socketMemory is what the kernel holds for a socket, its own overhead included:
// arrived and not read, and sent and not acknowledged.
func socketMemory(fd int32) (in, out int64) {
	const ( // indices of linux/sock_diag.h
		rmemAlloc  = 0
		wmemQueued = 5
		variables  = 9
	)
	var info [variables]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 { // not a kernel of the last years: nothing is known
		return 0, 0
	}
	return int64(info[rmemAlloc]), int64(info[wmemQueued])
}
