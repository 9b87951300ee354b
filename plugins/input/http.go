package input

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"golang.org/x/net/netutil"

	"github.com/mfn-connect/mfn-connect/internal/guard"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/ratelimit"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracing"
)

const (
	httpType = "mfn_http"

	httpFieldRateLimit = "rate_limit"
	httpFieldCORS      = "cors"
	httpFieldResponse  = "sync_response"
	httpFieldMetadata  = "metadata_headers"
)

var (
	httpAddress        = fields.Address("address")
	httpTimeout        = fields.Positive("timeout")
	httpReadTimeout    = fields.Positive("read_timeout")
	httpIdleTimeout    = fields.Positive("idle_timeout")
	httpMaxBody        = fields.Bytes("max_body_bytes", 1, 1<<30)
	httpMaxInFlight    = fields.Count("max_in_flight", 1)
	httpMaxConnections = fields.Count("max_connections", 1)
	httpRateLimit      = fields.Text(httpFieldRateLimit)
	httpAPIKeys        = fields.ListOf(fields.Secret("api_keys"))
	httpAllowedHosts   = fields.ListOf(fields.NotEmpty("allowed_hosts"))
	httpCertFile       = fields.Text("cert_file")
	httpKeyFile        = fields.Text("key_file")
	httpOrigins        = fields.ListOf(fields.Matching("allowed_origins", "an origin such as https://example.com, or * for all", `^(\*|https?://[^/?#\s]+)$`))
	httpStatus         = fields.Interpolated("status")
	httpHeaders        = fields.MapOf(fields.Interpolated("headers"))
)

func httpSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Network").
		Summary("Serves HTTP: each request is a message, and what the stream answers is its response. Bodies, times, connections and callers are bounded.").
		Description(`
It does what Benthos's `+"`http_server`"+` does, with an address of its own, for callers that need not be trusted:

- A body is at most `+"`max_body_bytes`"+` long (413), a request is read within `+"`read_timeout`"+`, and an idle connection is closed after `+"`idle_timeout`"+`.
- While `+"`max_in_flight`"+` requests are under way, the next ones are answered with 503 and `+"`Retry-After`"+`; those above `+"`rate_limit`"+` with 429 and `+"`Retry-After`"+`.
- A request that takes longer than `+"`timeout`"+` is answered with 504, and one whose client is gone is given up. Either ends its simulation.
- With `+"`api_keys`"+`, a request needs one of them (401).
- With `+"`content_types`"+`, the `+"`Accept`"+` of a request chooses among them, by its q-values (406).
- A page of another origin cannot send requests from a visitor's browser (403), unless `+"`cors.allowed_origins`"+` lists the origin. A server that listens on a loopback address answers only requests for a loopback name (421), since any name may be made to point there.

What the stream answers comes from the [`+"`sync_response`"+`](https://docs.redpanda.com/connect/components/outputs/sync_response/) output or processor. Several messages of one answer follow each other, a line each. A message that is rejected is answered with 502 and the error. Answers of this input itself are JSON objects with an `+"`error`"+`.

### Metadata

`+"```text"+`
- http_server_request_path
- http_server_verb
- http_server_user_agent
- http_server_remote_ip
- http_server_content_type (that of the answer, from `+"`content_types`"+`)
`+"```"+`

Headers, query parameters and cookies are left out: a caller cannot set the metadata by which a stream decides.`).
		Fields(
			httpAddress.Field().
				Description("Where to listen. A port of every interface opens the service to the network: set `api_keys`, `cert_file` and `key_file` then.").
				Examples("127.0.0.1:4195", "0.0.0.0:8443"),
			httpPathsField(),
			httpTimeout.Field().
				Description("How long a request may take, from its last byte to its answer.").
				Default("60s"),
			httpReadTimeout.Field().
				Description("How long a client may take to send a request.").
				Default("30s").Advanced(),
			httpIdleTimeout.Field().
				Description("How long a connection is kept without a request.").
				Default("60s").Advanced(),
			httpMaxBody.Field().
				Description("The largest body.").
				Default("1MiB"),
			httpMaxInFlight.Field().
				Description("How many requests may be under way at once.").
				Default(64),
			httpMaxConnections.Field().
				Description("How many connections may be open at once. Others wait until one is closed.").
				Default(1000).Advanced(),
			httpRateLimit.Field().
				Description("A [rate limit](https://docs.redpanda.com/connect/components/rate_limits/about/) that all requests share.").
				Default(""),
			httpAPIKeys.Field().
				Description("Keys that callers need: as `Authorization: Bearer KEY` or `X-API-Key: KEY`. Without keys everyone is answered; an empty key is none.").
				Default([]any{}),
			httpAllowedHosts.Field().
				Description("The names under which callers may reach the service (the `Host` of a request, without its port). Empty: loopback names where `address` is a loopback address, else all.").
				Default([]any{}).Advanced(),
			httpCertFile.Field().
				Description("A certificate to serve TLS, with `key_file`.").
				Default("").Advanced(),
			httpKeyFile.Field().
				Description("The private key of `cert_file`.").
				Default("").Advanced(),
			service.NewObjectField(httpFieldCORS,
				httpOrigins.Field().
					Description("Origins whose pages may send requests and read the answers, such as `https://example.com`.").
					Default([]any{}),
			).Description("Cross-origin requests of browsers.").Advanced(),
			service.NewObjectField(httpFieldResponse,
				httpStatus.Field().
					Description("The status of an answer.").
					Examples(`${! meta("status").or("200") }`).
					Default("200"),
				httpHeaders.Field().
					Description("The headers of an answer.").
					Default(map[string]any{"Content-Type": "application/octet-stream"}),
				fields.Foreign(service.NewMetadataFilterField(httpFieldMetadata).
					Description("Which metadata of the answer become headers.")),
			).Description("How an answer of the stream becomes a response.").Advanced(),
		).
		LintRule(`root = if (this.cert_file.or("") == "") != (this.key_file.or("") == "") { [ "cert_file and key_file: each needs the other" ] }`).
		Example("Simulation as a service", "Answers parameters with features. A request that cannot be simulated is answered with status 400 and the error.", `
input:
  mfn_http:
    address: 127.0.0.1:4195
    paths: [ { path: /simulate } ]
    api_keys: [ '${API_KEY:}' ]
    sync_response:
      status: ${! meta("status").or("200") }
      headers: { Content-Type: application/json }

pipeline:
  processors:
    - mfn_simulate: {}
    - catch:
        - mapping: |
            meta status = "400"
            root.error = error()

output:
  sync_response: {}

http:
  address: 127.0.0.1:4197
`)
}

