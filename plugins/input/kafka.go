package input

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/kafka"
	"github.com/mfn-connect/mfn-connect/plugins/internal/replay"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

const (
	kafkaTopics           = "topics"
	kafkaRegexpTopics     = "regexp_topics"
	kafkaConsumerGroup    = "consumer_group"
	kafkaStartOffset      = "start_offset"
	kafkaMaxMessages      = "max_messages"
	kafkaTimeout          = "timeout"
	kafkaBatching         = "batching"
	kafkaBatchTime        = "batch_time"
	kafkaCheckpointLimit  = "checkpoint_limit"
	kafkaCommitPeriod     = "commit_period"
	kafkaIsolationLevel   = "isolation_level"
	kafkaGroupBalancer    = "group_balancer"
	kafkaInstanceID       = "instance_id"
	kafkaRackID           = "rack_id"
	kafkaSessionTimeout   = "session_timeout"
	kafkaRebalanceTimeout = "rebalance_timeout"
	kafkaHeartbeat        = "heartbeat_interval"
	kafkaRevokeTimeout    = "revoke_timeout"
	kafkaFetchMaxBytes    = "fetch_max_bytes"
	kafkaFetchMaxPart     = "fetch_max_partition_bytes"
	kafkaFetchMinBytes    = "fetch_min_bytes"
	kafkaFetchMaxWait     = "fetch_max_wait"
	kafkaLagPeriod        = "topic_lag_refresh_period"
	kafkaMultiHeader      = "multi_header"
)

