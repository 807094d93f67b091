package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"ws-gateway/cmd/ws-gateway/api"
	"ws-gateway/hub"
)

// seen is an instance as the page shows it: what this gateway's list says of it.
type seen struct {
	Name  string   `json:"name"`
	Page  string   `json:"page"` // where it is
	Here  bool     `json:"here"` // it is this one
	Cut   bool     `json:"cut"`
	State string   `json:"state"` // here, connected, missing, gone
	Users []string `json:"users"` // of each connection

	Relays int `json:"relays"` // clients there whose sessions are at others
}

// handleInstances answers with the instances, and who is at which of them as far as the
// gateway beside this app knows. Without --instances there are none.
func (a *app) handleInstances(w http.ResponseWriter, r *http.Request) {
	all := []*seen{}
	if a.instances != nil {
		answer, err := a.api.List(r.Context(), nil)
		if err == nil {
			all, err = a.see(answer)
		}
		if err == nil {
			err = a.askRelays(r.Context(), all)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(all)
}

// see is what a list says of the instances. The id of a connection says whose it is. Who is
// cut off and not missing any more counts as gone.
func (a *app) see(list *api.Answer) ([]*seen, error) {
	var online []onlineUser
	if err := json.Unmarshal(list.Data, &online); err != nil {
		return nil, err
	}
	all, of := []*seen{}, map[[8]byte]*seen{}
	for _, i := range a.instances.all {
		s := &seen{Name: i.name, Page: i.app.page(), Here: i == a.self, Cut: i.out.Load(), State: "connected", Users: []string{}}
		switch {
		case s.Here:
			s.State = "here"
		case slices.Contains(list.Missing, i.name):
			s.State = "missing"
		case s.Cut || a.self.out.Load():
			s.State = "gone"
		}
		all, of[i.number] = append(all, s), s
	}
	for _, u := range online {
		for _, c := range u.Conns {
			number, _ := hub.InstanceOf(c.ID)
			if s := of[number]; s != nil {
				s.Users = append(s.Users, u.Name)
			}
		}
	}
	return all, nil
}

// askRelays asks each gateway how many clients it relays to others: what a list says of a
// connection is who has its session.
func (a *app) askRelays(ctx context.Context, all []*seen) error {
	for n, i := range a.instances.all {
		relays, err := i.app.api.Metric(ctx, `ws_gateway_cluster_relays{here="client"}`)
		if err != nil {
			return err
		}
		all[n].Relays = int(relays)
	}
	return nil
}

// handleCut cuts an instance off from the others, or joins it to them again.
func (a *app) handleCut(w http.ResponseWriter, r *http.Request) {
	out, err := strconv.ParseBool(r.FormValue("cut"))
	if err != nil {
		http.Error(w, "cut must be true or false", http.StatusBadRequest)
		return
	}
	var i *instance
	if a.instances != nil {
		i = a.instances.find(r.FormValue("instance"))
	}
	if i == nil {
		http.Error(w, "no such instance", http.StatusNotFound)
		return
	}
	i.cut(out)
	w.WriteHeader(http.StatusNoContent)
}

// welcome says what can be done with the demo.
func (s *instances) welcome() string {
	var pages strings.Builder
	for _, i := range s.all {
		fmt.Fprintf(&pages, "    %s   %s   clients connect to ws://%s%s\n", i.name, i.app.page(), i.app.gateway.clients, i.app.gateway.path)
	}
	curl, at := s.all[0].app.gateway.curl()
	return fmt.Sprintf(`
  %d gateways answer as one, each with an app beside it. Open a tab at each and let them talk:

%s
  A page cuts instances off, and shows what a send answers then. It can cut its own line,
  too: then it comes back at another gateway, which carries it to its session.

  Say something to everybody, through any of them:
    %s-d '{"all":true,"payload":{"event":"chat","data":{"from":"curl","text":"hello"}}}' %s/tapr/ws/conn/send

  See who is online:
    %s%s/tapr/ws/conn/list

  Ctrl-C ends it.

`, len(s.all), pages.String(), curl, at, curl, at)
}
