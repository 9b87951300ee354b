package input

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/kafka"
)

// The fields of both Kafka inputs. More are in package kafka.
var (
	kafkaTopics        = fields.ListOf(fields.Text("topics")).NotEmpty()
	kafkaRegexpTopics  = fields.Bool("regexp_topics")
	kafkaConsumerGroup = fields.Text("consumer_group").Where("text that is not blank", `this.string().trim() != ""`,
		func(s string) bool { return strings.TrimSpace(s) != "" }).
		Schema(jsonschema.TextMatching(`\S`))
	kafkaStartOffset = fields.Enum("start_offset", map[string]string{
		"earliest":  "The oldest record.",
		"latest":    "The next record that is written. What was written before is not read.",
		"committed": "Nowhere: the input ends with an error.",
	})
	kafkaMaxMessages   = fields.Count("max_messages", 1)
	kafkaTimeout       = fields.Positive("timeout")
	kafkaGroupBalancer = fields.Enum("group_balancer", map[string]string{
		"cooperative_sticky": "Partitions stay with their member where possible; those that do not move are read on during a rebalance.",
		"sticky":             "Partitions stay with their member where possible; all members stop during a rebalance.",
		"range":              "Each member gets neighbouring partitions of a topic; all members stop during a rebalance.",
		"round_robin":        "Members get partitions in turn; all members stop during a rebalance.",
	})
	kafkaInstanceID       = fields.Text("instance_id")
	kafkaSessionTimeout   = fields.Positive("session_timeout")
	kafkaRebalanceTimeout = fields.Positive("rebalance_timeout")
	kafkaHeartbeat        = fields.Positive("heartbeat_interval")
	kafkaFetchMaxBytes    = fields.Bytes("fetch_max_bytes", 1, math.MaxInt32)
	kafkaFetchMaxPart     = fields.Bytes("fetch_max_partition_bytes", 1, math.MaxInt32)
	kafkaMaxBatchBytes    = fields.Bytes("max_batch_bytes", 1, math.MaxInt32)
	kafkaFetchMaxWait     = fields.Positive("fetch_max_wait")
	kafkaMultiHeader      = fields.Bool("multi_header")
)

// kafkaReaderLint are the cases of a lint rule for fields of a kafkaReader that must
// go together. Values that are wrong by themselves fall through: they have rules of
// their own.
var kafkaReaderLint = fmt.Sprintf(`
  ["true", "yes", "on"].contains(this.regexp_topics.or(false).string().lowercase()) && this.topics.any(t -> ("".re_match(t.string()) || true).catch(false) == false).catch(false) => [ "topics: must be regular expressions, since regexp_topics is set" ]
  !["true", "yes", "on"].contains(this.regexp_topics.or(false).string().lowercase()) && (this.topics.any(t -> t.type() != "timestamp" && !t.string().re_match(%[1]q)) || !this.topics.any(t -> t.string().re_match("[^,\\s]"))).catch(false) => [ "topics: must be names of topics, of 1 to 249 letters, digits, dots, underscores and hyphens; the consumer group assigns their partitions" ]
  (this.heartbeat_interval.or("3s").parse_duration() * 3 > this.session_timeout.or("1m").parse_duration()).catch(false) => [ "heartbeat_interval: must be a third of session_timeout at most" ]
  (%[2]v > %[3]v).catch(false) => [ "fetch_max_partition_bytes: must be no larger than fetch_max_bytes" ]`,
	topicList, fields.BytesOf(`this.fetch_max_partition_bytes.or("1MiB")`), fields.BytesOf(`this.fetch_max_bytes.or("50MiB")`))

// kafkaReader is what both Kafka inputs have fields for: what to read, as
// a member of a group.
type kafkaReader struct {
	topics                     []string
	regexp                     bool // topics are regular expressions
	group, instance            string
	rebalance, heartbeat       time.Duration
	fetchBytes, partitionBytes int64 // of one fetch
	maxMessages                int   // of one poll
	pollTimeout                time.Duration
	headerLists                bool
	options                    []kgo.Opt // all of it, but for the names of the group and its member
}

