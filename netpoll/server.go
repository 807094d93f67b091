package netpoll

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/netpoll/wire"
)

// Config of a Server. Zero values mean the defaults named beside them.
type Config struct {
	Handler Handler // required

	Loops             int           // event loops; 0: one for each processor (GOMAXPROCS), at most MaxLoops
	Path              string        // the client path; default "/ws"; "/ws/" is accepted beside "/ws"
	MaxHeaderBytes    int           // of a request head; default 32 KiB
	AcceptRate        int           // connections accepted a second; the others wait in the backlog; 0: no limit
	AcceptBurst       int           // connections accepted at once; default: one second's worth
	MaxHandshaking    int           // incomplete request heads; one more drops the oldest; each loop has an equal part; 0: no limit
	HandshakeTimeout  time.Duration // for a whole request head; default 10 s
	MaxMessageSize    int64         // bytes of a message; default 1 MiB
	MaxAssemblyMemory int64         // MessageBudget; default 256 MiB
	HeaderMemory      int64         // HeaderBudget; default 128 MiB
	OutboxMemory      int64         // OutboxBudget; default 256 MiB
	SocketMemory      int64         // SocketBudget; 0: no limit but the kernel's
	SocketBuffer      int           // bytes that the kernel may hold for a client in each direction, without its overhead; 0: the kernel decides
	MaxPendingBytes   int           // bytes that may wait for one connection; default 1 MiB
	WriteTimeout      time.Duration // in which some of these must leave the kernel; default 30 s
	CloseTimeout      time.Duration // from our close frame to the end of TCP; default 5 s

	Compression          bool // agree on permessage-deflate (RFC 7692), without context takeover, with clients that offer it
	CompressionThreshold int  // bytes; smaller messages are not compressed; default 256

	// HandOff decides about a request whose path is not the client path: true
	// gives the connection to the Listener of Server.HandedOff, false answers
	// 403. It runs on a loop and must not block. nil answers 404 to all.
	HandOff func(peer netip.AddrPort, path []byte) bool

	// Resumer, if not nil, lets clients resume sessions whose transport was lost, if
	// ResumeFor is above 0.
	Resumer      Resumer
	ResumeFor    time.Duration // for which a connection without a transport waits for its client; 0: connections cannot be resumed
	ResumeBuffer int           // bytes of messages that are kept for one connection until its client has them; default 256 KiB
	ResumeMemory int64         // ResumeBudget; default 64 MiB

	// Origin, if not nil, is that of the server whose connections this one takes up: see
	// Server.Import.
	Origin *Origin
	// Relay, if not nil, is asked about the session of a client's token that is not of this
	// server, by its id. turn is the token's, which may be made up: it rises with each resume.
	// client is Resumer.ClientAddr of the handshake. If another server may have the session,
	// Relay returns what takes the handshake over, which is called at once; otherwise nil, and
	// the client gets a new session. Both run on a loop and must not block. id is valid until
	// Relay returns.
	Relay func(id []byte, turn uint32, client netip.Addr) (take func(*Handshake))

	// Received, if not nil, is told how many bytes have been read of an open
	// connection, frame headers included, after their messages have been delivered.
	// It may do what a Handler method may. Bytes that come in one packet with the
	// opening handshake do not count.
	Received func(c *Conn, bytes int)

	// Failed is told that a loop, or the acceptor, has failed for good, which should
	// never happen: the process should end. It runs on a goroutine of the server and
	// must not block. Default: an error in Log.
	Failed func(err error)

	Log zerolog.Logger
}

// MaxResumeFor is the longest Config.ResumeFor.
const MaxResumeFor = 24 * time.Hour

// Server owns the listeners and the loops.
type Server struct {
	cfg       Config                 // as New was given it
	inForce   atomic.Pointer[Config] // as last reloaded; each loop has a copy of this pointer
	loops     []*Loop
	acceptor  *acceptor
	handedOff *handOffListener
	pressure  atomic.Bool
	deflater  wire.Deflater
	ledger    ledger
	made      time.Time
	resumeKey [32]byte                             // signs tokens
	floor     uint32                               // generation that every slot begins above: Origin's
	deflating [wire.MaxWindowBits + 1]atomic.Int64 // how many open connections agreed on compression, by the window's bits

	running sync.WaitGroup // the loops' goroutines
	started bool
}

