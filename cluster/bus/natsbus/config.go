package natsbus

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
)

// Config of a Bus. Files are those that NATS's own tools write.
type Config struct {
	Servers  []string // such as nats://10.0.0.7:4222; required
	App      string   // the app whose gateways meet; required, see CheckApp
	Instance [8]byte  // required
	Name     string   // of the instance, for people who look at the server

	Creds     string // file with a user's JWT and key
	NKey      string // file with a user's key
	TokenFile string // file with a token
	CA        string // file with certificates (PEM) of the authorities that servers are trusted for
	Cert, Key string // files with the certificate and key (PEM) to show to a server

	Log zerolog.Logger
}

var appName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// CheckApp says what is wrong with the name of an app, which becomes part of subjects.
func CheckApp(name string) error {
	if !appName.MatchString(name) {
		return fmt.Errorf("%q must have 1 to 32 of the characters A-Z, a-z, 0-9, _ and -", name)
	}
	return nil
}

// CheckServer says what is wrong with a server's URL, without showing it.
func CheckServer(server string) error {
	u, err := url.Parse(server)
	switch {
	case server == "":
		return errors.New("it is empty: is there a comma too many?")
	case strings.ContainsFunc(server, unicode.IsSpace):
		return errors.New("it has a blank in it")
	case err != nil: // the error has the URL in it
		return errors.New("it cannot be read as a URL")
	case u.Scheme != "nats" && u.Scheme != "tls":
		return errors.New("it does not begin with nats:// or tls://")
	case u.Hostname() == "":
		return errors.New("it names no host")
	case strings.Contains(u.Path, "//"): // as in tls://tls://host, whose host is tls
		return errors.New("it has a second // in it: is it two URLs in one?")
	case strings.Contains(u.Host, ","):
		return errors.New("it has a comma in it: is it two URLs in one?")
	case strings.HasSuffix(u.Host, ":"):
		return errors.New("it has a colon and no port behind it")
	case u.Port() != "" && !validPort(u.Port()):
		return fmt.Errorf("its port, %s, is not one from 1 to 65535", u.Port())
	case u.Path != "" && u.Path != "/":
		return errors.New("it has a path, and NATS has none: the app is named by --cluster-app")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("it has a query or a fragment, which mean nothing to NATS: a password with ? or # in it is written with %3F or %23")
	}
	return nil
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// Redacted is a server's URL without its password or token. Where a mistake may have put
// these elsewhere, little is left of it.
func Redacted(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return "a URL that cannot be read"
	}
	if u.Opaque != "" || strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
		return "a URL with its @ in the wrong place"
	}
	if u.User == nil {
		return server
	}
	if _, secret := u.User.Password(); !secret {
		u.User = url.User("xxxxx") // a token
	}
	return u.Redacted()
}

// The times of a Bus.
const (
	dialTimeout   = 2 * time.Second
	reconnectWait = 250 * time.Millisecond // between two rounds of attempts
	reconnectMore = 250 * time.Millisecond // and up to so much longer, so that not all come at once
	pingEvery     = time.Second
	pingsMissed   = 2
	writeTimeout  = 3 * time.Second
	closeTimeout  = time.Second
	whyEvery      = time.Second     // between looks why the link is down
	deniedWait    = 5 * time.Second // until a server that refuses subjects is asked anew
)

// FileError says what is wrong with a file.
type FileError struct {
	Path string // as Config has it; that of the certificate for a pair
	Err  error
}

func (e *FileError) Error() string { return e.Path + ": " + e.Err.Error() }

func (e *FileError) Unwrap() error { return e.Err }

// CheckFiles reads the files. The error is a *FileError with the first one that is wrong.
func (cfg *Config) CheckFiles() error {
	_, err := cfg.fromFiles(func() {})
	return err
}

