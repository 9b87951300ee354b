package output

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/mfn-connect/mfn-connect/plugins/internal/httpclient"
	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

const (
	webhookType = "mfn_webhook"

	webhookFieldURL            = "url"
	webhookFieldMethod         = "method"
	webhookFieldBatching       = "batching"
	webhookFieldBatchFormat    = "batch_format"
	webhookFieldMaxInFlight    = "max_in_flight"
	webhookFieldSuccessfulOn   = "successful_on_status"
	webhookFieldIdempotencyKey = "idempotency_key"
	webhookFieldSigningSecret  = "signing_secret"
	webhookFieldMaxConnections = "max_connections"

	// How the messages of a batch become requests.
	webhookEach  = "each"
	webhookArray = "array"
	webhookLines = "lines"

	idempotencyHeader = "Idempotency-Key"
	// maxIdempotencyKey is the length above which a key is sent as its hash.
	maxIdempotencyKey = 255
)

func webhookSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Network").
		Summary("Publishes messages to an HTTP endpoint.").
		Description(`
A message whose retries are used up, or whose request fails for a reason that will not pass, is rejected: its input delivers it again, or a `+"`fallback`"+` output takes it. Of a batch, only the messages that failed are rejected. A message that waits for its retry holds up no other, as long as fewer than `+"`max_in_flight`"+` wait; with `+"`max_in_flight: 1`"+` messages are sent in order. At a shutdown, the messages under way may finish within the `+"`shutdown_timeout`"+` of the service, and are then returned to their input.

### Redelivery

A message may be sent again after an answer was lost. So that a receiver can tell, each request has an `+"`Idempotency-Key`"+`: by default the `+"`simulation_id`"+` of the message, and for a message without one a hash of its content. It is the same in each attempt and at each redelivery. A request with the batch of an array or of lines has a key that is derived from those of its messages.

### Signatures

With a `+"`signing_secret`"+`, each attempt is signed as the https://www.standardwebhooks.com[Standard Webhooks] specification says. `+"`webhook-id`"+` is the idempotency key (or its hash, where the key holds a full stop), `+"`webhook-timestamp`"+` is that of the attempt.

### Responses

A response is judged by its status. Its body is read to 64 KiB at most, and for half a second. A redirect is followed if it repeats the request (307, 308) at the same origin (scheme, host and port), and is an error otherwise.

### Secrets

Headers, tokens and secrets appear in no log, error, metric or `+"`echo`"+`. A URL is shown with its path, without its user and password, and with the values of its query hidden. A proxy is taken from the environment (`+"`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`"+`).`).
		Fields(
			service.NewURLField(webhookFieldURL).
				Description("The URL to publish to. It supports interpolation functions. A user and password in it authenticate by basic authentication.").
				Examples("https://results.example.com/webhook", `https://results.example.com/${! json("simulation_id").escape_url_query() }`),
			service.NewStringField(webhookFieldMethod).
				Description("The HTTP method.").
				Default(http.MethodPost).
				Examples("POST", "PUT"),
		).
		Fields(httpclient.Fields()...).
		Fields(
			service.NewStringAnnotatedEnumField(webhookFieldBatchFormat, map[string]string{
				webhookEach:  "A request a message.",
				webhookArray: "One request with a JSON array of the messages, which must be JSON.",
				webhookLines: "One request with the messages as lines, as `application/x-ndjson`. JSON is written in one line; any other message must be one.",
			}).
				Description("How the messages of a batch are sent. With `array` and `lines`, the interpolated `url` and `headers` are those of the first message.").
				Default(webhookEach),
			service.NewBatchPolicyField(webhookFieldBatching),
			service.NewIntField(webhookFieldMaxInFlight).
				Description("How many requests are under way at once, waiting retries included.").
				Default(64).
				LintRule(`root = if this < 1 { [ "max_in_flight must be 1 or more, got %v".format(this) ] }`),
			service.NewIntListField(webhookFieldSuccessfulOn).
				Description("The response statuses of a success. Empty: 200 to 299.").
				Default([]any{}).
				Example([]any{http.StatusOK, http.StatusAccepted, http.StatusConflict}).
				Advanced().
				LintRule(httpclient.StatusLint),
			service.NewInterpolatedStringField(webhookFieldIdempotencyKey).
				Description("The key that is sent as `Idempotency-Key`. Without this field it is the message's `simulation_id`, or else a hash of its content; an empty key is not sent.").
				Optional().
				Example(`${! json("simulation_id") }`),
			service.NewStringField(webhookFieldSigningSecret).
				Description("The secret with which requests are signed: `whsec_` and a key in base64. Empty: they are not signed.").
				Default("").
				Example("${WEBHOOK_SECRET}").
				Secret(),
			service.NewIntField(webhookFieldMaxConnections).
				Description("How many connections to a host are open at once. 0: as many as `max_in_flight`. A request that waits for a connection uses up its timeout.").
				Default(0).
				Advanced().
				LintRule(`root = if this < 0 { [ "max_connections must be 0 or more, got %v".format(this) ] }`),
		).
		Fields(retry.Fields()...).
		Example("Results to a webhook", "Publishes each result, signed, and keeps those that cannot be delivered in a directory.", `
output:
  fallback:
    - label: results
      mfn_webhook:
        url: https://results.example.com/webhook
        auth:
          bearer_token: '${WEBHOOK_TOKEN}'
        signing_secret: '${WEBHOOK_SECRET}'
        retry:
          max_retries: 5
    - mfn_file:
        directory: ./undelivered
`).
		Example("Many results in a request", "Collects up to a hundred results, or those of five seconds, in a JSON array.", `
output:
  mfn_webhook:
    url: https://results.example.com/webhook
    batch_format: array
    batching:
      count: 100
      period: 5s
`)
}

