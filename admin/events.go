package admin

import (
	"errors"
	"strconv"

	"github.com/valyala/fasthttp"

	"ws-gateway/hub"
)

// Events a second.
const (
	usualEventRate   = 100
	highestEventRate = 1000
)

// events streams what happens to connections, a JSON object a line:
//
//	{"time":"…","action":"open","user_name":"alice","conn_id":"…","remote_addr":"…"}
//	{"time":"…","action":"message","user_name":"alice","conn_id":"…","size":17}
//	{"time":"…","action":"close","user_name":"alice","conn_id":"…","code":1001,"reason":"","initiator":"client"}
//	{"dropped":120}
//	{"missing":["gateway-b"]}
//	{"time":"…","action":"heartbeat"}
//
// The actions are open, message, ping (the client's ping message; only if it is asked
// for), send and close. ?user=, ?conn_id=, ?group= and ?action=, each repeatable, select
// events; ?group= those of connections that are in the group at that moment.
// ?payload=1 adds the data and, as in callbacks, its encoding; data is cut at 1 KiB, and
// truncated says so. ?rate= bounds the events a second, on average and in one go. Events
// above it, and those that the reader is too slow for, are left out and counted. The
// stream begins with a heartbeat, and has another one after 10 s without a line. It ends
// with the reader, with the gateway, and when the reader takes nothing for 10 s.
//
// Of several gateways it has the events of all, unless ?scope= says otherwise, each with
// the name of its instance. Those whose events are missing are named whenever they change.
func (s *Server) events(ctx *fasthttp.RequestCtx, t target) outcome {
	q, err := s.parseEventQuery(t.query)
	if err != nil {
		return answerInvalid(ctx, fasthttp.StatusBadRequest, err.Error())
	}
	if !ctx.Request.Header.IsHTTP11() {
		return answerRefusal(ctx, refusal{fasthttp.StatusHTTPVersionNotSupported, "a stream of events needs HTTP/1.1"}, false)
	}
	ctx.SetConnectionClose()
	if ctx.IsHead() {
		return answer(ctx, linesType, nil)
	}
	revoked, no := s.letIn(ctx, t.route)
	if no.Status != 0 {
		return answerRefusal(ctx, no, false)
	}
	stream := &eventStream{server: s, route: t.route, conn: ctx.Conn(), rate: q.rate, revoked: revoked}
	if err := stream.open(&q); err != nil {
		return answerRefusal(ctx, refusal{fasthttp.StatusServiceUnavailable, "too many streams of events are open, " + strconv.Itoa(hub.MaxTaps) + " at most: end another one"}, false)
	}
	setHead(ctx, linesType)
	ctx.Response.SetBodyStream(stream, -1)
	return streamed
}

type eventQuery struct {
	filter hub.TapFilter
	in     scope
	rate   int
}

var errEventRate = errors.New("rate must be a number of events a second from 1 to " + strconv.Itoa(highestEventRate))

func (s *Server) parseEventQuery(query []byte) (eventQuery, error) {
	args := fasthttp.AcquireArgs()
	defer fasthttp.ReleaseArgs(args)
	args.ParseBytes(query)
	q := eventQuery{rate: usualEventRate}
	for _, user := range args.PeekMulti("user") {
		q.filter.Users = append(q.filter.Users, string(user))
	}
	for _, id := range args.PeekMulti("conn_id") {
		if len(id) == 0 {
			return eventQuery{}, errors.New("conn_id is empty: name a connection, or leave it out")
		}
		q.filter.Conns = append(q.filter.Conns, string(id))
	}
	var err error
	if q.filter.Groups, err = groupsIn(args); err != nil {
		return eventQuery{}, err
	}
	for _, name := range args.PeekMulti("action") {
		a, ok := hub.ParseTapAction(string(name))
		if !ok {
			return eventQuery{}, errors.New("action must be open, message, ping, send or close")
		}
		q.filter.Actions = append(q.filter.Actions, a)
	}
	if q.in, err = s.scopeIn(args); err != nil {
		return eventQuery{}, err
	}
	if args.Has("payload") {
		switch string(args.Peek("payload")) {
		case "1", "true":
			q.filter.Payload = true
		case "0", "false":
		default:
			return eventQuery{}, errors.New("payload must be 1 or 0")
		}
	}
	if args.Has("rate") {
		n, err := strconv.Atoi(string(args.Peek("rate")))
		if err != nil || n < 1 || n > highestEventRate {
			return eventQuery{}, errEventRate
		}
		q.rate = n
	}
	return q, nil
}
