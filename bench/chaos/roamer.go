package chaos

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// Session is what is known of a session that survives its connections, from the client's
// side. The zero value is that of a client that has not asked for one.
type Session struct {
	Conn    string // its id; "": the client has not heard of it
	Acked   int    // messages that the gateway has said it has
	Resumes int    // times that it went on

	// Of a session that was over when the client came back.
	Over    time.Time     // when it learned that
	Away    time.Duration // for how long it can have been away, at the most
	Unsure  int           // bytes of what it had been sent and the gateway may still have kept
	Closing bool          // it was about to be closed: that, or its loss, is its end
}

// keptOverhead is what a message counts in --resume-buffer beside its bytes, about.
const keptOverhead = 100

// roamer is a client whose session survives its connections, while it lives. All of it is
// one goroutine's; each line's reader is another.
type roamer struct {
	Client  // its session
	cfg     *CrowdConfig
	random  *rand.Rand
	before  []Client // earlier sessions, and handshakes of which it heard nothing
	line    *line    // nil: it is away
	token   string
	plan    roamerPlan
	stage   roamerStage
	present bool      // the senders know of it
	failed  int       // connects, one after the other
	ending  time.Time // since when it wants to part

	// Of the session.
	said    [][]byte // messages that the gateway is not known to have
	got     int      // messages received
	heard   int      // bytes of them, and what is kept with each
	certain int      // of heard: the gateway knows that they have arrived

	// Of the line.
	sent    []time.Time // when messages were written to it: the last len(said)
	alive   time.Time   // the gateway had this line then, or later
	silent  time.Time   // since when nothing has come
	marks   []mark      // acknowledgements that the gateway may not have read
	ackDue  time.Time   // when the next one is to be sent
	since   int         // bytes that came since the last one
	settles bool        // an acknowledgement that was sent since it wants to part has been answered
}

// mark is an acknowledgement on its way.
type mark struct {
	sent  int // messages before it: if the gateway has more, it has read it
	heard int
}

// roamerPlan is what a client is going to do.
type roamerPlan struct {
	messages int
	pace     time.Duration
	next     time.Time // when the next message is due
	patience time.Duration
}

type roamerStage uint8

const (
	talking  roamerStage = iota
	settling             // it waits until the gateway has all that it sent
	closing              // it waits for a close frame, whose code is Client.Code
	over
)

// roam is visit with a session that is resumed as often as its lines are lost. It returns
// what has become of each session that there was, the last one at the end.
func roam(ctx context.Context, cfg *CrowdConfig, user string, random *rand.Rand) []Client {
	r := &roamer{cfg: cfg, random: random}
	r.User, r.Opened = user, time.Now()
	r.plan = roamerPlan{
		messages: random.IntN(60), pace: [...]time.Duration{0, 5, 60, 200}[random.IntN(4)] * time.Millisecond,
		patience: between(random, time.Second, 8*time.Second),
	}
	for r.stage != over {
		if r.stage != talking && time.Since(r.ending) > patience {
			r.broken("it wanted to part, and the gateway has %d of %d messages", r.Acked, r.Sent)
		} else if r.line == nil {
			r.comeBack(ctx)
		} else {
			r.step(ctx)
		}
	}
	r.leave()
	if r.line != nil {
		r.line.end(false)
	}
	return append(r.before, r.Client)
}

func (r *roamer) leave() {
	if r.present {
		r.cfg.Present.left(r.User)
		r.present = false
	}
}

func (r *roamer) broken(format string, args ...any) {
	r.End, r.Trouble, r.stage = Broken, fmt.Sprintf(format, args...), over
}

// lose is the loss of the line.
func (r *roamer) lose(reset bool) {
	r.line.end(reset)
	r.line, r.marks, r.since, r.settles = nil, nil, 0, false
}

// comeBack connects through one of the links, with a token if there is one.
func (r *roamer) comeBack(ctx context.Context) {
	if r.failed > 0 {
		pass(ctx, between(r.random, 0, 200*time.Millisecond))
	} else if r.token != "" && r.random.IntN(12) == 0 {
		pass(ctx, between(r.random, 0, r.cfg.ResumeFor*3/2)) // asleep
	}
	began := time.Now()
	link := r.cfg.Links[r.random.IntN(len(r.cfg.Links))]
	l, g, err := dialLine(link, r.User, r.token, r.got, between(r.random, time.Second, 6*time.Second))
	var bye farewell
	switch refused := ws.StatusError(0); {
	case errors.As(err, &refused) && refused == http.StatusServiceUnavailable:
		r.failed++
	case errors.As(err, &bye):
		r.closed(int(bye))
	case isOdd(err):
		r.broken("handshake: %v", err)
	case err != nil: // whatever the gateway has made of it
		r.before = append(r.before, Client{User: r.User, Opened: began, End: Unheard})
		if r.failed++; r.failed > 1000 {
			r.broken("handshake: %d attempts, the last one: %v", r.failed, err)
		}
	default:
		r.line, r.failed = l, 0
		r.arrive(began, g)
	}
}

