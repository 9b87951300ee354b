package input

import (
	"math"
	"net/http"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/httpclient"
	"github.com/mfn-connect/mfn-connect/plugins/internal/replay"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
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
	restFieldMaxPages       = "max_pages"
	restFieldMaxBytes       = "max_response_bytes"
	restFieldMaxMessages    = "max_messages"
	restFieldExtractHeaders = "extract_headers"
)

var (
	restBaseURL      = fields.BaseURL(restFieldBaseURL)
	restEndpoint     = fields.InterpolatedURL(restFieldEndpoint)
	restMethod       = httpclient.MethodField(restFieldMethod)
	restParams       = fields.MapOf(fields.InterpolatedSecret(restFieldParams))
	restBody         = fields.InterpolatedSecret(restFieldBody)
	restPollInterval = fields.NotNegative(restFieldPollInterval)
	restSplit        = fields.MappingField(restFieldSplit)
	restNextPage     = fields.MappingField(restFieldNextPage)
	restMaxPages     = fields.Count(restFieldMaxPages, 1)
	restConditional  = fields.Bool(restFieldConditional)
	restMaxBytes     = fields.Bytes(restFieldMaxBytes, 1, math.MaxInt64)
	restMaxMessages  = fields.Count(restFieldMaxMessages, 1)
)

func restSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Network").
		Summary("Polls a REST endpoint and makes a message of each response, or of each element of an array in it.").
		Description(`
The first poll is made at once, and one follows each `+"`poll_interval`"+`. A response without content (an empty body, 204, 304) makes no message.

A poll that fails after its retries is logged and counted, and the next is made at its turn; the stream never ends because of it. With a `+"`poll_interval`"+` of `+"`0s`"+` there is no next turn: the failure is logged as an error, and the stream ends. The program then ends with a status that is not 0.

### Conditional requests

The validators of a response (`+"`ETag, Last-Modified`"+`) are sent back at the next poll, and a response of 304 makes no message. They are forgotten when a message of that response is rejected, so that it is fetched again. They are kept in memory alone, for the newest 1000 pages: after a restart everything is fetched again.

### Messages

With `+"`split`"+`, the elements of an array become messages, in batches of at most 1000. A path, such as `+"`this`"+` or `+"`this.data.items`"+`, takes little more memory than the body, however many elements it has. Any other mapping is applied to the whole response, which then may hold at most 1048576 JSON values. Where the path finds null or nothing, a warning is logged; a mapping that yields `+"`deleted()`"+` says that there are no elements.

Bodies are decompressed by their `+"`Content-Encoding`"+` (gzip, deflate, zstd), decoded by their charset, and a byte-order mark is skipped. A page of HTML is an error, unless the header `+"`Accept`"+` asks for one.

### Pages

`+"`next_page`"+` tells whether another page follows. `+"`next_page: link`"+` takes it from the header `+"`Link`"+` (RFC 8288): the first link whose `+"`rel`"+` is `+"`next`"+`. Anything else is a mapping. Its `+"`this`"+` is the body, null if there is none. Its metadata are all headers, in lower case, and:

- `+"`@page_url`"+`: the URL of the response, after redirects.
- `+"`@page_number`"+`: the number of the page, from 1.
- `+"`@page_messages`"+`: how many messages it gave.
- `+"`@http_status_code`"+`: its status.

The mapping yields

- the URL of the next page, absolute or relative to that of the response. An absolute URL is used as it is. A relative one keeps those of the `+"`params`"+` that it does not set.
- `+"`true`"+`: the next page has the URL of `+"`endpoint`"+` and `+"`params`"+`, evaluated again.
- null, an empty string, `+"`false`"+` or nothing: there is no other page.

The fields `+"`endpoint, params, headers`"+` and `+"`body`"+` are evaluated for each page. In them `+"`this`"+` is the body of the page before, null for the first page, its headers are metadata, and `+"`@page_number`"+` is the number of the page that is asked for. So a search that takes a cursor in its body is

`+"```"+`
next_page: root = this.cursor != null
body: '{"cursor":${! this.cursor.format_json() }}'
`+"```"+`

A page is fetched when the stream asks for more. A page that one poll would fetch a second time, and one behind `+"`max_pages`"+`, end the poll with a warning. A page of another origin is an error.

### Secrets

Headers, tokens, the body and the parameters of a request appear in no log, error, metric or `+"`echo`"+`. A URL is shown with its path (unless `+"`mask_path`"+` hides it), without its user and password, and with the values of its query hidden. Requests go to the origin (scheme, host and port) of `+"`base_url`"+` alone: a redirect or a next page that leads elsewhere is an error. A proxy is taken from the environment (`+"`HTTP_PROXY`"+`, `+"`HTTPS_PROXY`"+`, `+"`NO_PROXY`"+`).

### Metadata

Each message has `+"`http_status_code, http_url`"+` (as it is shown in logs), and the response headers that `+"`extract_headers`"+` matches.`).
		Fields(
			restBaseURL.Field().
				Description("The URL that `endpoint` is added to. A user and password in it authenticate by basic authentication.").
				Example("https://api.example.com/v1"),
			restEndpoint.Field().
				Description("The path of the resource, relative to `base_url`. It may have a query. Blanks and other special characters are percent-encoded as browsers do it.").
				Default("").
				Example("/parameters"),
			restMethod.Field().
				Description("The HTTP method.").
				Default(http.MethodGet).
				Examples("GET", "POST"),
			restParams.Field().
				Description("Parameters of the query. They are evaluated for each page.").
				Default(map[string]any{}).
				Example(map[string]any{"limit": 100, "since": `${! (timestamp_unix() - 3600).ts_format("2006-01-02") }`}),
			restBody.Field().
				Description("The body of the request. It is evaluated for each page, and sent as `application/json` unless `headers` say otherwise. Empty: there is none.").
				Default("").
				Example(`{"status":"ready"}`),
		).
		Fields(httpclient.Fields()...).
		Fields(
			restPollInterval.Field().
				Description("The time from one poll to the next. `0s` polls once, after which the stream ends.").
				Default("60s"),
			restSplit.Field().
				Description("A mapping, such as a path, from the response to an array. Each element becomes a message.").
				Optional().
				Examples("this.data.items", "this"),
			restNextPage.Field().
				Description("`link`, or a mapping from the response to the URL of the next page.").
				Optional().
				Examples(
					"link",
					"this.next",
					`root = if @page_messages > 0 { "?page=%v".format(@page_number + 1) }`,
					`root = this.cursor != null`,
				),
			restMaxPages.Field().
				Description("How many pages one poll fetches at most. If there are more, it ends with a warning.").
				Default(10_000).
				Advanced(),
			restConditional.Field().
				Description("Whether to send the validators of the last response back, so that one that has not changed makes no message. Applies to the methods GET and HEAD, and not to a page whose `next_page` is `true`.").
				Default(true),
			restMaxBytes.Field().
				Description("The largest response, in bytes, after decompression. A larger one is an error.").
				Default(16<<20).
				Advanced(),
			restMaxMessages.Field().
				Description("How many messages one response makes at most. A response of more is an error, and makes none.").
				Default(10_000_000).
				Advanced(),
			fields.Foreign(service.NewMetadataFilterField(restFieldExtractHeaders).
				Description("Which response headers become metadata. Their names are in lower case.").
				Optional().
				Advanced()),
			httpclient.MaskPathField(),
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
    next_page: link
`)
}