// kafkaReaderFields are its fields that come first, kafkaReaderTuning those that
// few users need.
func kafkaReaderFields() []*service.ConfigField {
	return []*service.ConfigField{
		kafka.SeedBrokersField(),
		kafkaTopics.Field().
			Description("The topics to consume. An element may list several, separated by commas. The input waits for a topic that does not exist yet.").
			Example([]string{"mfn-input", "data-stream"}),
		kafkaRegexpTopics.Field().
			Description("Whether `topics` are regular expressions. Each topic that matches is consumed, also one that is created later.").
			Default(false),
		kafkaConsumerGroup.Field().
			Description("The consumer group. Its members share the partitions, and its offsets remember what is done."),
		kafkaStartOffset.Field().
			Description("Where to start in a partition for which the group has committed no offset, or one that no longer exists.").
			Default("earliest"),
		kafkaTimeout.Field().
			Description("How long one poll waits for records.").
			Default("1s"),
	}
}

func kafkaReaderTuning() []*service.ConfigField {
	return []*service.ConfigField{
		kafkaGroupBalancer.Field().
			Description("How the group divides the partitions. All members must agree: `cooperative_sticky` does not go with the others.").
			Default("cooperative_sticky").
			Advanced(),
		kafkaInstanceID.Field().
			Description("A name that no other member of the group has. It makes this a static member, which does not leave the group when it closes: after a restart within `session_timeout` it gets its partitions back without a rebalance. Empty: no static member.").
			Default("").
			Advanced(),
		kafkaSessionTimeout.Field().
			Description("How long the group waits for a heartbeat of this member before it gives its partitions to others.").
			Default("1m").
			Advanced(),
		kafkaRebalanceTimeout.Field().
			Description("How long the members of the group have to give up partitions in a rebalance.").
			Default("45s").
			Advanced(),
		kafkaHeartbeat.Field().
			Description("How often this member sends a heartbeat. At most a third of `session_timeout`.").
			Default("3s").
			Advanced(),
		kafkaFetchMaxBytes.Field().
			Description("How many bytes one fetch from a broker returns at most. About as many bytes of records, of all partitions together, wait in memory at most.").
			Default("50MiB").
			Advanced(),
		kafkaFetchMaxPart.Field().
			Description("How many bytes of one partition a fetch returns at most. About as many bytes of its records wait in memory at most. A larger record still comes, alone.").
			Default("1MiB").
			Advanced(),
		kafkaMaxBatchBytes.Field().
			Description("How large a batch of records, as its producer made it, may be when it is decompressed. Without a limit, a few kilobytes from a sender could become a gigabyte in memory. A larger batch holds up its partition, with an error that names its offset, until this limit is raised or the batch is deleted. Nothing is skipped.").
			Default("64MiB").
			Advanced(),
		kafkaFetchMaxWait.Field().
			Description("How long a broker waits for records before it answers a fetch.").
			Default("500ms").
			Advanced(),
		kafkaMultiHeader.Field().
			Description("Whether each header becomes a list of its values, so that one that occurs more than once keeps them all.").
			Default(false).
			Advanced(),
	}
}

func parseKafkaReader(conf *service.ParsedConfig) (r kafkaReader, err error) {
	for _, parse := range []func(*service.ParsedConfig) error{r.parseTopics, r.parseGroup, r.parseFetch} {
		if err := parse(conf); err != nil {
			return r, err
		}
	}
	return r, nil
}

// topicName is what Kafka allows as a topic's name, topicList several of them, with
// commas between.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

const topicList = `^\s*([a-zA-Z0-9._-]{1,249})?\s*(,\s*([a-zA-Z0-9._-]{1,249})?\s*)*$`

// parseTopics reads which topics to consume.
func (r *kafkaReader) parseTopics(conf *service.ParsedConfig) error {
	err := cmp.Or(
		fields.Into(&r.topics, kafkaTopics, conf),
		fields.Into(&r.regexp, kafkaRegexpTopics, conf),
	)
	if err != nil {
		return err
	}
	if !r.regexp { // a comma may be part of an expression
		r.topics = kafka.SplitList(r.topics)
	}
	if len(r.topics) == 0 {
		return fmt.Errorf("%v: must name at least one topic", kafkaTopics.Name())
	}
	for _, topic := range r.topics {
		switch {
		case r.regexp:
			if _, err := regexp.Compile(topic); err != nil {
				return fmt.Errorf("%v: %q is no regular expression: %w", kafkaTopics.Name(), topic, err)
			}
		case strings.Contains(topic, ":"):
			return fmt.Errorf("%v: %q names partitions, which the consumer group assigns; give the topic alone", kafkaTopics.Name(), topic)
		case !topicName.MatchString(topic):
			return fmt.Errorf("%v: %q is no topic name: 1 to 249 letters, digits, dots, underscores and hyphens", kafkaTopics.Name(), topic)
		}
	}
	r.options = append(r.options, kgo.ConsumeTopics(r.topics...))
	if r.regexp {
		r.options = append(r.options, kgo.ConsumeRegex())
	}
	return nil
}

