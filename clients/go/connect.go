package culld

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

const (
	// DefaultAddress is where the daemon listens unless told otherwise.
	DefaultAddress = "127.0.0.1:7357"
	// DefaultTimeout is the deadline of a unary call whose context has none, calls that compare all images apart.
	DefaultTimeout = time.Minute

	// messageBytesMax bounds a message that is received; the daemon's largest have 64 MiB.
	messageBytesMax = 80 << 20
)

// Option is something to say of a connection.
type Option func(*settings) error

type settings struct {
	tls           *tls.Config
	token         func(context.Context) (string, error)
	insecureToken bool
	collection    string
	actor         string
	timeout       time.Duration
	retry         RetryPolicy
	dial          []grpc.DialOption
}

// WithTLS connects by TLS; nil trusts the system's authorities.
func WithTLS(config *tls.Config) Option {
	return func(s *settings) error {
		if config == nil {
			config = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		s.tls = config
		return nil
	}
}

// WithTLSFiles connects by TLS with PEM files: the authorities to trust (empty: the system's), and the client's
// certificate and key, where the daemon asks for one (empty: none).
func WithTLSFiles(ca, cert, key string) Option {
	return func(s *settings) error {
		s.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		if ca != "" {
			pem, err := os.ReadFile(ca)
			if err != nil {
				return err
			}
			s.tls.RootCAs = x509.NewCertPool()
			if !s.tls.RootCAs.AppendCertsFromPEM(pem) {
				return fmt.Errorf("culld: %s holds no certificate", ca)
			}
		}
		if cert != "" || key != "" {
			pair, err := tls.LoadX509KeyPair(cert, key)
			if err != nil {
				return err
			}
			s.tls.Certificates = []tls.Certificate{pair}
		}
		return nil
	}
}

// WithToken shows this token with every call. Without TLS it is sent to this machine only.
func WithToken(token string) Option {
	return WithTokenSource(func(context.Context) (string, error) { return token, nil })
}

// WithTokenSource asks for the token with every call; an empty one is not sent.
func WithTokenSource(source func(context.Context) (string, error)) Option {
	return func(s *settings) error {
		s.token = source
		return nil
	}
}

// WithInsecureToken sends a token without TLS to another machine, too: whoever listens can use it.
func WithInsecureToken() Option {
	return func(s *settings) error {
		s.insecureToken = true
		return nil
	}
}

// WithCollection works on this collection. Default: the environment's CULLD_COLLECTION, else "default".
func WithCollection(name string) Option {
	return func(s *settings) error {
		s.collection = name
		return nil
	}
}

// WithActor says who acts, for the daemon's log; at most 128 characters.
func WithActor(name string) Option {
	return func(s *settings) error {
		s.actor = name
		return nil
	}
}

// WithTimeout is the deadline, retries included, of unary calls whose context has none. Default [DefaultTimeout].
func WithTimeout(timeout time.Duration) Option {
	return func(s *settings) error {
		if timeout <= 0 {
			return fmt.Errorf("culld: a timeout of %v", timeout)
		}
		s.timeout = timeout
		return nil
	}
}

// WithRetry says how to try again; what is zero keeps its default.
func WithRetry(policy RetryPolicy) Option {
	return func(s *settings) error {
		s.retry = policy
		return nil
	}
}

// WithDialOptions hands options to gRPC itself, such as interceptors of your own.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) error {
		s.dial = append(s.dial, options...)
		return nil
	}
}

// Connect prepares a connection to a daemon at "host:port", "http://…" or "https://…"; empty means the environment's
// CULLD_SERVER, else [DefaultAddress]. The connection is made with the first call: [Client.ServerInfo] tells whether
// there is a daemon. What no option says of TLS, the token and the collection, the environment does, as for the command
// line: CULLD_CA, CULLD_CLIENT_CERT and CULLD_CLIENT_KEY name files, CULLD_TOKEN is one, CULLD_TOKEN_FILE holds one.
func Connect(address string, options ...Option) (*Client, error) {
	s := settings{collection: os.Getenv("CULLD_COLLECTION"), timeout: DefaultTimeout}
	for _, or := range []string{os.Getenv("CULLD_SERVER"), DefaultAddress} {
		if address == "" {
			address = or
		}
	}
	for _, option := range append(environment(address), options...) {
		if err := option(&s); err != nil {
			return nil, err
		}
	}
	s.retry = s.retry.withDefaults()
	target, err := s.target(address)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(target, s.dialOptions()...)
	if err != nil {
		return nil, fmt.Errorf("culld: %w", err)
	}
	return newClient(conn, &s), nil
}

// environment is what the environment says, as for the command line; an address of http asks for no TLS.
func environment(address string) []Option {
	var options []Option
	ca, cert, key := os.Getenv("CULLD_CA"), os.Getenv("CULLD_CLIENT_CERT"), os.Getenv("CULLD_CLIENT_KEY")
	if (ca != "" || cert != "" || key != "") && !strings.HasPrefix(address, "http://") {
		options = append(options, WithTLSFiles(ca, cert, key))
	}
	if token := os.Getenv("CULLD_TOKEN"); token != "" {
		return append(options, WithToken(token))
	}
	if file := os.Getenv("CULLD_TOKEN_FILE"); file != "" {
		options = append(options, func(s *settings) error {
			token, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			return WithToken(strings.TrimSpace(string(token)))(s)
		})
	}
	return options
}

// target is what gRPC connects to; an address of https asks for TLS.
func (s *settings) target(address string) (string, error) {
	hostPort := address
	if parsed, err := url.Parse(address); err == nil && parsed.Host != "" {
		hostPort = parsed.Host
		switch {
		case parsed.Scheme == "http" && s.tls != nil:
			return "", fmt.Errorf("culld: %s says that there is no TLS, the options say that there is", address)
		case parsed.Scheme == "https" && s.tls == nil:
			s.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		case parsed.Scheme != "http" && parsed.Scheme != "https":
			return "", fmt.Errorf("culld: %s is no address: host:port, http://… or https://…", address)
		}
		if parsed.Port() == "" {
			hostPort = net.JoinHostPort(parsed.Hostname(), map[string]string{"http": "80", "https": "443"}[parsed.Scheme])
		}
	}
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return "", fmt.Errorf("culld: %s is no address: %w", address, err)
	}
	if s.token != nil && s.tls == nil && !s.insecureToken && !isLoopback(host) {
		return "", errors.New("culld: without TLS the token would be readable on the way to " + host + ": use WithTLS, or WithInsecureToken")
	}
	return hostPort, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip.IsLoopback()
}

func (s *settings) dialOptions() []grpc.DialOption {
	transport := insecure.NewCredentials()
	if s.tls != nil {
		transport = credentials.NewTLS(s.tls)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(messageBytesMax), grpc.MaxCallSendMsgSize(math.MaxInt32)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           grpcbackoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 2, Jitter: 0.25, MaxDelay: 5 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithDisableServiceConfig(),
		grpc.WithChainUnaryInterceptor(s.unary),
		grpc.WithChainStreamInterceptor(s.stream),
	}
	if s.token != nil {
		options = append(options, grpc.WithPerRPCCredentials(bearer(s.token)))
	}
	return append(options, s.dial...)
}

// bearer shows a token; whether it may be sent is decided before.
type bearer func(context.Context) (string, error)

func (b bearer) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	token, err := b(ctx)
	if err != nil || token == "" {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

func (b bearer) RequireTransportSecurity() bool { return false }
