package input

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/httpclient"
	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/replay"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

const (
	restType = "mfn_rest"

	restFieldBaseURL        = "base_url"
	restFieldEndpoint       = "endpoint"
	restFieldMethod         = "method"
	restFieldParams         = "params"
	restFieldBody           = "body"
	restFieldPollInterval   = "poll_interval"
	restFieldSplit          = "split"
	restFieldNextPage       = "next_page"
	restFieldConditional    = "conditional"
	restFieldMaxBytes       = "max_response_bytes"
	restFieldExtractHeaders = "extract_headers"
)

func restSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Network").
		Summary("Polls a REST endpoint and makes a message of each response, or of each element of an array in it.").
		Description(`
The first poll is made at once, and one follows each `+"`poll_interval`"+`. A response without content (an empty body, 204, 304) makes no message. All messages of one response form a batch.

A poll that fails after its retries is logged and counted, and the next is made at its turn; the stream never ends because of it. With a `+"`poll_interval` of `0s`"+` there is no next turn: the failure is logged as an error, and the stream ends as it does after a success.

### Conditional requests

The validators of a response (`+"`ETag`, `Last-Modified`"+`) are sent back at the next poll, and a response of 304 makes no message. They are forgotten when a message of that response is rejected, so that it is fetched again. They are kept in memory alone: after a restart everything is fetched again.

### Pages

`+"`next_page`"+` is a mapping over each response, of which `+"`this`"+` is the body and the metadata are all headers in lower case. It yields the URL of the next page, absolute or relative to the current one and used as it is, without `+"`params`"+`; or null, an empty string or nothing when there is none. A page is fetched when the stream asks for more. A page that one poll would fetch a second time is an error, as is one of another origin.

### Secrets

Headers, tokens, the body and the parameters of a request appear in no log, error, metric or `+"`echo`"+`. A URL is shown with its path, without its user and password, and with the values of its query hidden. Requests go to the origin (scheme, host and port) of `+"`base_url`"+` alone: a redirect or a next page that leads elsewhere is an error. A proxy is taken from the environment (`+"`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`"+`).

### Metadata

Each message has `+"`http_status_code`, `http_url`"+` (as it is shown in logs), and the response headers that `+"`extract_headers`"+` matches.`).
		Fields(
			service.NewURLField(restFieldBaseURL).
				Description("The URL to which `endpoint` is added. A user and password in it authenticate by basic authentication.").
				Example("https://api.example.com/v1"),
			service.NewInterpolatedStringField(restFieldEndpoint).
				Description("The path of the resource, relative to `base_url`. It may have a query.").
				Default("").
				Example("/parameters"),
			service.NewStringField(restFieldMethod).
				Description("The HTTP method.").
				Default(http.MethodGet).
				Examples("GET", "POST"),
			service.NewInterpolatedStringMapField(restFieldParams).
				Description("Parameters of the query. They are evaluated anew for each poll.").
				Default(map[string]any{}).
				Example(map[string]any{"limit": "100", "since": `${! (timestamp_unix() - 3600).ts_format("2006-01-02") }`}).
				Secret(),
			service.NewInterpolatedStringField(restFieldBody).
				Description("The body of the request. It is evaluated anew for each poll, and sent as `application/json` unless `headers` say otherwise. Empty: there is none.").
				Default("").
				Example(`{"status":"ready"}`).
				Secret(),
		).
		Fields(httpclient.Fields()...).
		Fields(
			service.NewDurationField(restFieldPollInterval).
				Description("The time from one poll to the next. `0s` polls once, after which the stream ends.").
				Default("60s"),
			service.NewBloblangField(restFieldSplit).
				Description("A mapping, such as a path, from the response to an array of which each element becomes a message. Null is an empty array.").
				Optional().
				Examples("this.data.items", "this"),
			service.NewBloblangField(restFieldNextPage).
				Description("A mapping from the response to the URL of the next page.").
				Optional().
				Examples(
					"this.next",
					`root = if this.page < this.pages { "?page=%v".format(this.page + 1) }`,
					`root = @link.re_find_all_submatch("<([^>]*)>; *rel=\"?next\"?").index(0).index(1) | null`,
				),
			service.NewBoolField(restFieldConditional).
				Description("Whether to send the validators of the last response back, so that one that has not changed makes no message. Applies to the methods GET and HEAD.").
				Default(true),
			service.NewIntField(restFieldMaxBytes).
				Description("The largest response, in bytes, after decompression. A larger one is an error.").
				Default(16<<20).
				Advanced().
				LintRule(`root = if this < 1 { [ "max_response_bytes must be 1 or more, got %v".format(this) ] }`),
			service.NewMetadataFilterField(restFieldExtractHeaders).
				Description("Which response headers become metadata. Their names are in lower case.").
				Optional().
				Advanced(),
			httpclient.RateLimitField(),
		).
		Fields(retry.Fields()...).
		Fields(replay.Fields()...).
		Example("Parameters from an API", "Asks for new parameters each half minute, and simulates them.", `
input:
  label: params
  mfn_rest:
    base_url: https://api.example.com
    endpoint: /parameters
    params:
      limit: "100"
    auth:
      bearer_token: '${API_TOKEN}'
    poll_interval: 30s
    split: this.items

pipeline:
  processors:
    - mfn_simulate: {}
    - catch: # a warning in the log names what cannot be simulated
        - mapping: root = deleted()
`).
		Example("All pages, once", "Follows the `Link` header from page to page; the stream ends after the last.", `
input:
  mfn_rest:
    base_url: https://api.example.com
    endpoint: /parameters
    poll_interval: 0s
    split: this
    next_page: root = @link.re_find_all_submatch("<([^>]*)>; *rel=\"?next\"?").index(0).index(1) | null
`)
}

