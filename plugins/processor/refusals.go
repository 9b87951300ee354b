package processor

import (
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
)

// maxRefusalLines is how many messages have a line of their own before they are
// summed up.
const maxRefusalLines = 100

// refusals logs the messages that cannot be processed.
type refusals struct {
	*logs.Digest
	log *service.Logger
}

func newRefusals(log *service.Logger) *refusals {
	return &refusals{logs.NewDigest(log, (*service.Logger).Warn, maxRefusalLines, logs.DigestWords{More: "More messages cannot be processed"}), log}
}

// warn writes a line about a message, or has it summed up.
func (r *refusals) warn(msg *service.Message, err error, text string) {
	if r.Failed(err, func() []string { return []string{identity.Name(msg)} }) {
		logs.With(r.log, "id", identity.ID(msg), "source", identity.Source(msg), "error", err.Error()).Warn(text)
	}
}
