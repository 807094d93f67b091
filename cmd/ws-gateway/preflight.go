package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/rs/zerolog"

	"ws-gateway/admin/listen"
	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/host"
	"ws-gateway/cmd/ws-gateway/internal/address"
	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/forward/journal"
)

// preflight looks at all that a start needs beside a valid configuration, and leaves
// nothing behind. What it passes can start; what it finds is also what a start that
// has failed says, so that everything can be mended at once.
func preflight(c *config.Config, around *host.Limits) []finding.Finding {
	connections := around.Connections(c.Demand())
	found := addressFindings(c.Bindings())
	found = append(found, around.Judge(c.Demand(), connections)...)
	found = append(found, fileFindings(c.Outputs())...)
	if err := tryParts(c, around); err != nil {
		found = append(found, finding.New("configuration", finding.Fail, err.Error(), ""))
	}
	return found
}

// tryParts makes the gateway's parts as a start does, but for the files, and lets go
// of them.
func tryParts(c *config.Config, around *host.Limits) error {
	g := emptyGateway(c.WithoutOutputs(), zerolog.Nop(), nil)
	g.around = *around
	err := g.build()
	g.discard()
	return err
}

// startFailures is all that keeps a gateway from starting, a line for each, where
// err is what it stumbled over.
func startFailures(c *config.Config, err error) error {
	around, lookErr := host.LookAround(c.MemoryShare)
	if lookErr != nil {
		return err
	}
	if all := finding.Failures(preflight(c, &around)); all != nil {
		return all
	}
	return err // it has gone away meanwhile
}

// fileFindings looks whether what the gateway writes can be written.
func fileFindings(c config.Outputs) (found []finding.Finding) {
	if c.Journal != "" {
		f := host.Writable("journal", c.Journal, true, "")
		if err := journal.InUse(c.Journal); err != nil && f.State == finding.OK {
			f = finding.New("journal", finding.Fail, err.Error(), "stop the other gateway, or choose another folder with --journal")
		}
		found = append(found, f)
	}
	if c.DeadLetter != "" {
		found = append(found, host.Writable("dead-letter", c.DeadLetter, false, c.Journal))
	}
	return found
}

// addressFindings binds what the gateway would, all of it at once, and lets go of
// it.
func addressFindings(bindings []config.Binding) (found []finding.Finding) {
	bound := map[string]string{} // address by option
	for _, b := range bindings {
		if b.Inherited {
			continue
		}
		ln, err := listen.On(b.Addr)
		if err != nil {
			found = append(found, finding.New(b.Option, finding.Fail, takenByUs(b, bound, err).Error(), ""))
			continue
		}
		defer ln.Close()
		bound[b.Option] = ln.Addr().String()
		found = append(found, finding.New(b.Option, finding.OK, b.Addr+" is free", ""))
	}
	return found
}

// takenByUs is the error about an address that cannot be bound, which may be because
// another of our listeners has it, under another name.
func takenByUs(b config.Binding, bound map[string]string, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return listenError(b.Option, b.Addr, err)
	}
	addr := b.Addr
	if tcp, err := net.ResolveTCPAddr("tcp", addr); err == nil {
		addr = tcp.String()
	}
	for option, taken := range bound {
		if address.Clash(addr, taken) {
			return fmt.Errorf("address %s is that of --%s as well; choose another with --%s", b.Addr, option, b.Option)
		}
	}
	return listenError(b.Option, b.Addr, err)
}
