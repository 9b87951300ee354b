package input

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/kafka"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

const (
	transactionID          = "transactional_id"
	transactionTimeout     = "transaction_timeout"
	transactionCompression = "compression"
	transactionMaxMessage  = "max_message_bytes"
	transactionAutoTopic   = "allow_auto_topic_creation"
)

// longestFencePause is how long an instance that another one fences again and
// again waits before it takes over in its turn.
const longestFencePause = 30 * time.Second

func init() {
	service.MustRegisterBatchInput("mfn_kafka_transaction", kafkaTransactionSpec(),
		func(conf *service.ParsedConfig, res *service.Resources) (service.BatchInput, error) {
			return newKafkaTransaction(conf, res)
		})
}

func kafkaTransactionSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Categories("Services").
		Summary("Consumes Kafka topics so that each message has exactly one result: offsets and what `mfn_kafka_transaction` outputs write are committed in one transaction.").
		Description(`
Each poll is one transaction and one batch of up to `+"`max_messages`"+`. The next poll waits until all of the batch has been
delivered; then the offsets and the results are committed together. If a message is rejected, an instance fails or the
group rebalances before that, the transaction is aborted: its results never become visible, and its messages are read
again, after a growing pause where they are rejected again and again.

Exactly once holds under these conditions:

- Every output of the stream is an `+"`mfn_kafka_transaction`"+` with the same `+"`transactional_id`"+`. Whatever else it does,
  such as a request to a server, may happen again.
- Whoever reads the results reads with the isolation level `+"`read_committed`"+`.
- Each instance has a `+"`transactional_id`"+` of its own, and the same one after a restart, as the name of a host or of a
  stateful set's pod. An instance that starts with the id of another fences it: the other one's transaction is aborted,
  and it says so and connects again.

Messages that the stream filters out are done with; send those that fail to an output for dead letters, which may be a
second `+"`mfn_kafka_transaction`"+`, since a message that is rejected holds up those behind it. There must be no buffer in the
stream: it confirms messages too early.

A transaction takes the brokers some milliseconds, whatever it holds, so throughput grows with `+"`max_messages`"+`, and with
the number of instances. While a transaction is open, consumers with `+"`read_committed`"+` wait for it; one that a killed
instance has left behind ends when the instance starts again, or after `+"`transaction_timeout`"+`.

Messages of one partition are handed out in order. Only records of committed transactions are read.

`+"`retry` and `circuit_breaker`"+` are about connecting; from then on the client reconnects by itself.

### Metadata

`+"```text\n"+kafka.MetadataDocs+"\n```").
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
			service.NewStringField(transactionID).
				Description("The name of this instance's transactions, which no other instance may have. It should stay the same when the instance starts again.").
				Example("mfn-processor-${HOSTNAME}").
				LintRule(`root = if this.trim() == "" { [ "transactional_id must not be empty" ] }`),
			service.NewStringAnnotatedEnumField(kafkaStartOffset, map[string]string{
				"earliest":  "With the oldest record there is.",
				"latest":    "With what is written from now on.",
				"committed": "Not at all: it is an error.",
			}).
				Description("Where to start a partition of which the group has committed nothing, or whose committed offset does not exist any more.").
				Default("earliest"),
			service.NewIntField(kafkaMaxMessages).
				Description("The most records of a transaction.").
				Default(100).
				LintRule(`root = if this < 1 { [ "max_messages must be 1 or more, got %v".format(this) ] }`),
			service.NewDurationField(kafkaTimeout).
				Description("How long one poll waits for records.").
				Default("1s"),
			service.NewDurationField(transactionTimeout).
				Description("How long a transaction may take before the brokers abort it; the brokers' `transaction.max.timeout.ms` is the most that they allow. A record that is not confirmed in this time is rejected.").
				Default("1m"),
		).
		Fields(kafka.ConnectionFields()...).
		Fields(
			service.NewStringAnnotatedEnumField(kafkaGroupBalancer, map[string]string{
				"cooperative_sticky": "Only partitions that move are taken away.",
				"sticky":             "Partitions stay where they are as far as possible.",
				"range":              "Neighbouring partitions of a topic to each member.",
				"round_robin":        "Partitions in turn.",
			}).
				Description("How the group divides the partitions. All members must agree: `cooperative_sticky` does not go with the others.").
				Default("cooperative_sticky").
				Advanced(),
			service.NewStringField(kafkaInstanceID).
				Description("A name that no other member of the group has makes this one a static member: it does not leave the group when it closes, and a restart within `session_timeout` gets its partitions back without a rebalance.").
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
			service.NewStringField(kafkaFetchMaxBytes).
				Description("The most bytes of one fetch from a broker.").
				Default("50MiB").
				Advanced(),
			service.NewStringField(kafkaFetchMaxPart).
				Description("The most bytes of one partition in a fetch. A larger record still comes, alone.").
				Default("1MiB").
				Advanced(),
			service.NewDurationField(kafkaFetchMaxWait).
				Description("How long a broker waits for records before it answers a fetch.").
				Default("500ms").
				Advanced(),
			service.NewStringEnumField(transactionCompression, "none", "gzip", "snappy", "lz4", "zstd").
				Description("How results are compressed.").
				Default("snappy").
				Advanced(),
			service.NewStringField(transactionMaxMessage).
				Description("The largest result, and the most that is sent to a partition at once. The brokers' `message.max.bytes` should be no smaller.").
				Default("1MiB").
				Advanced(),
			service.NewBoolField(transactionAutoTopic).
				Description("Whether a topic to write to that does not exist is created, if the brokers allow it.").
				Default(true).
				Advanced(),
			service.NewBoolField(kafkaMultiHeader).
				Description("Whether headers become lists, with every value of those that occur more than once.").
				Default(false).
				Advanced(),
		).
		Fields(retry.Fields()[1:]...). // its timeout gives way to that of a poll
		LintRule(`root = if this.topics.or([]).length() == 0 { [ "topics must name at least one topic" ] }`).
		Example("Exactly one result for each message",
			"What cannot be simulated goes to another topic, in the same transaction.", `
input:
  mfn_kafka_transaction:
    seed_brokers: [ "localhost:9092" ]
    topics: [ mfn-input ]
    consumer_group: mfn-processor
    transactional_id: mfn-processor-${HOSTNAME:1}

pipeline:
  processors:
    - mfn_simulate: {}
    - catch:
        - mapping: meta mfn_error = error()

output:
  switch:
    cases:
      - check: '@mfn_error == null'
        output:
          mfn_kafka_transaction:
            transactional_id: mfn-processor-${HOSTNAME:1}
            topic: mfn-output
      - output:
          mfn_kafka_transaction:
            transactional_id: mfn-processor-${HOSTNAME:1}
            topic: mfn-failures
            metadata:
              include_patterns: [ "^mfn_error$" ]
`)
}