// arrive takes the greeting of a line.
func (r *roamer) arrive(began time.Time, g greeting) {
	now := time.Now()
	switch {
	case g.Resumed && (r.token == "" || g.ID != r.Conn):
		r.broken("session %q was resumed as %q", r.Conn, g.ID)
		return
	case g.Resumed && (g.Received < r.Acked || g.Received > r.Sent):
		r.broken("the gateway has %d messages, after %d of %d", g.Received, r.Acked, r.Sent)
		return
	case g.Resumed:
		if r.certain = r.heard; r.End != ByApp {
			r.Resumes++ // otherwise it only gets what it has missed, and its code
		}
	default:
		if r.token != "" {
			r.lost(now)
		}
		r.begin(began, g)
	}
	r.token = g.Token
	r.alive, r.silent, r.ackDue = began, now, now.Add(time.Second)
	r.acknowledged(g.Received)
	r.sent = r.sent[:0]
	for _, m := range r.said {
		r.write(ws.OpText, m)
		r.sent = append(r.sent, time.Now())
	}
	switch {
	case r.stage == closing && r.End == Clean:
		r.closeFrame() // the gateway did not get the one before
	case r.stage != talking:
		r.acknowledge()
	}
}

// lost ends the record of a session that could not be resumed.
func (r *roamer) lost(now time.Time) {
	r.leave()
	if r.Over, r.Away, r.Unsure = now, now.Sub(r.alive), r.heard-r.certain; r.stage == closing {
		r.Closing = true // by a close frame that the gateway may have read, or the app
		r.stage = settling
	} else {
		r.End = Lost
	}
	r.before = append(r.before, r.Client)
}

// begin begins a new session.
func (r *roamer) begin(began time.Time, g greeting) {
	r.Client = Client{User: r.User, Opened: began, There: time.Now(), Session: Session{Conn: g.ID}}
	r.said, r.got, r.heard, r.certain = nil, 0, 0, 0
	if g.Received != 0 {
		r.broken("the gateway has %d messages of a new session", g.Received)
		return
	}
	r.cfg.Present.came(r.User)
	r.present = true
}

// step waits for the next thing to happen, or to do.
func (r *roamer) step(ctx context.Context) {
	due, done := r.ackDue, ctx.Done()
	if dead := r.silent.Add(r.plan.patience); dead.Before(due) {
		due = dead
	}
	if r.stage == talking && r.plan.next.Before(due) {
		due = r.plan.next
	}
	if r.stage != talking {
		done = nil
	}
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case p, ok := <-r.line.pieces:
		if !ok {
			r.lose(false)
			return
		}
		r.silent = time.Now()
		r.take(p)
	case <-timer.C:
		r.act(time.Now())
	case <-done:
		r.part()
	}
}

// act does what is due.
func (r *roamer) act(now time.Time) {
	switch {
	case now.Sub(r.silent) > r.plan.patience:
		r.lose(true)
	case !now.Before(r.ackDue):
		r.acknowledge()
	case r.stage == talking && r.random.IntN(60) == 0:
		r.lose(r.random.IntN(2) == 0)
	case r.stage == talking:
		r.talk(now)
	}
}

// talk sends a message, or begins to part if it has said all.
func (r *roamer) talk(now time.Time) {
	r.plan.next = now.Add(time.Second)
	if r.plan.messages > 0 {
		r.plan.messages--
		if r.plan.pace > 0 {
			r.plan.next = now.Add(between(r.random, 0, 2*r.plan.pace))
		} else {
			r.plan.next = now
		}
	} else if !r.cfg.settled() && r.random.IntN(4) == 0 {
		r.part()
		return
	} // otherwise it goes on, at leisure
	pad := r.random.IntN(200)
	if r.random.IntN(20) == 0 {
		pad = 20_000 + r.random.IntN(40_000) // more than goes out in one write
	}
	if r.random.IntN(2) == 0 {
		r.acknowledge()
	}
	r.said = append(r.said, fmt.Appendf(nil, `{"n":%d,"pad":%q}`, r.Sent, strings.Repeat("x", pad)))
	r.Sent++
	r.sent = append(r.sent, now)
	r.write(ws.OpText, r.said[len(r.said)-1])
}

