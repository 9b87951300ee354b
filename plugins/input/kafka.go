package input

import (
	"cmp"
	"context"
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/kafka"
	"github.com/mfn-connect/mfn-connect/plugins/internal/replay"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracing"
)

func init() {
	fields.RegisterBatchInput(kafkaType, kafkaSpec(),
		func(conf *service.ParsedConfig, res *service.Resources) (service.BatchInput, error) {
			in, err := newKafka(conf, res)
			if err != nil {
				return nil, err
			}
			return replay.Toggled(conf, in, replay.Options{Policy: in.policy, Finite: false, Spans: tracing.NewSpans(res, kafkaType), Log: res.Logger()})
		})
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
	in.status = status.New(res, kafkaType, status.Connector)
	return in, nil
}

func parseKafka(conf *service.ParsedConfig, res *service.Resources) (c kafka.ConsumerConfig, err error) {
	if c.Connection, err = kafka.ParseConnection(conf); err != nil {
		return c, err
	}
	reader, err := parseKafkaReader(conf)
	if err != nil {
		return c, err
	}
	c.Topics, c.Regexp, c.GroupID, c.InstanceID = reader.topics, reader.regexp, reader.group, reader.instance
	c.TotalBytes, c.QueueBytes = reader.fetchBytes, reader.partitionBytes
	c.MaxMessages, c.PollTimeout, c.HeaderLists = reader.maxMessages, reader.pollTimeout, reader.headerLists
	c.RevokeLimit = reader.revokeLimit()
	var again bool
	err = cmp.Or(
		parseKafkaRecords(conf, &c),
		fields.Into(&c.RevokeTimeout, kafkaRevokeTimeout, conf),
		fields.Into(&c.CheckpointLimit, kafkaCheckpointLimit, conf),
		fields.Into(&c.CommitPeriod, kafkaCommitPeriod, conf),
		fields.Into(&c.LagPeriod, kafkaLagPeriod, conf),
		fields.Into(&c.BatchTime, kafkaBatchTime, conf),
		fields.Into(&again, kafkaReplay, conf),
	)
	if err != nil {
		return c, err
	}
	c.DropRejected = !again
	c.Group = append(c.Group, reader.options...)
	if c.RevokeTimeout >= reader.rebalance {
		return c, fmt.Errorf("%v: %v is not below %v, %v", kafkaRevokeTimeout.Name(), c.RevokeTimeout, kafkaRebalanceTimeout.Name(), reader.rebalance)
	}
	policy, err := conf.FieldBatchPolicy(kafkaBatching)
	if err != nil {
		return c, err
	}
	if !policy.IsNoop() {
		c.Batcher = func() (*service.Batcher, error) { return policy.NewBatcher(res) }
	}
	return c, nil
}

// parseKafkaRecords reads which records to fetch, from where and how many at
// once, as far as the transactional input leaves no choice.
func parseKafkaRecords(conf *service.ParsedConfig, c *kafka.ConsumerConfig) error {
	var isolation, rack string
	var least int64
	err := cmp.Or(
		fields.Into(&isolation, kafkaIsolationLevel, conf),
		fields.Into(&least, kafkaFetchMinBytes, conf),
		fields.Into(&rack, kafkaRackID, conf),
	)
	if err != nil {
		return err
	}
	level := kgo.ReadUncommitted()
	if c.Committed = isolation == "read_committed"; c.Committed {
		level = kgo.ReadCommitted()
	}
	c.Group = append(c.Group, kgo.FetchIsolationLevel(level), kgo.FetchMinBytes(int32(least)), kgo.Rack(rack))
	return nil
}

// Connect joins the consumer group.
func (k *kafkaInput) Connect(ctx context.Context) error {
	if k.consumer != nil {
		return nil
	}
	k.status.Connecting()
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
