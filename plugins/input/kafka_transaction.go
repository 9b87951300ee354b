package input

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/kafka"
	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracing"
)

const kafkaTransactionType = "mfn_kafka_transaction"

var (
	transactionPeriod  = fields.Positive("transaction_period")
	transactionTimeout = fields.Duration("transaction_timeout", time.Second).Where("a duration with a unit, such as 30s or 5m, 1s … 596h",
		fmt.Sprintf("this.parse_duration() <= %v", maxTransactionTimeout.Nanoseconds()),
		func(d time.Duration) bool { return d <= maxTransactionTimeout })
)

// maxTransactionTimeout is about as much as the protocol can tell.
const maxTransactionTimeout = 596 * time.Hour

// maxFencePause is how long an instance that another one fences again and
// again waits before it takes over in its turn.
const maxFencePause = 30 * time.Second

func init() {
	fields.RegisterBatchInput(kafkaTransactionType, kafkaTransactionSpec(),
		func(conf *service.ParsedConfig, res *service.Resources) (service.BatchInput, error) {
			return newKafkaTransaction(conf, res)
		})
}

func kafkaTransactionSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Categories("Services").
		Summary("Consumes Kafka topics so that each message has exactly one result: offsets and what `mfn_kafka_transaction` outputs write are committed in one transaction.").
		Description(`
Each transaction is one batch: as many of the fetched records as the stream processes in about `+"`transaction_period`"+`.
When the whole batch has been delivered, its offsets and results are committed together, and the next one begins. If a message is
rejected, an instance fails or the group rebalances before that, the transaction is aborted: its results never become
visible, and its messages are read again. Simulations that are done are not repeated for that. The pause before a
rejected message is read again grows from `+"`retry.initial_delay` to `retry.max_delay`"+`.

Exactly once holds under these conditions:

- Every output of the stream is an `+"`mfn_kafka_transaction`"+` with the same `+"`transactional_id`"+`. Whatever else it does,
  such as a request to a server, may happen again.
- Consumers of the results use the isolation level `+"`read_committed`"+`.
- Each instance has a `+"`transactional_id`"+` of its own, and the same one after a restart, as the name of a host or of a
  stateful set's pod. An instance that starts with the id of another fences it: the other one's transaction is aborted,
  and it says so and connects again.

Messages that the stream filters out count as done. A rejected message holds up those behind it: send messages that
fail to an output for dead letters, such as a second `+"`mfn_kafka_transaction`"+`. Use no buffer in the stream: it confirms
messages too early.

A result that is too large, or that the brokers refuse for another permanent reason, is rejected alone. Another output
of a `+"`fallback`"+` can take it in the same transaction, or the same output with `+"`oversized: describe`"+`. A transient error
aborts the transaction; after `+"`retry.max_retries`"+` of them in a row, the message is rejected alone, too.

A topic that is deleted and created again is read from `+"`start_offset`"+`, and written to, as a new topic.

A transaction costs the brokers some milliseconds, however large it is. Consumers with `+"`read_committed`"+` wait while one
is open. One that a killed instance has left open ends when the instance starts again, or after `+"`transaction_timeout`"+`.

Messages of one partition are handed out in order. Only records of committed transactions are read.

Otherwise `+"`retry`"+` and `+"`circuit_breaker`"+` apply to the first connection; after that the client reconnects by itself.

### Metadata

`+"```text\n"+kafka.MetadataDocs+"\n```").
		Fields(kafkaReaderFields()...).
		Fields(
			kafka.FieldTransactionalID.Field().
				Description("The name of this instance's transactions, which no other instance may have. It should stay the same when the instance starts again.").
				Example("mfn-processor-${HOSTNAME}"),
			kafkaMaxMessages.Field().
				Description("How many records a transaction has at most.").
				Default(10_000),
			transactionPeriod.Field().
				Description("How long a transaction should take. Its size follows the recent speed: as many records as are processed in this time, at least one for each core and at most `max_messages`. It takes what has been fetched, and never waits for more records.").
				Default("100ms"),
			transactionTimeout.Field().
				Description("How long a transaction may take before the brokers abort it. The brokers allow at most their `transaction.max.timeout.ms`. A record that is not confirmed in this time is rejected.").
				Default("1m"),
		).
		Fields(kafka.ConnectionFields()...).
		Fields(kafkaReaderTuning()...).
		Fields(kafka.ProducerFields()...).
		Fields(retry.Fields()[1:]...). // its timeout gives way to that of a poll
		LintRule("root = match {"+kafkaReaderLint+"\n}").
		Example("Exactly one result for each message",
			"What cannot be simulated goes to another topic, in the same transaction.", kafka.ExactlyOnceExample)
}

