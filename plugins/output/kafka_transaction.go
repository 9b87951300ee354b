package output

import (
	"context"
	"errors"
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
	"github.com/mfn-connect/mfn-connect/plugins/internal/kafka"
	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

const kafkaTransactionType = "mfn_kafka_transaction"

func init() {
	fields.RegisterBatchOutput(kafkaTransactionType, kafkaTransactionSpec(),
		func(conf *service.ParsedConfig, res *service.Resources) (out service.BatchOutput, policy service.BatchPolicy, maxInFlight int, err error) {
			if maxInFlight, err = fieldMaxInFlight.Parse(conf); err != nil {
				return nil, policy, 0, err
			}
			out, err = newKafkaTransaction(conf, res)
			return out, policy, maxInFlight, err
		})
}

func kafkaTransactionSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Categories("Services").
		Summary("Publishes messages to a Kafka topic inside the transaction of the `mfn_kafka_transaction` input that they come from.").
		Description(`
What it writes becomes visible to consumers with the isolation level `+"`read_committed`"+` when the input commits, together
with the input's offsets, or never. It uses the connection of the input with the same `+"`transactional_id`"+` in the same
stream, and so has no settings for one. Several outputs may take part in the same transaction, such as one for results
and one for dead letters. They are outputs of the stream itself, within `+"`switch`, `fallback`"+` and the like: what is among
`+"`output_resources`"+` is made before the input, and cannot find it.

It takes only messages of the transaction that is open. It rejects a message of another input, and one that a
processor has made from nothing but the content. A message that the brokers refuse is rejected; the input then aborts the
transaction and reads its messages again, unless the stream sends the message elsewhere. What is too large for a
topic can stay in it without its content, by `+"`oversized: describe`"+`.`).
		Fields(
			kafka.FieldTransactionalID.Field().
				Description("The `transactional_id` of the input.").
				Example("mfn-processor-${HOSTNAME}"),
		).
		Fields(kafkaRecordFields()...).
		Fields(kafkaRecordTuning("The number of the partition, in place of the one that follows from the key.")...).
		Fields(
			fieldMaxInFlight.Field().
				Description("How many batches may be on their way at the same time, where processors have split that of the transaction.").
				Default(64).
				Advanced(),
		).
		Example("Exactly one result for each message", "Offsets and results are committed together.", kafka.ExactlyOnceExample)
}

type kafkaTransactionOutput struct {
	id     string
	record recordTemplate
	log    *service.Logger
	status *status.Component
}

func newKafkaTransaction(conf *service.ParsedConfig, res *service.Resources) (*kafkaTransactionOutput, error) {
	k := &kafkaTransactionOutput{log: res.Logger()}
	var err error
	if k.id, err = kafka.FieldTransactionalID.Parse(conf); err != nil {
		return nil, err
	}
	if k.record, err = parseRecordTemplate(conf); err != nil {
		return nil, err
	}
	if !kafka.TransactionsAnnounced(res, k.id) {
		return nil, fmt.Errorf("%v: the stream has no input mfn_kafka_transaction with the transactional_id %q, in whose transactions to write; outputs among output_resources are made before their input", kafka.FieldTransactionalID.Name(), k.id)
	}
	ledger.Process.HasOutput()
	k.status = status.New(res, kafkaTransactionType, status.Publisher)
	return k, nil
}

// Connect has nothing to do: the input connects.
func (k *kafkaTransactionOutput) Connect(context.Context) error {
	k.status.Connected()
	return nil
}

// WriteBatch publishes the messages inside the transaction that they were read in. Its error tells which messages of the batch are not published.
func (k *kafkaTransactionOutput) WriteBatch(ctx context.Context, messages service.MessageBatch) error {
	end := k.status.Begin()
	defer end()

	failures := &batchFailures{batch: messages}
	// They are of one transaction, unless a mistake in the stream mixes them.
	parts := make(map[*kafka.Transaction]*part)
	interpolations := newInterpolator(messages)
	for i, msg := range messages {
		tx := kafka.TransactionOf(msg)
		switch {
		case tx == nil:
			failures.add(errors.New("the message does not come from an input mfn_kafka_transaction, so there is no transaction to publish it in"), i)
			continue
		case tx.ID() != k.id:
			failures.add(fmt.Errorf("the message belongs to the transactional_id %q, not to %q", tx.ID(), k.id), i)
			continue
		}
		record, err := k.recordOf(msg, interpolations.resolver(i))
		if err != nil {
			failures.add(err, i)
			continue
		}
		p := parts[tx]
		if p == nil {
			p = &part{}
			parts[tx] = p
		}
		p.records, p.indices = append(p.records, record), append(p.indices, i)
	}

	// A message whose transaction is aborted is done with here: the input reads it
	// again, whatever the stream would do with an error, such as try for ever.
	var aborted error
	var bytes int64
	for tx, p := range parts {
		for n, err := range k.produce(ctx, tx, messages, p) {
			if gone, ok := errors.AsType[*kafka.AbortedError](err); ok {
				aborted = gone
				continue
			}
			if err != nil {
				failures.add(err, p.indices[n])
				continue
			}
			bytes += int64(len(p.records[n].Key) + len(p.records[n].Value))
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	failed := failures.err()
	if failed == nil {
		if aborted != nil {
			k.status.AttemptFailed(aborted)
			return nil
		}
		k.status.AttemptSucceeded(bytes)
		return nil
	}
	k.status.AttemptFailed(failed)
	k.status.OperationFailed(failed)
	names := failures.names()
	k.status.NoteFailure("Kafka produce", names, failed)
	logs.With(k.log, "operation", "Kafka produce", "id", identity.List(names), "error", failed.Error()).Error("Messages are rejected")
	return failed
}

// part is what belongs to one transaction of a batch: records, and the places of
// their messages.
type part struct {
	records []*kgo.Record
	indices []int
}

// produce writes records in a transaction. What is too large is described, if it
// should be.
func (k *kafkaTransactionOutput) produce(ctx context.Context, tx *kafka.Transaction, messages service.MessageBatch, p *part) []error {
	errs := tx.Produce(ctx, p.records)
	if !k.record.describes {
		return errs
	}
	var descriptions []*kgo.Record
	var indexes []int
	for n, err := range errs {
		if errors.Is(err, kerr.MessageTooLarge) {
			msg := messages[p.indices[n]]
			warnOversized(k.log, msg, p.records[n], err)
			descriptions, indexes = append(descriptions, describe(msg, p.records[n], err)), append(indexes, n)
		}
	}
	if len(descriptions) == 0 {
		return errs
	}
	for d, err := range tx.Produce(ctx, descriptions) {
		errs[indexes[d]] = err
		p.records[indexes[d]] = descriptions[d]
	}
	return errs
}

// recordOf makes the record of a message. Without a partition of its own it goes
// where its key says.
func (k *kafkaTransactionOutput) recordOf(msg *service.Message, at resolve) (*kgo.Record, error) {
	record, err := k.record.record(msg, at)
	if err == nil && k.record.partition == nil {
		record.Partition = -1
	}
	return record, err
}

// Close has nothing to do: the input closes the connection.
func (k *kafkaTransactionOutput) Close(context.Context) error {
	k.status.Close()
	return nil
}
