package input

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/httpclient"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracing"
)

// restPage is what came of one request.
type restPage struct {
	url       string // that was asked for
	elements  restElements
	describe  func(*service.Message) *service.Message
	whole     *service.Message // for mappings
	following restNext
	nextErr   error // why following is not known
	validator restValidator
	unchanged bool // since the validator was stored
}

// next returns the next messages of the page, none at its end.
func (p *restPage) next() service.MessageBatch {
	if p.elements == nil {
		return nil
	}
	batch := p.elements.next()
	for k, m := range batch {
		batch[k] = p.describe(m)
	}
	return batch
}

// fetch requests a page, with retries.
func (r *restInput) fetch(ctx context.Context, request httpclient.Request) (*restPage, error) {
	u := request.URL.String()
	known := r.validators.get(u)

	var page *restPage
	err := r.retrier.Do(ctx, r.operation(request.URL), func(ctx context.Context) (int64, error) {
		conditional := request
		conditional.Header = known.addTo(request.Header)
		resp, err := r.client.Do(ctx, conditional)
		if err != nil {
			return 0, err
		}
		defer resp.Close()
		if resp.StatusCode == http.StatusNotModified {
			page = &restPage{following: known.next, validator: known, unchanged: true, whole: nothingBefore()}
			return 0, nil
		}
		if !resp.OK() {
			err := resp.Unexpected()
			if !retry.IsTransient(err) {
				r.validators.forget(u, known) // what it was of is gone
			}
			return 0, err
		}
		body, err := resp.ReadAll(r.maxBytes)
		if err != nil {
			return 0, err
		}
		if resp.IsHTML() {
			return 0, resp.HTMLError(body)
		}
		page, err = r.read(resp.Response, body)
		if _, ok := errors.AsType[*rawjson.SyntaxError](err); ok {
			err = resp.Described(err, body)
		}
		return int64(len(body)), err
	})
	if err != nil {
		return nil, err
	}
	page.url = u
	return page, nil
}

// read makes a page of a response.
func (r *restInput) read(resp *http.Response, body []byte) (*restPage, error) {
	page := &restPage{whole: nothingBefore(), describe: func(m *service.Message) *service.Message {
		r.describe(m, resp)
		return tracing.FromHeader(m, resp.Header)
	}}
	count := 0
	if len(body) > 0 {
		page.whole.SetBytes(body)
		var err error
		if page.elements, count, err = r.splitter.split(page.whole, body); err != nil {
			return nil, err
		}
		if count == restNoArray {
			r.log.With("url", r.client.Mask().URL(resp.Request.URL)).Warn("No array found in the response, and so no message: see " + restFieldSplit)
			count = 0
		}
	}
	for name, values := range resp.Header {
		page.whole.MetaSetMut(strings.ToLower(name), strings.Join(values, ", "))
	}
	page.whole.MetaSetMut("page_url", resp.Request.URL.String())
	page.whole.MetaSetMut("page_messages", count)
	page.whole.MetaSetMut("http_status_code", resp.StatusCode)
	if r.poll != nil {
		page.whole.MetaSetMut("page_number", r.poll.number)
	}
	values, err := countValues(body)
	tooMany := err == nil && values > restMaxValues
	if tooMany {
		page.whole.SetBytes([]byte("(more values than a mapping is applied to)")) // so that none parses it
	}
	page.following, page.nextErr = r.following(resp, page.whole, body)
	switch {
	case page.nextErr == nil:
	case tooMany:
		page.nextErr = fmt.Errorf("the response holds %v JSON values, more than the %v that a mapping is applied to: %w", values, restMaxValues, page.nextErr)
	case len(body) == 0:
		page.nextErr = nil // a mapping that needs a body finds no other page without
	}
	// What true leads to depends on the response, which a 304 does not bring.
	if r.conditional && page.nextErr == nil && !page.following.again {
		page.validator = restValidator{resp.Header.Get("ETag"), resp.Header.Get("Last-Modified"), page.following}
	}
	return page, nil
}

// describe sets a message's metadata.
func (r *restInput) describe(m *service.Message, resp *http.Response) {
	m.MetaSetMut("http_status_code", resp.StatusCode)
	m.MetaSetMut("http_url", r.client.Mask().URL(resp.Request.URL))
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