type kafkaTransactionInput struct {
	conf    kafka.TransactionConfig
	policy  retry.Policy
	res     *service.Resources
	status  *status.Component
	session *kafka.TransactionSession
	fences  int // in a row
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
	in.status = status.New(res, "mfn_kafka_transaction", status.Connector)
	kafka.AnnounceTransactions(res, in.conf.ID)
	return in, nil
}

func parseKafkaTransaction(conf *service.ParsedConfig) (c kafka.TransactionConfig, err error) {
	if c.Connection, err = kafka.ParseConnection(conf); err != nil {
		return c, err
	}
	var topics kafka.ConsumerConfig
	if err := parseKafkaTopics(conf, &topics); err != nil {
		return c, err
	}
	c.Topics, c.Regexp, c.Options = topics.Topics, topics.Regexp, topics.Group
	if c.ID, err = conf.FieldString(transactionID); err != nil {
		return c, err
	}
	if strings.TrimSpace(c.ID) == "" {
		return c, fmt.Errorf("%v: a name is required", transactionID)
	}
	if c.MaxMessages, err = kafka.FieldCount(conf, kafkaMaxMessages); err != nil {
		return c, err
	}
	if c.PollTimeout, err = kafka.FieldPositive(conf, kafkaTimeout); err != nil {
		return c, err
	}
	if c.Timeout, err = kafka.FieldPositive(conf, transactionTimeout); err != nil {
		return c, err
	}
	if c.Timeout < time.Second || c.Timeout > math.MaxInt32*time.Millisecond {
		return c, fmt.Errorf("%v: %v is outside 1s … %v", transactionTimeout, c.Timeout, math.MaxInt32*time.Millisecond)
	}
	if c.HeaderLists, err = conf.FieldBool(kafkaMultiHeader); err != nil {
		return c, err
	}
	for _, parse := range []func(*service.ParsedConfig) ([]kgo.Opt, error){
		transactionGroup, transactionFetch, transactionProduce,
	} {
		opts, err := parse(conf)
		if err != nil {
			return c, err
		}
		c.Options = append(c.Options, opts...)
	}
	return c, nil
}

