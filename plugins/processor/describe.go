package processor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
)

const (
	documentModels  = "models"
	documentOpenAPI = "openapi"
)

var described = fields.Enum("document", map[string]string{
	documentModels:  "The models, with their parameters, as JSON Schema.",
	documentOpenAPI: "The service of `config/serve.yaml`, as OpenAPI 3.1.",
})

func describeSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Simulation").
		Summary("Replaces each message with a description of the models, or of the service that runs them.").
		Description(`
What `+"`mfn_simulate`"+` takes and returns, for those who call it over HTTP: each parameter with its range, its default and what it means. The descriptions come from the same specs as the checks.

`+"`models`"+` is an object with `+"`models`"+`, an array of objects with `+"`name`, `title`, `planes`, `equations`, `source` and `parameters`"+`, the default model first. `+"`openapi`"+` describes `+"`POST /simulate`, `POST /features`, `GET /models` and `GET /openapi.json`"+`, with all their responses.`).
		Field(described.Field().
			Description("What is described.")).
		Field(service.NewObjectField(fieldLimits,
			limitGridSize.Field().Default(engine.MaxGridSize).
				Description("The largest `grid_size`."),
			limitSteps.Field().Default(engine.MaxModelSteps).
				Description("The most `steps`."),
		).Description("The limits of the `mfn_simulate` that is described.").Advanced()).
		Example("A description of the service", "Answers requests with the description that clients are generated from.", `
input:
  mfn_http:
    address: 127.0.0.1:4195
    paths: [ { path: /openapi.json, allowed_verbs: [ GET ] } ]
    sync_response:
      headers: { Content-Type: application/json }

pipeline:
  processors:
    - mfn_describe: { document: openapi }

output:
  sync_response: {}

http:
  address: 127.0.0.1:4197
`)
}

func init() {
	fields.RegisterBatchProcessor("mfn_describe", describeSpec(),
		func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchProcessor, error) {
			return newDescribe(conf)
		})
}

// describe answers each message with the same document.
type describe struct{ document []byte }

func newDescribe(conf *service.ParsedConfig) (*describe, error) {
	var document string
	var most limits
	in := conf.Namespace(fieldLimits)
	err := cmp.Or(
		fields.Into(&document, described, conf),
		fields.Within(fieldLimits, cmp.Or(
			fields.Into(&most.gridSize, limitGridSize, in),
			fields.Into(&most.steps, limitSteps, in),
		)),
	)
	if err != nil {
		return nil, err
	}
	s := schemas{most}
	content := s.models()
	if document == documentOpenAPI {
		content = s.openAPI()
	}
	text, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("encoding the description: %w", err)
	}
	return &describe{text}, nil
}

// ProcessBatch replaces the content of each message.
func (d *describe) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	for _, message := range batch {
		message.SetBytes(d.document)
	}
	return []service.MessageBatch{batch}, nil
}

// Close does nothing.
func (d *describe) Close(context.Context) error { return nil }
