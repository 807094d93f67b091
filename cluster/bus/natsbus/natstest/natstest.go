// Package natstest runs NATS servers inside of tests, and stops and restarts them.
package natstest

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Server is a NATS server on a loopback port, which stays the same when it is restarted.
type Server struct {
	tb      testing.TB
	options server.Options
	running *server.Server
}

// Start starts a server, which ends with the test. change, which may be nil, changes its
// options.
func Start(tb testing.TB, change func(*server.Options)) *Server {
	s := &Server{tb: tb, options: server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true}}
	if change != nil {
		change(&s.options)
	}
	s.Restart()
	tb.Cleanup(s.Stop)
	return s
}

// Restart starts a server that has been stopped.
func (s *Server) Restart() {
	s.tb.Helper()
	options := s.options // a server writes into its options
	running, err := server.NewServer(&options)
	if err != nil {
		s.tb.Fatal(err)
	}
	go running.Start()
	if !running.ReadyForConnections(time.Minute) {
		s.tb.Fatal("the NATS server does not start")
	}
	s.running = running
	s.options.Port = options.Port
}

// Change changes the options of a server: at once if it runs, for which its port must stay
// the same, or else for when it is restarted. MaxControlLine must not change while it runs:
// the server writes it while its clients' goroutines read it.
func (s *Server) Change(change func(*server.Options)) {
	s.tb.Helper()
	change(&s.options)
	if s.running == nil {
		return
	}
	options := s.options
	if err := s.running.ReloadOptions(&options); err != nil {
		s.tb.Fatal(err)
	}
}

// Stop ends the server; nothing of it is left.
func (s *Server) Stop() {
	if s.running != nil {
		s.running.Shutdown()
		s.running.WaitForShutdown()
		s.running = nil
	}
}

// URL is where clients connect.
func (s *Server) URL() string { return s.running.ClientURL() }

// SlowConsumers is how many clients the server has cut since its start because they did
// not read.
func (s *Server) SlowConsumers() int64 { return s.running.NumSlowConsumers() }