func init() {
	service.MustRegisterBatchInput(restType, restSpec(),
		func(conf *service.ParsedConfig, res *service.Resources) (service.BatchInput, error) {
			in, err := newRestInput(conf, res)
			if err != nil {
				return nil, err
			}
			return replay.Toggled(conf, in, replay.Options{Policy: in.policy, Finite: in.interval == 0, Log: res.Logger()})
		})
}

type restInput struct {
	res     *service.Resources
	log     *service.Logger
	status  *status.Component
	retrier *retry.Retrier
	policy  retry.Policy
	client  *httpclient.Client

	base        *url.URL
	endpoint    *service.InterpolatedString
	method      string
	params      map[string]*service.InterpolatedString
	body        *service.InterpolatedString // nil for none
	interval    time.Duration
	split       *bloblang.Executor // nil for none
	nextPage    *bloblang.Executor // nil for none
	conditional bool
	maxBytes    int64
	extract     *service.MetadataFilter
	limit       *httpclient.RateLimit

	// What follows belongs to ReadBatch.
	polled     bool
	turn       time.Time // of the next poll
	poll       *restPoll // nil between polls
	validators restValidators
}

// restPoll is one round of requests, from the first page to the last.
type restPoll struct {
	request httpclient.Request // for the current page
	seen    map[string]bool    // the pages so far, by URL
}

func newRestInput(conf *service.ParsedConfig, res *service.Resources) (*restInput, error) {
	r := &restInput{res: res, log: res.Logger(), validators: restValidators{byURL: map[string]restValidator{}}}
	if err := r.parse(conf); err != nil {
		return nil, err
	}
	var err error
	if r.policy, err = retry.ParsePolicy(conf); err != nil {
		return nil, err
	}
	if r.client, err = httpclient.New(conf, res, httpclient.Options{OK: httpclient.Success}); err != nil {
		return nil, err
	}
	r.status = status.New(res, restType, status.Connector)
	r.retrier = retry.New(r.policy, r.log, r.status)
	return r, nil
}

