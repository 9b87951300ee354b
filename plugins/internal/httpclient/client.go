// Package httpclient is the HTTP client of mfn_rest and mfn_webhook: it builds
// and signs requests, tells errors that may pass from those that will not, reads
// responses within bounds, and keeps secrets out of every error.
package httpclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracing"
)

// FieldHeaders is the name of the field that holds the headers.
const FieldHeaders = "headers"

const (
	fieldTLS = "tls"
)

const (
	userAgent = "mfn-connect"
	// idleTimeout is how long a pooled connection may wait for its next request.
	idleTimeout = 90 * time.Second
	// maxHeaderBytes bounds the headers of a response.
	maxHeaderBytes = 1 << 20
	// maxRedirects is how often one request may be redirected.
	maxRedirects = 10
)

// Fields returns the configuration fields headers, auth, tls and
// retry_on_status.
func Fields() []*service.ConfigField {
	return []*service.ConfigField{
		headers.Field().
			Description("Headers of each request. A value may hold " + AllowedValue + ". Values appear in no log, error or `echo`.").
			Default(map[string]any{}).
			Example(map[string]any{"X-Api-Key": "${API_KEY}"}),
		authField(),
		fields.Foreign(service.NewTLSToggledField(fieldTLS)),
		retryOn.Field().
			Description("The response statuses after which a request is tried again.").
			Default(defaultRetryOn).
			Advanced(),
	}
}

// defaultRetryOn are the statuses after which a request is tried again.
var defaultRetryOn = []any{
	http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
	http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// StatusesField is a field that holds a list of HTTP statuses.
func StatusesField(name string) fields.List[int] { return fields.ListOf(fields.Int(name, 100, 599)) }

var retryOn = StatusesField("retry_on_status")

// Client sends requests. It may be used from any number of goroutines.
type Client struct {
	http    *http.Client
	auth    *auth
	mask    URLMask
	headers map[string]*service.InterpolatedString
	retryOn []int
	ok      func(status int) bool
}

// Options are what the components set, not their users.
type Options struct {
	MaxConnections int // to one host; 0 for any number
	// OK says whether a status is a success.
	OK func(status int) bool
}

// Success says whether a status is one of 200 to 299.
func Success(status int) bool { return status >= 200 && status <= 299 }

// New returns a client from a configuration that holds Fields. The caller
// closes it.
func New(conf *service.ParsedConfig, res *service.Resources, opts Options) (*Client, error) {
	c := &Client{ok: opts.OK}

	var err error
	if c.headers, err = headers.Parse(conf); err != nil {
		return nil, err
	}
	if c.retryOn, err = retryOn.Parse(conf); err != nil {
		return nil, err
	}

	if c.mask.Path, err = maskPath.Parse(conf); err != nil {
		return nil, err
	}

	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = redactProxyError(http.ProxyFromEnvironment)
	transport.MaxConnsPerHost = opts.MaxConnections
	transport.MaxIdleConnsPerHost = max(opts.MaxConnections, http.DefaultMaxIdleConnsPerHost)
	transport.MaxIdleConns = 0
	transport.DisableCompression = true // Response decompresses
	transport.IdleConnTimeout = idleTimeout
	transport.MaxResponseHeaderBytes = maxHeaderBytes
	tlsConf, enabled, err := conf.FieldTLSToggled(fieldTLS)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", fieldTLS, err)
	}
	if enabled {
		transport.TLSClientConfig = tlsConf
	}
	if c.auth, err = parseAuth(conf.Namespace(fieldAuth), res, transport); err != nil {
		return nil, fmt.Errorf("%v: %w", fieldAuth, err)
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: c.checkRedirect}
	return c, nil
}

// MethodField is a field that takes HTTP methods.
func MethodField(name string) fields.Scalar[string] {
	return fields.Text(name).Where("an HTTP method",
		fmt.Sprintf("this.string().re_match(%q)", headerName), headerName.MatchString).
		Schema(jsonschema.TextMatching(headerName.String()))
}