// New checks cfg and creates the loops, which wait until Start.
func New(cfg Config) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, handedOff: newHandOffListener(), made: time.Now()}
	if cfg.Origin != nil {
		s.resumeKey, s.floor = cfg.Origin.key, cfg.Origin.floor
	} else {
		rand.Read(s.resumeKey[:]) // never fails: it ends the process instead
	}
	s.inForce.Store(&s.cfg)
	s.ledger.init(s)
	var err error
	if s.acceptor, err = newAcceptor(s); err != nil {
		return nil, err
	}
	for i := range cfg.Loops {
		l, err := newLoop(s, i)
		if err != nil {
			return nil, errors.Join(err, s.Stop(context.Background()))
		}
		s.loops = append(s.loops, l)
	}
	return s, nil
}

// complete fills in defaults, and returns an error for what cannot work.
func (cfg *Config) complete() error {
	if cfg.Handler == nil {
		return errors.New("netpoll: Config.Handler is missing")
	}
	cfg.Loops = cmp.Or(cfg.Loops, min(runtime.GOMAXPROCS(0), MaxLoops))
	cfg.Path = cmp.Or(cfg.Path, "/ws")
	cfg.MaxHeaderBytes = cmp.Or(cfg.MaxHeaderBytes, 32<<10)
	cfg.HandshakeTimeout = cmp.Or(cfg.HandshakeTimeout, 10*time.Second)
	cfg.MaxMessageSize = cmp.Or(cfg.MaxMessageSize, 1<<20)
	cfg.MaxAssemblyMemory = cmp.Or(cfg.MaxAssemblyMemory, 256<<20)
	cfg.HeaderMemory = cmp.Or(cfg.HeaderMemory, 128<<20)
	cfg.OutboxMemory = cmp.Or(cfg.OutboxMemory, 256<<20)
	cfg.MaxPendingBytes = cmp.Or(cfg.MaxPendingBytes, 1<<20)
	cfg.ResumeBuffer = cmp.Or(cfg.ResumeBuffer, 256<<10)
	cfg.ResumeMemory = cmp.Or(cfg.ResumeMemory, 64<<20)
	cfg.WriteTimeout = cmp.Or(cfg.WriteTimeout, 30*time.Second)
	cfg.CloseTimeout = cmp.Or(cfg.CloseTimeout, 5*time.Second)
	if cfg.Failed == nil {
		cfg.Failed = func(err error) { cfg.Log.Error().Err(err).Msg("the server does not work any more") }
	}
	cfg.AcceptBurst = cmp.Or(cfg.AcceptBurst, cfg.AcceptRate)
	cfg.CompressionThreshold = cmp.Or(cfg.CompressionThreshold, 256)
	switch {
	case cfg.Loops < 1 || cfg.Loops > MaxLoops:
		return fmt.Errorf("netpoll: %d loops; there can be 1 to %d", cfg.Loops, MaxLoops)
	case cfg.Path[0] != '/':
		return fmt.Errorf("netpoll: path %q does not begin with a slash", cfg.Path)
	case cfg.MaxHeaderBytes < 0 || cfg.MaxMessageSize < 0 || cfg.MaxAssemblyMemory < 0 || cfg.HeaderMemory < 0 || cfg.OutboxMemory < 0 || cfg.SocketMemory < 0 || cfg.SocketBuffer < 0 || cfg.MaxPendingBytes < 0 ||
		cfg.CompressionThreshold < 0:
		return errors.New("netpoll: a size below 0")
	case cfg.AcceptRate < 0 || cfg.AcceptBurst < 0:
		return errors.New("netpoll: an accept rate below 0")
	case cfg.MaxHandshaking < 0:
		return errors.New("netpoll: a limit of handshakes below 0")
	case cfg.ResumeFor < 0 || cfg.ResumeBuffer < 0 || cfg.ResumeMemory < 0:
		return errors.New("netpoll: a bound of resumable sessions below 0")
	case cfg.ResumeFor > MaxResumeFor:
		return fmt.Errorf("netpoll: sessions can be resumed for up to %v", MaxResumeFor)
	case cfg.HandshakeTimeout < 0 || cfg.WriteTimeout < 0 || cfg.CloseTimeout < 0:
		return errors.New("netpoll: a timeout below 0")
	}
	return nil
}

// Listen binds a TCP address such as ":40010" (IPv4 and IPv6) or "127.0.0.1:0". It
// must be called before Start, which begins to accept connections.
func (s *Server) Listen(addr string) (net.Addr, error) {
	bound, err := s.acceptor.listen(addr)
	if err == nil && s.handedOff.addr == nil {
		s.handedOff.addr = bound
	}
	return bound, err
}

// Inherit adds a listener that another process, such as systemd, has bound. The
// server owns it from then on, even if Inherit fails.
func (s *Server) Inherit(ln *net.TCPListener) error {
	if err := s.acceptor.inherit(ln); err != nil {
		return errors.Join(err, ln.Close())
	}
	if s.handedOff.addr == nil {
		s.handedOff.addr = ln.Addr()
	}
	return nil
}