// options are those of a client. They read the files, so that a mistake is known at
// the start. replaced is nkeyOption's.
func (cfg *Config) options(replaced func()) ([]nats.Option, error) {
	if len(cfg.Servers) == 0 {
		return nil, errors.New("natsbus: Config.Servers is required")
	}
	if cfg.Instance == ([8]byte{}) {
		return nil, errors.New("natsbus: Config.Instance is required")
	}
	if err := CheckApp(cfg.App); err != nil {
		return nil, fmt.Errorf("natsbus: the app's name %w", err)
	}
	for _, server := range cfg.Servers {
		if err := CheckServer(server); err != nil {
			return nil, fmt.Errorf("natsbus: server %s: %w", Redacted(server), err)
		}
	}
	options := []nats.Option{
		nats.Name(strings.TrimSpace("ws-gateway " + cfg.App + " " + cfg.Name)),
		nats.NoEcho(),
		nats.Timeout(dialTimeout),
		nats.SetCustomDialer(new(dialer)),
		nats.SkipHostLookup(), // the dialer does it, in bounded time
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectMore, reconnectMore),
		nats.ReconnectBufSize(-1), // or what was sent while the link was down would come late
		nats.IgnoreAuthErrorAbort(),
		nats.PingInterval(pingEvery),
		nats.MaxPingsOutstanding(pingsMissed),
		nats.FlusherTimeout(writeTimeout),
	}
	files, err := cfg.fromFiles(replaced)
	return append(options, files...), err
}

// Dial connects to a server for what is not the bus's, with further options. It returns as
// soon as it has tried to, and goes on trying then. What servers complain of is logged, each
// complaint once: part says for the log whose connection it is, allow what its user must be
// allowed. A complaint may end the connection for good, and so does another key in the file:
// then whoever has it must dial again.
func (cfg *Config) Dial(part, allow string, further ...nats.Option) (conn *nats.Conn, err error) {
	made := make(chan struct{})
	defer close(made)
	options, err := cfg.options(sync.OnceFunc(func() {
		go func() {
			if <-made; conn != nil {
				conn.Close()
			}
		}()
	}))
	if err != nil {
		return nil, err
	}
	var told complaints // for the client's callbacks, which come one at a time
	options = append(options, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if !errors.Is(err, errReplaced) && told.new(err) {
			told.log(cfg.Log, err, part, allow)
		}
	}), nats.ClosedHandler(func(nc *nats.Conn) {
		if nc.Opts.AllowReconnect {
			err := nc.LastError()
			cfg.Log.Error().Str("error", oneLine(fmt.Sprint(err))).
				Msgf("NATS has ended the connection of %s and would not have its client back: there is a new one as soon as it is needed; %s", part, advice(err))
		}
	}), nats.NoCallbacksAfterClientClose()) // or it is called for those that are closed here
	return nats.Connect(strings.Join(cfg.Servers, ","), append(options, further...)...)
}

// reachTimeout bounds the attempt to reach one server.
const reachTimeout = 3 * time.Second

