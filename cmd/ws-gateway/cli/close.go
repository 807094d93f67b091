package cli

import (
	"context"

	"ws-gateway/cmd/ws-gateway/api"
)

// closeOptions are the options of close.
type closeOptions struct {
	Conn    []string `sep:"none" placeholder:"ID" help:"Close this connection. Repeatable."`
	User    []string `sep:"none" placeholder:"NAME" help:"Close all connections of this user. Repeatable."`
	Group   []string `sep:"none" placeholder:"NAME" help:"Close all connections in this group. Repeatable."`
	Remote  string   `placeholder:"ADDRESS" help:"Close all connections from this address, or this range such as 192.0.2.0/24."`
	All     bool     `help:"Close every connection."`
	Exclude []string `sep:"none" placeholder:"ID" help:"But not this connection. Repeatable."`
	Code    int      `default:"1000" help:"Close code: 1000, or 3000 to 4999."`
	Reason  string   `placeholder:"TEXT" help:"Reason, at most 123 bytes."`
	Report  bool     `help:"Say how many connections were meant."`
	nobodyOptions
	changeScope
	JSON bool `name:"json" help:"Print the gateway's answer as it is."`
	gatewayOptions
}

func (o *closeOptions) run(ctx context.Context, s *surroundings) error {
	if o.Remote != "" {
		if o.All || len(o.Conn)+len(o.User)+len(o.Group) > 0 {
			return usagef("--remote means all connections from there: leave the other targets out, or --remote")
		}
	} else if err := (targets{o.All, o.Conn, o.User, o.Group}).check("which connections? --remote ADDRESS,"); err != nil {
		return err
	}
	g, err := o.gateway(s)
	if err != nil {
		return err
	}
	request := api.CloseCommand{Conns: o.Conn, Users: o.User, Groups: o.Group, Remote: o.Remote, All: o.All, Exclude: o.Exclude, Code: o.Code, Reason: o.Reason, Report: o.wantsReport(s, o.Report, o.JSON), Scope: o.scope()}
	a, err := g.answer(g.CloseConnections(ctx, &request))
	return o.finish(s, a, err, request.Report, o.JSON, nobodyIn(o.Group), matchedIf(o.Report))
}
