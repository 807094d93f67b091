package chaos

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// answer deals with a Post that has been read, as the dice want it, and reports
// whether the connection goes on.
func (s *session) answer(post int, p *Post) (goesOn bool) {
	calm, isBusy := s.app.mood()
	ok := s.body(p)
	switch {
	case s.spoilt:
		s.decide(post, none, MaybeAcked, false)
		s.app.log.blind(none, 1)
		s.send(post, plain(200, ok))
		return false
	case calm:
		s.decide(post, none, Acked, true)
		return s.send(post, plain(200, ok))
	case isBusy:
		s.decide(post, none, Retryable, false)
		return s.send(post, plain(503, "busy"))
	}
	return s.perform(post, s.app.cfg.Temper.ofRequest().pick(s.random, shareOfRequest), ok)
}

// perform answers a Post with a fault; ok is the body of a good answer.
func (s *session) perform(post int, fault Fault, ok string) (goesOn bool) {
	switch fault {
	case lengthTooShort, bodyTooLong, headTooLong:
		s.spoilt = s.pipelined() // what follows on its heels is not read, or taken for something else
	}
	switch fault {
	case resetRead, hang, closeAnswered, resetAnswered, announcedToEnd:
		return s.breakOff(post, fault, ok)
	case retryStatus:
		s.decide(post, fault, Retryable, false)
		return s.send(post, s.retryable())
	case finalStatus:
		s.decide(post, fault, Refused, false)
		return s.send(post, s.final())
	case trickle, trickleTooSlow:
		return s.drip(post, fault, ok)
	case lengthTooLong:
		s.decide(post, fault, Acked, false)
		if s.send(post, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(ok)+s.random.IntN(100)+1, ok)) {
			s.outwait(false)
		}
		return false
	case straysAnswered:
		s.decide(post, fault, Acked, true)
		s.spoilt = true
		return s.send(post, plain(200, ok)) && s.send(post, "\r\nand another thing\r\n\r\n")
	default:
		return s.say(post, fault, ok)
	}
}

// decide notes what the App does about a Post; replies says whether the answer has
// a body that clients must get.
func (s *session) decide(post int, f Fault, a Answer, replies bool) {
	s.app.log.decide(post, f, a, replies && s.app.cfg.Replies)
}

// body is that of a good answer: if it goes to a client it names the event.
func (s *session) body(p *Post) string {
	if !s.app.cfg.Replies {
		return `{"code":0}`
	}
	return fmt.Sprintf(`{"re":%q,"attempt":%d}`, p.Events[0].ID, p.Number)
}

func plain(status int, body string) string {
	return fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", status, http.StatusText(status), len(body), body)
}

func (s *session) retryable() string {
	statuses := [...]int{408, 425, 429, 429, 500, 502, 503, 503, 504, 599}
	status := statuses[s.random.IntN(len(statuses))]
	wish := ""
	if status == 429 || status == 503 {
		wish = [...]string{
			"", "Retry-After: 0\r\n", "Retry-After: 1\r\n", "Retry-After: later\r\n",
			"Retry-After: " + time.Now().Add(time.Second).UTC().Format(http.TimeFormat) + "\r\n",
		}[s.random.IntN(5)]
	}
	return fmt.Sprintf("HTTP/1.1 %d %s\r\n%sContent-Length: 5\r\n\r\nlater", status, http.StatusText(status), wish)
}

func (s *session) final() string {
	statuses := [...]int{300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 409, 410, 413, 418, 422, 451, 499}
	status := statuses[s.random.IntN(len(statuses))]
	if status == 304 {
		return "HTTP/1.1 304 Not Modified\r\n\r\n"
	}
	return fmt.Sprintf("HTTP/1.1 %d %s\r\nLocation: /elsewhere\r\nContent-Length: 2\r\n\r\nno", status, http.StatusText(status))
}

