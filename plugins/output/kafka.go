package output

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
	"github.com/mfn-connect/mfn-connect/plugins/internal/kafka"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracing"
)

func init() { register(kafkaType, kafkaSpec(), service.BatchPolicy{}, newKafka) }

type kafkaOutput struct {
	conn    kafka.Connection
	opts    []kgo.Opt
	timeout time.Duration
	record  recordTemplate

	log       *service.Logger
	status    *status.Component
	retrier   *retry.Retrier
	connHook  *kafka.ConnHook
	connected atomic.Bool

	mu     sync.RWMutex
	client *kgo.Client // nil before Connect and after Close
	topics *kafka.Topics
}

func newKafka(conf *service.ParsedConfig, res *service.Resources) (*kafkaOutput, error) {
	k := &kafkaOutput{log: res.Logger(), connHook: &kafka.ConnHook{}}
	var err error
	if k.conn, err = kafka.ParseConnection(conf); err != nil {
		return nil, err
	}
	policy, err := retry.ParsePolicy(conf)
	if err != nil {
		return nil, err
	}
	k.timeout = policy.Timeout
	if k.record, err = parseRecordTemplate(conf); err != nil {
		return nil, err
	}
	if err = k.parseProducer(conf); err != nil {
		return nil, err
	}
	k.conn.Warn(k.log)
	k.status = status.New(res, kafkaType, status.Publisher)
	k.retrier = retry.New(policy, k.log, k.status)
	return k, nil
}

// parseProducer reads the fields that say how records are sent.
func (k *kafkaOutput) parseProducer(conf *service.ParsedConfig) error {
	var partitioner, acks string
	var idempotent bool
	err := cmp.Or(
		fields.Into(&partitioner, kafkaFieldPartitioner, conf),
		fields.Into(&acks, kafkaFieldAcks, conf),
		fields.Into(&idempotent, kafkaFieldIdempotent, conf),
	)
	switch {
	case err != nil:
		return err
	case partitioner == kafkaManual && k.record.partition == nil:
		return fmt.Errorf("%v: manual needs the field %v", kafkaFieldPartitioner.Name(), kafkaFieldPartition.Name())
	case partitioner != kafkaManual && k.record.partition != nil:
		return fmt.Errorf("%v: it needs %v %v, got %v", kafkaFieldPartition.Name(), kafkaFieldPartitioner.Name(), kafkaManual, partitioner)
	case idempotent && acks != kafkaAcksAll:
		return fmt.Errorf("%v: it needs %v %v, got %v", kafkaFieldIdempotent.Name(), kafkaFieldAcks.Name(), kafkaAcksAll, acks)
	}
	var create bool
	if k.opts, create, err = kafka.ProducerOptions(conf); err != nil {
		return err
	}
	if create {
		k.opts = append(k.opts, kgo.AllowAutoTopicCreation())
	}
	k.opts = append(k.opts,
		kgo.RecordPartitioner(map[string]kgo.Partitioner{
			"murmur2_hash": kgo.StickyKeyPartitioner(nil),
			"round_robin":  kgo.RoundRobinPartitioner(),
			"least_backup": kgo.LeastBackupPartitioner(),
			kafkaManual:    kgo.ManualPartitioner(),
		}[partitioner]),
		kgo.RequiredAcks(map[string]kgo.Acks{
			kafkaAcksAll: kgo.AllISRAcks(),
			"leader":     kgo.LeaderAck(),
			"none":       kgo.NoAck(),
		}[acks]),
		kgo.ProducerLinger(0), // batching is Benthos's
		// What waits is bounded by max_in_flight; the client's own bound would
		// block where an attempt cannot time out.
		kgo.MaxBufferedRecords(math.MaxInt32),
		kgo.WithHooks(k.connHook),
	)
	if idempotent {
		// A message that is given up must not stay behind in the client, to be
		// published at some later time.
		k.opts = append(k.opts, kgo.AllowIdempotentProduceCancellation())
	} else {
		k.opts = append(k.opts, kgo.DisableIdempotentWrite())
	}
	if k.timeout > 0 {
		k.opts = append(k.opts, kgo.ProduceRequestTimeout(min(max(k.timeout, time.Second), 10*time.Second)))
	}
	return nil
}

// Connect makes the client. Brokers that are away are no error yet: messages
// shall fail as the retry policy says, so that a fallback can take them.
func (k *kafkaOutput) Connect(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.client != nil {
		return nil
	}
	k.status.Connecting()
	client, err := kgo.NewClient(append(k.conn.Options(k.log), k.opts...)...)
	if err != nil {
		return fmt.Errorf("making the client: %w", err)
	}
	k.client, k.topics = client, kafka.NewTopics(client, k.log)
	k.status.Connected()
	if err := k.reachable(ctx, client); err != nil && ctx.Err() == nil {
		k.log.With("operation", "Kafka connect", "error", err.Error()).Error("Brokers cannot be reached")
		k.status.Failed(err)
	}
	return nil
}

// reachable finds out whether the brokers can be reached, if the client has not
// reached them yet or has lost them. It fails sooner and says more clearly why
// than records that wait in the client.
func (k *kafkaOutput) reachable(ctx context.Context, client *kgo.Client) error {
	if k.connected.Load() && k.connHook.Err() == nil {
		return nil
	}
	if err := client.Ping(ctx); err != nil {
		return k.conn.Error(err)
	}
	k.connected.Store(true)
	return nil
}

// WriteBatch publishes the messages and returns when each is confirmed or given
// up. Its error tells which messages of the batch are not published.
func (k *kafkaOutput) WriteBatch(ctx context.Context, messages service.MessageBatch) error {
	k.mu.RLock()
	client, topics := k.client, k.topics
	k.mu.RUnlock()
	if client == nil {
		return service.ErrNotConnected
	}

	// Ends what the client still holds of the batch when it is given up.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := newDelivery(topics, len(messages))
	if k.record.describes {
		d.describe = func(i int, cause error) *kgo.Record { return k.describe(messages[i], d.records[i], cause) }
	}
	topic := ""
	interpolations := newInterpolator(messages)
	for i, msg := range messages {
		record, err := k.record.record(msg, interpolations.resolver(i))
		if err != nil {
			d.reject(i, err)
			continue
		}
		d.records[i] = record
		if topic == "" {
			topic = record.Topic
		}
	}

	op := retry.Operation{Name: "Kafka produce", Subject: "topic", Value: topic, Messages: func() []string { return identity.Names(messages) }}
	err := k.retrier.Do(tracing.Of(ctx, messages...), op, func(attempt context.Context) (int64, error) {
		if err := k.reachable(attempt, client); err != nil {
			return 0, err
		}
		return d.attempt(ctx, attempt, k.connHook.Err)
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	return d.batchError(messages, err)
}

// describe returns what is published in place of a message that is too large.
func (k *kafkaOutput) describe(msg *service.Message, r *kgo.Record, cause error) *kgo.Record {
	warnOversized(k.log, msg, r, cause)
	return describe(msg, r, cause)
}

// Close lets go of the brokers.
func (k *kafkaOutput) Close(context.Context) error {
	defer k.status.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.client != nil {
		k.client.Close()
		k.client, k.topics = nil, nil
	}
	return nil
}