// transactionGroup reads as which member of which group to read.
func transactionGroup(conf *service.ParsedConfig) ([]kgo.Opt, error) {
	group, err := conf.FieldString(kafkaConsumerGroup)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(group) == "" {
		return nil, fmt.Errorf("%v: a name is required", kafkaConsumerGroup)
	}
	name, err := conf.FieldString(kafkaGroupBalancer)
	if err != nil {
		return nil, err
	}
	balancer, known := map[string]kgo.GroupBalancer{
		"cooperative_sticky": kgo.CooperativeStickyBalancer(),
		"sticky":             kgo.StickyBalancer(),
		"range":              kgo.RangeBalancer(),
		"round_robin":        kgo.RoundRobinBalancer(),
	}[name]
	if !known {
		return nil, fmt.Errorf("%v: %q is not one of cooperative_sticky, sticky, range, round_robin", kafkaGroupBalancer, name)
	}
	instance, err := conf.FieldString(kafkaInstanceID)
	if err != nil {
		return nil, err
	}
	session, err := kafka.FieldPositive(conf, kafkaSessionTimeout)
	if err != nil {
		return nil, err
	}
	rebalance, err := kafka.FieldPositive(conf, kafkaRebalanceTimeout)
	if err != nil {
		return nil, err
	}
	heartbeat, err := kafka.FieldPositive(conf, kafkaHeartbeat)
	if err != nil {
		return nil, err
	}
	if heartbeat > session/3 {
		return nil, fmt.Errorf("%v: %v is above a third of %v, %v", kafkaHeartbeat, heartbeat, kafkaSessionTimeout, session)
	}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(group),
		kgo.Balancers(balancer),
		kgo.SessionTimeout(session),
		kgo.RebalanceTimeout(rebalance),
		kgo.HeartbeatInterval(heartbeat),
	}
	if instance != "" {
		opts = append(opts, kgo.InstanceID(instance))
	}
	return opts, nil
}

// transactionFetch reads how to fetch.
func transactionFetch(conf *service.ParsedConfig) ([]kgo.Opt, error) {
	name, err := conf.FieldString(kafkaStartOffset)
	if err != nil {
		return nil, err
	}
	start, known := map[string]kgo.Offset{
		"earliest":  kgo.NewOffset().AtStart(),
		"latest":    kgo.NewOffset().AtEnd(),
		"committed": kgo.NewOffset().AtCommitted(),
	}[name]
	if !known {
		return nil, fmt.Errorf("%v: %q is not one of earliest, latest, committed", kafkaStartOffset, name)
	}
	total, err := kafka.FieldBytes(conf, kafkaFetchMaxBytes)
	if err != nil {
		return nil, err
	}
	each, err := kafka.FieldBytes(conf, kafkaFetchMaxPart)
	if err != nil {
		return nil, err
	}
	if each > total {
		return nil, fmt.Errorf("%v: it is above %v", kafkaFetchMaxPart, kafkaFetchMaxBytes)
	}
	wait, err := kafka.FieldPositive(conf, kafkaFetchMaxWait)
	if err != nil {
		return nil, err
	}
	return []kgo.Opt{
		kgo.ConsumeStartOffset(start),
		kgo.ConsumeResetOffset(start),
		kgo.FetchMaxBytes(total),
		kgo.FetchMaxPartitionBytes(each),
		kgo.FetchMaxWait(wait),
		kgo.BrokerMaxReadBytes(max(100<<20, total)),
	}, nil
}

// transactionProduce reads how results are sent.
func transactionProduce(conf *service.ParsedConfig) ([]kgo.Opt, error) {
	name, err := conf.FieldString(transactionCompression)
	if err != nil {
		return nil, err
	}
	codec, known := map[string]kgo.CompressionCodec{
		"none":   kgo.NoCompression(),
		"gzip":   kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(),
		"lz4":    kgo.Lz4Compression(),
		"zstd":   kgo.ZstdCompression(),
	}[name]
	if !known {
		return nil, fmt.Errorf("%v: %q is not one of none, gzip, snappy, lz4, zstd", transactionCompression, name)
	}
	largest, err := kafka.FieldBytes(conf, transactionMaxMessage)
	if err != nil {
		return nil, err
	}
	if largest > 1<<30 {
		return nil, fmt.Errorf("%v: it is above 1GiB", transactionMaxMessage)
	}
	create, err := conf.FieldBool(transactionAutoTopic)
	if err != nil {
		return nil, err
	}
	opts := []kgo.Opt{
		kgo.ProducerBatchCompression(codec, kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(largest),
		kgo.BrokerMaxWriteBytes(max(100<<20, largest+1<<20)),
	}
	if create {
		opts = append(opts, kgo.AllowAutoTopicCreation())
	}
	return opts, nil
}

// Connect begins a session, in place of one that has failed.
func (k *kafkaTransactionInput) Connect(ctx context.Context) error {
	if k.session != nil {
		failure := k.session.Err()
		if failure == nil {
			return nil
		}
		if k.session.Committed() {
			k.fences = 0
		}
		_ = k.session.Close(ctx) // it has failed, which it has told
		k.session = nil
		if kafka.Fenced(failure) {
			pause := min(time.Second<<min(k.fences, 10), longestFencePause)
			k.fences++
			if err := retry.Sleep(ctx, pause); err != nil {
				return err
			}
		}
	}
	k.status.Set(status.Connecting)
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