// Method reads an HTTP method.
func Method(conf *service.ParsedConfig, field string) (string, error) {
	method, err := MethodField(field).Parse(conf)
	return strings.ToUpper(method), err
}

// redactProxyError returns find without the proxy's address, and so its password, in the
// error.
func redactProxyError(find func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		u, err := find(req)
		if err != nil {
			return nil, errors.New("the proxy of the environment (HTTP_PROXY, HTTPS_PROXY) is not a valid URL")
		}
		return u, nil
	}
}

// Close closes the connections that no request uses.
func (c *Client) Close() {
	c.auth.close()
	c.http.CloseIdleConnections()
}

// Headers evaluates the configured headers by interpolate.
func (c *Client) Headers(interpolate func(*service.InterpolatedString) (string, error)) (http.Header, error) {
	h := make(http.Header, len(c.headers)+4)
	for name, expr := range c.headers {
		value, err := interpolate(expr)
		if err != nil {
			return nil, fmt.Errorf("%v: interpolating %v: %w", FieldHeaders, name, err)
		}
		if !ValidValue(value) {
			return nil, invalidValue(name)
		}
		h.Set(name, value)
	}
	return h, nil
}

// Request is what an operation sends, the same in each of its attempts.
type Request struct {
	Method string
	URL    *url.URL
	Header http.Header
	Body   []byte // nil for none
}

// Do sends r once, and again if a 401 asks for another token. An error that may pass
// is a retry.Transient. The caller closes the response.
func (c *Client) Do(ctx context.Context, r Request) (*Response, error) {
	retry.Note(ctx, "method", r.Method)
	resp, again, err := c.send(ctx, r)
	if err == nil && again {
		resp.Discard()
		resp.Close()
		resp, _, err = c.send(ctx, r)
	}
	if err == nil {
		retry.Note(ctx, "status", resp.StatusCode)
	}
	return resp, err
}

// send sends r. It returns whether another token may have another response.
func (c *Client) send(ctx context.Context, r Request) (_ *Response, again bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	req, token, err := c.build(ctx, r)
	if err != nil {
		cancel()
		return nil, false, err
	}
	masked := c.mask.secretsOf(req)
	resp, err := c.http.Do(req) //nolint:bodyclose // by the caller, with Response.Close
	if err != nil {
		cancel()
		return nil, false, classify(err, masked)
	}
	return &Response{Response: resp, client: c, cancel: cancel, secrets: masked}, c.auth.answered(token, resp.StatusCode), nil
}

func (c *Client) build(ctx context.Context, r Request) (_ *http.Request, token string, err error) {
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	// The user goes into a header, since errors hold URLs.
	u := *r.URL
	u.User, u.Fragment, u.RawFragment = nil, "", ""

	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), body)
	if err != nil {
		return nil, "", fmt.Errorf("making a %v request: %w", r.Method, withoutURL(err))
	}
	req.Header = r.Header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
		req.Header.Del("Host")
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", userAgent)
	}
	if req.Header.Get("Accept-Encoding") == "" && req.Header.Get("Range") == "" && r.Method != http.MethodHead {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	tracing.ToHeader(ctx, req.Header)
	token, err = c.auth.authenticate(req, r.URL.User)
	return req, token, err
}

// checkRedirect follows a redirect that repeats the request at the same origin.
// Headers, tokens and bodies are meant for the configured origin alone, and a
// POST that turned into a GET would lose its body without a word.
func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	first, status := via[0], req.Response.StatusCode
	switch {
	case c.ok(status):
		return http.ErrUseLastResponse
	case !SameOrigin(req.URL, first.URL):
		return &redirectError{status, fmt.Sprintf("to another origin, %v://%v, which is not followed", req.URL.Scheme, req.URL.Host)}
	case req.Method != first.Method:
		return &redirectError{status, fmt.Sprintf("from %v to %v, which is not followed, since it would drop the body", first.Method, req.Method)}
	case len(via) > maxRedirects:
		return &redirectError{status, fmt.Sprintf("more than %v times", maxRedirects)}
	}
	return nil
}
