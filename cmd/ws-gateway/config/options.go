package config

import (
	"time"

	"github.com/alecthomas/kong"

	"ws-gateway/cmd/ws-gateway/settings"
)

// Options is the table of all options: the one place for an option's name, default,
// bounds and help. Flags, environment variables, keys of the file, --help,
// --print-config and the tables in the documents follow from it.
//
// Package settings says what the tags mean. Options without reload need a restart.
type Options struct {
	Listen             string        `group:"clients" default:":40010" help:"Address for clients and, unless --admin-listen moves it, the management API. Port 0 takes a free one."`
	Path               string        `group:"clients" default:"/ws" help:"Path at which clients connect."`
	UserHeader         string        `group:"clients" reload:"yes" default:"X-Bfl-User" help:"Request header that names the user. Whatever is in front of the gateway must set or remove it."`
	RequireUser        bool          `group:"clients" reload:"yes" help:"Answer 401 to a handshake without the user header; otherwise its user is called \"\"."`
	AllowedOrigins     []string      `group:"clients" reload:"yes" placeholder:"ORIGIN" help:"Origins that may connect, such as https://app.example.org, https://*.example.org or null. Default: any. Repeatable."`
	TrustedProxies     []string      `group:"clients" reload:"yes" placeholder:"CIDR" help:"Peers whose Forwarded or X-Forwarded-For says who the client is, for remoteAddr and limits, such as 10.0.0.0/8 or ::1. Default: nobody's does. Where both headers are there, they must agree. Repeatable."`
	Subprotocols       []string      `group:"clients" reload:"yes" placeholder:"NAME" help:"Subprotocols to choose from. Default: the first one that the client offers. Repeatable."`
	MaxHeaderBytes     settings.Size `group:"clients" reload:"yes" default:"32KiB" min:"1KiB" max:"16MiB" help:"Largest request head; 431 above it."`
	HandshakeTimeout   time.Duration `group:"clients" reload:"yes" default:"10s" min:"10ms" help:"Time in which a request head must arrive."`
	MaxMessageSize     settings.Size `group:"clients" reload:"yes" default:"1MiB" min:"1" max:"1GiB" help:"Largest message from a client; close code 1009 above it."`
	Compression        bool          `group:"clients" reload:"yes" help:"Agree on permessage-deflate (RFC 7692) with clients that offer it; nothing is kept between messages."`
	CompressThreshold  settings.Size `group:"clients" reload:"yes" name:"compression-threshold" default:"256" min:"1" max:"1GiB" help:"Smallest message to a client that is compressed."`
	PingTimeout        time.Duration `group:"clients" reload:"yes" default:"75s" min:"1s" help:"A client that sends no ping for this long is closed with 1008."`
	Keepalive          string        `group:"clients" reload:"yes" default:"ping" oneof:"ping,any" help:"What moves the ping timeout: pings and pongs (ping), or every frame (any)."`
	ServerPing         time.Duration `group:"clients" reload:"yes" default:"0s" min:"0s" help:"Send ping frames at this interval; 0s sends none."`
	CloseTimeout       time.Duration `group:"clients" reload:"yes" default:"5s" min:"10ms" help:"Time from the close frame to the end of the TCP connection."`
	ResumeFor          time.Duration `group:"clients" reload:"yes" default:"0s" min:"0s" max:"24h" help:"Time for which the session of a client that has lost its connection waits for it, if the client has asked for that (subprotocol ws-gateway.resume.v1). 0s: sessions cannot be resumed."`
	ResumeBuffer       settings.Size `group:"clients" reload:"yes" default:"256KiB" min:"1KiB" max:"1GiB" help:"Bytes of messages that are kept for one client until it has acknowledged them. Past it its session cannot be resumed, or ends if the client is away."`
	ResumeState        string        `group:"clients" placeholder:"FILE" help:"File to which a gateway that stops in good order writes the sessions that can be resumed, with their events that the app has not taken; the next start takes them in, and the app sees neither close nor open. It is a credential."`
	MaxConnections     int           `group:"limits" reload:"yes" default:"0" min:"0" max:"1000000000" help:"Open connections; 503 above it. 0: as many as the descriptor limit and, if there is one, the memory limit leave room for."`
	MaxPerUser         int           `group:"limits" reload:"yes" name:"max-connections-per-user" default:"0" min:"0" max:"1000000000" help:"Open connections of one user; 429 above it. 0: no limit."`
	MaxPerIP           int           `group:"limits" reload:"yes" name:"max-connections-per-ip" default:"0" min:"0" max:"1000000000" help:"Open connections from one address, as --trusted-proxies makes it known; 429 above it. IPv6 is counted by /64. 0: no limit."`
	MaxHandshaking     int           `group:"limits" reload:"yes" default:"0" min:"0" max:"1000000000" help:"Connections whose request head is not complete; one more drops the oldest of them. 0: a quarter of what the descriptor limit leaves room for, at most 4096."`
	AcceptRate         int           `group:"limits" reload:"yes" default:"0" min:"0" max:"1000000" help:"Connections a second that are taken from the listener, management requests among them unless --admin-listen moves these; the others wait in the backlog. 0: no limit."`
	AcceptBurst        int           `group:"limits" reload:"yes" default:"0" min:"0" max:"1000000" help:"Connections that are taken at once. 0: one second's worth."`
	MessageRate        int           `group:"limits" reload:"yes" default:"0" min:"0" max:"1000000" help:"Messages a second that one client may send, pings of both kinds included. 0: no limit."`
	MessageBurst       int           `group:"limits" reload:"yes" default:"0" min:"0" max:"10000000" help:"Messages that it may send at once, at least one second's worth. 0: two seconds' worth."`
	ByteRate           settings.Size `group:"limits" reload:"yes" default:"0" min:"0" max:"1GiB" help:"Bytes a second that one client may send. 0: no limit."`
	ByteBurst          settings.Size `group:"limits" reload:"yes" default:"0" min:"0" max:"16GiB" help:"Bytes that it may send at once, at least one second's worth. 0: two seconds' worth, and with --rate-policy=close a largest message at the least."`
	RatePolicy         string        `group:"limits" reload:"yes" default:"pause" oneof:"pause,close" help:"A client that sends more is not read until it is within its rate again, to the second (pause), or closed with 1008 (close)."`
	MaxPendingBytes    settings.Size `group:"limits" reload:"yes" default:"1MiB" min:"1KiB" max:"1GiB" help:"Bytes that may wait for a slow client before it is closed with 1008."`
	WriteTimeout       time.Duration `group:"limits" reload:"yes" default:"30s" min:"10ms" help:"Time in which some of what waits for a slow client must leave."`
	MaxGroups          int           `group:"limits" reload:"yes" name:"max-groups-per-connection" default:"100" min:"1" max:"1000" help:"Groups that one connection may be in. A call that joins it to more is refused; of an answer, what is over is left out."`
	GroupMemory        settings.Size `group:"limits" reload:"yes" default:"256MiB" min:"1MiB" max:"4GiB" help:"Bytes that groups may take, their names and the connections in them, and metadata (--max-meta). Past it nothing is joined, and no metadata is taken."`
	MaxMeta            settings.Size `group:"limits" default:"0" min:"0" max:"1KiB" help:"Bytes of metadata, JSON, that the app may keep with a connection and get back with each of its events: X-Ws-Meta in a 2xx answer, or a call. 0: none."`
	ResumeMemory       settings.Size `group:"limits" reload:"yes" default:"64MiB" min:"64KiB" max:"1TiB" help:"Bytes of messages that are kept for clients until they have acknowledged them, of all together; a message that many get counts once, and about 10 for each of them. Past it the sessions for which most is kept cannot be resumed, or end if the client is away."`
	HeaderMemory       settings.Size `group:"limits" reload:"yes" default:"128MiB" min:"64KiB" max:"1TiB" help:"Bytes of request heads larger than 4 KiB, incomplete ones and what is kept of them with the connection, of all together. Past it the largest give way: 431, or 1008 if it is open."`
	OutboxMemory       settings.Size `group:"limits" reload:"yes" default:"256MiB" min:"64KiB" max:"1TiB" help:"Bytes that wait for clients, of all together; a message that waits for many counts once. Past it those for which most waits are closed with 1008."`
	MessageMemory      settings.Size `group:"limits" reload:"yes" default:"256MiB" min:"1" max:"1TiB" help:"Bytes of messages that have arrived in part, of all connections together. Past it the largest and oldest are given up: 1013."`
	SocketMemory       settings.Size `group:"limits" reload:"yes" default:"0" min:"0" max:"1TiB" help:"Bytes that the kernel may hold for clients, of all together: not taken by them, or not read by us. Past it those that take nothing are closed, the largest first. 0: as much as the kernel likes."`
	SocketBuffer       settings.Size `group:"limits" default:"0" min:"0" max:"1GiB" help:"Bytes that the kernel may hold for one client in each direction; its own overhead can double that. 0: as much as it likes (net.ipv4.tcp_wmem, tcp_rmem)."`
	CallbackURL        string        `group:"callbacks" reload:"yes" placeholder:"URL" help:"Where open, message and close events are POSTed, such as http://127.0.0.1:8888/ws/message, https://app.example.org/ws or unix:/run/app.sock:/ws/message."`
	Manifest           string        `group:"callbacks" reload:"yes" placeholder:"FILE" help:"OlaresManifest.yaml to take the callback URL from (options.websocket.port and url)."`
	NoCallback         bool          `group:"callbacks" help:"Push only: no events are sent to the app."`
	CallbackOpen       string        `group:"callbacks" default:"notify" oneof:"notify,authorize" help:"Tell the app of each connection that has opened (notify), or have it decide about each upgrade (authorize): 2xx accepts, and X-Ws-User in the answer names the user; 4xx refuses and is passed on; anything else, or nothing within --callback-timeout, is 503."`
	MaxPendingAuths    int           `group:"callbacks" reload:"yes" name:"max-pending-authorizations" default:"10000" min:"1" max:"16000000" help:"Handshakes that may wait for the app's decision; 503 above it."`
	CallbackTimeout    time.Duration `group:"callbacks" reload:"yes" default:"10s" min:"10ms" help:"Time for one attempt to deliver an event."`
	CallbackRetryFor   time.Duration `group:"callbacks" reload:"yes" default:"1m" min:"1ms" help:"Time for which an event is tried again: from its first attempt or, while the app is unreachable, from when that would have been."`
	CallbackConcurrent int           `group:"callbacks" name:"callback-concurrency" default:"64" min:"1" max:"65536" help:"Events in flight at a time; those of one connection go one after the other."`
	CallbackQueue      int           `group:"callbacks" reload:"yes" default:"256" min:"1" max:"1000000" help:"Events of one connection that may wait before it is no longer read."`
	CallbackQueueBytes settings.Size `group:"callbacks" reload:"yes" default:"1MiB" min:"1KiB" max:"1GiB" help:"Bytes of these events."`
	CallbackMemory     settings.Size `group:"callbacks" reload:"yes" default:"256MiB" min:"64KiB" max:"1TiB" help:"Bytes of all waiting events, shared out among the busy connections: one that has more than its share is not read; at 7/8 none is; when all is used up upgrades get 503."`
	DeadLetter         string        `group:"callbacks" placeholder:"FILE" help:"File to which events that failed for good are appended, payload included, one JSON object a line; ws-gateway replay sends them again."`
	DeadLetterMaxSize  settings.Size `group:"callbacks" reload:"yes" default:"100MiB" min:"1KiB" max:"1TiB" help:"Size at which the dead-letter file is renamed to FILE.1, that to FILE.2 and so on, and begun anew."`
	DeadLetterKeep     int           `group:"callbacks" reload:"yes" default:"5" min:"1" max:"1000" help:"How many of these older files are kept."`
	Journal            string        `group:"callbacks" placeholder:"DIR" help:"Folder that remembers which connections are open: when the gateway has died without a word, the next start sends their close events before it takes clients."`
	CallbackHeader     []string      `group:"callbacks" reload:"yes" secret:"true" sep:"\n" placeholder:"'NAME: VALUE'" help:"Header to send with each POST. Repeatable."`
	ForwardHeader      []string      `group:"callbacks" reload:"yes" placeholder:"NAME" help:"Header of the handshake to send with each of the connection's events. Default: Cookie, which must be named too where others are. Repeatable."`
	CallbackCA         string        `group:"callbacks" reload:"yes" name:"callback-ca" placeholder:"FILE" help:"Certificates (PEM) of the authorities that an https app is trusted for, instead of the system's."`
	CallbackCert       string        `group:"callbacks" reload:"yes" placeholder:"FILE" help:"Client certificate (PEM) to show to an https app; with its key, unless that is in --callback-key."`
	CallbackKey        string        `group:"callbacks" reload:"yes" placeholder:"FILE" help:"Key (PEM) of --callback-cert."`
	CallbackBatch      int           `group:"callbacks" default:"1" min:"1" max:"10000" help:"Events, of any connections, in one POST. Above 1 its body is a JSON array."`
	CallbackLinger     time.Duration `group:"callbacks" reload:"yes" default:"5ms" min:"0s" max:"10s" help:"Time, from its first event, that a batch waits to be full."`
	CallbackPipeline   int           `group:"callbacks" default:"1" min:"1" max:"256" help:"POSTs, each of another connection, that are written at once to one of the app's connections while all of --callback-concurrency are busy; their answers are read in turn. Above 1 the app must read pipelined requests, and a call that hangs holds up those behind it."`
	CallbackJSONDepth  int           `group:"callbacks" reload:"yes" name:"callback-json-depth" default:"500" min:"3" max:"500" help:"Levels of nesting that the app's JSON parser takes, the gateway's own included. A message that is deeper is sent as text. Ruby takes 100, .NET 64, Rust's serde_json 127."`
	CallbackReply      bool          `group:"callbacks" help:"Send the body of a 2xx answer to the connection that caused the event; X-Ws-Close: 4001 reason closes it after that."`
	CallbackReplyMax   settings.Size `group:"callbacks" reload:"yes" default:"64KiB" min:"1" max:"64MiB" help:"Bytes of such a body. A longer one is not sent; the log says so once. Up to --callback-concurrency of them are in memory at a time."`
	CallbackGroups     bool          `group:"callbacks" help:"Let a 2xx answer put the connection that caused the event into groups, and take it out of them: X-Ws-Join: room-1, room%2C2 and X-Ws-Leave: room-3."`
	ResumeEvent        bool          `group:"callbacks" help:"Tell the app of each client that has lost its connection and resumes its session (--resume-for): an event with action resumed and away_ms, in its place among the connection's events."`
	CallbackSecret     []string      `group:"callbacks" reload:"yes" secret:"true" sep:"\n" placeholder:"SECRET" help:"Sign callbacks with this secret (X-Ws-Signature). Repeatable, for rotation: each secret gives a signature."`
	CallbackSecretFile string        `group:"callbacks" reload:"yes" placeholder:"FILE" help:"File with such secrets, one a line."`
	AdminListen        string        `group:"management" placeholder:"ADDR" help:"Address of its own for the management API: host:port or unix:/path."`
	MetricsListen      string        `group:"management" placeholder:"ADDR" help:"Address for those who only look: /metrics, /healthz and /readyz, without a token, and nothing else; host:port or unix:/path."`
	AdminToken         string        `group:"management" reload:"yes" secret:"true" placeholder:"TOKEN" help:"Token that every management request must present; without one only loopback is served."`
	AdminTokenFile     string        `group:"management" reload:"yes" placeholder:"FILE" help:"File that holds the token."`
	MaxAPIBody         settings.Size `group:"management" reload:"yes" name:"max-api-body" default:"16MiB" min:"1KiB" max:"1GiB" help:"Largest body of a management request; 413 above it."`
	APIMemory          settings.Size `group:"management" reload:"yes" name:"api-memory" default:"128MiB" min:"64KiB" max:"1TiB" help:"Bytes of request bodies, of what is made of them until the connections have it, and of lists that are being written, of all requests together; lists may have a quarter, commands the rest; 503 above it. One of each always has room."`
	Profiles           bool          `group:"management" reload:"yes" name:"pprof" help:"Serve profiles of the process at /debug/pprof/, for go tool pprof: heap, goroutine, profile?seconds=10 (of the processor) and others."`
	Cluster            []string      `group:"cluster" secret:"true" placeholder:"URL" help:"NATS servers, such as nats://10.0.0.7:4222, over which the gateways of an app meet: calls of the management API are then about the connections of all of them. Default: the gateway is alone. Repeatable."`
	ClusterApp         string        `group:"cluster" placeholder:"NAME" help:"Name of the app, in the NATS subjects wsg.NAME.>: gateways with the same name meet. A to Z, a to z, 0 to 9, _ and -, at most 32."`
	ClusterName        string        `group:"cluster" placeholder:"NAME" help:"Name of this gateway, unlike that of any other, for answers, logs and metrics. Default: the host's name."`
	ClusterCreds       string        `group:"cluster" placeholder:"FILE" help:"File with the NATS user's credentials (JWT and key), as nsc writes it."`
	ClusterNKey        string        `group:"cluster" name:"cluster-nkey" placeholder:"FILE" help:"File with the NATS user's key (its line begins with SU)."`
	ClusterTokenFile   string        `group:"cluster" placeholder:"FILE" help:"File with the token for NATS."`
	ClusterCA          string        `group:"cluster" name:"cluster-ca" placeholder:"FILE" help:"Certificates (PEM) of the authorities that NATS servers are trusted for, instead of the system's."`
	ClusterCert        string        `group:"cluster" placeholder:"FILE" help:"Client certificate (PEM) to show to NATS; with --cluster-key."`
	ClusterKey         string        `group:"cluster" placeholder:"FILE" help:"Key (PEM) of --cluster-cert."`
	ClusterTimeout     time.Duration `group:"cluster" default:"2s" min:"10ms" max:"1m" help:"Time for other gateways to answer a call."`
	ClusterHold        time.Duration `group:"cluster" default:"2s" min:"10ms" max:"1m" help:"Time for which what is sent to a gateway is held until it has arrived; what is older is given up, and counted."`
	ClusterBuffer      settings.Size `group:"cluster" default:"16MiB" min:"64KiB" max:"1TiB" help:"Bytes of all that is held so, and of each other bound on what is under way between gateways; --max-api-body at the least."`
	ClusterDeadAfter   time.Duration `group:"cluster" default:"15s" min:"4s" max:"1h" help:"Time without a word after which a gateway counts as gone."`
	ClusterRelays      int           `group:"cluster" default:"1024" min:"0" max:"65536" help:"Clients that come back here and whose sessions are at other gateways (--resume-for), and sessions here whose clients have come back elsewhere: at most so many of each are carried to each other, and a sixteenth of the descriptor limit. Others, and more than so many a second, half of that from one address, are told to come back (503); who finds no room for --cluster-dead-after gets a new session. 0: none."`
	ClusterWhenCut     string        `group:"cluster" default:"serve" oneof:"serve,refuse" help:"A call that changes something while gateways are not reached is done where it can be, and its answer names those (serve), or not done at all (refuse)."`
	ClusterJournal     bool          `group:"cluster" help:"Record in JetStream, which the NATS servers must have, which connections are open: if a gateway is gone for --cluster-dead-after, another one sends their close events. Instead of --journal."`
	ClusterRequired    bool          `group:"cluster" help:"Answer 503 at /readyz while NATS is not reached, or not all other gateways are known."`
	DrainDelay         time.Duration `group:"process" reload:"yes" default:"0s" min:"0s" help:"On SIGTERM, time from refusing upgrades to closing the first connection."`
	DrainPeriod        time.Duration `group:"process" reload:"yes" default:"5s" min:"0s" help:"Time over which the closing of connections is spread."`
	ShutdownTimeout    time.Duration `group:"process" reload:"yes" default:"30s" min:"100ms" help:"Time for the whole shutdown, the two above and undelivered events included."`
	MemoryShare        int           `group:"process" default:"90" min:"0" max:"100" help:"Percent of the cgroup's memory limit that the Go runtime keeps below, as GOMEMLIMIT would have it; less where the kernel may need more than the rest for clients' sockets. GOMEMLIMIT, where it is set, counts instead. 0: no limit."`
	Loops              int           `group:"process" default:"0" min:"0" max:"256" help:"Event loops. 0: one for each processor, and a single one if there are two or fewer. From 2 on both of two processors run Go code."`
	LogLevel           string        `group:"process" reload:"yes" default:"info" oneof:"debug,info,warn,error" help:"What is logged: debug, info, warn or error."`
	LogFormat          string        `group:"process" default:"auto" oneof:"auto,json,console" help:"json, console, or auto: console on a terminal, json elsewhere."`
}

