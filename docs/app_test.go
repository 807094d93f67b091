package docs_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"ws-gateway/e2e/harness"
)

// stage is the app of an example. It keeps each callback as it came, byte for
// byte, and answers what the example says: until then the gateway waits.
type stage struct {
	t        *testing.T
	listener net.Listener
	serving  sync.WaitGroup

	harness.Watched // guards the following
	heard           []*heard
	lenient         bool // answer at once
	over            bool
	conns           map[net.Conn]struct{}
}

// heard is a callback.
type heard struct {
	raw          string // with plain line ends
	action, user string // of its first event
	matched      bool   // an example has shown it
	answer       chan string
	answered     bool
}

const plainly = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

func startStage(t *testing.T) *stage {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, listener: listener, conns: make(map[net.Conn]struct{})}
	s.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.Mu.Lock()
			s.conns[conn] = struct{}{}
			s.Mu.Unlock()
			s.serving.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(s.close)
	return s
}

func (s *stage) close() {
	s.listener.Close()
	s.Mu.Lock()
	s.over = true
	for conn := range s.conns {
		conn.Close()
	}
	for _, h := range s.heard {
		s.sayLocked(h, plainly)
	}
	s.Mu.Unlock()
	s.serving.Wait()
}

func (s *stage) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		raw, err := readCallback(in)
		if err != nil {
			return
		}
		if _, err := conn.Write([]byte(<-s.hear(raw).answer)); err != nil {
			return
		}
	}
}

// readCallback reads a request as it was sent.
func readCallback(in *bufio.Reader) (raw string, err error) {
	var head bytes.Buffer
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return "", err
		}
		head.Write(line)
		if len(line) == 2 {
			break
		}
	}
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head.Bytes())))
	if err != nil {
		return "", err
	}
	body := make([]byte, request.ContentLength)
	for n := 0; n < len(body); {
		m, err := in.Read(body[n:])
		if n += m; err != nil {
			return "", err
		}
	}
	return strings.ReplaceAll(head.String(), "\r\n", "\n") + string(body), nil
}

var (
	whose     = regexp.MustCompile(`"action":"(\w+)","user_name":"([^"]*)"`)
	whoOpened = regexp.MustCompile(`"action":"open","user_name":"([^"]*)","conn_id":"([^"]*)"`)
)

func (s *stage) hear(raw string) *heard {
	h := &heard{raw: raw, answer: make(chan string, 1)}
	if err := describedCallback(raw); err != nil {
		s.t.Errorf("openapi.yaml: a callback: %v\n%s", err, raw)
	}
	if m := whose.FindStringSubmatch(raw); m != nil {
		h.action, h.user = m[1], m[2]
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.heard = append(s.heard, h)
	if s.lenient || s.over {
		s.sayLocked(h, plainly)
	}
	s.Changed()
	return h
}

func (s *stage) sayLocked(h *heard, answer string) {
	if !h.answered {
		h.answered = true
		h.answer <- answer
	}
}

func (s *stage) say(h *heard, answer string) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.sayLocked(h, answer)
}

// relent answers whatever comes, and has come, plainly, or no longer does.
func (s *stage) relent(lenient bool) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.lenient = lenient
	for _, h := range s.heard {
		if lenient {
			s.sayLocked(h, plainly)
		}
	}
}

// next returns the first callback of that action and user that no example has
// shown yet. Others that come meanwhile are answered plainly.
func (s *stage) next(action, user string) (found *heard, err error) {
	if !s.Await(harness.Patience, func() bool {
		for _, h := range s.heard {
			if !h.matched && h.action == action && h.user == user {
				h.matched = true
				found = h
				return true
			}
		}
		for _, h := range s.heard {
			if !h.matched {
				s.sayLocked(h, plainly)
			}
		}
		return false
	}) {
		return nil, fmt.Errorf("no %s of %q has come", action, user)
	}
	return found, nil
}

// opened returns the ids of the connections that the app knows of, by user, once
// there are n of this user.
func (s *stage) opened(user string, n int) (ids []string, err error) {
	if !s.Await(harness.Patience, func() bool {
		ids = ids[:0]
		seen := map[string]bool{}
		for _, h := range s.heard {
			for _, m := range whoOpened.FindAllStringSubmatch(h.raw, -1) {
				if m[1] == user && !seen[m[2]] {
					seen[m[2]] = true
					ids = append(ids, m[2])
				}
			}
		}
		return len(ids) >= n
	}) {
		return nil, fmt.Errorf("%q has opened %d connections, want %d", user, len(ids), n)
	}
	return ids, nil
}
