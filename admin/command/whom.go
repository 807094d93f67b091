package command

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/tidwall/gjson"

	"ws-gateway/hub"
)

// Whom is the part that all commands have in common.
type Whom struct {
	Targets hub.Targets
	Report  bool // the answer says how many were meant
	Local   bool // only of this gateway, if it is one of a cluster
}

var errScope = errors.New(`scope must be "local" or "cluster"`)

// ParseScope reads which gateways' connections a call is about; "" is that of all.
func ParseScope(scope string) (local bool, err error) {
	switch scope {
	case "local":
		return true, nil
	case "cluster", "":
		return false, nil
	}
	return false, errScope
}

// errBeside refuses a command for groups that names connections or users too: it does
// not say whether it means all of them or only those that are in both.
var errBeside = errors.New("groups cannot be combined with conn_id, conns, users or all: use a call for each")

// errRemoteBeside refuses a command for an address that names others too.
var errRemoteBeside = errors.New("remote cannot be combined with conn_id, conns, users, groups or all: use a call for each")

// read reads a member if it belongs to this part.
func (w *Whom) read(names *names, name string, v gjson.Result) (err error) {
	switch t := &w.Targets; name {
	case "conns":
		t.Conns, err = names.of(name, v)
	case "users":
		t.Users, err = names.of(name, v)
	case "groups":
		t.Groups, err = names.ofGroups(v)
	case "exclude":
		t.Exclude, err = names.of(name, v)
	case "all":
		t.All, err = boolOf(name, v)
	case "report":
		w.Report, err = boolOf(name, v)
	case "scope":
		var scope string
		if scope, err = stringOf(name, v); err == nil {
			w.Local, err = ParseScope(scope)
		}
	}
	return err
}

// complete ends the reading. All makes names superfluous. The error is nobody if the
// body names nobody.
func (w *Whom) complete(nobody error) error {
	t := &w.Targets
	t.Conns = withoutEmpty(t.Conns)
	named := t.All || t.Conn != "" || len(t.Conns) > 0 || len(t.Users) > 0
	switch {
	case len(t.Groups) > 0 && named:
		return errBeside
	case len(t.Groups) > 0:
		*t = hub.Targets{Groups: t.Groups, Exclude: t.Exclude}
	case t.All:
		*t = hub.Targets{All: true, Exclude: t.Exclude}
	case !named:
		return nobody
	}
	return nil
}

// completeRemote is complete for a body that names an address.
func (w *Whom) completeRemote(remote string, beside bool) (err error) {
	t := &w.Targets
	if beside || t.All || len(withoutEmpty(t.Conns))+len(t.Users)+len(t.Groups) > 0 {
		return errRemoteBeside
	}
	*t = hub.Targets{Exclude: t.Exclude}
	t.Remote, t.RemotePort, err = ParseRemote(remote)
	return err
}

// ErrRemote is returned for what is no address.
var ErrRemote = errors.New("remote must be an address, with or without its port, or a range such as 192.0.2.0/24")

// ParseRemote reads an address, an address with a port as a list shows it, or a range.
func ParseRemote(text string) (within netip.Prefix, port uint16, err error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		return p, 0, nil
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		with, err := netip.ParseAddrPort(text)
		if err != nil || with.Port() == 0 {
			return netip.Prefix{}, 0, ErrRemote
		}
		addr, port = with.Addr(), with.Port()
	}
	addr = addr.Unmap().WithZone("")
	return netip.PrefixFrom(addr, addr.BitLen()), port, nil
}

func withoutEmpty(ids []string) []string {
	kept := ids[:0]
	for _, id := range ids {
		if id != "" {
			kept = append(kept, id)
		}
	}
	return kept
}
