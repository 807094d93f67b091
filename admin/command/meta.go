package command

import (
	"errors"

	"github.com/tidwall/gjson"

	"ws-gateway/admin/budget"
)

// Meta is the body of a call that gives connections metadata.
type Meta struct {
	Whom
	JSON string // points into the body
}

var (
	errMetaNobody = errors.New("meta target is nil: name conns, users or groups, or set all")
	errMetaAbsent = errors.New("meta is missing: give a JSON value, or null for none")
)

// ParseMeta reads the body of such a call under the rules of ParseSend.
func ParseMeta(body []byte, mem *budget.Reservation, limit int) (Meta, error) {
	var (
		names = newNames(mem, limit)
		cmd   Meta
	)
	err := eachMember(body, func(name string, v gjson.Result) (err error) {
		switch name {
		case "meta":
			cmd.JSON = v.Raw
		case "conn_id":
			err = refuseConnID(v)
		default:
			err = cmd.read(&names, name, v)
		}
		return err
	})
	if err != nil {
		return Meta{}, err
	}
	if err := cmd.complete(errMetaNobody); err != nil {
		return Meta{}, err
	}
	if cmd.JSON == "" {
		return Meta{}, errMetaAbsent
	}
	return cmd, nil
}

// refuseConnID refuses a conn_id.
func refuseConnID(v gjson.Result) error {
	id, err := stringOf("conn_id", v)
	if err == nil && id != "" {
		err = errConnID
	}
	return err
}
