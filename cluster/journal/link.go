package journal

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// link is the connection to NATS. Its client connects anew by itself, but some complaints of a
// server end it for good; then there is another one, when somebody next needs it.
type link struct {
	connect func() (*nats.Conn, error)
	log     zerolog.Logger
	made    func(*nats.Conn) // called for each one

	mu    sync.Mutex // guards following
	js    jetstream.JetStream
	tried time.Time // when the last client was made, or could not be
}

// relinkEvery is the time between two clients at the least: what has ended one may end the next.
const relinkEvery = time.Second

// jetStream returns JetStream at the client that there is; that of one that has ended, if it is
// too early for another. It may take as long as an attempt to connect.
func (l *link) jetStream() (jetstream.JetStream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.js != nil && (!l.js.Conn().IsClosed() || time.Since(l.tried) < relinkEvery) {
		return l.js, nil
	}
	l.tried = time.Now()
	conn, err := l.connect()
	if err != nil {
		return nil, err
	}
	l.made(conn)
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	if l.js != nil && conn.IsConnected() {
		l.log.Info().Msg("the cluster's journal has a new connection to NATS")
	}
	l.js = js
	return js, nil
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.js != nil {
		l.js.Conn().Close()
	}
}
