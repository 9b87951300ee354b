package tracer

import (
	"regexp"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
)

const (
	collectorType = "open_telemetry_collector"
	fieldHTTP     = "http"
	fieldGRPC     = "grpc"
	fieldSampling = "sampling"
)

// hostAndPort matches what both exporters take for an address.
var hostAndPort = regexp.MustCompile(`^(\[[0-9A-Fa-f:.]+\]|[^:/\s@]+):[0-9]{1,5}$`)

var (
	serviceName = fields.NotEmpty("service")
	address     = fields.Text("address").Where("host:port, without a scheme", `this.string().re_match("""`+hostAndPort.String()+`""")`, hostAndPort.MatchString).
			Schema(jsonschema.Matching(hostAndPort.String()))
	secure  = fields.Bool("secure")
	tags    = fields.MapOf(fields.Text("tags"))
	enabled = fields.Bool("enabled")
	ratio   = fields.Float("ratio", 0, 1)
)

func collectorSpec() *service.ConfigSpec {
	collectors := func(name, transport, port, tls string) *service.ConfigField {
		return service.NewObjectListField(name,
			address.Field().
				Description("Where the collector listens: host and port.").
				Example("localhost:"+port),
			secure.Field().
				Description(tls).
				Default(false),
		).Description("Collectors that take traces by OTLP over " + transport + ". Each of them gets all spans.").Optional()
	}
	return service.NewConfigSpec().
		Stable().
		Summary("Sends the traces of messages to OpenTelemetry collectors.").
		Description(`
One message is one trace, from the span of its input to that of its output. A message that is delivered again stays in
its trace. A message of `+"`mfn_rest`, `mfn_kafka`, `mfn_kafka_transaction` or `mfn_http`"+` that comes with a
`+"[`traceparent`](https://www.w3.org/TR/trace-context/)"+` belongs to that trace; webhooks and Kafka records bring one along.

- `+"`simulation`"+` is the span of a simulation, with `+"`model`, `grid_size`, `steps`, `kernel` and `simulation_id`"+`.
- An attempt of an operation has a span of the operation's name, with `+"`attempt`"+`, and `+"`status`"+` if it is that of HTTP. One
  for several messages is in the trace of the first, and linked to the others.
- The other spans are those of Benthos, one for each processor and output.

A collector that is down or slow holds up no message. Up to 16384 spans wait for it; further ones are dropped, with
a warning. When the program ends, it takes up to 1.5 seconds to send the spans that wait.

The name and the fields are those of Redpanda Connect. Headers that a collector asks for come from the environment variable
`+"`OTEL_EXPORTER_OTLP_HEADERS`"+`.`).
		Fields(
			serviceName.Field().
				Description("The name of the service in traces.").
				Default("mfn-connect"),
			collectors(fieldHTTP, "HTTP", "4318", "Whether to connect by HTTPS."),
			collectors(fieldGRPC, "gRPC", "4317", "Whether to connect by TLS."),
			tags.Field().
				Description("Attributes of every span's resource.").
				Example(map[string]any{"deployment.environment": "production"}).
				Default(map[string]any{}).
				Advanced(),
			service.NewObjectField(fieldSampling,
				enabled.Field().
					Description("Whether to leave traces out. A trace that began elsewhere is taken as it was there: whole or not at all.").
					Default(false),
				ratio.Field().
					Description("The share of traces that is sent.").
					Example(0.1).
					Default(1),
			).Description("Which traces are sent. All by default."),
		).
		LintRule(jsonschema.Note{Schema: jsonschema.Object{"anyOf": []jsonschema.Object{jsonschema.AtLeastOne("http"), jsonschema.AtLeastOne("grpc")}}}.
			Before(`root = if (this.http.or([]).length() == 0 && this.grpc.or([]).length() == 0).catch(false) { [ "http and grpc: name at least one collector" ] }`))
}