func (r *restInput) parse(conf *service.ParsedConfig) error {
	raw, err := conf.FieldString(restFieldBaseURL)
	if err != nil {
		return err
	}
	if r.base, err = httpclient.ParseURL(raw); err != nil {
		return fmt.Errorf("%v: %w", restFieldBaseURL, err)
	}
	if r.endpoint, err = conf.FieldInterpolatedString(restFieldEndpoint); err != nil {
		return err
	}
	if r.method, err = httpclient.Method(conf, restFieldMethod); err != nil {
		return err
	}
	if r.params, err = conf.FieldInterpolatedStringMap(restFieldParams); err != nil {
		return err
	}
	if r.body, err = conf.FieldInterpolatedString(restFieldBody); err != nil {
		return err
	}
	if text, static := r.body.Static(); static && text == "" {
		r.body = nil
	}
	if r.interval, err = conf.FieldDuration(restFieldPollInterval); err != nil {
		return err
	}
	if r.interval < 0 {
		return fmt.Errorf("%v: %v is below 0s", restFieldPollInterval, r.interval)
	}
	if conf.Contains(restFieldSplit) {
		if r.split, err = conf.FieldBloblang(restFieldSplit); err != nil {
			return err
		}
	}
	if conf.Contains(restFieldNextPage) {
		if r.nextPage, err = conf.FieldBloblang(restFieldNextPage); err != nil {
			return err
		}
	}
	if r.conditional, err = conf.FieldBool(restFieldConditional); err != nil {
		return err
	}
	r.conditional = r.conditional && (r.method == http.MethodGet || r.method == http.MethodHead)
	maxBytes, err := conf.FieldInt(restFieldMaxBytes)
	if err != nil {
		return err
	}
	if r.maxBytes = int64(maxBytes); r.maxBytes < 1 {
		return fmt.Errorf("%v: %v is below 1", restFieldMaxBytes, r.maxBytes)
	}
	if conf.Contains(restFieldExtractHeaders) {
		if r.extract, err = conf.FieldMetadataFilter(restFieldExtractHeaders); err != nil {
			return err
		}
	}
	r.limit, err = httpclient.ParseRateLimit(conf, r.res)
	return err
}

// Connect is ready at once; each poll finds out whether the server is.
func (r *restInput) Connect(context.Context) error {
	r.status.Connecting()
	r.status.Connected()
	return nil
}

// ReadBatch returns the messages of the next page that has any.
func (r *restInput) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	for {
		if r.poll == nil {
			if err := r.awaitTurn(ctx); err != nil {
				return nil, nil, err
			}
			p, err := r.newPoll()
			if err != nil {
				r.fail(r.operation(r.base), err)
				continue
			}
			r.poll = p
		}

		key := r.poll.request.URL.String()
		page, err := r.fetch(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil, nil, ctx.Err()
			}
			r.incomplete(err)
			r.poll = nil // logged and counted; the next turn begins anew
			continue
		}
		// A validator that has meanwhile been forgotten is not stored again.
		if !page.unchanged && !page.validator.empty() {
			r.validators.set(key, page.validator)
		}
		r.turnPage(page)
		if len(page.messages) == 0 {
			continue
		}
		return page.messages, func(_ context.Context, err error) error {
			if err != nil {
				r.validators.forget(key, page.validator)
			}
			return nil
		}, nil
	}
}

// awaitTurn waits until the next poll may begin.
func (r *restInput) awaitTurn(ctx context.Context) error {
	if r.polled && r.interval == 0 {
		return service.ErrEndOfInput
	}
	if err := retry.Sleep(ctx, time.Until(r.turn)); err != nil {
		return err
	}
	r.polled = true
	r.turn = time.Now().Add(r.interval)
	return nil
}

// newPoll evaluates the interpolated fields.
func (r *restInput) newPoll() (*restPoll, error) {
	empty := service.NewMessage(nil)
	endpoint, err := r.endpoint.TryString(empty)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", restFieldEndpoint, err)
	}
	u, err := joinRestURL(r.base, endpoint)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", restFieldEndpoint, err)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("the query of the URL is not valid")
	}
	for name, expr := range r.params {
		value, err := expr.TryString(empty)
		if err != nil {
			return nil, fmt.Errorf("%v: interpolating %v: %w", restFieldParams, name, err)
		}
		query.Set(name, value)
	}
	if len(r.params) > 0 {
		u.RawQuery = query.Encode()
	}

	p := &restPoll{
		request: httpclient.Request{Method: r.method, URL: u},
		seen:    map[string]bool{u.String(): true},
	}
	if p.request.Header, err = r.client.Headers(func(expr *service.InterpolatedString) (string, error) {
		return expr.TryString(empty)
	}); err != nil {
		return nil, err
	}
	if r.body != nil {
		if p.request.Body, err = r.body.TryBytes(empty); err != nil {
			return nil, fmt.Errorf("%v: %w", restFieldBody, err)
		}
		if p.request.Header.Get("Content-Type") == "" {
			p.request.Header.Set("Content-Type", "application/json")
		}
	}
	return p, nil
}