func init() {
	service.MustRegisterBatchInput("mfn_kafka", kafkaSpec(),
		func(conf *service.ParsedConfig, res *service.Resources) (service.BatchInput, error) {
			in, err := newKafka(conf, res)
			if err != nil {
				return nil, err
			}
			return replay.Toggled(conf, in)
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
in about `+"`batch_time`"+`: hundreds where messages are quick, so that the stream's own cost is shared, and single ones where each
takes long. `+"`batching`"+` gathers batches by other rules; one of more messages than `+"`checkpoint_limit`"+` is handed out alone.

`+"`retry` and `circuit_breaker`"+` are about connecting at the start; from then on the client reconnects by itself.

### Metadata

`+"```text\n"+kafka.MetadataDocs+"\n```"+`

### Metrics

`+"`mfn_kafka_lag`, with the labels `topic` and `partition`"+`, is the number of records between the first that is not delivered
and the end of a partition, for those assigned to this input.`).
		Fields(
			kafka.SeedBrokersField(),
			service.NewStringListField(kafkaTopics).
				Description("The topics to consume. An element may list several, separated by commas. A topic that does not exist yet is waited for.").
				Example([]string{"mfn-input", "data-stream"}),
			service.NewBoolField(kafkaRegexpTopics).
				Description("Whether `topics` are regular expressions; what matches is consumed, also when it is created later.").
				Default(false),
			service.NewStringField(kafkaConsumerGroup).
				Description("The consumer group. Its members share the partitions, and it remembers what is done.").
				LintRule(`root = if this.trim() == "" { [ "consumer_group must not be empty" ] }`),
			service.NewStringAnnotatedEnumField(kafkaStartOffset, map[string]string{
				"earliest":  "With the oldest record there is.",
				"latest":    "With what is written from now on.",
				"committed": "Not at all: it is an error.",
			}).
				Description("Where to start a partition of which the group has committed nothing, or whose committed offset does not exist any more.").
				Default("earliest"),
			service.NewIntField(kafkaMaxMessages).
				Description("The most records that one poll takes from what has been fetched.").
				Default(100).
				LintRule(`root = if this < 1 { [ "max_messages must be 1 or more, got %v".format(this) ] }`),
			service.NewDurationField(kafkaTimeout).
				Description("How long one poll waits for records.").
				Default("1s"),
		).
		Fields(kafka.ConnectionFields()...).
		Fields(
			service.NewIntField(kafkaCheckpointLimit).
				Description("How many messages of a partition may be in flight, handed out and not yet delivered. 1 keeps the order of each partition; a high limit means more messages again after a crash.").
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
			service.NewStringAnnotatedEnumField(kafkaGroupBalancer, map[string]string{
				"cooperative_sticky": "Only partitions that move are taken away; the others go on.",
				"sticky":             "Partitions stay where they are as far as possible; all stop during a rebalance.",
				"range":              "Neighbouring partitions of a topic to each member; all stop during a rebalance.",
				"round_robin":        "Partitions in turn; all stop during a rebalance.",
			}).
				Description("How the group divides the partitions. All members must agree: `cooperative_sticky` does not go with the others.").
				Default("cooperative_sticky").
				Advanced(),
			service.NewStringField(kafkaInstanceID).
				Description("A name that no other member of the group has makes this one a static member: it does not leave the group when it closes, and a restart within `session_timeout` gets its partitions back without a rebalance.").
				Default("").
				Advanced(),
			service.NewStringField(kafkaRackID).
				Description("The rack this runs in, so that the nearest replica is read where the brokers allow it.").
				Default("").
				Advanced(),
			service.NewDurationField(kafkaSessionTimeout).
				Description("How long the group waits for a sign of life before it goes on without this member.").
				Default("1m").
				Advanced(),
			service.NewDurationField(kafkaRebalanceTimeout).
				Description("How long the members of the group have to give up partitions in a rebalance.").
				Default("45s").
				Advanced(),
			service.NewDurationField(kafkaHeartbeat).
				Description("How often this member gives a sign of life; a third of `session_timeout` at most.").
				Default("3s").
				Advanced(),
			service.NewDurationField(kafkaRevokeTimeout).
				Description("How long messages in flight are awaited when their partition is taken away. It must be below `rebalance_timeout`. What is not delivered by then is delivered again by the next owner.").
				Default("30s").
				Advanced(),
			service.NewStringField(kafkaFetchMaxBytes).
				Description("The most bytes of one fetch from a broker, and of all records that wait here together.").
				Default("50MiB").
				Advanced(),
			service.NewStringField(kafkaFetchMaxPart).
				Description("The most bytes of one partition in a fetch, and of its records that wait here. A larger record still comes, alone.").
				Default("1MiB").
				Advanced(),
			service.NewStringField(kafkaFetchMinBytes).
				Description("How many bytes a broker gathers, for `fetch_max_wait` at most, before it answers a fetch.").
				Default("1B").
				Advanced(),
			service.NewDurationField(kafkaFetchMaxWait).
				Description("How long a broker gathers `fetch_min_bytes`.").
				Default("500ms").
				Advanced(),
			service.NewDurationField(kafkaLagPeriod).
				Description("How often `mfn_kafka_lag` is refreshed.").
				Default("5s").
				Advanced(),
			service.NewBoolField(kafkaMultiHeader).
				Description("Whether headers become lists, with every value of those that occur more than once.").
				Default(false).
				Advanced(),
			service.NewDurationField(kafkaBatchTime).
				Description("How long a batch of messages may take at the rate of the last moments. `0s` hands out each message by itself.").
				Default("10ms").
				Advanced(),
			service.NewBatchPolicyField(kafkaBatching).
				Description("Gathers messages of a partition to batches, in place of `batch_time`.").
				Advanced(),
			service.NewAutoRetryNacksToggleField(),
		).
		Fields(retryFields...).
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
    instance_id: ${HOSTNAME:worker-1}
    checkpoint_limit: 1
    tls:
      enabled: true
    sasl:
      - mechanism: SCRAM-SHA-512
        username: mfn
        password: ${KAFKA_PASSWORD:}
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
	if err := parseKafkaTopics(conf, &c); err != nil {
		return c, err
	}
	if err := parseKafkaGroup(conf, &c); err != nil {
		return c, err
	}
	if err := parseKafkaFetch(conf, &c); err != nil {
		return c, err
	}

	if c.MaxMessages, err = kafka.FieldCount(conf, kafkaMaxMessages); err != nil {
		return c, err
	}
	if c.PollTimeout, err = kafka.FieldPositive(conf, kafkaTimeout); err != nil {
		return c, err
	}
	if c.CheckpointLimit, err = kafka.FieldCount(conf, kafkaCheckpointLimit); err != nil {
		return c, err
	}
	if c.CommitPeriod, err = kafka.FieldPositive(conf, kafkaCommitPeriod); err != nil {
		return c, err
	}
	if c.LagPeriod, err = kafka.FieldPositive(conf, kafkaLagPeriod); err != nil {
		return c, err
	}
	if c.HeaderLists, err = conf.FieldBool(kafkaMultiHeader); err != nil {
		return c, err
	}
	if c.BatchTime, err = conf.FieldDuration(kafkaBatchTime); err != nil {
		return c, err
	}
	if c.BatchTime < 0 {
		return c, fmt.Errorf("%v: %v is below 0s", kafkaBatchTime, c.BatchTime)
	}
	replay, err := conf.FieldBool(service.AutoRetryNacksToggleFieldName)
	if err != nil {
		return c, err
	}
	c.DropRejected = !replay

	policy, err := conf.FieldBatchPolicy(kafkaBatching)
	if err != nil {
		return c, err
	}
	if !policy.IsNoop() {
		c.Batcher = func() (*service.Batcher, error) { return policy.NewBatcher(res) }
	}
	return c, nil
}

// topicName is what Kafka allows as a topic's name.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func parseKafkaTopics(conf *service.ParsedConfig, c *kafka.ConsumerConfig) (err error) {
	topics, err := conf.FieldStringList(kafkaTopics)
	if err != nil {
		return err
	}
	if c.Regexp, err = conf.FieldBool(kafkaRegexpTopics); err != nil {
		return err
	}
	c.Topics = topics
	if !c.Regexp { // a comma may be part of an expression
		c.Topics = kafka.SplitList(topics)
	}
	if len(c.Topics) == 0 {
		return fmt.Errorf("%v: at least one topic is required", kafkaTopics)
	}
	for _, topic := range c.Topics {
		switch {
		case c.Regexp:
			if _, err := regexp.Compile(topic); err != nil {
				return fmt.Errorf("%v: %q is no regular expression: %w", kafkaTopics, topic, err)
			}
		case strings.Contains(topic, ":"):
			return fmt.Errorf("%v: %q names partitions, which the consumer group assigns; give the topic alone", kafkaTopics, topic)
		case !topicName.MatchString(topic):
			return fmt.Errorf("%v: %q is no topic name: 1 to 249 letters, digits, dots, underscores and hyphens", kafkaTopics, topic)
		}
	}
	c.Group = append(c.Group, kgo.ConsumeTopics(c.Topics...))
	if c.Regexp {
		c.Group = append(c.Group, kgo.ConsumeRegex())
	}
	return nil
}

func parseKafkaGroup(conf *service.ParsedConfig, c *kafka.ConsumerConfig) error {
	var err error
	if c.GroupID, err = conf.FieldString(kafkaConsumerGroup); err != nil {
		return err
	}
	if strings.TrimSpace(c.GroupID) == "" {
		return fmt.Errorf("%v: a name is required", kafkaConsumerGroup)
	}
	name, err := conf.FieldString(kafkaGroupBalancer)
	if err != nil {
		return err
	}
	balancer, known := map[string]kgo.GroupBalancer{
		"cooperative_sticky": kgo.CooperativeStickyBalancer(),
		"sticky":             kgo.StickyBalancer(),
		"range":              kgo.RangeBalancer(),
		"round_robin":        kgo.RoundRobinBalancer(),
	}[name]
	if !known {
		return fmt.Errorf("%v: %q is not one of cooperative_sticky, sticky, range, round_robin", kafkaGroupBalancer, name)
	}
	if c.InstanceID, err = conf.FieldString(kafkaInstanceID); err != nil {
		return err
	}
	session, err := kafka.FieldPositive(conf, kafkaSessionTimeout)
	if err != nil {
		return err
	}
	rebalance, err := kafka.FieldPositive(conf, kafkaRebalanceTimeout)
	if err != nil {
		return err
	}
	heartbeat, err := kafka.FieldPositive(conf, kafkaHeartbeat)
	if err != nil {
		return err
	}
	if heartbeat > session/3 {
		return fmt.Errorf("%v: %v is above a third of %v, %v", kafkaHeartbeat, heartbeat, kafkaSessionTimeout, session)
	}
	if c.RevokeTimeout, err = conf.FieldDuration(kafkaRevokeTimeout); err != nil {
		return err
	}
	if c.RevokeTimeout < 0 || c.RevokeTimeout >= rebalance {
		return fmt.Errorf("%v: %v is outside 0s … %v, %v (not included)", kafkaRevokeTimeout, c.RevokeTimeout, kafkaRebalanceTimeout, rebalance)
	}

	c.Group = append(c.Group,
		kgo.Balancers(balancer),
		kgo.SessionTimeout(session),
		kgo.RebalanceTimeout(rebalance),
		kgo.HeartbeatInterval(heartbeat),
	)
	return nil
}

func parseKafkaFetch(conf *service.ParsedConfig, c *kafka.ConsumerConfig) error {
	name, err := conf.FieldString(kafkaStartOffset)
	if err != nil {
		return err
	}
	start, known := map[string]kgo.Offset{
		"earliest":  kgo.NewOffset().AtStart(),
		"latest":    kgo.NewOffset().AtEnd(),
		"committed": kgo.NewOffset().AtCommitted(),
	}[name]
	if !known {
		return fmt.Errorf("%v: %q is not one of earliest, latest, committed", kafkaStartOffset, name)
	}
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

	total, err := kafka.FieldBytes(conf, kafkaFetchMaxBytes)
	if err != nil {
		return err
	}
	each, err := kafka.FieldBytes(conf, kafkaFetchMaxPart)
	if err != nil {
		return err
	}
	least, err := kafka.FieldBytes(conf, kafkaFetchMinBytes)
	if err != nil {
		return err
	}
	if each > total {
		return fmt.Errorf("%v: it is above %v", kafkaFetchMaxPart, kafkaFetchMaxBytes)
	}
	wait, err := kafka.FieldPositive(conf, kafkaFetchMaxWait)
	if err != nil {
		return err
	}
	rack, err := conf.FieldString(kafkaRackID)
	if err != nil {
		return err
	}
	c.TotalBytes, c.QueueBytes = int64(total), int64(each)
	c.Group = append(c.Group,
		kgo.ConsumeStartOffset(start),
		kgo.ConsumeResetOffset(start),
		kgo.FetchIsolationLevel(level),
		kgo.FetchMaxBytes(total),
		kgo.FetchMaxPartitionBytes(each),
		kgo.FetchMinBytes(least),
		kgo.FetchMaxWait(wait),
		kgo.BrokerMaxReadBytes(max(100<<20, total)),
		kgo.Rack(rack),
	)
	return nil
}

// Connect joins the consumer group.
func (k *kafkaInput) Connect(ctx context.Context) error {
	if k.consumer != nil {
		return nil
	}
	k.status.Set(status.Connecting)
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