// breakOff ends the connection around an answer.
func (s *session) breakOff(post int, f Fault, ok string) (goesOn bool) {
	switch f {
	case resetRead:
		s.decide(post, f, Unanswered, false)
		s.cut()
	case hang:
		s.decide(post, f, Unanswered, false)
		s.outwait(true)
	case closeAnswered:
		s.decide(post, f, Acked, true)
		s.app.log.blind(none, 1)
		s.send(post, plain(200, ok))
	case resetAnswered:
		s.decide(post, f, MaybeAcked, false)
		s.app.log.blind(none, 1)
		s.send(post, plain(200, ok))
		s.cut()
	case announcedToEnd:
		s.decide(post, f, Acked, true)
		s.send(post, fmt.Sprintf("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(ok), ok))
	}
	return false
}

// drip answers byte by byte.
func (s *session) drip(post int, f Fault, ok string) (goesOn bool) {
	text := plain(200, ok)
	each := s.app.cfg.Timeout / 4 / time.Duration(len(text))
	if f == trickleTooSlow {
		text = "HTTP/1.1 200 OK\r\n"
		each = s.app.cfg.Timeout / 8
		s.decide(post, f, Unanswered, false)
	} else {
		s.decide(post, f, Acked, true)
	}
	began := time.Now()
	for i := range text {
		time.Sleep(each) //nolint:forbidigo // an app that is slow on purpose
		part := text[i : i+1]
		if f == trickle && time.Since(began) > s.app.cfg.Timeout/3 {
			part = text[i:] // on a busy machine each byte takes longer, and this answer is to be in time
		}
		if s.deserted() || !s.send(post, part) {
			// Of an answer that was on its way the gateway may have understood enough, or
			// not: it was too late after all.
			if f == trickle {
				s.app.log.doubt(post)
			}
			s.outwait(f == trickleTooSlow)
			return false
		}
		if len(part) > 1 {
			break
		}
	}
	if f == trickleTooSlow {
		s.outwait(true)
		return false
	}
	return true
}

// verbatim is an answer that is a mere matter of bytes, and what it means.
type verbatim struct {
	text    string
	answer  Answer
	replies bool // its body goes to a client
	goesOn  bool // the connection does
}

// success is a 2xx other than 200.
func (s *session) success(ok string) verbatim {
	statuses := [...]int{201, 202, 203, 204, 205, 206, 226, 299}
	switch status := statuses[s.random.IntN(len(statuses))]; status {
	case 204:
		return verbatim{"HTTP/1.1 204 No Content\r\n\r\n", Acked, false, true}
	case 205:
		return verbatim{plain(status, ""), Acked, false, true}
	default:
		return verbatim{plain(status, ok), Acked, true, true}
	}
}

// say writes an answer that is a mere matter of bytes.
func (s *session) say(post int, f Fault, ok string) (goesOn bool) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
	sized := fmt.Sprintf("%sContent-Length: %d\r\n\r\n", head, len(ok))
	chunk := fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n", head, 5, ok[:5], len(ok)-5, ok[5:])
	says, known := map[Fault]verbatim{
		none:           {plain(200, ok), Acked, true, true},
		otherSuccess:   s.success(ok),
		interim:        {strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n", 1+s.random.IntN(5)) + plain(200, ok), Acked, true, true},
		cutStatus:      {"HTTP/1.1 200 OK"[:s.random.IntN(12)], Unanswered, false, false},
		cutHead:        {head[:20+s.random.IntN(20)], MaybeAcked, false, false},
		cutBody:        {sized + ok[:s.random.IntN(len(ok))], Acked, false, false},
		lengthTooShort: {sized + ok + " and then some", Acked, true, true},
		lengthGarbage:  {head + "Content-Length: about ten\r\n\r\n" + ok, Acked, false, false},
		chunked:        {chunk + "0\r\n\r\n", Acked, true, true},
		chunksCut:      {chunk, Acked, false, false},
		chunksGarbage:  {head + "Transfer-Encoding: chunked\r\n\r\nmany\r\n" + ok, Acked, false, false},
		notHTTP:        {"220 mail.example.org ESMTP\r\n\r\n", Unanswered, false, false},
		untilClose:     {"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + ok, Acked, true, false},
		bodyTooLong:    {fmt.Sprintf("%sContent-Length: 100000\r\n\r\n%s", head, strings.Repeat("x", 100_000)), Acked, false, true},
		headTooLong:    {head + "X-Long: " + strings.Repeat("x", 20_000) + "\r\nContent-Length: 0\r\n\r\n", Acked, false, true},
	}[f]
	if !known {
		panic("BUG: nothing is said for " + f.String())
	}
	s.decide(post, f, says.answer, says.replies)
	return s.send(post, says.text) && says.goesOn
}
