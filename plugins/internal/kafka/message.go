package kafka

import (
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/tracing"
)

// MetadataDocs lists the metadata that Message sets.
const MetadataDocs = `- kafka_key
- kafka_topic
- kafka_partition
- kafka_offset
- kafka_lag
- kafka_timestamp_ms
- kafka_timestamp_unix
- kafka_tombstone_message
- every header of the record, under its own name`

// Message converts a record. Its headers become metadata, the last of several
// with one key or, with lists set, a list of all of them; a header that is
// called like one of ours gives way. Lag is how many records of the partition
// come after it, as far as the client knows.
func Message(r *kgo.Record, lag int64, lists bool) *service.Message {
	msg := service.NewMessage(r.Value)
	if lists {
		values := make(map[string][]any, len(r.Headers))
		for _, h := range r.Headers {
			values[h.Key] = append(values[h.Key], string(h.Value))
		}
		for key, list := range values {
			msg.MetaSetMut(key, list)
		}
	} else {
		for _, h := range r.Headers {
			msg.MetaSetMut(h.Key, string(h.Value))
		}
	}
	msg.MetaSetMut("kafka_key", string(r.Key))
	msg.MetaSetMut("kafka_topic", r.Topic)
	msg.MetaSetMut("kafka_partition", int(r.Partition))
	msg.MetaSetMut("kafka_offset", int(r.Offset))
	msg.MetaSetMut("kafka_lag", max(lag, 0))
	msg.MetaSetMut("kafka_timestamp_ms", r.Timestamp.UnixMilli())
	msg.MetaSetMut("kafka_timestamp_unix", r.Timestamp.Unix())
	msg.MetaSetMut("kafka_tombstone_message", r.Value == nil)
	return tracing.FromRecord(msg, r)
}

// cost is the memory that a record takes while it waits, in bytes.
func cost(r *kgo.Record) int64 {
	const structure = 256 // the record itself and its place in slices
	n := structure + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value) + 40
	}
	return int64(n)
}

// size is how many bytes of a user's a record carries.
func size(r *kgo.Record) int64 {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return int64(n)
}