func init() {
	fields.RegisterBatchInput(httpType, httpSpec(), func(conf *service.ParsedConfig, res *service.Resources) (service.BatchInput, error) {
		return newHTTPInput(conf, res)
	})
}

// httpInput makes a message of each request, and a response of each answer.
type httpInput struct {
	conf     httpConfig
	log      *service.Logger
	refusals *logs.Digest
	guard    *guard.Guard
	status   *status.Component
	limit    *ratelimit.Limit // nil: there is none
	spans    tracing.Spans

	requests chan *httpRequest
	inFlight chan struct{}
	closing  chan struct{} // closed when no request is taken any more
	close    func()

	server *http.Server
	served sync.WaitGroup

	mu        sync.Mutex
	ended     bool // no request is answered any more
	answering sync.WaitGroup
}

type httpConfig struct {
	address, rateLimit, certFile, keyFile string
	routes                                []route
	keys, hosts, origins                  []string
	timeout, readTimeout, idleTimeout     time.Duration
	maxBody                               int64
	maxInFlight, maxConnections           int

	status   *service.InterpolatedString
	headers  map[string]*service.InterpolatedString
	metadata *service.MetadataFilter
}

func parseHTTPConfig(conf *service.ParsedConfig) (c httpConfig, err error) {
	response := conf.Namespace(httpFieldResponse)
	err = cmp.Or(
		fields.Into(&c.address, httpAddress, conf),
		fields.Into(&c.timeout, httpTimeout, conf),
		fields.Into(&c.readTimeout, httpReadTimeout, conf),
		fields.Into(&c.idleTimeout, httpIdleTimeout, conf),
		fields.Into(&c.maxBody, httpMaxBody, conf),
		fields.Into(&c.maxInFlight, httpMaxInFlight, conf),
		fields.Into(&c.maxConnections, httpMaxConnections, conf),
		fields.Into(&c.rateLimit, httpRateLimit, conf),
		fields.Into(&c.keys, httpAPIKeys, conf),
		fields.Into(&c.hosts, httpAllowedHosts, conf),
		fields.Into(&c.certFile, httpCertFile, conf),
		fields.Into(&c.keyFile, httpKeyFile, conf),
		fields.Within(httpFieldCORS, fields.Into(&c.origins, httpOrigins, conf.Namespace(httpFieldCORS))),
		fields.Within(httpFieldResponse, cmp.Or(
			fields.Into(&c.status, httpStatus, response),
			fields.Into(&c.headers, httpHeaders, response),
		)),
	)
	if err != nil {
		return c, err
	}
	if (c.certFile == "") != (c.keyFile == "") {
		return c, errors.New("cert_file and key_file: each needs the other")
	}
	if c.routes, err = parseHTTPRoutes(conf); err != nil {
		return c, err
	}
	c.metadata, err = response.FieldMetadataFilter(httpFieldMetadata)
	return c, err
}

