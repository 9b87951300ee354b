package output

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/httpclient"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracing"
)

func init() { register(webhookType, webhookSpec(), service.BatchPolicy{}, newWebhookOutput) }

type webhookOutput struct {
	status  *status.Component
	retrier *retry.Retrier
	client  *httpclient.Client
	limit   *httpclient.RateLimit
	signer  webhookSigner

	url    *httpclient.Template
	method string
	format string
	key    *service.InterpolatedString // nil for the default
	slots  chan struct{}               // one for each request under way
}

func newWebhookOutput(conf *service.ParsedConfig, res *service.Resources) (*webhookOutput, error) {
	w := &webhookOutput{}
	var raw string
	var inFlight, connections int
	var successful []int
	var policy retry.Policy
	err := cmp.Or(
		fields.Into(&raw, webhookURL, conf),
		fields.Into(&w.format, webhookBatchFormat, conf),
		fields.Into(&inFlight, fieldMaxInFlight, conf),
		fields.Into(&connections, webhookMaxConnections, conf),
		fields.Into(&successful, webhookSuccessfulOn, conf),
		fields.Into(&w.key, webhookIdempotencyKey, conf),
	)
	if err == nil {
		w.url, err = parseWebhookURL(raw)
	}
	if err == nil {
		w.method, err = httpclient.Method(conf, webhookMethod.Name())
	}
	if err == nil {
		w.signer, err = parseWebhookSigner(conf)
	}
	if err == nil {
		policy, err = retry.ParsePolicy(conf)
	}
	if err == nil {
		w.limit, err = httpclient.ParseRateLimit(conf, res)
	}
	if err != nil {
		return nil, err
	}
	w.slots = make(chan struct{}, inFlight)
	opts := httpclient.Options{MaxConnections: cmp.Or(connections, inFlight), OK: httpclient.Success}
	if len(successful) > 0 {
		opts.OK = func(s int) bool { return slices.Contains(successful, s) }
	}
	if w.client, err = httpclient.New(conf, res, opts); err != nil {
		return nil, err
	}
	w.status = status.New(res, webhookType, status.Publisher)
	w.retrier = retry.New(policy, res.Logger(), w.status)
	return w, nil
}

// parseWebhookURL checks as much of the URL as is known before there is a message.
func parseWebhookURL(raw string) (*httpclient.Template, error) {
	template, err := httpclient.NewTemplate(raw, false)
	if err == nil && template.UserBesideHost() {
		err = errors.New("a user and password cannot stand beside an interpolated host; use auth.basic_auth")
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w", webhookURL.Name(), err)
	}
	return template, nil
}

// Connect is ready at once; each request finds out whether the server is.
func (w *webhookOutput) Connect(context.Context) error {
	w.status.Connecting()
	w.status.Connected()
	return nil
}

// WriteBatch sends the messages of a batch and returns which of them failed.
func (w *webhookOutput) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	failed := &batchFailures{batch: batch}
	var deliveries []webhookDelivery
	if w.format == webhookEach {
		deliveries = w.each(batch, failed)
	} else {
		deliveries = w.whole(batch, failed)
	}

	var sending sync.WaitGroup
	for _, d := range deliveries {
		select {
		case w.slots <- struct{}{}:
		case <-ctx.Done():
			failed.add(ctx.Err(), d.messages...)
			continue
		}
		sending.Go(func() {
			defer func() { <-w.slots }()
			d.names = func() []string { return namesOf(batch, d.messages) }
			if err := w.send(tracing.Of(ctx, d.of(batch)...), d); err != nil {
				failed.add(err, d.messages...)
			}
		})
	}
	sending.Wait()
	return failed.err()
}

// Close ends the output.
func (w *webhookOutput) Close(context.Context) error {
	w.client.Close()
	w.status.Close()
	return nil
}

// send makes the request of a delivery, with retries.
func (w *webhookOutput) send(ctx context.Context, d webhookDelivery) error {
	op := retry.Operation{
		Name:    "webhook " + w.method + " " + w.client.Mask().PathOf(d.request.URL),
		Subject: "url", Value: w.client.Mask().URL(d.request.URL),
		Host: httpclient.Origin(d.request.URL), Messages: d.names, Admit: w.limit.Admit,
	}
	return w.retrier.Do(ctx, op, func(ctx context.Context) (int64, error) {
		request, err := w.signer.sign(d.request, d.id)
		if err != nil {
			return 0, err
		}
		resp, err := w.client.Do(ctx, request)
		if err != nil {
			return 0, err
		}
		defer resp.Close()
		if !resp.OK() {
			return 0, resp.Unexpected()
		}
		resp.Discard()
		return int64(len(request.Body)), nil
	})
}