func init() {
	service.MustRegisterBatchOutput(webhookType, webhookSpec(),
		func(conf *service.ParsedConfig, res *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			batching, err := conf.FieldBatchPolicy(webhookFieldBatching)
			if err != nil {
				return nil, batching, 0, err
			}
			out, err := newWebhookOutput(conf, res)
			if err != nil {
				return nil, batching, 0, err
			}
			return newCounted(out), batching, cap(out.slots), nil
		})
}

type webhookOutput struct {
	status  *status.Component
	retrier *retry.Retrier
	client  *httpclient.Client
	signer  *standardwebhooks.Webhook // nil for no signature

	url         *service.InterpolatedString
	method      string
	format      string
	key         *service.InterpolatedString // nil for the default
	contentType string
	slots       chan struct{} // one for each request under way
}

func newWebhookOutput(conf *service.ParsedConfig, res *service.Resources) (*webhookOutput, error) {
	w := &webhookOutput{}
	if err := w.parse(conf); err != nil {
		return nil, err
	}
	policy, err := retry.ParsePolicy(conf)
	if err != nil {
		return nil, err
	}
	connections, err := conf.FieldInt(webhookFieldMaxConnections)
	if err != nil {
		return nil, err
	}
	if connections < 0 {
		return nil, fmt.Errorf("%v: %v is below 0", webhookFieldMaxConnections, connections)
	}
	if connections == 0 {
		connections = cap(w.slots)
	}
	successful, err := httpclient.Statuses(conf, webhookFieldSuccessfulOn)
	if err != nil {
		return nil, err
	}
	opts := httpclient.Options{MaxConnections: connections, OK: httpclient.Success}
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

func (w *webhookOutput) parse(conf *service.ParsedConfig) error {
	var err error
	if w.url, err = parseWebhookURL(conf); err != nil {
		return fmt.Errorf("%v: %w", webhookFieldURL, err)
	}
	if w.method, err = httpclient.Method(conf, webhookFieldMethod); err != nil {
		return err
	}
	if w.format, err = conf.FieldString(webhookFieldBatchFormat); err != nil {
		return err
	}
	switch w.format {
	case webhookEach, webhookArray:
		w.contentType = "application/json"
	case webhookLines:
		w.contentType = "application/x-ndjson"
	default:
		return fmt.Errorf("%v: %q is not one of %v, %v, %v", webhookFieldBatchFormat, w.format, webhookEach, webhookArray, webhookLines)
	}
	inFlight, err := conf.FieldInt(webhookFieldMaxInFlight)
	if err != nil {
		return err
	}
	if inFlight < 1 {
		return fmt.Errorf("%v: %v is below 1", webhookFieldMaxInFlight, inFlight)
	}
	w.slots = make(chan struct{}, inFlight)
	if conf.Contains(webhookFieldIdempotencyKey) {
		if w.key, err = conf.FieldInterpolatedString(webhookFieldIdempotencyKey); err != nil {
			return err
		}
	}
	secret, err := conf.FieldString(webhookFieldSigningSecret)
	if err != nil || secret == "" {
		return err
	}
	if strings.TrimPrefix(secret, "whsec_") == "" {
		return fmt.Errorf("%v: the key is empty", webhookFieldSigningSecret)
	}
	if w.signer, err = standardwebhooks.NewWebhook(secret); err != nil {
		return fmt.Errorf("%v: not %q and a key in base64", webhookFieldSigningSecret, "whsec_")
	}
	return nil
}

// parseWebhookURL checks as much of the URL as is known before there is a message.
func parseWebhookURL(conf *service.ParsedConfig) (*service.InterpolatedString, error) {
	raw, err := conf.FieldString(webhookFieldURL)
	if err != nil {
		return nil, err
	}
	expr, err := conf.FieldInterpolatedString(webhookFieldURL)
	if err != nil {
		return nil, errors.New("the interpolation does not parse")
	}
	if static, ok := expr.Static(); ok {
		_, err = httpclient.ParseURL(static)
		return expr, err
	}
	// The field's scrubber finds a password only in what parses as a URL.
	fixed := regexp.MustCompile(`\$\{!.*?\}`).ReplaceAllString(raw, "x")
	if _, err := url.Parse(raw); err != nil && strings.Contains(fixed, "@") {
		return nil, errors.New("a user and password cannot stand beside an interpolated host; use auth.basic_auth")
	}
	return expr, nil
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
			if err := w.send(ctx, d); err != nil {
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

// webhookDelivery is one request, with the indexes of the messages that it
// carries.
type webhookDelivery struct {
	request  httpclient.Request
	id       string // of the signature
	messages []int
	names    func() []string // of the messages
}

// each makes a request of each message.
func (w *webhookOutput) each(batch service.MessageBatch, failed *batchFailures) []webhookDelivery {
	in := newInterpolator(batch)
	deliveries := make([]webhookDelivery, 0, len(batch))
	for i, m := range batch {
		body, err := m.AsBytes()
		if err != nil {
			failed.add(err, i)
			continue
		}
		key, err := w.keyOf(in, i, body)
		if err != nil {
			failed.add(err, i)
			continue
		}
		d, err := w.delivery(in, i, key, body)
		if err != nil {
			failed.add(err, i)
			continue
		}
		d.messages = []int{i}
		deliveries = append(deliveries, d)
	}
	return deliveries
}

// whole makes one request of all messages but those that have no place in it.
func (w *webhookOutput) whole(batch service.MessageBatch, failed *batchFailures) []webhookDelivery {
	in := newInterpolator(batch)
	var bodies [][]byte
	var messages []int
	var keys []string
	for i, m := range batch {
		body, err := m.AsBytes()
		if err == nil {
			body, err = w.compact(body)
		}
		if err != nil {
			failed.add(err, i)
			continue
		}
		key, err := w.keyOf(in, i, body)
		if err != nil {
			failed.add(err, i)
			continue
		}
		bodies, messages, keys = append(bodies, body), append(messages, i), append(keys, key)
	}
	if len(messages) == 0 {
		return nil
	}

	var body []byte
	if w.format == webhookArray {
		body = slices.Concat([]byte("["), bytes.Join(bodies, []byte(",")), []byte("]"))
	} else {
		body = append(bytes.Join(bodies, []byte("\n")), '\n')
	}
	key := ""
	if slices.ContainsFunc(keys, func(k string) bool { return k != "" }) {
		key = hashOf([]byte(strings.Join(keys, "\n")))
	}
	d, err := w.delivery(in, messages[0], key, body)
	if err != nil {
		failed.add(err, messages...)
		return nil
	}
	d.messages = messages
	return []webhookDelivery{d}
}

// compact returns a message's body as an element of an array or as a line.
func (w *webhookOutput) compact(body []byte) ([]byte, error) {
	var out bytes.Buffer
	if err := json.Compact(&out, body); err == nil {
		return out.Bytes(), nil
	} else if w.format == webhookArray {
		return nil, fmt.Errorf("%v: %v: the message is not JSON: %w", webhookFieldBatchFormat, webhookArray, err)
	}
	if bytes.ContainsAny(body, "\r\n") {
		return nil, fmt.Errorf("%v: %v: the message is neither JSON nor one line", webhookFieldBatchFormat, webhookLines)
	}
	return body, nil
}

// delivery makes a request with the interpolated fields of message i.
func (w *webhookOutput) delivery(in *interpolator, i int, key string, body []byte) (d webhookDelivery, err error) {
	raw, err := in.at(i)(w.url)
	if err != nil {
		return d, fmt.Errorf("%v: %w", webhookFieldURL, err)
	}
	u, err := httpclient.ParseURL(raw)
	if err != nil {
		return d, fmt.Errorf("%v: %w", webhookFieldURL, err)
	}
	header, err := w.client.Headers(in.at(i))
	if err != nil {
		return d, err
	}
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", w.contentType)
	}
	if key != "" && header.Get(idempotencyHeader) == "" {
		header.Set(idempotencyHeader, key)
	}
	d.request = httpclient.Request{Method: w.method, URL: u, Header: header, Body: body}
	switch d.id = key; {
	case key == "":
		d.id = hashOf(body)
	case strings.Contains(key, "."):
		d.id = hashOf([]byte(key)) // the specification separates what is signed by full stops
	}
	return d, nil
}

// keyOf returns the idempotency key of message i, empty for none.
func (w *webhookOutput) keyOf(in *interpolator, i int, body []byte) (string, error) {
	if w.key == nil {
		if id, ok := simulationID(body); ok {
			return id, nil
		}
		return hashOf(body), nil
	}
	key, err := in.at(i)(w.key)
	if err != nil {
		return "", fmt.Errorf("%v: %w", webhookFieldIdempotencyKey, err)
	}
	if !httpclient.ValidValue(key) {
		return "", fmt.Errorf("%v: %q holds a character that no header may hold", webhookFieldIdempotencyKey, key)
	}
	if len(key) > maxIdempotencyKey {
		key = hashOf([]byte(key))
	}
	return key, nil
}

// simulationID returns the simulation_id of a JSON object if it is a text or a
// number that can be a key.
func simulationID(body []byte) (string, bool) {
	text := identity.SimulationID(body)
	return text, strings.TrimSpace(text) == text && text != "" && len(text) <= maxIdempotencyKey && httpclient.ValidValue(text)
}

// hashOf names a content, the same each time.
func hashOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:16])
}

// send makes the request of a delivery, with retries.
func (w *webhookOutput) send(ctx context.Context, d webhookDelivery) error {
	op := retry.Operation{
		Name:    "webhook " + w.method + " " + httpclient.PathOf(d.request.URL),
		Subject: "url", Value: httpclient.Redact(d.request.URL),
		Host: httpclient.Origin(d.request.URL), Messages: d.names,
	}
	return w.retrier.Do(ctx, op, func(ctx context.Context) (int64, error) {
		request, err := w.sign(d)
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

// sign returns the request of a delivery, signed now.
func (w *webhookOutput) sign(d webhookDelivery) (httpclient.Request, error) {
	request := d.request
	if w.signer == nil {
		return request, nil
	}
	now := time.Now()
	signature, err := w.signer.Sign(d.id, now, request.Body)
	if err != nil {
		return request, fmt.Errorf("%v: %w", webhookFieldSigningSecret, err)
	}
	request.Header = request.Header.Clone()
	request.Header.Set(standardwebhooks.HeaderWebhookID, d.id)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return request, nil
}
