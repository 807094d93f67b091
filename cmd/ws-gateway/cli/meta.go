package cli

import (
	"context"
	"encoding/json"

	"ws-gateway/cmd/ws-gateway/api"
)

// metaOptions are the options of meta.
type metaOptions struct {
	Meta    string   `arg:"" placeholder:"JSON" ask:"which metadata? JSON such as '{\"room\":1}', or null for none" help:"The metadata, such as '{\"room\":1}'; null for none."`
	Conn    []string `sep:"none" placeholder:"ID" help:"This connection. Repeatable."`
	User    []string `sep:"none" placeholder:"NAME" help:"All connections that this user has now. Repeatable."`
	Group   []string `sep:"none" placeholder:"NAME" help:"All connections in this group. Repeatable."`
	All     bool     `help:"Every connection that is there now."`
	Exclude []string `sep:"none" placeholder:"ID" help:"But not this connection. Repeatable."`
	Report  bool     `help:"Say how many connections were meant."`
	nobodyOptions
	changeScope
	JSON bool `name:"json" help:"Print the gateway's answer as it is."`
	gatewayOptions
}

func (o *metaOptions) run(ctx context.Context, s *surroundings) error {
	if err := (targets{o.All, o.Conn, o.User, o.Group}).check("which connections?"); err != nil {
		return err
	}
	if !json.Valid([]byte(o.Meta)) {
		return usagef(`the metadata must be JSON, such as '{"room":1}' or '"text"'; null for none`)
	}
	g, err := o.gateway(s)
	if err != nil {
		return err
	}
	request := api.MetaCommand{Conns: o.Conn, Users: o.User, Groups: o.Group, All: o.All, Exclude: o.Exclude, Meta: json.RawMessage(o.Meta), Scope: o.scope()}
	a, err := g.answer(g.SetMeta(ctx, &request))
	return o.finish(s, a, err, true, o.JSON, nobodyIn(o.Group), matchedIf(o.Report))
}
