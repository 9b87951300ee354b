package input

import (
	"context"
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/kafka"
	"github.com/mfn-connect/mfn-connect/plugins/internal/replay"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

const (
	kafkaBatching        = "batching"
	kafkaBatchTime       = "batch_time"
	kafkaCheckpointLimit = "checkpoint_limit"
	kafkaCommitPeriod    = "commit_period"
	kafkaIsolationLevel  = "isolation_level"
	kafkaRackID          = "rack_id"
	kafkaRevokeTimeout   = "revoke_timeout"
	kafkaFetchMinBytes   = "fetch_min_bytes"
	kafkaLagPeriod       = "topic_lag_refresh_period"
)

func init() {
	service.MustRegisterBatchInput("mfn_kafka", kafkaSpec(),
		func(conf *service.ParsedConfig, res *service.Resources) (service.BatchInput, error) {
			in, err := newKafka(conf, res)
			if err != nil {
				return nil, err
			}
			return replay.Toggled(conf, in, replay.Options{Policy: in.policy, Finite: false, Log: res.Logger()})
		})
}

func kafkaSpec() *service.ConfigSpec {
	retryFields := retry.Fields()[1:] // its timeout gives way to that of a poll
	return service.NewConfigSpec().
		Categories("Services").
		Summary("Consumes Kafka topics as a member of a consumer group, without losing a message when consumers join, leave or fail.").
		Description(`
An offset is committed only when every message of its partition before it has been delivered. After a crash, what was
delivered but not yet committed is delivered again: at least once, never less.

When the group takes partitions away, this input stops handing out their messages at once, waits up to `+"`revoke_timeout`"+`
for those in flight, commits, and only then lets another member have them. It goes on with the partitions that it
keeps. A partition that is processed slowly holds up no other, and no more is fetched than there is room for.

Messages of one partition are handed out in order. Those in flight at the same time can overtake each other in a
pipeline of several threads or when one is rejected and delivered again; set `+"`checkpoint_limit: 1`"+` where order matters.

Each record is a message. Those of a partition that are there are handed out as one batch, but no more than are delivered
in about `+"`batch_time`"+` and than a quarter of `+"`checkpoint_limit`"+`: many where messages are quick, so that the stream's own cost
is shared, and single ones where each takes long. `+"`batching`"+` gathers batches by other rules; one of more messages than `+"`checkpoint_limit`"+` is handed out alone.

`+"`retry` and `circuit_breaker`"+` are about connecting at the start; from then on the client reconnects by itself.

### Metadata

`+"```text\n"+kafka.MetadataDocs+"\n```"+`

### Metrics

`+"`mfn_kafka_lag`, with the labels `topic` and `partition`"+`, is the number of records between the first that is not delivered
and the end of a partition, for those assigned to this input.`).
		Fields(kafkaReaderFields()...).
		Fields(service.NewIntField(kafkaMaxMessages).
			Description("The most records that one poll takes from what has been fetched.").
			Default(100).
			LintRule(`root = if this < 1 { [ "max_messages must be 1 or more, got %v".format(this) ] }`)).
		Fields(kafka.ConnectionFields()...).
		Fields(kafkaReaderTuning()...).
		Fields(
			service.NewIntField(kafkaCheckpointLimit).
				Description("How many messages of a partition may lie between the oldest that is not delivered and the newest that was handed out. A message that is rejected again and again thus holds up its partition, and no more than this is delivered twice after a crash. 1 keeps the order of each partition.").
				Default(1024).
				LintRule(`root = if this < 1 { [ "checkpoint_limit must be 1 or more, got %v".format(this) ] }`),
			service.NewDurationField(kafkaCommitPeriod).
				Description("How often offsets are committed.").
				Default("5s"),
			service.NewStringAnnotatedEnumField(kafkaIsolationLevel, map[string]string{
				"read_uncommitted": "All records, those of open and aborted transactions included.",
				"read_committed":   "Only records of committed transactions, and those written outside of one.",
			}).
				Description("Which records of transactions are read.").
				Default("read_uncommitted"),
			service.NewStringField(kafkaRackID).
				Description("The rack this runs in, so that the nearest replica is read where the brokers allow it.").
				Default("").
				Advanced(),
			service.NewDurationField(kafkaRevokeTimeout).
				Description("How long messages in flight are awaited when their partition is taken away. It must be below `rebalance_timeout`, of which up to 10 seconds are kept for commits and heartbeats. What is not delivered by then is delivered again by the next owner.").
				Default("30s").
				Advanced(),
			service.NewStringField(kafkaFetchMinBytes).
				Description("How many bytes a broker gathers, for `fetch_max_wait` at most, before it answers a fetch.").
				Default("1B").
				Advanced(),
			service.NewDurationField(kafkaLagPeriod).
				Description("How often `mfn_kafka_lag` is refreshed.").
				Default("5s").
				Advanced(),
			service.NewDurationField(kafkaBatchTime).
				Description("How long a batch of messages may take at the rate of the last moments. `0s` hands out each message by itself.").
				Default("10ms").
				Advanced(),
			service.NewBatchPolicyField(kafkaBatching).
				Description("Gathers messages of a partition to batches, in place of `batch_time`.").
				Advanced(),
		).
		Fields(retryFields...).
		Fields(replay.Fields()...).
		LintRule(`root = if this.topics.or([]).length() == 0 { [ "topics must name at least one topic" ] }`).
		Example("Simulate what a topic asks for",
			"Consumes parameters and publishes results. Several instances of this stream share the partitions.", `
input:
  mfn_kafka:
    seed_brokers: [ "localhost:9092" ]
    topics: [ mfn-input ]
    consumer_group: mfn-processor

pipeline:
  processors:
    - mfn_simulate: {}

output:
  switch:
    cases:
      - check: errored()
        output:
          processors:
            - mapping: meta mfn_error = error()
          mfn_kafka:
            seed_brokers: [ "localhost:9092" ]
            topic: mfn-failures
            metadata:
              include_patterns: [ "^mfn_error$" ]
      - output:
          mfn_kafka:
            seed_brokers: [ "localhost:9092" ]
            topic: mfn-output
`).
		Example("In order, over TLS, with a password",
			"One message of each partition at a time, as a static member of the group.", `
input:
  mfn_kafka:
    seed_brokers: [ "kafka-1:9093", "kafka-2:9093" ]
    topics: [ mfn-input, data-stream ]
    consumer_group: mfn-processor
    instance_id: '${HOSTNAME:worker-1}'
    checkpoint_limit: 1
    tls:
      enabled: true
    sasl:
      - mechanism: SCRAM-SHA-512
        username: mfn
        password: '${KAFKA_PASSWORD:}'
`)
}

type kafkaInput struct {
	conf     kafka.ConsumerConfig
	policy   retry.Policy
	res      *service.Resources
	status   *status.Component
	consumer *kafka.Consumer
}

func newKafka(conf *service.ParsedConfig, res *service.Resources) (*kafkaInput, error) {
	in := &kafkaInput{res: res}
	var err error
	if in.policy, err = retry.ParsePolicy(conf); err != nil {
		return nil, err
	}
	if in.conf, err = parseKafka(conf, res); err != nil {
		return nil, err
	}
	in.conf.Connection.Warn(res.Logger())
	in.status = status.New(res, "mfn_kafka", status.Connector)
	return in, nil
}

func parseKafka(conf *service.ParsedConfig, res *service.Resources) (c kafka.ConsumerConfig, err error) {
	if c.Connection, err = kafka.ParseConnection(conf); err != nil {
		return c, err
	}
	reader, err := parseKafkaReader(conf)
	if err != nil {
		return c, err
	}
	c.Topics, c.Regexp, c.GroupID, c.InstanceID = reader.topics, reader.regexp, reader.group, reader.instance
	c.TotalBytes, c.QueueBytes = int64(reader.fetchBytes), int64(reader.partitionBytes)
	c.MaxMessages, c.PollTimeout, c.HeaderLists = reader.maxMessages, reader.pollTimeout, reader.headerLists
	if err := parseKafkaRecords(conf, &c); err != nil {
		return c, err
	}
	c.Group = append(c.Group, reader.options...)

	if c.RevokeTimeout, err = conf.FieldDuration(kafkaRevokeTimeout); err != nil {
		return c, err
	}
	if c.RevokeTimeout < 0 || c.RevokeTimeout >= reader.rebalance {
		return c, fmt.Errorf("%v: %v is outside 0s … %v, %v (not included)", kafkaRevokeTimeout, c.RevokeTimeout, kafkaRebalanceTimeout, reader.rebalance)
	}
	c.RevokeLimit = reader.revokeLimit()
	if c.CheckpointLimit, err = kafka.FieldCount(conf, kafkaCheckpointLimit); err != nil {
		return c, err
	}
	if c.CommitPeriod, err = kafka.FieldPositive(conf, kafkaCommitPeriod); err != nil {
		return c, err
	}
	if c.LagPeriod, err = kafka.FieldPositive(conf, kafkaLagPeriod); err != nil {
		return c, err
	}
	replay, err := conf.FieldBool(service.AutoRetryNacksToggleFieldName)
	if err != nil {
		return c, err
	}
	c.DropRejected = !replay

	if c.BatchTime, err = conf.FieldDuration(kafkaBatchTime); err != nil {
		return c, err
	}
	if c.BatchTime < 0 {
		return c, fmt.Errorf("%v: %v is below 0s", kafkaBatchTime, c.BatchTime)
	}
	policy, err := conf.FieldBatchPolicy(kafkaBatching)
	if err != nil {
		return c, err
	}
	if !policy.IsNoop() {
		c.Batcher = func() (*service.Batcher, error) { return policy.NewBatcher(res) }
	}
	return c, nil
}

// parseKafkaRecords reads which records to fetch, from where and how many at
// once, as far as the transactional input leaves no choice.
func parseKafkaRecords(conf *service.ParsedConfig, c *kafka.ConsumerConfig) error {
	isolation, err := conf.FieldString(kafkaIsolationLevel)
	if err != nil {
		return err
	}
	level, known := map[string]kgo.IsolationLevel{
		"read_uncommitted": kgo.ReadUncommitted(),
		"read_committed":   kgo.ReadCommitted(),
	}[isolation]
	if !known {
		return fmt.Errorf("%v: %q is not one of read_uncommitted, read_committed", kafkaIsolationLevel, isolation)
	}
	c.Committed = isolation == "read_committed"
	least, err := kafka.FieldBytes(conf, kafkaFetchMinBytes)
	if err != nil {
		return err
	}
	rack, err := conf.FieldString(kafkaRackID)
	if err != nil {
		return err
	}
	c.Group = append(c.Group, kgo.FetchIsolationLevel(level), kgo.FetchMinBytes(least), kgo.Rack(rack))
	return nil
}

// Connect joins the consumer group.
func (k *kafkaInput) Connect(ctx context.Context) error {
	if k.consumer != nil {
		return nil
	}
	k.status.Connecting()
	consumer, err := kafka.NewConsumer(ctx, k.conf, k.policy, k.res, k.status)
	if err != nil {
		return err
	}
	k.consumer = consumer
	return nil
}

// ReadBatch returns the next messages of some partition.
func (k *kafkaInput) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	if k.consumer == nil {
		return nil, nil, service.ErrNotConnected
	}
	b, err := k.consumer.Read(ctx)
	return b.Messages, b.Ack, err
}

// Close commits and leaves the group.
func (k *kafkaInput) Close(ctx context.Context) error {
	defer k.status.Close()
	if k.consumer == nil {
		return nil
	}
	return k.consumer.Close(ctx)
}
