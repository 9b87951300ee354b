package input

import (
	"math"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/kafka"
	"github.com/mfn-connect/mfn-connect/plugins/internal/replay"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

const (
	kafkaType     = "mfn_kafka"
	kafkaBatching = "batching"
)

// The fields of this input alone.
var (
	kafkaCheckpointLimit = fields.Count("checkpoint_limit", 1)
	kafkaCommitPeriod    = fields.Positive("commit_period")
	kafkaIsolationLevel  = fields.Enum("isolation_level", map[string]string{
		"read_uncommitted": "All records, those of open and aborted transactions included.",
		"read_committed":   "Only records of committed transactions, and those written outside of one.",
	})
	kafkaRackID        = fields.Text("rack_id")
	kafkaRevokeTimeout = fields.NotNegative("revoke_timeout")
	kafkaFetchMinBytes = fields.Bytes("fetch_min_bytes", 1, math.MaxInt32)
	kafkaLagPeriod     = fields.Positive("topic_lag_refresh_period")
	kafkaBatchTime     = fields.NotNegative("batch_time")
	kafkaReplay        = fields.Bool(service.AutoRetryNacksToggleFieldName)
)

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
keeps. A slow partition does not hold up
the others. The input stops fetching while as much waits in memory as `+"`fetch_max_bytes`"+` says.

A topic that is deleted and created again is read as a new topic, from `+"`start_offset`"+`. No offset of the old topic is
committed to the new one. Brokers before Kafka 4.1 know offsets by the topic's name alone: with them, stop the stream
before you recreate a topic.

Messages of one partition are handed out in order. Those in flight at the same time can overtake each other in a
pipeline of several threads or when one is rejected and delivered again; set `+"`checkpoint_limit: 1`"+` where order matters.

Each record is a message. The fetched records of a partition are handed out in batches. A batch has about as many
messages as are delivered in `+"`batch_time`"+`, and at most a quarter of `+"`checkpoint_limit`"+`. Fast messages thus share the
cost of a batch, and slow ones come one by one. `+"`batching`"+` sets other rules; a batch of more messages than
`+"`checkpoint_limit`"+` is handed out alone.

`+"`retry`"+` and `+"`circuit_breaker`"+` apply to the first connection; after that the client reconnects by itself.

### Metadata

`+"```text\n"+kafka.MetadataDocs+"\n```"+`

### Metrics

`+"`mfn_kafka_lag`, with the labels `topic` and `partition`"+`, is the number of records from the first undelivered one to
the end of the partition. It covers the partitions that are assigned to this input.`).
		Fields(kafkaReaderFields()...).
		Fields(kafkaMaxMessages.Field().
			Description("How many fetched records one poll takes at most.").
			Default(100)).
		Fields(kafka.ConnectionFields()...).
		Fields(kafkaReaderTuning()...).
		Fields(
			kafkaCheckpointLimit.Field().
				Description("How many messages may lie between the oldest undelivered message of a partition and the newest that was handed out. After a crash, no more than this is delivered twice. A message that is rejected again and again holds up its partition at this distance. 1 keeps the order of each partition.").
				Default(1024),
			kafkaCommitPeriod.Field().
				Description("How often offsets are committed. What was delivered since the last commit is delivered again after a crash.").
				Default("5s"),
			kafkaIsolationLevel.Field().
				Description("Which records of transactions are read.").
				Default("read_uncommitted"),
			kafkaRackID.Field().
				Description("The rack that this process runs in. Where the brokers allow it, records are read from a replica in the same rack.").
				Default("").
				Advanced(),
			kafkaRevokeTimeout.Field().
				Description("How long to wait for messages in flight when the group takes their partition away. The next owner delivers again what is not delivered by then. It must be below `rebalance_timeout`, of which up to 10 seconds are reserved for commits and heartbeats.").
				Default("30s").
				Advanced(),
			kafkaFetchMinBytes.Field().
				Description("How many bytes a broker collects before it answers a fetch. It waits for `fetch_max_wait` at most.").
				Default("1B").
				Advanced(),
			kafkaLagPeriod.Field().
				Description("How often `mfn_kafka_lag` is refreshed.").
				Default("5s").
				Advanced(),
			kafkaBatchTime.Field().
				Description("How long a batch should take: its size follows the recent rate of delivery. `0s` hands out each message alone.").
				Default("10ms").
				Advanced(),
			fields.Foreign(service.NewBatchPolicyField(kafkaBatching).
				Description("Collects messages of a partition into batches, in place of `batch_time`.").
				Advanced()),
		).
		Fields(retryFields...).
		Fields(replay.Fields()...).
		LintRule("root = match {"+kafkaReaderLint+`
  (this.revoke_timeout.or("30s").parse_duration() >= this.rebalance_timeout.or("45s").parse_duration()).catch(false) => [ "revoke_timeout: must be below rebalance_timeout" ]
}`).
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
