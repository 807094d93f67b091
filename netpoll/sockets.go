package netpoll

import (
	"cmp"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the kernel holds for a socket, sent and not acknowledged or arrived and not
// read, is not memory of the process, but a cgroup counts it, and for a client that
// never reads the kernel holds megabytes. The kernel does not report it, so a loop
// measures its sockets if enough has been written, or is not read, since the last
// time that Config.SocketMemory may be exceeded. Most gateways never do.
//
// If it is exceeded, sockets that have held much for a second and taken nothing are
// closed, the largest first; if twice the bound is exceeded, the largest, whether
// they take something or not.

const (
	smallSocket   = 16 << 10 // bytes; sockets that hold less are not noted
	socketsAtOnce = 1024     // measured in a turn: some 300 µs
	forgetTicks   = 10       // after which sockets are measured again, though no more has been written
	stalledTicks  = 2        // so that a socket has been stalled for at least a second
)

// kernelWatch is what a loop knows of the memory that the kernel holds for its
// connections.
type kernelWatch struct {
	share   int64  // the loop's part of Config.SocketMemory; 0: it is not measured
	mark    uint64 // measure next when Stats.BytesOut is that much
	looking bool   // a measurement is under way
	slot    uint32 // the next one to measure
	sum     int64  // of the measurement under way
	held    int64  // by the last measurement
	tick    uint32 // when that was
	notes   map[uint32]socketNote
}

// socketNote is about a socket that holds much.
type socketNote struct {
	gen, tick uint32 // tick: when it last held less, or was first seen
	bytes     int64
	unread    bool // most of it is input that is not read
}

// configure sets the bound.
func (w *kernelWatch) configure(cfg *Config) {
	w.share = cfg.SocketMemory / int64(cfg.Loops)
	w.mark = 0
}

// watchSockets measures some sockets in each turn, if it is time to. ticked says that
// a second has passed.
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

// relieveKernel ends connections until the kernel holds no more than it may.
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
		c.destroy(true) // or the kernel would hold the memory on
	}
}

// socketMemory is how many bytes the kernel holds for a socket, with its own
// overhead: arrived and not read, and sent and not acknowledged.
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
	if errno != 0 { // an old kernel does not know SO_MEMINFO
		return 0, 0
	}
	return int64(info[rmemAlloc]), int64(info[wmemQueued])
}