// DemoOptions are those that only the demo has.
type DemoOptions struct {
	AppListen string `group:"demo" default:"127.0.0.1:8080" help:"Loopback address of the demo's app and its page."`
	Instances int    `group:"demo" default:"1" min:"1" max:"9" help:"Gateways that answer as one, each with an app beside it; the second has the next ports of --listen and --app-listen, and so on."`
}

// ReplayOptions are what only replay has.
type ReplayOptions struct {
	File   string `arg:"" placeholder:"FILE" ask:"which file? Name a dead-letter file" help:"Dead-letter file. What has been dealt with is noted in FILE.done, what the app refuses goes to FILE.refused."`
	DryRun bool   `group:"actions" help:"Check each line and say what would be sent."`
}

// CheckOptions are what only check has.
type CheckOptions struct {
	JSON bool `name:"json" group:"actions" help:"Print the findings as JSON."`
}

// HealthOptions are what only health has.
type HealthOptions struct {
	URL   string `name:"url" group:"actions" placeholder:"URL" help:"What to ask. Default: /healthz of a gateway with this configuration."`
	Ready bool   `group:"actions" help:"Ask /readyz: whether new clients are taken."`
}

// Actions are flags that choose what to do; they have no place in the file.
type Actions struct {
	Config      string `group:"actions" placeholder:"FILE" help:"YAML file with options, under their names without the dashes."`
	PrintConfig bool   `group:"actions" help:"Print the configuration in force and where each value comes from, then exit."`
	Version     bool   `group:"actions" help:"Print the version, then exit."`
}

// commandLine is what kong parses.
type commandLine struct {
	Options
	Actions
	Run          struct{}      `cmd:"" default:"withargs" help:"Run the gateway (the default)."`
	Demo         DemoOptions   `cmd:"" help:"Run the gateway with a small chat app to try it out."`
	Check        CheckOptions  `cmd:"" help:"Check configuration, limits, addresses, files, the app and NATS without starting; exit code 0, 1 if a start would fail, 78 if the configuration is wrong."`
	Health       HealthOptions `cmd:"" help:"Ask a running gateway whether it is well; exit code 0 if it is."`
	Replay       ReplayOptions `cmd:"" help:"Send the events of a dead-letter file to the app again."`
	kong.Plugins               // the client's commands
	Help         helpOptions   `cmd:"" help:"Show this, or help about a command."`
	Version      struct{}      `cmd:"" help:"Print the version."`
}

// helpOptions are what help has. The command never runs: main makes it --help.
type helpOptions struct {
	Command string `arg:"" optional:"" placeholder:"COMMAND" help:"The command to explain."`
}
