package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// natsServerCommand is what scenarios of clusters start.
type natsServerCommand struct{}

// Run serves at a free port of 127.0.0.1 until ctx is done.
func (c *natsServerCommand) Run(ctx context.Context, io *streams) error {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		return err
	}
	go s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(time.Minute) {
		return errors.New("the NATS server does not start")
	}
	fmt.Fprintln(io.out, s.Addr())
	<-ctx.Done()
	return nil
}
