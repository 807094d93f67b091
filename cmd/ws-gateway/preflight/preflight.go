package preflight

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"ws-gateway/admin/listen"
	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/gateway"
	"ws-gateway/cmd/ws-gateway/host"
	"ws-gateway/cmd/ws-gateway/internal/address"
	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/cmd/ws-gateway/internal/statefile"
	"ws-gateway/forward/journal"
)

// Run looks at all that a start needs beside a valid configuration, and leaves nothing
// behind. limits are those of this host.
func Run(c *config.Config, limits *host.Limits) []finding.Finding {
	connections := limits.Connections(c.Demand())
	found := Addresses(c.Bindings())
	found = append(found, limits.Judge(c.Demand(), connections)...)
	found = append(found, Files(c.Outputs())...)
	if err := gateway.Try(c, limits); err != nil {
		found = append(found, finding.New("configuration", finding.Fail, err.Error(), ""))
	}
	return found
}

// Failures is all that keeps a gateway from starting, a line for each. err is what
// ended its start.
func Failures(c *config.Config, err error) error {
	limits, lookErr := host.LookAround(c.MemoryShare)
	if lookErr != nil {
		return err
	}
	if all := finding.Failures(Run(c, &limits)); all != nil {
		return all
	}
	return err // the cause is gone by now
}

// Files looks whether the gateway can write its files.
func Files(paths config.Outputs) (found []finding.Finding) {
	if paths.Journal != "" {
		f := host.Writable("journal", paths.Journal, true, "")
		if err := journal.InUse(paths.Journal); err != nil && f.State == finding.OK {
			f = finding.New("journal", finding.Fail, err.Error(), "stop the other gateway, or choose another folder with --journal")
		}
		found = append(found, f)
	}
	if paths.ResumeState != "" {
		f := host.Writable("resume-state", paths.ResumeState, false, paths.Journal)
		if f.State == finding.OK { // it is written aside: the folder counts
			if aside := host.Writable("resume-state", paths.ResumeState+".new", false, paths.Journal); aside.State != finding.OK {
				f = aside
			}
		}
		if err := statefile.Usable(paths.ResumeState); err != nil {
			f = finding.New("resume-state", finding.Fail, err.Error(), "remove it, or choose another file with --resume-state")
		}
		if f.State == finding.OK {
			f = shared(paths.ResumeState, f)
		}
		found = append(found, f)
	}
	if paths.DeadLetter != "" {
		found = append(found, host.Writable("dead-letter", paths.DeadLetter, false, paths.Journal))
	}
	return found
}

// shared looks whether another gateway uses the file of sessions.
func shared(path string, otherwise finding.Finding) finding.Finding {
	switch err := statefile.InUse(path); {
	case errors.Is(err, statefile.ErrInUse):
		return finding.New("resume-state", finding.Fail, err.Error(), "give each gateway a file of its own with --resume-state; one that is stopping must have ended first")
	case err != nil:
		return finding.New("resume-state", finding.Warn, err.Error(), "make sure that each gateway has a file of its own, and that one ends before the next starts")
	default:
		return otherwise
	}
}

// Addresses binds all addresses that the gateway would bind, and closes them again.
func Addresses(bindings []config.Binding) (found []finding.Finding) {
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

// takenByUs is the error about an address that cannot be bound, perhaps because another
// listener of the gateway has it under another name.
func takenByUs(b config.Binding, bound map[string]string, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return gateway.ListenError(b.Option, b.Addr, err)
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
	return gateway.ListenError(b.Option, b.Addr, err)
}
