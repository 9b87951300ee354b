package input

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/httpclient"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

// restPoll is one round of requests, from the first page to the last.
type restPoll struct {
	number int              // of the page to fetch, from 1
	next   restNext         // leads to that page
	before *service.Message // the response of the page before it

	last          *url.URL // the page before it
	lastKey       string
	lastValidator restValidator

	seen map[[sha256.Size]byte]bool // the requests so far
	urls map[string]bool            // their URLs
}

func newRestPoll() *restPoll {
	return &restPoll{
		number: 1, next: restNext{again: true}, before: nothingBefore(),
		seen: map[[sha256.Size]byte]bool{}, urls: map[string]bool{},
	}
}

// nothingBefore stands for a body that is not there.
func nothingBefore() *service.Message {
	m := service.NewMessage(nil)
	m.SetStructured(nil)
	return m
}

// visit notes a request of the poll, and says whether it is the first of its kind.
func (p *restPoll) visit(r httpclient.Request) bool {
	key := p.key(r)
	if p.seen[key] {
		return false
	}
	p.seen[key] = true
	p.urls[r.URL.String()] = true
	return true
}

// unvisit takes back a request that was interrupted.
func (p *restPoll) unvisit(r httpclient.Request) { delete(p.seen, p.key(r)) }

// key tells requests apart. A header counts only where it may lead to another page
// of the same URL; otherwise one that holds the time would hide a repetition.
func (p *restPoll) key(r httpclient.Request) [sha256.Size]byte {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%v\n%q\n", r.URL, r.Body)
	if p.next.again {
		_ = r.Header.Write(h)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// request evaluates the interpolated fields for the next page of a poll.
func (r *restInput) request(p *restPoll) (request httpclient.Request, err error) {
	m := p.before.Copy()
	m.MetaSetMut("page_number", p.number)
	evaluate := func(expr *service.InterpolatedString) (string, error) { return expr.TryString(m) }

	params := url.Values{}
	for name, expr := range r.params {
		value, err := evaluate(expr)
		if err != nil {
			return request, fmt.Errorf("%v: interpolating %v: %w", restFieldParams, name, err)
		}
		params.Set(name, value)
	}
	request.Method = r.method
	if request.URL, err = r.pageURL(p.next, params, evaluate); err != nil {
		return request, err
	}
	if request.Header, err = r.client.Headers(evaluate); err != nil {
		return request, err
	}
	if r.body != nil {
		if request.Body, err = r.body.TryBytes(m); err != nil {
			return request, fmt.Errorf("%v: %w", restFieldBody, err)
		}
		if request.Header.Get("Content-Type") == "" {
			request.Header.Set("Content-Type", "application/json")
		}
	}
	return request, nil
}

// pageURL returns the URL that next leads to.
func (r *restInput) pageURL(next restNext, params url.Values, evaluate httpclient.Evaluate) (*url.URL, error) {
	if next.url != nil {
		u := *next.url
		if next.relative {
			u.RawQuery = httpclient.AddParams(u.RawQuery, params)
		}
		return &u, nil
	}
	endpoint, err := r.endpoint.Reference(evaluate)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", restFieldEndpoint, err)
	}
	u, err := joinRestURL(r.base, endpoint)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", restFieldEndpoint, err)
	}
	u.RawQuery = httpclient.SetParams(u.RawQuery, params)
	return u, nil
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
	ref, err := httpclient.ParseReference(endpoint)
	if err != nil {
		return nil, err
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

// restNext leads to the next page.
type restNext struct {
	again    bool     // the URL of the configuration, evaluated again
	url      *url.URL // or this one
	relative bool     // which was relative
}

func (n restNext) none() bool { return !n.again && n.url == nil }

// restNextLink, in place of a mapping, stands for the header Link.
const restNextLink = "link"

// following returns what leads to the page after a response. whole is the response as
// a message, for mappings.
func (r *restInput) following(resp *http.Response, whole *service.Message, body []byte) (restNext, error) {
	switch {
	case r.nextLink:
		return r.resolve(resp.Request.URL, httpclient.Link(resp.Header.Values("Link"), "next", resp.Request.URL))
	case r.nextPage == nil:
		return restNext{}, nil
	}
	value, found := r.nextPath.scalar(body)
	if !found {
		var err error
		if value, _, err = queryRest(whole, r.nextPage); err != nil {
			return restNext{}, err
		}
	}
	switch value := value.(type) {
	case nil:
		return restNext{}, nil
	case bool:
		return restNext{again: value}, nil
	case string:
		return r.resolve(resp.Request.URL, value)
	default:
		return restNext{}, fmt.Errorf("the mapping yields %v, want a URL, true, false or null", restKind(value))
	}
}

// resolve returns what a link in the response of the URL u leads to.
func (r *restInput) resolve(u *url.URL, link string) (restNext, error) {
	if strings.TrimSpace(link) == "" {
		return restNext{}, nil
	}
	ref, err := httpclient.ParseReference(link)
	if err != nil {
		return restNext{}, fmt.Errorf("the next page: %w", err)
	}
	next := u.ResolveReference(ref)
	if !httpclient.SameOrigin(next, r.base) || next.Opaque != "" {
		return restNext{}, fmt.Errorf("the next page is at another origin, %v://%v, which is not asked", next.Scheme, next.Host)
	}
	next.User = r.base.User
	next.ForceQuery = false
	return restNext{url: next, relative: ref.Scheme == "" && ref.Host == ""}, nil
}

func (r *restInput) operation(u *url.URL) retry.Operation {
	return retry.Operation{
		Name:    "REST " + r.method + " " + r.client.Mask().PathOf(u),
		Subject: "url", Value: r.client.Mask().URL(u),
		Host: httpclient.Origin(u), Admit: r.limit.Admit,
	}
}
