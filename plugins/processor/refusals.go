package processor

import (
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/slot"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

// maxRefusalLines is how many messages have a line of their own before they are
// summed up.
const maxRefusalLines = 100

// refusals tells of the messages that a processor cannot process.
type refusals struct {
	*logs.Digest
	log                   *service.Logger
	typ, label, operation string
}

// newRefusals returns the refusals of a processor of the given type, whose work on
// one message is called operation.
func newRefusals(res *service.Resources, typ, operation string) *refusals {
	log := res.Logger()
	return &refusals{
		Digest: logs.NewDigest(log, (*service.Logger).Warn, maxRefusalLines, logs.DigestWords{More: "More messages cannot be processed"}),
		log:    log, typ: typ, label: res.Label(), operation: operation,
	}
}

// refuse counts a message that cannot be processed. It warns at the message's first
// delivery only.
func (r *refusals) refuse(msg *service.Message, err error, text string) {
	ledger.Process.Refused.Add(1)
	kept := slot.From(msg.Context())
	if kept.Refusal() == nil {
		r.warn(msg, err, text)
	}
	kept.Refuse(err)
}

// refuseTogether counts messages that cannot be processed for one reason. It warns
// once, at their first delivery only.
func (r *refusals) refuseTogether(batch service.MessageBatch, err error, text string) {
	ledger.Process.Refused.Add(int64(len(batch)))
	told := true
	for _, msg := range batch {
		kept := slot.From(msg.Context())
		told = told && kept.Refusal() != nil
		kept.Refuse(err)
	}
	if told {
		return
	}
	names := identity.Names(batch)
	status.NoteFailure(r.typ, r.label, r.operation, identity.List(names), err)
	if r.Failed(err, func() []string { return names }) {
		logs.With(r.log, "ids", identity.List(names), "error", err.Error()).Warn(text)
	}
}

// warn writes a line about a message, or has it summed up.
func (r *refusals) warn(msg *service.Message, err error, text string) {
	name := identity.Name(msg)
	status.NoteFailure(r.typ, r.label, r.operation, name, err)
	if r.Failed(err, func() []string { return []string{name} }) {
		logs.With(r.log, "id", identity.ID(msg), "source", identity.Source(msg), "error", err.Error()).Warn(text)
	}
}
