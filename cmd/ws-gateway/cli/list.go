package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"ws-gateway/cmd/ws-gateway/internal/terminal"
)

// selection says which connections are listed or counted.
type selection struct {
	User      []string      `sep:"none" placeholder:"NAME" help:"Only connections of this user. Repeatable."`
	Group     []string      `sep:"none" placeholder:"NAME" help:"Only connections in this group. Repeatable."`
	Prefix    string        `name:"user-prefix" placeholder:"TEXT" help:"Only users whose name begins so."`
	Remote    string        `placeholder:"ADDRESS" help:"Only connections from this address, or this range such as 192.0.2.0/24."`
	OlderThan time.Duration `placeholder:"TIME" min:"0s" help:"Only connections that have been there for longer, such as 90s or 1h30m."`
}

// query is what the gateway is asked for.
func (o *selection) query() url.Values {
	query := url.Values{}
	if len(o.User) > 0 {
		query["user"] = o.User
	}
	if len(o.Group) > 0 {
		query["group"] = o.Group
	}
	if o.Prefix != "" {
		query.Set("user_prefix", o.Prefix)
	}
	if o.Remote != "" {
		query.Set("remote", o.Remote)
	}
	if o.OlderThan != 0 {
		query.Set("older_than", o.OlderThan.String())
	}
	return query
}

// listOptions are the options of list.
type listOptions struct {
	selection
	Limit int  `default:"0" min:"0" help:"So many connections at most. 0: all."`
	JSON  bool `name:"json" help:"Print each connection as a line of JSON."`
	readScope
	gatewayOptions
}

// connection has the names that GET /tapr/ws/conn/get has.
type connection struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	UserAgent   string    `json:"userAgent"`
	ConnectedAt time.Time `json:"connectedAt"`
	RemoteAddr  string    `json:"remoteAddr"`
	Away        bool      `json:"away,omitempty"` // it has lost its transport and may come back

	Meta json.RawMessage `json:"meta,omitempty"`
}

// user is a user in the gateway's list.
type user struct {
	Name  string
	Conns []connection
}

func (o *listOptions) run(ctx context.Context, s *surroundings) error {
	g, err := o.gateway(s)
	if err != nil {
		return err
	}
	now := time.Now()
	list := listing[connection]{
		limit: o.Limit, asJSON: o.JSON, none: "no connections", columns: connColumns, fields: writePlain,
		rows: func(conns []connection) [][]string { return connRows(conns, now) },
		page: func(limit int, cursor string) ([]connection, string, error) { return o.page(ctx, s, g, limit, cursor) },
	}
	return list.print(s)
}

// page asks for so many connections after cursor.
func (o *listOptions) page(ctx context.Context, s *surroundings, g *gateway, limit int, cursor string) (conns []connection, next string, err error) {
	query := o.query()
	query.Set("limit", strconv.Itoa(limit))
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	o.addTo(query)
	a, err := g.answer(g.List(ctx, query))
	if err != nil {
		return nil, "", err
	}
	s.noteMissing(a.Missing)
	var users []user
	if err := json.Unmarshal(a.Data, &users); err != nil {
		return nil, "", fmt.Errorf("the gateway's list cannot be read: %w", err)
	}
	for _, u := range users {
		for _, c := range u.Conns {
			c.Name = u.Name
			conns = append(conns, c)
		}
	}
	return conns, a.Cursor, nil
}

// writePlain writes a line of fields for each connection, for programs.
func writePlain(out io.Writer, conns []connection) error {
	for _, c := range conns {
		if _, err := fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", shownUser(c.Name), terminal.Printable(c.ID),
			c.ConnectedAt.Format(time.RFC3339), terminal.Printable(c.RemoteAddr), terminal.Printable(c.UserAgent)); err != nil {
			return err
		}
	}
	return nil
}

// countOptions are the options of count.
type countOptions struct {
	selection
	JSON bool `name:"json" help:"Print the numbers as JSON."`
	readScope
	gatewayOptions
}

func (o *countOptions) run(ctx context.Context, s *surroundings) error {
	g, err := o.gateway(s)
	if err != nil {
		return err
	}
	query := o.query()
	o.addTo(query)
	a, err := g.answer(g.Count(ctx, query))
	if err != nil {
		return err
	}
	s.noteMissing(a.Missing)
	if o.JSON {
		_, err := fmt.Fprintln(s.out, terminal.PrintableJSON(a.Data))
		return err
	}
	var count struct{ Connections, Users int }
	if err := json.Unmarshal(a.Data, &count); err != nil {
		return fmt.Errorf("the gateway's numbers cannot be read: %w", err)
	}
	_, err = fmt.Fprintf(s.out, "%s of %s\n", terminal.Plural(count.Connections, "connection"), terminal.Plural(count.Users, "user"))
	return err
}