type kafkaTransactionInput struct {
	conf        kafka.TransactionConfig
	policy      retry.Policy
	res         *service.Resources
	status      *status.Component
	session     *kafka.TransactionSession
	fencedCount int // in a row
}

func newKafkaTransaction(conf *service.ParsedConfig, res *service.Resources) (*kafkaTransactionInput, error) {
	in := &kafkaTransactionInput{res: res}
	var err error
	if in.policy, err = retry.ParsePolicy(conf); err != nil {
		return nil, err
	}
	if in.conf, err = parseKafkaTransaction(conf); err != nil {
		return nil, err
	}
	in.conf.Connection.Warn(res.Logger())
	in.status = status.New(res, kafkaTransactionType, status.Connector)
	in.conf.State = kafka.NewSessionState(in.policy, in.conf.MaxMessages, in.conf.Period)
	in.conf.Spans = tracing.NewSpans(res, kafkaTransactionType)
	kafka.AnnounceTransactions(res, in.conf.ID)
	ledger.Process.HasInput()
	return in, nil
}

func parseKafkaTransaction(conf *service.ParsedConfig) (c kafka.TransactionConfig, err error) {
	if c.Connection, err = kafka.ParseConnection(conf); err != nil {
		return c, err
	}
	reader, err := parseKafkaReader(conf)
	if err != nil {
		return c, err
	}
	c.Topics, c.Regexp = reader.topics, reader.regexp
	c.MaxMessages, c.PollTimeout, c.HeaderLists = reader.maxMessages, reader.pollTimeout, reader.headerLists
	err = cmp.Or(
		fields.Into(&c.ID, kafka.FieldTransactionalID, conf),
		fields.Into(&c.Period, transactionPeriod, conf),
		fields.Into(&c.Timeout, transactionTimeout, conf),
	)
	if err != nil {
		return c, err
	}
	if c.MaxBytes, err = kafka.MaxMessageBytes(conf); err != nil {
		return c, err
	}
	producer, create, err := kafka.ProducerOptions(conf)
	if err != nil {
		return c, err
	}
	c.CreateTopics = create
	c.Options = slices.Concat(reader.options, producer, []kgo.Opt{kgo.ConsumerGroup(reader.group)})
	if reader.instance != "" {
		c.Options = append(c.Options, kgo.InstanceID(reader.instance))
	}
	return c, nil
}

// Connect begins a session, in place of one that has failed.
func (k *kafkaTransactionInput) Connect(ctx context.Context) error {
	if k.session != nil {
		failure := k.session.Err()
		if failure == nil {
			return nil
		}
		if k.session.Committed() {
			k.fencedCount = 0
		}
		_ = k.session.Close(ctx) // it has failed, which it has told
		k.session = nil
		if kafka.Fenced(failure) {
			pause := min(time.Second<<min(k.fencedCount, 10), maxFencePause)
			k.fencedCount++
			if err := retry.Sleep(ctx, pause); err != nil {
				return err
			}
		}
	}
	k.status.Connecting()
	session, err := kafka.NewTransactionSession(ctx, k.conf, k.policy, k.res, k.status)
	if err != nil {
		return err
	}
	k.session = session
	return nil
}

// ReadBatch returns the messages of a transaction, once that before has ended.
func (k *kafkaTransactionInput) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	if k.session == nil {
		return nil, nil, service.ErrNotConnected
	}
	return k.session.Read(ctx)
}

// Close aborts what is open and leaves the group.
func (k *kafkaTransactionInput) Close(ctx context.Context) error {
	defer k.status.Close()
	if k.session == nil {
		return nil
	}
	return k.session.Close(ctx)
}
