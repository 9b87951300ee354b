package input

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/httpclient"
	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/replay"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracing"
)

func init() {
	fields.RegisterBatchInput(restType, restSpec(),
		func(conf *service.ParsedConfig, res *service.Resources) (service.BatchInput, error) {
			in, err := newRestInput(conf, res)
			if err != nil {
				return nil, err
			}
			return replay.Toggled(conf, in, replay.Options{Policy: in.policy, Finite: in.interval == 0, Spans: tracing.NewSpans(res, restType), Log: res.Logger()})
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
	endpoint    *httpclient.Template
	method      string
	params      map[string]*service.InterpolatedString
	body        *service.InterpolatedString // nil for none
	interval    time.Duration
	splitter    restSplitter
	nextLink    bool               // the header Link tells the next page
	nextPage    *bloblang.Executor // nil for none
	nextPath    restPath           // what nextPage is, if it is a path
	maxPages    int
	conditional bool
	maxBytes    int64
	extract     *service.MetadataFilter
	limit       *httpclient.RateLimit

	// What follows belongs to ReadBatch.
	polled     bool
	turn       time.Time // of the next poll
	poll       *restPoll // nil between polls
	page       *restPage // of the poll; nil between pages
	validators restValidators
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
	var base, endpoint string
	if err := cmp.Or(
		fields.Into(&base, restBaseURL, conf),
		fields.Into(&endpoint, restEndpoint, conf),
		fields.Into(&r.params, restParams, conf),
		fields.Into(&r.body, restBody, conf),
		fields.Into(&r.interval, restPollInterval, conf),
		fields.Into(&r.maxPages, restMaxPages, conf),
		fields.Into(&r.conditional, restConditional, conf),
		fields.Into(&r.maxBytes, restMaxBytes, conf),
	); err != nil {
		return err
	}
	var err error
	if r.base, err = httpclient.ParseURL(base); err != nil {
		return fmt.Errorf("%v: %w", restFieldBaseURL, err)
	}
	if r.method, err = httpclient.Method(conf, restFieldMethod); err != nil {
		return err
	}
	if r.endpoint, err = httpclient.NewTemplate(endpoint, true); err != nil {
		return fmt.Errorf("%v: %w", restFieldEndpoint, err)
	}
	if text, static := r.body.Static(); static && text == "" {
		r.body = nil
	}
	if r.splitter, err = newRestSplitter(conf); err != nil {
		return err
	}
	if next, err := restNextPage.Scalar.Parse(conf); err != nil {
		return err
	} else if r.nextLink = next == restNextLink; !r.nextLink {
		r.nextPath = parseRestPath(next)
		if r.nextPage, err = restNextPage.Parse(conf); err != nil {
			return err
		}
	}
	r.conditional = r.conditional && (r.method == http.MethodGet || r.method == http.MethodHead)
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

// ReadBatch returns the next messages of the page that has any.
func (r *restInput) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	for {
		if r.page == nil {
			if err := r.turnPage(ctx); err != nil {
				return nil, nil, err
			}
			continue
		}
		batch := r.page.next()
		if len(batch) == 0 {
			r.endPage()
			continue
		}
		key, validator := r.page.url, r.page.validator
		return batch, func(_ context.Context, err error) error {
			if err != nil {
				r.validators.forget(key, validator)
			}
			return nil
		}, nil
	}
}

// turnPage fetches the next page of the poll, or the first of the next poll. If it
// fails, r.page stays nil, and the poll has ended. It returns an error only if there
// is to be no other page.
func (r *restInput) turnPage(ctx context.Context) error {
	if r.poll == nil {
		if err := r.awaitTurn(ctx); err != nil {
			return err
		}
		r.poll = newRestPoll()
	}
	request, err := r.request(r.poll)
	switch {
	case err != nil:
		r.endPoll((*service.Logger).Error, "Poll failed", r.base, err)
		return nil
	case r.poll.number > r.maxPages:
		r.endEarly(fmt.Errorf("more than %v pages, as %v says", r.maxPages, restFieldMaxPages))
		return nil
	case !r.poll.visit(request):
		r.endEarly(fmt.Errorf("%v has been fetched by this poll already", r.client.Mask().URL(request.URL)))
		return nil
	}

	page, err := r.fetch(ctx, request)
	if err != nil {
		if ctx.Err() != nil {
			r.poll.unvisit(request)
			return ctx.Err()
		}
		r.incomplete(err) // the retrier has logged and counted it
		r.poll = nil
		return nil
	}
	// A validator that has meanwhile been forgotten is not stored again.
	if !page.unchanged && !page.validator.empty() {
		r.validators.set(page.url, page.validator)
	}
	r.page, r.poll.last = page, request.URL
	return nil
}

// endPage moves the poll to the page after the current one, or ends it.
func (r *restInput) endPage() {
	p := r.page
	r.page = nil
	switch {
	case p.nextErr != nil:
		r.endPoll((*service.Logger).Error, "Poll failed", r.poll.last, fmt.Errorf("%v: %w", restFieldNextPage, p.nextErr))
	case p.following.none():
		r.validators.keep(r.poll.urls)
		r.poll = nil
	default:
		r.poll.before, r.poll.next = p.whole, p.following
		r.poll.number++
		r.poll.lastKey, r.poll.lastValidator = p.url, p.validator
	}
}

// endEarly ends a poll before its last page.
func (r *restInput) endEarly(err error) {
	// Asked for in full the next time, so that the rest is not lost behind a 304.
	r.validators.forget(r.poll.lastKey, r.poll.lastValidator)
	r.endPoll((*service.Logger).Warn, "Poll ended before its last page", r.poll.last, fmt.Errorf("%v: %w", restFieldNextPage, err))
}

// endPoll ends a poll for a reason besides a request, and counts and logs it.
func (r *restInput) endPoll(write func(*service.Logger, string), text string, u *url.URL, err error) {
	r.status.OperationFailed(err)
	op := r.operation(u)
	write(logs.With(r.log, "operation", op.Name, op.Subject, op.Value, "error", err.Error()), text)
	r.incomplete(err)
	r.poll = nil
}

// incomplete notes that the source of a stream of one poll could not be read whole.
func (r *restInput) incomplete(err error) {
	if r.interval == 0 {
		ledger.Process.Fail(err)
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

// Close ends the input.
func (r *restInput) Close(context.Context) error {
	r.client.Close()
	r.status.Close()
	return nil
}
