package output

import (
	"net/http"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/httpclient"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

const webhookType = "mfn_webhook"

// How the messages of a batch become requests.
const (
	webhookEach  = "each"
	webhookArray = "array"
	webhookLines = "lines"
)

// The fields of the output, but for those of other packages.
var (
	webhookURL         = httpclient.TemplateField("url")
	webhookMethod      = httpclient.MethodField("method")
	webhookBatchFormat = fields.Enum("batch_format", map[string]string{
		webhookEach:  "A request a message.",
		webhookArray: "One request with a JSON array of the messages, which must be JSON.",
		webhookLines: "One request with the messages as lines, as `application/x-ndjson`. JSON is written in one line; any other message must be one.",
	})
	webhookSuccessfulOn   = httpclient.StatusesField("successful_on_status")
	webhookIdempotencyKey = fields.Interpolated("idempotency_key")
	webhookMaxConnections = fields.Count("max_connections", 0)
)

func webhookSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Network").
		LintRule(httpclient.OriginLint(webhookURL.Name())).
		Summary("Publishes messages to an HTTP endpoint.").
		Description(`
A message whose retries are used up, or whose request fails for a reason that will not pass, is rejected: its input delivers it again, or a `+"`fallback`"+` output takes it. Of a batch, only the messages that failed are rejected. A message that waits for its retry holds up no other, as long as fewer than `+"`max_in_flight`"+` wait; with `+"`max_in_flight: 1`"+` messages are sent in order. At a shutdown, the messages under way may finish within the `+"`shutdown_timeout`"+` of the service, and are then returned to their input.

### Redelivery

A message may be sent again after an answer was lost. So that a receiver can tell, each request has an `+"`Idempotency-Key`"+`: by default the `+"`simulation_id`"+` of the message, if it has one, and a hash of its content. The same content has the same key in each attempt and at each redelivery. Another content has another key, even under the same `+"`simulation_id`"+`. A request with the batch of an array or of lines has a key that is derived from those of its messages.

### Signatures

With a `+"`signing_secret`"+`, each attempt is signed (by each secret of a list) as the [Standard Webhooks](https://www.standardwebhooks.com) specification says. `+"`webhook-id`"+` is the idempotency key (or its hash, where the key holds a full stop), `+"`webhook-timestamp`"+` is that of the attempt.

### Responses

A response is judged by its status. Its body is read to 64 KiB at most, and for half a second. A redirect is followed if it repeats the request (307, 308) at the same origin (scheme, host and port), and is an error otherwise.

### Secrets

Headers, tokens and secrets appear in no log, error, metric or `+"`echo`"+`. A URL is shown without its user and password, and with the values of its query hidden. With `+"`mask_path: true`"+` its path is hidden, too; `+"`echo`"+` hides it always. A proxy is taken from the environment (`+"`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`"+`).`).
		Fields(
			webhookURL.Field().
				Description("The URL to publish to. A user and password in it authenticate by basic authentication. It supports interpolation functions: blanks and other special characters of a value are percent-encoded as browsers do it, so that `/`, `?`, `&` and `=` keep their meaning (encode a query value that may hold them with `escape_url_query`). A value cannot change the scheme, host, port or user that the URL names, and a segment of its path that is `..` is encoded.").
				Examples("https://results.example.com/webhook", `https://results.example.com/results/${! json("simulation_id") }`),
			webhookMethod.Field().
				Description("The HTTP method.").
				Default(http.MethodPost).
				Examples("POST", "PUT"),
		).
		Fields(httpclient.Fields()...).
		Field(httpclient.MaskPathField()).
		Fields(
			webhookBatchFormat.Field().
				Description("How the messages of a batch are sent. With `array` and `lines`, the interpolated `url` and `headers` are those of the first message.").
				Default(webhookEach),
			fields.Foreign(service.NewBatchPolicyField(fieldBatching)),
			fieldMaxInFlight.Field().
				Description("How many requests are under way at once, waiting retries included.").
				Default(64),
			httpclient.RateLimitField(),
			webhookSuccessfulOn.Field().
				Description("The response statuses of a success. Empty: 200 to 299.").
				Default([]any{}).
				Example([]any{http.StatusOK, http.StatusAccepted, http.StatusConflict}).
				Advanced(),
			webhookIdempotencyKey.Field().
				Description("The key that is sent as `Idempotency-Key`. Without this field it is the message's `simulation_id` and a hash of its content. A key that is longer than 255 bytes, or that holds anything but visible ASCII characters and blanks between them, is sent as its hash; an empty key is not sent.").
				Optional().
				Example(`${! json("order") }-${! content().hash("sha256").encode("hex") }`),
			webhookSigningSecret.Field().
				Description("The secret that signs requests: `whsec_` and a key in base64. Empty: requests are not signed. With a list, each secret signs them, and a receiver accepts a signature that it knows: so one secret can replace another.").
				Default("").
				Examples("${WEBHOOK_SECRET}", []any{"${WEBHOOK_SECRET}", "${NEXT_WEBHOOK_SECRET}"}),
			webhookMaxConnections.Field().
				Description("How many connections to a host are open at once. 0: as many as `max_in_flight`. A request that waits for a connection uses up its timeout.").
				Default(0).
				Advanced(),
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
