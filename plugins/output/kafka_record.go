package output

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/text"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracing"
)

// The fields that say what a record is made of, in both Kafka outputs.
var (
	kafkaFieldTopic = fields.Interpolated("topic").Where("the name of a topic, which may hold interpolations that can be parsed",
		`this.string().trim() != ""`, func(topic *service.InterpolatedString) bool {
			text, static := topic.Static()
			return !static || strings.TrimSpace(text) != ""
		}).Schema(jsonschema.TextMatching(`\S`))
	kafkaFieldKey         = fields.Interpolated("key")
	kafkaFieldPartition   = number("partition", math.MaxInt32)
	kafkaFieldTimestampMs = number("timestamp_ms", math.MaxInt64)
	kafkaFieldOversized   = fields.Enum("oversized", map[string]string{
		kafkaReject: "It is rejected. The rest of its batch is published.",
		kafkaDescribe: "A record without its content takes its place, with an empty value and headers that describe it: `mfn_oversized_bytes`, its size; `mfn_oversized_error`; " +
			"`mfn_oversized_id`; `mfn_oversized_source`, where it came from; and, if that is Kafka, `mfn_oversized_topic`, `mfn_oversized_partition` and `mfn_oversized_offset`. Its own headers and its key are cut to 1 KiB each.",
	})
)

const (
	kafkaMetadata = "metadata"
	kafkaReject   = "reject"
	kafkaDescribe = "describe"
)

// number is a text with interpolations that gives a number from 0 to maximum.
func number(name string, maximum int64) fields.Scalar[*service.InterpolatedString] {
	return fields.Interpolated(name).Where(fmt.Sprintf("a whole number, 0 … %v, or text whose interpolations can be parsed and give one", maximum),
		fmt.Sprintf(`this.string().re_match("^$|[$][{]|^[0-9]{1,18}$") && this.string().number(0) <= %v`, maximum),
		func(text *service.InterpolatedString) bool {
			static, ok := text.Static()
			if !ok || static == "" {
				return true
			}
			n, err := strconv.ParseInt(static, 10, 64)
			return err == nil && n >= 0 && n <= maximum
		}).Schema(jsonschema.Number("integer", "^$|[$][{]|^[0-9]{1,18}$", 0, maximum))
}

// kafkaRecordFields are the first of them, kafkaRecordTuning those that few users
// need.
func kafkaRecordFields() []*service.ConfigField {
	return []*service.ConfigField{
		kafkaFieldTopic.Field().
			Description("The topic to publish to.").
			Example("mfn-output").
			Example(`results-${! @kafka_partition }`),
		kafkaFieldKey.Field().
			Description("The key of each message; messages with the same key go to the same partition. By default it is the `simulation_id` of a message that has one. An empty key is no key.").
			Example(`${! json("simulation_id") }`).
			Example(`${! @kafka_key }`).
			Optional(),
		fields.Foreign(service.NewMetadataFilterField(kafkaMetadata).
			Description("Which metadata become headers; none by default.").
			Example(map[string]any{"include_prefixes": []any{"mfn_"}}).
			Optional()),
		kafkaFieldOversized.Field().
			Description("What happens to a message that is too large for `max_message_bytes`, for the topic or for the brokers. `describe` is for an output that is the last resort, such as one of dead letters.").
			Default(kafkaReject),
	}
}

func kafkaRecordTuning(partition string) []*service.ConfigField {
	return []*service.ConfigField{
		kafkaFieldPartition.Field().
			Description(partition).
			Example(`${! @kafka_partition }`).
			Optional().
			Advanced(),
		kafkaFieldTimestampMs.Field().
			Description("The time of each message in milliseconds since 1970; by default the moment it is published.").
			Example(`${! @kafka_timestamp_ms }`).
			Optional().
			Advanced(),
	}
}

// recordTemplate says what a record is made of.
type recordTemplate struct {
	topic     *service.InterpolatedString
	key       *service.InterpolatedString // nil: the simulation id
	partition *service.InterpolatedString // nil: the partitioner's choice
	timestamp *service.InterpolatedString // nil: now
	headers   *service.MetadataFilter
	describes bool // what is too large
}

