package input

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/kafka"
)

const (
	kafkaTopics           = "topics"
	kafkaRegexpTopics     = "regexp_topics"
	kafkaConsumerGroup    = "consumer_group"
	kafkaStartOffset      = "start_offset"
	kafkaMaxMessages      = "max_messages"
	kafkaTimeout          = "timeout"
	kafkaGroupBalancer    = "group_balancer"
	kafkaInstanceID       = "instance_id"
	kafkaSessionTimeout   = "session_timeout"
	kafkaRebalanceTimeout = "rebalance_timeout"
	kafkaHeartbeat        = "heartbeat_interval"
	kafkaFetchMaxBytes    = "fetch_max_bytes"
	kafkaFetchMaxPart     = "fetch_max_partition_bytes"
	kafkaFetchMaxWait     = "fetch_max_wait"
	kafkaMultiHeader      = "multi_header"
)

// kafkaReader says what to read and as which member of which group, by the
// fields that both Kafka inputs have.
type kafkaReader struct {
	topics                     []string
	regexp                     bool // topics are regular expressions
	group, instance            string
	rebalance, heartbeat       time.Duration
	fetchBytes, partitionBytes int32 // of one fetch
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
			"committed": "Not at all: the input ends with an error.",
		}).
			Description("Where to start a partition of which the group has committed nothing, or whose committed offset does not exist any more.").
			Default("earliest"),
		service.NewDurationField(kafkaTimeout).
			Description("How long one poll waits for records.").
			Default("1s"),
	}
}

func kafkaReaderTuning() []*service.ConfigField {
	return []*service.ConfigField{
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
			Description("The most bytes of one fetch from a broker, and about as many of all records may wait here together.").
			Default("50MiB").
			Advanced(),
		service.NewStringField(kafkaFetchMaxPart).
			Description("The most bytes of one partition in a fetch, and about as many of its records may wait here. A larger record still comes, alone.").
			Default("1MiB").
			Advanced(),
		service.NewDurationField(kafkaFetchMaxWait).
			Description("How long a broker waits for records before it answers a fetch.").
			Default("500ms").
			Advanced(),
		service.NewBoolField(kafkaMultiHeader).
			Description("Whether headers become lists, with every value of those that occur more than once.").
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

// topicName is what Kafka allows as a topic's name.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// parseTopics reads which topics to consume.
func (r *kafkaReader) parseTopics(conf *service.ParsedConfig) (err error) {
	topics, err := conf.FieldStringList(kafkaTopics)
	if err != nil {
		return err
	}
	if r.regexp, err = conf.FieldBool(kafkaRegexpTopics); err != nil {
		return err
	}
	r.topics = topics
	if !r.regexp { // a comma may be part of an expression
		r.topics = kafka.SplitList(topics)
	}
	if len(r.topics) == 0 {
		return fmt.Errorf("%v: at least one topic is required", kafkaTopics)
	}
	for _, topic := range r.topics {
		switch {
		case r.regexp:
			if _, err := regexp.Compile(topic); err != nil {
				return fmt.Errorf("%v: %q is no regular expression: %w", kafkaTopics, topic, err)
			}
		case strings.Contains(topic, ":"):
			return fmt.Errorf("%v: %q names partitions, which the consumer group assigns; give the topic alone", kafkaTopics, topic)
		case !topicName.MatchString(topic):
			return fmt.Errorf("%v: %q is no topic name: 1 to 249 letters, digits, dots, underscores and hyphens", kafkaTopics, topic)
		}
	}
	r.options = append(r.options, kgo.ConsumeTopics(r.topics...))
	if r.regexp {
		r.options = append(r.options, kgo.ConsumeRegex())
	}
	return nil
}

// parseGroup reads as which member of which group to read.
func (r *kafkaReader) parseGroup(conf *service.ParsedConfig) (err error) {
	if r.group, err = conf.FieldString(kafkaConsumerGroup); err != nil {
		return err
	}
	if strings.TrimSpace(r.group) == "" {
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
	if r.instance, err = conf.FieldString(kafkaInstanceID); err != nil {
		return err
	}
	session, err := kafka.FieldPositive(conf, kafkaSessionTimeout)
	if err != nil {
		return err
	}
	if r.rebalance, err = kafka.FieldPositive(conf, kafkaRebalanceTimeout); err != nil {
		return err
	}
	if r.heartbeat, err = kafka.FieldPositive(conf, kafkaHeartbeat); err != nil {
		return err
	}
	if r.heartbeat > session/3 {
		return fmt.Errorf("%v: %v is above a third of %v, %v", kafkaHeartbeat, r.heartbeat, kafkaSessionTimeout, session)
	}
	r.options = append(r.options,
		kgo.Balancers(balancer),
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
	if r.fetchBytes, err = kafka.FieldBytes(conf, kafkaFetchMaxBytes); err != nil {
		return err
	}
	if r.partitionBytes, err = kafka.FieldBytes(conf, kafkaFetchMaxPart); err != nil {
		return err
	}
	if r.partitionBytes > r.fetchBytes {
		return fmt.Errorf("%v: it is above %v", kafkaFetchMaxPart, kafkaFetchMaxBytes)
	}
	wait, err := kafka.FieldPositive(conf, kafkaFetchMaxWait)
	if err != nil {
		return err
	}
	if r.maxMessages, err = kafka.FieldCount(conf, kafkaMaxMessages); err != nil {
		return err
	}
	if r.pollTimeout, err = kafka.FieldPositive(conf, kafkaTimeout); err != nil {
		return err
	}
	if r.headerLists, err = conf.FieldBool(kafkaMultiHeader); err != nil {
		return err
	}
	r.options = append(r.options,
		kgo.ConsumeStartOffset(start),
		kgo.ConsumeResetOffset(start),
		kgo.FetchMaxBytes(r.fetchBytes),
		kgo.FetchMaxPartitionBytes(r.partitionBytes),
		kgo.FetchMaxWait(wait),
		kgo.BrokerMaxReadBytes(max(100<<20, r.fetchBytes)),
	)
	return nil
}