// joinRestURL returns base with the path of endpoint, a relative reference, added to
// its own, and with the queries of both.
func joinRestURL(base *url.URL, endpoint string) (*url.URL, error) {
	u := *base
	if u.Path == "" {
		u.Path = "/"
	}
	if endpoint == "" {
		return &u, nil
	}
	if strings.HasPrefix(endpoint, "http://") || strings.HasPrefix(endpoint, "https://") {
		return nil, errors.New("must be a path, relative to " + restFieldBaseURL)
	}
	if !strings.HasPrefix(endpoint, "?") {
		endpoint = "/" + strings.TrimLeft(endpoint, "/") // neither a scheme nor a host
	}
	ref, err := url.Parse(endpoint)
	if err != nil {
		return nil, errors.New("not a valid path")
	}
	if ref.Path != "" {
		u = *u.JoinPath(ref.EscapedPath())
	}
	if u.RawQuery != "" && ref.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += ref.RawQuery
	return &u, nil
}

func (r *restInput) operation(u *url.URL) retry.Operation {
	return retry.Operation{
		Name:    "REST " + r.method + " " + httpclient.PathOf(u),
		Subject: "url", Value: httpclient.Redact(u),
		Host: httpclient.Origin(u), Admit: r.limit.Admit,
	}
}

// fail counts and logs what went wrong besides a request.
func (r *restInput) fail(op retry.Operation, err error) {
	r.status.GaveUp(err)
	r.log.With("operation", op.Name, op.Subject, op.Value, "error", err.Error()).Error("Poll failed")
	r.incomplete(err)
}

// incomplete notes that the source of a stream of one poll could not be read whole.
func (r *restInput) incomplete(err error) {
	if r.interval == 0 {
		ledger.Process.Fail(err)
	}
}

// restPage is what came of one request.
type restPage struct {
	messages  service.MessageBatch
	next      *url.URL // nil after the last page
	nextErr   error    // why next is not known
	validator restValidator
	unchanged bool // since the validator was stored
}

// fetch requests the current page of the poll, with retries.
func (r *restInput) fetch(ctx context.Context) (*restPage, error) {
	u := r.poll.request.URL
	known := r.validators.get(u.String())

	var page *restPage
	err := r.retrier.Do(ctx, r.operation(u), func(ctx context.Context) (int64, error) {
		request := r.poll.request
		request.Header = known.addTo(request.Header)
		resp, err := r.client.Do(ctx, request)
		if err != nil {
			return 0, err
		}
		defer resp.Close()
		if resp.StatusCode == http.StatusNotModified {
			page = &restPage{next: known.next, validator: known, unchanged: true}
			return 0, nil
		}
		if !resp.OK() {
			return 0, resp.Unexpected()
		}
		body, err := resp.ReadAll(r.maxBytes)
		if err != nil {
			return 0, err
		}
		if resp.IsHTML() {
			return 0, resp.HTMLError(body)
		}
		page, err = r.read(resp.Response, u, body)
		return int64(len(body)), err
	})
	return page, err
}

// read makes a page of a response to a request of the URL u.
func (r *restInput) read(resp *http.Response, u *url.URL, body []byte) (*restPage, error) {
	page := &restPage{}
	if len(body) > 0 {
		whole := service.NewMessage(body)
		for name, values := range resp.Header {
			whole.MetaSetMut(strings.ToLower(name), strings.Join(values, ", "))
		}
		var err error
		if page.messages, err = r.messages(whole, body); err != nil {
			return nil, err
		}
		for _, m := range page.messages {
			r.describe(m, resp)
		}
		page.next, page.nextErr = r.next(whole, u)
	}
	if r.conditional && page.nextErr == nil {
		page.validator = restValidator{resp.Header.Get("ETag"), resp.Header.Get("Last-Modified"), page.next}
	}
	return page, nil
}

// messages makes the messages of a response.
func (r *restInput) messages(whole *service.Message, body []byte) (service.MessageBatch, error) {
	if r.split == nil {
		return service.MessageBatch{service.NewMessage(body)}, nil
	}
	value, err := queryRest(whole, r.split)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", restFieldSplit, err)
	}
	if value == nil {
		return nil, nil
	}
	elements, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("%v: the mapping yields %v, want an array", restFieldSplit, restKind(value))
	}
	batch := make(service.MessageBatch, len(elements))
	for i, element := range elements {
		batch[i] = service.NewMessage(nil)
		batch[i].SetStructured(element)
	}
	return batch, nil
}