func parseRecordTemplate(conf *service.ParsedConfig) (t recordTemplate, err error) {
	var oversized string
	err = cmp.Or(
		fields.Into(&t.topic, kafkaFieldTopic, conf),
		fields.Into(&t.key, kafkaFieldKey, conf),
		fields.Into(&t.partition, kafkaFieldPartition, conf),
		fields.Into(&t.timestamp, kafkaFieldTimestampMs, conf),
		fields.Into(&oversized, kafkaFieldOversized, conf),
	)
	if err != nil {
		return t, err
	}
	for _, field := range []**service.InterpolatedString{&t.key, &t.partition, &t.timestamp} {
		if *field == nil {
			continue
		}
		if text, static := (*field).Static(); static && text == "" {
			*field = nil
		}
	}
	t.describes = oversized == kafkaDescribe
	if conf.Contains(kafkaMetadata) {
		t.headers, err = conf.FieldMetadataFilter(kafkaMetadata)
	}
	return t, err
}

// record makes the record of a message, for which at evaluates fields.
func (t *recordTemplate) record(msg *service.Message, at resolve) (r *kgo.Record, err error) {
	r = &kgo.Record{}
	if r.Value, err = msg.AsBytes(); err != nil {
		return nil, fmt.Errorf("reading the message: %w", err)
	}
	if r.Topic, err = at(t.topic); err != nil {
		return nil, fmt.Errorf("%v: %w", kafkaFieldTopic.Name(), err)
	}
	if r.Topic == "" {
		return nil, fmt.Errorf("%v: it is empty for this message", kafkaFieldTopic.Name())
	}
	if r.Key, err = t.keyOf(r.Value, at); err != nil {
		return nil, err
	}
	if t.partition != nil {
		n, err := at.integer(t.partition, math.MaxInt32)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", kafkaFieldPartition.Name(), err)
		}
		r.Partition = int32(n)
	}
	if t.timestamp != nil {
		n, err := at.integer(t.timestamp, math.MaxInt64)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", kafkaFieldTimestampMs.Name(), err)
		}
		r.Timestamp = time.UnixMilli(n)
	}
	if !t.headers.IsEmpty() {
		err = t.headers.Walk(msg, func(key, value string) error {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
			return nil
		})
	}
	tracing.ToRecord(msg.Context(), r)
	return r, err
}

// keyOf returns the key of the message with this content.
func (t *recordTemplate) keyOf(value []byte, at resolve) ([]byte, error) {
	if t.key != nil {
		key, err := at(t.key)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", kafkaFieldKey.Name(), err)
		}
		return orNil(key), nil
	}
	return orNil(identity.SimulationID(value)), nil
}

// orNil returns nil for an empty key, which is none.
func orNil(key string) []byte {
	if key == "" {
		return nil
	}
	return []byte(key)
}

const (
	// maxDescribed is how much of a key and of each header a description keeps, in
	// bytes; maxDescribedHeaders is how many headers of the record's own.
	maxDescribed        = 1 << 10
	maxDescribedHeaders = 32
)

// describe returns the record that takes the place of that of a message which is
// too large.
func describe(msg *service.Message, r *kgo.Record, cause error) *kgo.Record {
	d := &kgo.Record{
		Topic: r.Topic, Partition: r.Partition, Timestamp: r.Timestamp,
		Key: r.Key[:min(len(r.Key), maxDescribed)], Value: []byte{}, // nil would be a tombstone
	}
	for _, h := range r.Headers[:min(len(r.Headers), maxDescribedHeaders)] {
		d.Headers = append(d.Headers, kgo.RecordHeader{Key: h.Key[:min(len(h.Key), maxDescribed)], Value: h.Value[:min(len(h.Value), maxDescribed)]})
	}
	add := func(name, value string) {
		if value != "" {
			d.Headers = append(d.Headers, kgo.RecordHeader{Key: "mfn_oversized_" + name, Value: []byte(text.Cut(value, maxDescribed))})
		}
	}
	add("bytes", strconv.Itoa(len(r.Value)))
	add("error", cause.Error())
	add("id", identity.ID(msg))
	add("source", identity.Source(msg))
	for _, name := range []string{"topic", "partition", "offset"} {
		value, _ := msg.MetaGet("kafka_" + name)
		add(name, value)
	}
	return d
}

// warnOversized says that a message is published without its content.
func warnOversized(log *service.Logger, msg *service.Message, r *kgo.Record, cause error) {
	logs.With(log, "operation", "Kafka produce", "topic", r.Topic, "id", identity.ID(msg), "source", identity.Source(msg),
		"bytes", len(r.Value), "error", cause.Error()).
		Warn("A message is too large; a record that describes it is published in its place")
}
