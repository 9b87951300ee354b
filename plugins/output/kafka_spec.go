package output

import (
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/kafka"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

const kafkaType = "mfn_kafka"

// The fields that say how records are sent. More are in packages kafka and retry.
var (
	kafkaFieldPartitioner = fields.Enum("partitioner", map[string]string{
		"murmur2_hash": "By the key's hash, as Kafka's own clients do; messages without a key fill one partition after the other.",
		"round_robin":  "In turn, whatever the key.",
		"least_backup": "The partition for which the fewest messages wait.",
		kafkaManual:    "The one that the field `partition` gives.",
	})
	kafkaFieldAcks = fields.Enum("acks", map[string]string{
		kafkaAcksAll: "Every replica that is in sync.",
		"leader":     "The partition's leader alone: lost if it fails before the others have the message.",
		"none":       "Nobody: lost whenever anything fails.",
	})
	kafkaFieldIdempotent = fields.Bool("idempotent_write")
)

const (
	kafkaManual  = "manual"
	kafkaAcksAll = "all"
)

func kafkaSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Categories("Services").
		Summary("Publishes messages to a Kafka topic and confirms each when the brokers have it.").
		Description(`
A message is confirmed when the replicas that are in sync have it (`+"`acks: all`"+`). After a transient error,
the messages of a batch that the brokers have not confirmed are sent again, and no others. A message that cannot
succeed, such as one that is too large, is rejected alone; the rest of its batch is delivered. With
`+"`oversized: describe`"+`, a message that is too large is published without its content instead.

When a topic is deleted and created again, publishing goes on; messages that were in flight may be in it twice.

The client reconnects and follows moving leaders by itself, without duplicates while `+"`idempotent_write`"+` is on. An attempt
fails when the brokers have not confirmed it within `+"`timeout`"+`, and at once when none can be reached. When its retries are
used up, a message is rejected: the input delivers it again, or a `+"`fallback`"+` takes it.

Messages of one batch that go to one partition keep their order. Batches that are in flight at the same time can overtake
each other; set `+"`max_in_flight: 1`"+` where order matters.`).
		Field(kafka.SeedBrokersField()).
		Fields(kafkaRecordFields()...).
		Field(fieldMaxInFlight.Field().
			Description("How many batches may be in flight at once.").
			Default(64)).
		Fields(kafka.ConnectionFields()...).
		Fields(kafka.ProducerFields()...).
		Fields(
			kafkaFieldPartitioner.Field().
				Description("Which partition a message goes to.").
				Default("murmur2_hash").
				Advanced(),
			kafkaFieldAcks.Field().
				Description("Who must have a message before it is confirmed.").
				Default(kafkaAcksAll).
				Advanced(),
			kafkaFieldIdempotent.Field().
				Description("Whether brokers recognise a message that the client sends again. It needs `acks: all`, and on brokers before Kafka 3.0 the right `IDEMPOTENT_WRITE`.").
				Default(true).
				Advanced(),
		).
		Fields(kafkaRecordTuning("The number of the partition, with the partitioner `manual`.")...).
		Field(fields.Foreign(service.NewBatchPolicyField(fieldBatching).
			Description("Collects messages into batches that are published together."))).
		Fields(retry.Fields()...).
		LintRule(`root = match {
  this.partitioner.or("") == "manual" && this.partition.or("") == "" => [ "partitioner manual needs the field partition" ]
  this.partitioner.or("") != "manual" && this.partition.or("") != "" => [ "partition needs partitioner manual" ]
  ["true", "yes", "on"].contains(this.idempotent_write.or(true).string().lowercase()) && this.acks.or("all") != "all" => [ "idempotent_write needs acks all, got %v".format(this.acks) ]
}`).
		Example("Publish results",
			"The key is the simulation's id, so that all results of one id are in one partition.", `
output:
  mfn_kafka:
    seed_brokers: [ "localhost:9092" ]
    topic: mfn-output
`).
		Example("Failures to a topic of their own",
			"What failed goes to a dead-letter topic, with the error in a header.", `
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
            oversized: describe
      - output:
          mfn_kafka:
            seed_brokers: [ "localhost:9092" ]
            topic: mfn-output
`)
}
