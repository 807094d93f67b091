package admin

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"ws-gateway/cluster"
	"ws-gateway/forward"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// Config of a Server. Zero values mean the defaults named beside them.
type Config struct {
	Hub       *hub.Hub             // required
	Cluster   cluster.Connections  // those of all instances; nil: Hub's are all that there are
	Sockets   func() netpoll.Stats // required
	Callbacks func() forward.Stats // nil: push-only, there are no callbacks to report

	ClusterStats func() cluster.Stats // nil: there is no cluster to report
	Instances    *cluster.Cluster     // whose instances can be listed, and asked one by one; nil: there is no cluster

	// Health is what is known about the app; nil: push-only.
	Health func() forward.Health
	// Configuration returns the configuration in force, for people to read and without
	// secrets; nil: it is not shown.
	Configuration func() string
	// LastReload is the result of the last reload of the configuration; ok is false if
	// there has been none. nil: there are no reloads.
	LastReload func() (r LastReload, ok bool)

	// LogLost is how many log lines could not be written; nil: none.
	LogLost func() uint64

	// Collectors are further metrics.
	Collectors []prometheus.Collector

	// Ready reports whether new clients are taken, and if not, why. It is called for
	// /readyz and /metrics. Default: Hub.Ready.
	Ready func() (ok bool, why string)

	ClientPath   string // default "/ws"; requests for it are answered 421: they need a connection of their own
	UserHeader   string // default "X-Bfl-User"; a request that has it comes from a proxy
	Token        string // "": peers on this host are trusted, under the rules of package access
	OwnAddress   bool   // management does not share the clients' port
	MaxBodyBytes int    // of a command's body; default 16 MiB
	Memory       int64  // bytes of bodies, of messages on their way to the loops, and of lists being written, all together; default 128 MiB
	JSONDepth    int    // like forward.Config's, for the data of live events
	Profiles     bool   // serve the Go runtime's profiles at /debug/pprof/
	Version      string // for /metrics

	// Clock is the time in which the process runs, from some instant on; callers' deadlines
	// count it. Default: the wall clock.
	Clock func() time.Duration

	Log zerolog.Logger

	// For tests, which have less time.
	readTimeout time.Duration // of a whole request; default longestRead
	heartbeats  time.Duration // between lines of a stream of events; default usualHeartbeats
	hubTimeout  time.Duration // for the loops to take a command; default longestHub
	eventWrite  time.Duration // for the reader of a stream to take what is written at a time; default longestEventWrite

	// holdBack replaces how the answer to a wrong token waits, which is wait.
	holdBack func(wait func(time.Duration)) func(time.Duration)
	now      func() time.Time // by which these answers are due; nil: time.Now
}

// complete fills in defaults and refuses what cannot work.
func (cfg *Config) complete() error {
	if cfg.Hub == nil || cfg.Sockets == nil {
		return errors.New("admin: Config.Hub and Config.Sockets are required")
	}
	if cfg.Cluster == nil {
		cfg.Cluster = cfg.Hub
	}
	if cfg.Ready == nil {
		cfg.Ready = cfg.Hub.Ready
	}
	if cfg.ClientPath == "" {
		cfg.ClientPath = "/ws"
	}
	if r := routeOf([]byte(cfg.ClientPath)); r != unknown {
		return fmt.Errorf("admin: the client path %q is the path of the management route %s: choose another", cfg.ClientPath, r)
	}
	if cfg.UserHeader == "" {
		cfg.UserHeader = "X-Bfl-User"
	}
	if cfg.JSONDepth == 0 {
		cfg.JSONDepth = forward.MaxJSONDepth
	}
	if cfg.MaxBodyBytes == 0 {
		cfg.MaxBodyBytes = 16 << 20
	}
	if cfg.MaxBodyBytes < 0 {
		return fmt.Errorf("admin: Config.MaxBodyBytes is %d: it must be positive", cfg.MaxBodyBytes)
	}
	if cfg.Memory == 0 {
		cfg.Memory = 128 << 20
	}
	if cfg.Memory < 0 {
		return fmt.Errorf("admin: Config.Memory is %d: it must be positive", cfg.Memory)
	}
	if cfg.readTimeout == 0 {
		cfg.readTimeout = longestRead
	}
	if cfg.heartbeats == 0 {
		cfg.heartbeats = usualHeartbeats
	}
	if cfg.hubTimeout == 0 {
		cfg.hubTimeout = longestHub
	}
	if cfg.eventWrite == 0 {
		cfg.eventWrite = longestEventWrite
	}
	return nil
}