// parseGroup parses the group and the member.
func (r *kafkaReader) parseGroup(conf *service.ParsedConfig) error {
	var balancer string
	var session time.Duration
	err := cmp.Or(
		fields.Into(&r.group, kafkaConsumerGroup, conf),
		fields.Into(&balancer, kafkaGroupBalancer, conf),
		fields.Into(&r.instance, kafkaInstanceID, conf),
		fields.Into(&session, kafkaSessionTimeout, conf),
		fields.Into(&r.rebalance, kafkaRebalanceTimeout, conf),
		fields.Into(&r.heartbeat, kafkaHeartbeat, conf),
	)
	if err != nil {
		return err
	}
	if r.heartbeat > session/3 {
		return fmt.Errorf("%v: %v is above a third of %v, %v", kafkaHeartbeat.Name(), r.heartbeat, kafkaSessionTimeout.Name(), session)
	}
	r.options = append(r.options,
		kgo.Balancers(map[string]kgo.GroupBalancer{
			"cooperative_sticky": kgo.CooperativeStickyBalancer(),
			"sticky":             kgo.StickyBalancer(),
			"range":              kgo.RangeBalancer(),
			"round_robin":        kgo.RoundRobinBalancer(),
		}[balancer]),
		kgo.SessionTimeout(session),
		kgo.RebalanceTimeout(r.rebalance),
		kgo.HeartbeatInterval(r.heartbeat),
	)
	return nil
}

// revokeLimit is how long a revocation may take: the group hears of its end, and this
// member of its beginning, with a heartbeat.
func (r *kafkaReader) revokeLimit() time.Duration {
	return max(r.rebalance-r.heartbeat-time.Second, r.rebalance/2)
}

// parseFetch reads from where and how to fetch.
func (r *kafkaReader) parseFetch(conf *service.ParsedConfig) error {
	var from string
	var wait time.Duration
	var batchBytes int64
	err := cmp.Or(
		fields.Into(&from, kafkaStartOffset, conf),
		fields.Into(&r.fetchBytes, kafkaFetchMaxBytes, conf),
		fields.Into(&r.partitionBytes, kafkaFetchMaxPart, conf),
		fields.Into(&batchBytes, kafkaMaxBatchBytes, conf),
		fields.Into(&wait, kafkaFetchMaxWait, conf),
		fields.Into(&r.maxMessages, kafkaMaxMessages, conf),
		fields.Into(&r.pollTimeout, kafkaTimeout, conf),
		fields.Into(&r.headerLists, kafkaMultiHeader, conf),
	)
	if err != nil {
		return err
	}
	if r.partitionBytes > r.fetchBytes {
		return fmt.Errorf("%v: it is above %v", kafkaFetchMaxPart.Name(), kafkaFetchMaxBytes.Name())
	}
	start := map[string]kgo.Offset{
		"earliest":  kgo.NewOffset().AtStart(),
		"latest":    kgo.NewOffset().AtEnd(),
		"committed": kgo.NewOffset().AtCommitted(),
	}[from]
	r.options = append(r.options,
		kgo.ConsumeStartOffset(start),
		kgo.ConsumeResetOffset(start),
		kgo.FetchMaxBytes(int32(r.fetchBytes)),
		kgo.FetchMaxPartitionBytes(int32(r.partitionBytes)),
		kgo.MaxDecompressBatchBytes(int(batchBytes)),
		kgo.FetchMaxWait(wait),
		kgo.BrokerMaxReadBytes(int32(max(100<<20, r.fetchBytes))),
	)
	return nil
}
