package command

import (
	"errors"

	"github.com/tidwall/gjson"

	"ws-gateway/admin/budget"
)

// Membership is the body of a join or a leave call.
type Membership struct {
	Whom
	Groups []string
}

var (
	errNoGroups  = errors.New("groups is missing: name those to join or to leave")
	errNoMembers = errors.New("group target is nil: name conns or users, or set all")

	// conn_id is not ignored as unknown members are: in a send it narrows users down to
	// one connection, so a caller may expect that here.
	errConnID = errors.New("conn_id is a member of send alone: name connections in conns")
)

// ParseMembership reads the body of a join or a leave call under the rules of ParseSend.
func ParseMembership(body []byte, mem *budget.Reservation, limit int) (Membership, error) {
	var (
		names = newNames(mem, limit)
		cmd   Membership
	)
	err := eachMember(body, func(name string, v gjson.Result) (err error) {
		switch name {
		case "groups": // not whom it is for, as elsewhere
			cmd.Groups, err = names.ofGroups(v)
		case "conn_id":
			err = refuseConnID(v)
		default:
			err = cmd.read(&names, name, v)
		}
		return err
	})
	switch {
	case err != nil:
		return Membership{}, err
	case len(cmd.Groups) == 0:
		return Membership{}, errNoGroups
	}
	return cmd, cmd.complete(errNoMembers)
}
