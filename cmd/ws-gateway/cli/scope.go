package cli

import (
	"net/url"

	"ws-gateway/cmd/ws-gateway/api"
)

// everywhere is the default of scopes. It is not sent: older gateways know no scopes.
const everywhere = "cluster"

// readScope is the scope of commands that show something.
type readScope struct {
	Scope string `default:"cluster" placeholder:"SCOPE" help:"Of several gateways of an app: cluster (all of them), local (the one that is asked), or the name of one."`
}

func (o readScope) addTo(query url.Values) {
	if o.Scope != everywhere {
		query.Set("scope", o.Scope)
	}
}

// changeScope is the scope of commands that change something.
type changeScope struct {
	Scope string `oneof:"cluster,local" default:"cluster" placeholder:"SCOPE" help:"Of several gateways of an app: cluster (all of them) or local (the one that is asked)."`
}

func (o changeScope) scope() string {
	if o.Scope == everywhere {
		return ""
	}
	return o.Scope
}

// noteMissing tells the user which gateways are not part of what is shown, each time that
// these are others.
func (s *surroundings) noteMissing(names []string) {
	now := api.Instances(names)
	if now == s.missing {
		return
	}
	if s.missing = now; now == "" {
		s.note("all gateways are reached again")
		return
	}
	s.note("not reached, and not part of this: %s", now)
}
