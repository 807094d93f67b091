package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"ws-gateway/cmd/ws-gateway/api"
	"ws-gateway/cmd/ws-gateway/internal/terminal"
)

// joinOptions are the options of join.
type joinOptions struct{ memberOptions }

func (o *joinOptions) run(ctx context.Context, s *surroundings) error {
	return o.change(ctx, s, (*api.Client).Join)
}

// leaveOptions are the options of leave.
type leaveOptions struct{ memberOptions }

func (o *leaveOptions) run(ctx context.Context, s *surroundings) error {
	return o.change(ctx, s, (*api.Client).Leave)
}

// memberOptions say which connections come into or out of which groups.
type memberOptions struct {
	Group   []string `arg:"" placeholder:"GROUP" ask:"which groups? Name them, one after the other" help:"The groups, one after the other."`
	Conn    []string `sep:"none" placeholder:"ID" help:"This connection. Repeatable."`
	User    []string `sep:"none" placeholder:"NAME" help:"All connections that this user has now. Repeatable."`
	All     bool     `help:"Every connection that is there now."`
	Exclude []string `sep:"none" placeholder:"ID" help:"But not this connection. Repeatable."`
	Report  bool     `help:"Say how many connections were meant."`
	nobodyOptions
	changeScope
	JSON bool `name:"json" help:"Print the gateway's answer as it is."`
	gatewayOptions
}

func (o *memberOptions) change(ctx context.Context, s *surroundings,
	call func(*api.Client, context.Context, *api.GroupCommand) (*api.Answer, error),
) error {
	switch named := len(o.Conn) + len(o.User); {
	case o.All && named > 0:
		return usagef("--all means everybody: leave --conn and --user out, or --all")
	case !o.All && named == 0:
		return usagef("which connections? --user NAME, --conn ID or --all")
	}
	g, err := o.gateway(s)
	if err != nil {
		return err
	}
	a, err := g.answer(call(g.Client, ctx, &api.GroupCommand{Groups: o.Group, Conns: o.Conn, Users: o.User, All: o.All, Exclude: o.Exclude, Scope: o.scope()}))
	return o.finish(s, a, err, true, o.JSON, errNobody, matchedIf(o.Report))
}

// groupsOptions are the options of groups.
type groupsOptions struct {
	Conn  string   `xor:"whose" placeholder:"ID" help:"Only groups that this connection is in."`
	User  []string `xor:"whose" sep:"none" placeholder:"NAME" help:"Only groups that a connection of this user is in. Repeatable."`
	Limit int      `default:"0" min:"0" help:"So many groups at most. 0: all."`
	JSON  bool     `name:"json" help:"Print each group as a line of JSON."`
	readScope
	gatewayOptions
}

// group has the names that GET /tapr/ws/group/list has.
type group struct {
	Name        string `json:"name"`
	Connections int    `json:"connections"`
}

var groupColumns = []column{{"GROUP", 8}, {"CONNECTIONS", 0}}

func (o *groupsOptions) run(ctx context.Context, s *surroundings) error {
	g, err := o.gateway(s)
	if err != nil {
		return err
	}
	list := listing[group]{
		limit: o.Limit, asJSON: o.JSON, none: "no groups", columns: groupColumns, fields: writeGroups, rows: groupRows,
		page: func(limit int, cursor string) ([]group, string, error) { return o.page(ctx, s, g, limit, cursor) },
	}
	return list.print(s)
}

// page asks for so many groups after cursor.
func (o *groupsOptions) page(ctx context.Context, s *surroundings, g *gateway, limit int, cursor string) (groups []group, next string, err error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if o.Conn != "" {
		query.Set("conn_id", o.Conn)
	}
	if len(o.User) > 0 {
		query["user"] = o.User
	}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	o.addTo(query)
	a, err := g.answer(g.Groups(ctx, query))
	if err != nil {
		return nil, "", err
	}
	s.noteMissing(a.Missing)
	if err := json.Unmarshal(a.Data, &groups); err != nil {
		return nil, "", fmt.Errorf("the gateway's groups cannot be read: %w", err)
	}
	return groups, a.Cursor, nil
}

// groupRows are rows of groupColumns.
func groupRows(groups []group) [][]string {
	rows := make([][]string, 0, len(groups))
	for _, g := range groups {
		rows = append(rows, []string{terminal.Printable(g.Name), strconv.Itoa(g.Connections)})
	}
	return rows
}

// writeGroups writes a line of fields for each group, for programs.
func writeGroups(out io.Writer, groups []group) error {
	for _, g := range groups {
		if _, err := fmt.Fprintf(out, "%s\t%d\n", terminal.Printable(g.Name), g.Connections); err != nil {
			return err
		}
	}
	return nil
}