// Reach connects to a server, tries the bus's subjects and leaves again. It returns which
// server it was, without its password, or why none takes this gateway.
func (cfg *Config) Reach() (server string, err error) {
	nc, err := cfg.Dial("", "", nats.RetryOnFailedConnect(false), nats.NoReconnect(), nats.Timeout(reachTimeout),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // or the client writes to stderr
	if err != nil {
		return "", err
	}
	defer nc.Close()
	server = Redacted(nc.ConnectedUrl())
	for _, subject := range cfg.heardOn() {
		if _, err := nc.SubscribeSync(subject); err != nil {
			return server, err
		}
	}
	if err := cfg.trySubjects(nc, reachTimeout); err != nil {
		return server, fmt.Errorf("at %s: %w", server, err)
	}
	return server, nil
}

// heartbeats is the last word of the subject of what is for everybody.
const heartbeats = "hb"

func (cfg *Config) prefix() string { return "wsg." + cfg.App + "." }

func (cfg *Config) self() string { return hex.EncodeToString(cfg.Instance[:]) }

// mine is what the subjects of what is for this instance begin with.
func (cfg *Config) mine() string { return cfg.prefix() + "to." + cfg.self() + "." }

// heardOn are the subjects to subscribe to.
func (cfg *Config) heardOn() []string { return []string{cfg.prefix() + heartbeats, cfg.mine() + ">"} }

// trySubjects waits until the server has seen the subscriptions, and then an empty message on
// each kind of subject, which receivers ignore. The error is nats.ErrPermissionViolation if
// it refuses one, nats.ErrMaxSubscriptionsExceeded if it does not take both subscriptions, and
// a smallError if it takes only messages that are too short for gateways.
func (cfg *Config) trySubjects(nc *nats.Conn, timeout time.Duration) error {
	if most := nc.MaxPayload(); most > 0 && most < minPacket { // 0: it has said nothing
		return smallError(most)
	}
	if err := complaint(nc, timeout); err != nil {
		return err
	}
	for _, subject := range []string{cfg.prefix() + heartbeats, cfg.mine() + cfg.self()} {
		if err := nc.Publish(subject, nil); err != nil {
			return err
		}
	}
	return complaint(nc, timeout)
}

// complaint waits until the server has seen everything, and returns what it does not permit.
func complaint(nc *nats.Conn, timeout time.Duration) error {
	if err := nc.FlushTimeout(timeout); err != nil {
		return err
	}
	if err := nc.LastError(); errors.Is(err, nats.ErrPermissionViolation) || errors.Is(err, nats.ErrMaxSubscriptionsExceeded) {
		return err
	}
	return nil
}

// smallError is how many bytes a message may have for a server, which are too few.
type smallError int64

func (e smallError) Error() string {
	return fmt.Sprintf("its max_payload is %d bytes, and must be %d at the least", int64(e), minPacket)
}

func (cfg *Config) fromFiles(replaced func()) (options []nats.Option, err error) {
	if cfg.Creds != "" {
		text, err := readFile(cfg.Creds)
		if err != nil {
			return nil, err
		}
		if _, err := nkeys.ParseDecoratedUserNKey(text); err != nil {
			return nil, &FileError{cfg.Creds, errors.New("it has no user's key: it should be a file of credentials as nsc writes it")}
		}
		options = append(options, nats.UserCredentials(cfg.Creds))
	}
	if cfg.NKey != "" {
		option, err := nkeyOption(cfg.NKey, replaced)
		if err != nil {
			return nil, &FileError{cfg.NKey, errors.New("it has no user's key: its line should begin with SU")}
		}
		options = append(options, option)
	}
	if cfg.TokenFile != "" {
		if _, err := readToken(cfg.TokenFile); err != nil {
			return nil, err
		}
		options = append(options, nats.TokenHandler(func() string {
			token, _ := readToken(cfg.TokenFile) // read anew, since it may have been replaced
			return token
		}))
	}
	if cfg.CA != "" {
		text, err := readFile(cfg.CA)
		if err != nil {
			return nil, err
		}
		if !x509.NewCertPool().AppendCertsFromPEM(text) {
			return nil, &FileError{cfg.CA, errors.New("it has no certificate (PEM) that can be read")}
		}
		options = append(options, nats.RootCAs(cfg.CA))
	}
	if cfg.Cert != "" {
		if _, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key); err != nil {
			return nil, &FileError{cfg.Cert, fmt.Errorf("with its key %s: %s", cfg.Key, strings.TrimPrefix(err.Error(), "tls: "))}
		}
		options = append(options, nats.ClientCert(cfg.Cert, cfg.Key))
	}
	return options, nil
}

// errReplaced is why a client cannot sign any more.
var errReplaced = errors.New("the user's key has been replaced")

// nkeyOption has a client use the key in a file. It says the public key that was there when it
// was made, but signs with the one that is there now: once that is another one no server takes
// it, and replaced is called, while the client is locked.
func nkeyOption(file string, replaced func()) (nats.Option, error) {
	option, made, err := readNKey(file)
	if err != nil {
		return nil, err
	}
	return func(o *nats.Options) error {
		if err := option(o); err != nil {
			return err
		}
		o.SignatureCB = func(nonce []byte) ([]byte, error) {
			_, now, err := readNKey(file)
			switch {
			case err != nil:
				return nil, err
			case now.Nkey != made.Nkey:
				replaced()
				return nil, errReplaced
			}
			return now.SignatureCB(nonce)
		}
		return nil
	}, nil
}

// readNKey returns the option for the key that a file has now, and what it sets.
func readNKey(file string) (option nats.Option, sets nats.Options, err error) {
	if option, err = nats.NkeyOptionFromSeed(file); err == nil {
		err = option(&sets)
	}
	return option, sets, err
}

func readFile(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if pathless := new(fs.PathError); errors.As(err, &pathless) {
		err = pathless.Err
	}
	if err != nil {
		return nil, &FileError{path, err}
	}
	return text, nil
}

func readToken(file string) (string, error) {
	text, err := readFile(file)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", &FileError{file, errors.New("it has no token in it")}
	}
	return token, nil
}