func newHTTPInput(conf *service.ParsedConfig, res *service.Resources) (*httpInput, error) {
	c, err := parseHTTPConfig(conf)
	if err != nil {
		return nil, err
	}
	in := &httpInput{
		conf: c, log: res.Logger(),
		refusals: logs.NewDigest(res.Logger(), (*service.Logger).Warn, 12, logs.DigestWords{More: "More requests were refused"}),
		requests: make(chan *httpRequest),
		inFlight: make(chan struct{}, c.maxInFlight),
		closing:  make(chan struct{}),
		spans:    tracing.NewSpans(res, httpType),
	}
	in.close = sync.OnceFunc(func() { close(in.closing) })
	if c.rateLimit != "" {
		if in.limit, err = ratelimit.Find(res, c.rateLimit); err != nil {
			return nil, fmt.Errorf("%v: %w", httpFieldRateLimit, err)
		}
	}
	if in.guard, err = guard.New(c.address, c.hosts, c.origins, c.keys); err != nil {
		return nil, fmt.Errorf("address and cors.allowed_origins: %w", err)
	}
	in.server = &http.Server{
		Handler:           in.handler(),
		ReadHeaderTimeout: c.readTimeout,
		ReadTimeout:       c.readTimeout,
		IdleTimeout:       c.idleTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(serverLines{res.Logger()}, "", 0),
	}
	in.status = status.New(res, httpType, status.Connector)
	ledger.Process.HasInput()
	return in, nil
}

// Connect listens.
func (in *httpInput) Connect(ctx context.Context) error {
	in.status.Connecting()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", in.conf.address)
	if err != nil {
		err = fmt.Errorf("listening at %v: %w", in.conf.address, err)
		in.status.Failed(err)
		return err
	}
	in.status.Connected()
	listener = netutil.LimitListener(listener, in.conf.maxConnections)
	scheme, serve := "http", func() error { return in.server.Serve(listener) }
	if in.conf.certFile != "" {
		scheme, serve = "https", func() error { return in.server.ServeTLS(listener, in.conf.certFile, in.conf.keyFile) }
	}
	in.log.With("url", fmt.Sprintf("%v://%v", scheme, listener.Addr())).Info("Answering requests")
	in.served.Go(func() {
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			in.status.Failed(err)
			in.log.With("error", err.Error()).Error("The server has ended")
			ledger.Process.Fail(fmt.Errorf("serving at %v: %w", in.conf.address, err))
			in.close()
		}
	})
	return nil
}

// ReadBatch returns the message of the next request.
func (in *httpInput) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	select {
	case r := <-in.requests:
		ledger.Process.Taken.Add(1)
		batch := service.MessageBatch{r.message}
		in.spans.Begin(batch)
		return batch, func(_ context.Context, err error) error {
			ledger.Process.Settled.Add(1)
			r.answered <- err
			return nil
		}, nil
	case <-in.closing:
		return nil, nil, service.ErrEndOfInput
	case <-ctx.Done():
		in.close() // the stream shuts down
		return nil, nil, ctx.Err()
	}
}

// Close waits for the responses under way, and closes all connections: also those
// whose clients have sent half of a request.
func (in *httpInput) Close(ctx context.Context) error {
	defer in.status.Close()
	defer in.refusals.Close()
	in.close()
	in.mu.Lock()
	in.ended = true
	in.mu.Unlock()
	answered := make(chan struct{})
	go func() {
		in.answering.Wait()
		close(answered)
	}()
	var err error
	select {
	case <-answered:
	case <-ctx.Done():
		err = fmt.Errorf("waiting for the responses under way: %w", ctx.Err())
	}
	err = errors.Join(err, in.server.Close())
	in.served.Wait()
	return err
}