// Run runs the loops. Whoever connects before Start waits for that.
func (s *Server) Run() {
	s.started = true
	for _, l := range s.loops {
		s.running.Go(l.run)
	}
}

// Start begins to accept. It runs the loops if Run has not been called.
func (s *Server) Start() error {
	if !s.started {
		s.Run()
	}
	return s.acceptor.start()
}

// StopAccepting closes the listeners. Connections go on.
func (s *Server) StopAccepting() {
	if err := s.acceptor.stop(); err != nil {
		s.cfg.Log.Warn().Err(err).Msg("closing the listeners")
	}
}

// ErrStuck is in the error of Stop if a loop does not end.
var ErrStuck = errors.New("netpoll: an event loop hangs")

// stuckAfter is how long Stop waits for loops that are to end at once.
const stuckAfter = 2 * time.Second

// Stop closes the listeners and all connections, with a close frame, and ends the
// loops and the listener of HandedOff. It returns when the loops' goroutines have
// ended. When ctx is done it drops the connections that are left, and returns ctx's
// error; if a loop hangs in a Handler method or a task, it returns ErrStuck as well,
// two seconds later.
func (s *Server) Stop(ctx context.Context) error {
	s.StopAccepting()
	defer s.handedOff.Close()
	if !s.started {
		for _, l := range s.loops {
			l.poll.close()
		}
		return nil
	}
	for _, l := range s.loops {
		var slot uint32
		l.PostContext(ctx, func(l *Loop) bool { return l.shut(&slot) }) // fails if the loop has ended, or ctx is done: then it is abandoned below
	}
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	for _, l := range s.loops {
		l.abandoned.Store(true)
		l.poll.wake()
	}
	grace := time.NewTimer(stuckAfter)
	defer grace.Stop()
	select {
	case <-ended:
		return ctx.Err()
	case <-grace.C:
		return errors.Join(ctx.Err(), ErrStuck)
	}
}

// HandedOff is the listener of the connections that Config.HandOff let through. They
// begin with the request head. It ends with Stop.
func (s *Server) HandedOff() net.Listener { return s.handedOff }

// Loops returns the loops, by index.
func (s *Server) Loops() []*Loop { return s.loops }

// atOnce is a context that is done: PostContext then does not wait.
var atOnce = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// SetPressure stops reading from all open connections, or goes on with it. It may be
// called from any goroutine; if on is true, from a loop's too.
func (s *Server) SetPressure(on bool) {
	s.pressure.Store(on)
	if on {
		return
	}
	for _, l := range s.loops {
		l.PostContext(atOnce, (*Loop).relieve) // if there is no room, the next tick does it
	}
}

// Prepare makes the forms of f that connections are to share: escaped for those that can be
// resumed, and compressed for those that agreed on compression, once for all whose
// parameters are alike. It must be called before For and before f is sent, and runs on the
// caller's goroutine. A connection for which f has not been escaped makes a form of its own;
// one for which it has not been compressed gets it as it is.
func (s *Server) Prepare(f *Frame) {
	cfg := s.inForce.Load()
	if op, payload := f.Payload(); cfg.resumes() && needsEscape(op, payload) {
		f.escaped = NewFrame(op, escaped(payload))
		s.compress(cfg, f.escaped)
	}
	s.compress(cfg, f)
}

// compress does nothing for control frames, for messages smaller than
// Config.CompressionThreshold, and if nobody agreed on compression.
func (s *Server) compress(cfg *Config, f *Frame) {
	if !cfg.Compression || f.wire.OpCode().IsControl() || len(f.wire.Payload()) < cfg.CompressionThreshold {
		return
	}
	for bits := range s.deflating {
		if s.deflating[bits].Load() > 0 {
			f.wire.Compress(&s.deflater, wire.DeflateParams{WindowBits: uint8(bits)})
		}
	}
}

// Turns is how many turns each loop has had, as last published. A healthy loop has
// one every second, even if nothing happens.
func (s *Server) Turns() []uint64 {
	turns := make([]uint64, len(s.loops))
	for i, l := range s.loops {
		turns[i] = l.snapshot().Turns
	}
	return turns
}

// Stats returns the sums of all loops' counters, as last published.
func (s *Server) Stats() Stats {
	sum := Stats{AcceptErrors: s.acceptor.failures(), AcceptWaits: s.acceptor.waits.Load(), AcceptPauses: s.acceptor.crowded.Load()}
	for _, l := range s.loops {
		t := l.snapshot()
		sum.add(&t)
	}
	for i := range sum.Budgets {
		sum.Budgets[i] = s.ledger.all[i].stats()
	}
	return sum
}