// next returns the URL of the page after u, or nil.
func (r *restInput) next(whole *service.Message, u *url.URL) (*url.URL, error) {
	if r.nextPage == nil {
		return nil, nil
	}
	value, err := queryRest(whole, r.nextPage)
	if err != nil {
		return nil, err
	}
	return nextRestURL(u, value)
}

// queryRest returns what a mapping yields of a message: nil for null, for a
// deleted root, for an empty string, and if it assigns nothing.
func queryRest(m *service.Message, mapping *bloblang.Executor) (any, error) {
	// A target of null, with the metadata, is told from one that was assigned to.
	target := m.Copy()
	target.SetBytes([]byte("null"))
	result, err := target.BloblangMutateFrom(mapping, m)
	if err != nil || result == nil {
		return nil, err
	}
	if result.HasStructured() {
		return result.AsStructured()
	}
	text, err := result.AsBytes()
	if err != nil || len(text) == 0 || string(text) == "null" {
		return nil, err
	}
	return string(text), nil
}

// restKind names the kind of a value as a mapping's author knows it.
func restKind(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	default:
		return "a number"
	}
}

// describe sets a message's metadata.
func (r *restInput) describe(m *service.Message, resp *http.Response) {
	m.MetaSetMut("http_status_code", resp.StatusCode)
	m.MetaSetMut("http_url", httpclient.Redact(resp.Request.URL))
	if r.extract.IsEmpty() {
		return
	}
	for name, values := range resp.Header {
		key := strings.ToLower(name)
		if !r.extract.Match(key) {
			continue
		}
		if len(values) == 1 {
			m.MetaSetMut(key, values[0])
			continue
		}
		list := make([]any, len(values))
		for i, v := range values {
			list[i] = v
		}
		m.MetaSetMut(key, list)
	}
}

// nextRestURL returns the URL of the next page, given that of the current one and
// what the mapping yielded; nil if there is none.
func nextRestURL(current *url.URL, value any) (*url.URL, error) {
	if value == nil {
		return nil, nil
	}
	text, ok := value.(string)
	if !ok {
		return nil, fmt.Errorf("the mapping yields %v, want a URL or null", restKind(value))
	}
	ref, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		return nil, errors.New("the mapping yields no valid URL")
	}
	next := current.ResolveReference(ref)
	if !httpclient.SameOrigin(next, current) || next.Opaque != "" {
		return nil, fmt.Errorf("the mapping leads to another origin, %v://%v, which is not followed", next.Scheme, next.Host)
	}
	next.User = current.User
	next.Fragment, next.RawFragment, next.ForceQuery = "", "", false
	return next, nil
}

// turnPage moves the poll to the page after p, or ends it.
func (r *restInput) turnPage(p *restPage) {
	current := r.poll.request.URL
	err := p.nextErr
	switch {
	case err != nil:
	case p.next == nil:
		r.validators.keep(r.poll.seen)
		r.poll = nil
		return
	case !r.poll.seen[p.next.String()]:
		r.poll.seen[p.next.String()] = true
		r.poll.request.URL = p.next
		return
	default:
		err = fmt.Errorf("%v has been fetched by this poll already", httpclient.Redact(p.next))
	}
	// Asked for in full the next time, so that the rest is not lost behind a 304.
	r.validators.forget(current.String(), p.validator)
	r.fail(r.operation(current), fmt.Errorf("%v: %w", restFieldNextPage, err))
	r.poll = nil
}

// Close ends the input.
func (r *restInput) Close(context.Context) error {
	r.client.Close()
	r.status.Close()
	return nil
}

// restValidator identifies a version of a resource, by RFC 9110, section 8.8.
type restValidator struct {
	etag, lastModified string
	next               *url.URL // the page after it, which a 304 does not tell
}

func (v restValidator) empty() bool { return v.etag == "" && v.lastModified == "" }

func (v restValidator) same(w restValidator) bool {
	return v.etag == w.etag && v.lastModified == w.lastModified
}

// addTo returns h with the conditions that ask for another version than v. A
// user's own headers stay.
func (v restValidator) addTo(h http.Header) http.Header {
	h = h.Clone()
	if v.etag != "" && h.Get("If-None-Match") == "" {
		h.Set("If-None-Match", v.etag)
	}
	if v.lastModified != "" && h.Get("If-Modified-Since") == "" {
		h.Set("If-Modified-Since", v.lastModified)
	}
	return h
}
