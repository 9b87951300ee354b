package kafka

import (
	"cmp"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
)

// The fields of everything that publishes.
var (
	fieldCompression     = fields.Enum("compression", map[string]string{"none": "", "gzip": "", "snappy": "", "lz4": "", "zstd": ""})
	fieldMaxMessageBytes = fields.Bytes("max_message_bytes", 1, 1<<30)
	fieldAutoTopic       = fields.Bool("allow_auto_topic_creation")
)

// ProducerFields are the fields of everything that publishes.
func ProducerFields() []*service.ConfigField {
	return []*service.ConfigField{
		fieldCompression.Field().
			Description("How batches are compressed.").
			Default("snappy").
			Advanced(),
		fieldMaxMessageBytes.Field().
			Description("How large a message, or a batch of messages for one partition, may be before compression. Let the brokers' `message.max.bytes` and the topic's `max.message.bytes` be no smaller: brokers refuse what is larger.").
			Default("1MiB").
			Advanced(),
		fieldAutoTopic.Field().
			Description("Whether to create the topic of a message if it does not exist and the brokers allow it.").
			Default(true).
			Advanced(),
	}
}

// MaxMessageBytes reads the size of the largest message.
func MaxMessageBytes(conf *service.ParsedConfig) (int64, error) {
	return fieldMaxMessageBytes.Parse(conf)
}

// ProducerOptions reads ProducerFields. Whether topics are created is left to the
// caller, since the client's option for it holds for the topics that it reads, too.
func ProducerOptions(conf *service.ParsedConfig) (opts []kgo.Opt, create bool, err error) {
	var codec string
	var largest int64
	err = cmp.Or(
		fields.Into(&codec, fieldCompression, conf),
		fields.Into(&largest, fieldMaxMessageBytes, conf),
		fields.Into(&create, fieldAutoTopic, conf),
	)
	if err != nil {
		return nil, false, err
	}
	return []kgo.Opt{
		kgo.ProducerBatchCompression(map[string]kgo.CompressionCodec{
			"none":   kgo.NoCompression(),
			"gzip":   kgo.GzipCompression(),
			"snappy": kgo.SnappyCompression(),
			"lz4":    kgo.Lz4Compression(),
			"zstd":   kgo.ZstdCompression(),
		}[codec], kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(int32(largest)),
		kgo.BrokerMaxWriteBytes(int32(max(100<<20, largest+1<<20))),
	}, create, nil
}