func (r *roamer) write(op ws.OpCode, payload []byte) {
	if r.line == nil {
		return
	}
	if err := r.line.write(op, payload); err != nil {
		r.lose(true)
	}
}

// acknowledge says how many messages have arrived.
func (r *roamer) acknowledge() {
	r.ackDue, r.since = time.Now().Add(time.Second), 0
	if r.stage == closing && r.End == Clean {
		return // nothing may follow a close frame
	}
	r.marks = append(r.marks, mark{r.Sent, r.heard})
	r.write(ws.OpText, strconv.AppendInt([]byte(recordMark), int64(r.got), 10))
}

// take takes a frame.
func (r *roamer) take(p piece) {
	text := string(p.payload)
	switch {
	case p.op == ws.OpClose && len(p.payload) >= 2:
		r.closed(int(binary.BigEndian.Uint16(p.payload)))
	case p.op == ws.OpClose:
		r.closed(int(ws.StatusNoStatusRcvd))
	case p.op == ws.OpPing:
		r.write(ws.OpPong, p.payload)
	case p.op == ws.OpText && strings.HasPrefix(text, recordMark):
		n, err := strconv.Atoi(text[1:])
		if err != nil || n < r.Acked || n > r.Sent {
			r.broken("the gateway acknowledged %.40q, after %d of %d", text[1:], r.Acked, r.Sent)
			return
		}
		r.acknowledged(n)
		if r.stage == settling && n == r.Sent {
			r.settled()
		}
	case p.op == ws.OpText || p.op == ws.OpBinary:
		r.message(p.payload)
	}
}

// acknowledged notes how many messages the gateway has.
func (r *roamer) acknowledged(n int) {
	if news := n - r.Acked; news > 0 {
		if len(r.sent) >= news && r.line != nil && r.sent[news-1].After(r.alive) {
			r.alive = r.sent[news-1]
		}
		r.said = r.said[news:]
		r.sent = r.sent[min(news, len(r.sent)):]
		r.Acked = n
	}
	for len(r.marks) > 0 && n > r.marks[0].sent {
		r.certain = max(r.certain, r.marks[0].heard)
		r.marks = r.marks[1:]
	}
}

// message takes what the app or a sender has sent.
func (r *roamer) message(payload []byte) {
	r.got++
	r.heard += len(payload) + keptOverhead
	r.since += len(payload)
	var reply Reply
	if json.Unmarshal(payload, &reply) == nil && reply.Event != "" {
		r.Replies = append(r.Replies, reply)
	} else if h, err := hear(payload); err == nil {
		r.Heard = append(r.Heard, h)
	} else {
		r.broken("%v", err)
		return
	}
	if r.since >= 32<<10 || r.got%32 == 0 {
		r.acknowledge()
	}
}

// part begins to end the session.
func (r *roamer) part() {
	r.leave()
	r.ending = time.Now()
	switch r.random.IntN(8) {
	case 0: // it never comes back
		r.End, r.stage = Reset, over
		r.lose(true)
	case 1:
		r.End, r.stage = Left, over
		r.lose(false)
	default:
		r.stage = settling
		r.acknowledge()
	}
}

// settled ends a session of which the gateway has all.
func (r *roamer) settled() {
	if !r.settles {
		r.settles = true // this may have been a sign of life; the next one comes after what was acknowledged
		r.acknowledge()
		return
	}
	r.stage = closing
	if r.random.IntN(4) == 0 {
		r.End, r.Code = ByApp, 4001
		if err := r.cfg.Close(r.User, r.Code); err != nil {
			r.broken("the close call: %v", err)
		}
		return
	}
	r.End, r.Code = Clean, 1000
	if r.random.IntN(2) == 0 {
		r.Code = 4000 + r.random.IntN(1000)
	}
	r.closeFrame()
}

func (r *roamer) closeFrame() {
	r.write(ws.OpClose, ws.NewCloseFrameBody(ws.StatusCode(r.Code), "bye"))
}

// closed takes the gateway's close frame.
func (r *roamer) closed(code int) {
	if r.stage != closing || code != r.Code {
		r.broken("the gateway's close frame says %d, and %d was to come", code, r.Code)
		return
	}
	r.stage = over
	if r.End == ByApp && r.line != nil {
		r.closeFrame() // the gateway may not wait for it
	}
}
