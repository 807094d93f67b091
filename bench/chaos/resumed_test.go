package chaos

import (
	"strings"
	"testing"
	"time"
)

// resumed is wellDone of clients whose sessions went on: a's user has had an earlier session
// too, o, of which it never heard, because the answer to its handshake was lost.
func resumed() Evidence {
	e := wellDone()
	e.Sessions = true
	for i, conn := range []string{"a", "b"} {
		e.Clients[i].Session = Session{Conn: conn, Acked: 3, Resumes: 2}
	}
	e.Clients = append(e.Clients, Client{User: "user of a", Opened: noon, End: Unheard})
	end := event("o", 2, 2)
	end.User, end.Code, end.Initiator = "user of a", 1006, "network"
	begin := event("o", 1, 2)
	begin.User = "user of a"
	e.Posts = append(e.Posts, post(9, 1, Acked, begin), post(9, 1, Acked, end))
	return e
}

func TestTheAuditOfSessionsNoticesEachWayToFail(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(e *Evidence)
		want  string // "": nothing
	}{
		{"nothing", func(*Evidence) {}, ""},
		{"a connection that nobody knows", func(e *Evidence) { e.Clients = e.Clients[:2] }, "1 connections of user of a that no client knows, and 0 handshakes had no answer"},
		{"a handshake that never arrived", func(e *Evidence) { e.Clients = append(e.Clients, e.Clients[2]) }, ""},
		{"a message of a connection that nobody knows", func(e *Evidence) {
			stray := event("o", 2, 5)
			stray.User = "user of a"
			e.Posts[14].Events[0].ID = "o-3"
			e.Posts = append(e.Posts[:14], post(9, 1, Acked, stray), e.Posts[14])
		}, "user of a sent 0 messages, and the app got 1"},
		{"one that nobody knows, closed with its user's", func(e *Evidence) { e.Posts[14].Events[0].Code, e.Posts[14].Events[0].Initiator = 4001, "app" }, ""},
		{"one that nobody knows, closed by its client", func(e *Evidence) { e.Posts[14].Events[0].Initiator = "client" }, "1006 by the client"},
		{"a session that the app has not heard of", func(e *Evidence) { e.Posts = e.Posts[:13]; e.Clients[1].Conn = "c" }, "never heard of it"},
		{"a message that was acknowledged and is lost", func(e *Evidence) {
			e.Clients[0].Sent, e.Clients[0].Acked, e.Clients[0].End = 5, 4, Reset
			e.Posts[9].Events[0].Code, e.Posts[9].Events[0].Initiator = 1006, "network"
		}, "acknowledged 4 messages of user of a, and the app got 3"},
		{"a reply to another session of the same user", func(e *Evidence) {
			e.Replies = true
			e.Clients[0].Replies = []Reply{{"o-1", 1}}
		}, "was sent what was not for it"},
		{"a session that was lost as it was to be closed", func(e *Evidence) {
			e.Clients[0].Closing = true
			e.Posts[9].Events[0].Code, e.Posts[9].Events[0].Initiator = 1006, "network"
		}, ""},
		{"one that was lost and says that the client closed it", func(e *Evidence) { e.Clients[0].End = Lost }, "its close event says 1000 by the client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := resumed()
			c.spoil(&e)
			says(t, e, c.want)
		})
	}
}

func TestASessionThatDidNotGoOnNeedsAReason(t *testing.T) {
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	senders := []*Sender{{Sends: []Send{
		{Users: []string{"ann"}, Began: at(1), Size: 600}, {Users: []string{"bob"}, Began: at(2), Size: 5000}, {Users: []string{"ann"}, Began: at(3), Size: 600},
		{Users: []string{"ann"}, Began: at(9), Size: 5000},
	}}}
	for _, c := range []struct {
		name  string
		spoil func(c *Client, b *Bounds)
		want  string // "": nothing
	}{
		{"away for long", func(c *Client, _ *Bounds) { c.Away = 3 * time.Second }, ""},
		{"away for less", func(c *Client, _ *Bounds) { c.Away = 3*time.Second - 1 }, "ann lost the session a after 3s at the most, with 900 bytes to be kept for it at the most"},
		{"closing", func(c *Client, _ *Bounds) { c.Closing = true }, ""},
		{"sent too much, and heard nothing of it", func(c *Client, b *Bounds) { c.Heard = nil; b.Overruns = 1 }, ""},
		{"sent too much, and has not acknowledged it", func(c *Client, b *Bounds) { c.Unsure = 200; b.Overruns = 1 }, ""},
		{"sent too much, as far as it knows", func(c *Client, b *Bounds) { c.Heard = nil }, "the gateway counts 0 overruns"},
		{"more are missed than there were", func(c *Client, b *Bounds) { c.Away, b.Missed = 3*time.Second, 3 }, "counts 3 clients that came back to no session; 1 know of it"},
		{"the gateway knows of none", func(c *Client, b *Bounds) { c.Away, b.Missed = 3*time.Second, 0 }, "counts 0 clients that came back to no session"},
		{"more went on than there were", func(c *Client, b *Bounds) { c.Away, b.Resumed = 3*time.Second, 8 }, "counts 8 sessions that went on"},
		{"tokens are forgotten", func(c *Client, b *Bounds) { c.Away, b.Forged = 3*time.Second, 1 }, "did not know 1 tokens"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ann := Client{User: "ann", Opened: at(0), End: Lost, Heard: []Heard{{0, 0}}, Session: Session{Conn: "a", Resumes: 6, Over: at(5)}}
			b := Bounds{ResumeFor: 3 * time.Second, ResumeBuffer: 1000, Resumed: 7, Missed: 1}
			c.spoil(&ann, &b)
			r := AuditSessions([]Client{ann, {User: "ann", End: Unheard}}, senders, b)
			if said := strings.Join(r.Broken, "\n"); !strings.Contains(said, c.want) || c.want == "" && said != "" {
				t.Errorf("it says %q, nothing of %q", said, c.want)
			}
			if r.Sessions != 1 || r.Resumed != 6 || r.Unheard != 1 || r.Expired+r.Overrun+r.Ended != 1 {
				t.Errorf("%+v", r)
			}
		})
	}
}
