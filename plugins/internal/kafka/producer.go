package kafka

import (
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	fieldCompression     = "compression"
	fieldMaxMessageBytes = "max_message_bytes"
	fieldAutoTopic       = "allow_auto_topic_creation"
)

// ProducerFields are the fields of everything that publishes.
func ProducerFields() []*service.ConfigField {
	return []*service.ConfigField{
		service.NewStringEnumField(fieldCompression, "none", "gzip", "snappy", "lz4", "zstd").
			Description("How batches are compressed.").
			Default("snappy").
			Advanced(),
		service.NewStringField(fieldMaxMessageBytes).
			Description("The largest message, and the largest batch of messages that is sent to a partition at once. The brokers' `message.max.bytes` should be no smaller.").
			Default("1MiB").
			Advanced(),
		service.NewBoolField(fieldAutoTopic).
			Description("Whether a topic to write to that does not exist is created, if the brokers allow it.").
			Default(true).
			Advanced(),
	}
}

// ProducerOptions reads ProducerFields. Whether topics are created is left to the
// caller, since the client's option for it holds for the topics that it reads, too.
func ProducerOptions(conf *service.ParsedConfig) (opts []kgo.Opt, create bool, err error) {
	name, err := conf.FieldString(fieldCompression)
	if err != nil {
		return nil, false, err
	}
	codec, known := map[string]kgo.CompressionCodec{
		"none":   kgo.NoCompression(),
		"gzip":   kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(),
		"lz4":    kgo.Lz4Compression(),
		"zstd":   kgo.ZstdCompression(),
	}[name]
	if !known {
		return nil, false, fmt.Errorf("%v: %q is not one of none, gzip, snappy, lz4, zstd", fieldCompression, name)
	}
	largest, err := FieldBytes(conf, fieldMaxMessageBytes)
	if err != nil {
		return nil, false, err
	}
	if largest > 1<<30 {
		return nil, false, fmt.Errorf("%v: it is above 1GiB", fieldMaxMessageBytes)
	}
	if create, err = conf.FieldBool(fieldAutoTopic); err != nil {
		return nil, false, err
	}
	return []kgo.Opt{
		kgo.ProducerBatchCompression(codec, kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(largest),
		kgo.BrokerMaxWriteBytes(max(100<<20, largest+1<<20)),
	}, create, nil
}
