package output

import (
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
)

// The fields of each output that takes batches.
const fieldBatching = "batching"

var fieldMaxInFlight = fields.Count("max_in_flight", 1)

// register registers an output that counts what it publishes. byDefault is how it
// batches where its field has no setting. Its period holds beside any setting.
func register[O service.BatchOutput](typ string, spec *service.ConfigSpec, byDefault service.BatchPolicy, construct func(*service.ParsedConfig, *service.Resources) (O, error)) {
	fields.RegisterBatchOutput(typ, spec,
		func(conf *service.ParsedConfig, res *service.Resources) (_ service.BatchOutput, batching service.BatchPolicy, maxInFlight int, err error) {
			if maxInFlight, err = fieldMaxInFlight.Parse(conf); err != nil {
				return nil, batching, 0, err
			}
			if batching, err = conf.FieldBatchPolicy(fieldBatching); err != nil {
				return nil, batching, 0, err
			}
			if batching.IsNoop() {
				batching = byDefault
			}
			if batching.Period == "" {
				batching.Period = byDefault.Period
			}
			out, err := construct(conf, res)
			if err != nil {
				return nil, batching, 0, err
			}
			return newCounted(out), batching, maxInFlight, nil
		})
}
