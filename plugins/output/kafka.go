package output

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
	"github.com/mfn-connect/mfn-connect/plugins/internal/kafka"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

const (
	kafkaTopic           = "topic"
	kafkaKey             = "key"
	kafkaPartitioner     = "partitioner"
	kafkaPartition       = "partition"
	kafkaAcks            = "acks"
	kafkaIdempotentWrite = "idempotent_write"
	kafkaMaxInFlight     = "max_in_flight"
	kafkaBatching        = "batching"
	kafkaMetadata        = "metadata"
	kafkaTimestampMs     = "timestamp_ms"
)

const (
	kafkaManual       = "manual"
	kafkaAcksAll      = "all"
	kafkaMaxInFlightN = 64
)

func init() {
	service.MustRegisterBatchOutput("mfn_kafka", kafkaSpec(),
		func(conf *service.ParsedConfig, res *service.Resources) (out service.BatchOutput, policy service.BatchPolicy, maxInFlight int, err error) {
			if maxInFlight, err = kafka.FieldCount(conf, kafkaMaxInFlight); err != nil {
				return nil, policy, 0, err
			}
			if policy, err = conf.FieldBatchPolicy(kafkaBatching); err != nil {
				return nil, policy, 0, err
			}
			if out, err = newKafka(conf, res); err != nil {
				return nil, policy, 0, err
			}
			return newCounted(out), policy, maxInFlight, nil
		})
}

// kafkaMessageFields say what a record is made of, in both outputs.
func kafkaMessageFields() []*service.ConfigField {
	return []*service.ConfigField{
		service.NewInterpolatedStringField(kafkaTopic).
			Description("The topic to publish to.").
			Example("mfn-output").
			Example(`results-${! @kafka_partition }`),
		service.NewInterpolatedStringField(kafkaKey).
			Description("The key of each message; messages with the same key go to the same partition. By default it is the `simulation_id` of a message that has one. A key that is empty is none.").
			Example(`${! json("simulation_id") }`).
			Example(`${! @kafka_key }`).
			Optional(),
		service.NewMetadataFilterField(kafkaMetadata).
			Description("Which metadata become headers; none by default.").
			Example(map[string]any{"include_prefixes": []any{"mfn_"}}).
			Optional(),
	}
}

func kafkaSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Categories("Services").
		Summary("Publishes messages to a Kafka topic and confirms each when the brokers have it.").
		Description(`
A message is confirmed when the replicas that are in sync have it (`+"`acks: all`"+`). What fails for a reason that may pass is
tried again, those messages of a batch alone that are not there yet; what cannot succeed, such as a message that is too
large, is rejected alone, and the rest of its batch is delivered.

The client reconnects and follows moving leaders by itself, without duplicates while `+"`idempotent_write`"+` is on. An attempt
fails when the brokers have not confirmed it within `+"`timeout`"+`, and at once when none can be reached. When its retries are
used up, a message is rejected: the input delivers it again, or a `+"`fallback`"+` takes it.

Messages of one batch that go to one partition keep their order. Batches that are in flight at the same time can overtake
each other; set `+"`max_in_flight: 1`"+` where order matters.`).
		Field(kafka.SeedBrokersField()).
		Fields(kafkaMessageFields()...).
		Field(
			service.NewIntField(kafkaMaxInFlight).
				Description("How many batches may be on their way at the same time.").
				Default(kafkaMaxInFlightN).
				LintRule(`root = if this < 1 { [ "max_in_flight must be 1 or more, got %v".format(this) ] }`),
		).
		Fields(kafka.ConnectionFields()...).
		Fields(kafka.ProducerFields()...).
		Fields(
			service.NewStringAnnotatedEnumField(kafkaPartitioner, map[string]string{
				"murmur2_hash": "By the key's hash, as Kafka's own clients do; messages without a key fill one partition after the other.",
				"round_robin":  "In turn, whatever the key.",
				"least_backup": "The partition for which the fewest messages wait.",
				kafkaManual:    "The one that the field `partition` gives.",
			}).
				Description("Which partition a message goes to.").
				Default("murmur2_hash").
				Advanced(),
			service.NewInterpolatedStringField(kafkaPartition).
				Description("The number of the partition, with the partitioner `manual`.").
				Example(`${! @kafka_partition }`).
				Optional().
				Advanced(),
			service.NewStringAnnotatedEnumField(kafkaAcks, map[string]string{
				kafkaAcksAll: "Every replica that is in sync.",
				"leader":     "The partition's leader alone: lost if it fails before the others have the message.",
				"none":       "Nobody: lost whenever anything fails.",
			}).
				Description("Who must have a message before it is confirmed.").
				Default(kafkaAcksAll).
				Advanced(),
			service.NewBoolField(kafkaIdempotentWrite).
				Description("Whether brokers recognise a message that the client sends again. It needs `acks: all`, and on brokers before Kafka 3.0 the right `IDEMPOTENT_WRITE`.").
				Default(true).
				Advanced(),
			service.NewInterpolatedStringField(kafkaTimestampMs).
				Description("The time of each message in milliseconds since 1970; by default the moment it is published.").
				Example(`${! @kafka_timestamp_ms }`).
				Optional().
				Advanced(),
			service.NewBatchPolicyField(kafkaBatching).
				Description("Gathers messages to batches that are published together."),
		).
		Fields(retry.Fields()...).
		LintRule(`root = match {
  this.partitioner.or("") == "manual" && this.partition.or("") == "" => [ "partitioner manual needs the field partition" ]
  this.partitioner.or("") != "manual" && this.partition.or("") != "" => [ "partition needs partitioner manual" ]
  this.idempotent_write.or(true) && this.acks.or("all") != "all" => [ "idempotent_write needs acks all, got %v".format(this.acks) ]
}`).
		Example("Publish results",
			"The key is the simulation's id, so that all results of one id are in one partition.", `
output:
  mfn_kafka:
    seed_brokers: [ "localhost:9092" ]
    topic: mfn-output
`).
		Example("Failures to a topic of their own",
			"What failed goes to a dead-letter topic, with the error in a header.", `
pipeline:
  processors:
    - mfn_simulate: {}

output:
  switch:
    cases:
      - check: errored()
        output:
          processors:
            - mapping: meta mfn_error = error()
          mfn_kafka:
            seed_brokers: [ "localhost:9092" ]
            topic: mfn-failures
            metadata:
              include_patterns: [ "^mfn_error$" ]
      - output:
          mfn_kafka:
            seed_brokers: [ "localhost:9092" ]
            topic: mfn-output
`)
}

type kafkaOutput struct {
	conn    kafka.Connection
	opts    []kgo.Opt
	timeout time.Duration

	topic     *service.InterpolatedString
	key       *service.InterpolatedString // nil: the simulation id
	partition *service.InterpolatedString // nil: the partitioner's choice
	timestamp *service.InterpolatedString // nil: now
	headers   *service.MetadataFilter

	log     *service.Logger
	status  *status.Component
	retrier *retry.Retrier
	reach   *kafka.Reach
	reached atomic.Bool

	mu     sync.RWMutex
	client *kgo.Client // nil before Connect and after Close
}

func newKafka(conf *service.ParsedConfig, res *service.Resources) (*kafkaOutput, error) {
	k := &kafkaOutput{log: res.Logger(), reach: &kafka.Reach{}}
	var err error
	if k.conn, err = kafka.ParseConnection(conf); err != nil {
		return nil, err
	}
	policy, err := retry.ParsePolicy(conf)
	if err != nil {
		return nil, err
	}
	k.timeout = policy.Timeout
	if err = k.parseMessage(conf); err != nil {
		return nil, err
	}
	if err = k.parseProducer(conf); err != nil {
		return nil, err
	}
	k.conn.Warn(k.log)
	k.status = status.New(res, "mfn_kafka", status.Publisher)
	k.retrier = retry.New(policy, k.log, k.status)
	return k, nil
}

// parseMessage reads the fields that say what a record is made of.
func (k *kafkaOutput) parseMessage(conf *service.ParsedConfig) (err error) {
	if k.topic, err = conf.FieldInterpolatedString(kafkaTopic); err != nil {
		return err
	}
	if text, static := k.topic.Static(); static && strings.TrimSpace(text) == "" {
		return fmt.Errorf("%v: a name is required", kafkaTopic)
	}
	for name, field := range map[string]**service.InterpolatedString{
		kafkaKey:         &k.key,
		kafkaPartition:   &k.partition,
		kafkaTimestampMs: &k.timestamp,
	} {
		if !conf.Contains(name) {
			continue
		}
		if *field, err = conf.FieldInterpolatedString(name); err != nil {
			return err
		}
		if text, static := (*field).Static(); static && text == "" {
			*field = nil
		}
	}
	if conf.Contains(kafkaMetadata) {
		if k.headers, err = conf.FieldMetadataFilter(kafkaMetadata); err != nil {
			return err
		}
	}
	return nil
}

// parseProducer reads the fields that say how records are sent.
func (k *kafkaOutput) parseProducer(conf *service.ParsedConfig) error {
	name, err := conf.FieldString(kafkaPartitioner)
	if err != nil {
		return err
	}
	partitioner, known := map[string]kgo.Partitioner{
		"murmur2_hash": kgo.StickyKeyPartitioner(nil),
		"round_robin":  kgo.RoundRobinPartitioner(),
		"least_backup": kgo.LeastBackupPartitioner(),
		kafkaManual:    kgo.ManualPartitioner(),
	}[name]
	switch {
	case !known:
		return fmt.Errorf("%v: %q is not one of murmur2_hash, round_robin, least_backup, manual", kafkaPartitioner, name)
	case name == kafkaManual && k.partition == nil:
		return fmt.Errorf("%v: manual needs the field %v", kafkaPartitioner, kafkaPartition)
	case name != kafkaManual && k.partition != nil:
		return fmt.Errorf("%v: it needs %v %v, got %v", kafkaPartition, kafkaPartitioner, kafkaManual, name)
	}

	who, err := conf.FieldString(kafkaAcks)
	if err != nil {
		return err
	}
	acks, known := map[string]kgo.Acks{
		kafkaAcksAll: kgo.AllISRAcks(),
		"leader":     kgo.LeaderAck(),
		"none":       kgo.NoAck(),
	}[who]
	if !known {
		return fmt.Errorf("%v: %q is not one of all, leader, none", kafkaAcks, who)
	}
	idempotent, err := conf.FieldBool(kafkaIdempotentWrite)
	if err != nil {
		return err
	}
	if idempotent && who != kafkaAcksAll {
		return fmt.Errorf("%v: it needs %v %v, got %v", kafkaIdempotentWrite, kafkaAcks, kafkaAcksAll, who)
	}

	var create bool
	if k.opts, create, err = kafka.ProducerOptions(conf); err != nil {
		return err
	}
	if create {
		k.opts = append(k.opts, kgo.AllowAutoTopicCreation())
	}
	k.opts = append(k.opts,
		kgo.RecordPartitioner(partitioner),
		kgo.RequiredAcks(acks),
		kgo.ProducerLinger(0), // batching is Benthos's
		// What waits is bounded by max_in_flight; the client's own bound would
		// block where an attempt cannot time out.
		kgo.MaxBufferedRecords(math.MaxInt32),
		kgo.WithHooks(k.reach),
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
	k.client = client
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
	if k.reached.Load() && k.reach.Err() == nil {
		return nil
	}
	if err := client.Ping(ctx); err != nil {
		return k.conn.Error(err)
	}
	k.reached.Store(true)
	return nil
}

// WriteBatch publishes the messages and returns when each is confirmed or given
// up. Its error tells which messages of the batch are not published.
func (k *kafkaOutput) WriteBatch(ctx context.Context, messages service.MessageBatch) error {
	k.mu.RLock()
	client := k.client
	k.mu.RUnlock()
	if client == nil {
		return service.ErrNotConnected
	}

	// Ends what the client still holds of the batch when it is given up.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := newDelivery(client, len(messages))
	topics := ""
	fields := newInterpolator(messages)
	for i, msg := range messages {
		record, err := k.record(msg, fields.at(i))
		if err != nil {
			d.reject(i, err)
			continue
		}
		d.records[i] = record
		if topics == "" {
			topics = record.Topic
		}
	}

	op := retry.Operation{Name: "Kafka produce", Subject: "topic", Value: topics, Messages: func() []string { return identity.Names(messages) }}
	err := k.retrier.Do(ctx, op, func(attempt context.Context) (int64, error) {
		if err := k.reachable(attempt, client); err != nil {
			return 0, err
		}
		return d.attempt(ctx, attempt, k.reach.Err)
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	return d.batchError(messages, err)
}

// record makes the record of a message, for which at evaluates fields.
func (k *kafkaOutput) record(msg *service.Message, at evaluate) (r *kgo.Record, err error) {
	r = &kgo.Record{}
	if r.Value, err = msg.AsBytes(); err != nil {
		return nil, fmt.Errorf("reading the message: %w", err)
	}
	if r.Topic, err = at(k.topic); err != nil {
		return nil, fmt.Errorf("%v: %w", kafkaTopic, err)
	}
	if r.Topic == "" {
		return nil, fmt.Errorf("%v: it is empty for this message", kafkaTopic)
	}
	if r.Key, err = k.keyOf(r.Value, at); err != nil {
		return nil, err
	}
	if k.partition != nil {
		n, err := at.integer(k.partition, math.MaxInt32)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", kafkaPartition, err)
		}
		r.Partition = int32(n)
	}
	if k.timestamp != nil {
		n, err := at.integer(k.timestamp, math.MaxInt64)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", kafkaTimestampMs, err)
		}
		r.Timestamp = time.UnixMilli(n)
	}
	if !k.headers.IsEmpty() {
		err = k.headers.Walk(msg, func(key, value string) error {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
			return nil
		})
	}
	return r, err
}

// keyOf returns the key of the message with this content.
func (k *kafkaOutput) keyOf(value []byte, at evaluate) ([]byte, error) {
	if k.key != nil {
		key, err := at(k.key)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", kafkaKey, err)
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

// Close lets go of the brokers.
func (k *kafkaOutput) Close(context.Context) error {
	defer k.status.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.client != nil {
		k.client.Close()
		k.client = nil
	}
	return nil
}

// delivery is one batch on its way. Its records may outlast an attempt: the
// client keeps them and goes on, and the next attempt waits for the same ones,
// so that a slow broker does not get them twice.
type delivery struct {
	client  *kgo.Client
	records []*kgo.Record
	settled chan struct{} // told when no record is under way any more

	mu       sync.Mutex
	state    []recordState
	alone    []bool  // whether a record was refused for its size without its batch
	errs     []error // why a record is not published
	underWay int
	bytes    int64 // published
}

type recordState int8

const (
	waiting recordState = iota
	underWay
	published
	rejected // cannot be published
)

func newDelivery(client *kgo.Client, n int) *delivery {
	return &delivery{
		client:  client,
		records: make([]*kgo.Record, n),
		settled: make(chan struct{}, 1),
		state:   make([]recordState, n),
		alone:   make([]bool, n),
		errs:    make([]error, n),
	}
}

func (d *delivery) reject(i int, err error) {
	d.state[i], d.errs[i] = rejected, err
}

// attempt hands to the client what waits and returns when all is settled or
// limit ends. Records stay with the client until ctx ends.
func (d *delivery) attempt(ctx, limit context.Context, reach func() error) (int64, error) {
	d.start(ctx, d.all())
	if err := d.wait(limit, reach); err != nil {
		return 0, err
	}
	// A batch can be too large for the brokers though no message of it is.
	for _, i := range d.tooLarge() {
		d.start(ctx, []int{i})
		if err := d.wait(limit, reach); err != nil {
			return 0, err
		}
	}
	return d.outcome()
}

func (d *delivery) all() []int {
	all := make([]int, len(d.records))
	for i := range all {
		all[i] = i
	}
	return all
}

// start hands those of the records to the client that wait.
func (d *delivery) start(ctx context.Context, records []int) {
	d.mu.Lock()
	var start []int
	for _, i := range records {
		if d.state[i] == waiting {
			d.state[i] = underWay
			d.underWay++
			start = append(start, i)
		}
	}
	d.mu.Unlock()
	for _, i := range start {
		d.client.Produce(ctx, d.records[i], func(r *kgo.Record, err error) { d.settle(i, r, err) })
	}
}

func (d *delivery) settle(i int, r *kgo.Record, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.underWay--
	d.errs[i] = kafka.Classify(err)
	switch {
	case err == nil:
		d.state[i] = published
		d.bytes += int64(len(r.Key) + len(r.Value))
	case isTransient(d.errs[i]):
		d.state[i] = waiting
	default:
		d.state[i] = rejected
	}
	if d.underWay == 0 {
		select {
		case d.settled <- struct{}{}:
		default:
		}
	}
}

func isTransient(err error) bool {
	_, ok := errors.AsType[*retry.Transient](err)
	return ok
}

// wait waits until no record is under way.
func (d *delivery) wait(limit context.Context, reach func() error) error {
	for {
		d.mu.Lock()
		n := d.underWay
		d.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-d.settled:
		case <-limit.Done():
			err := fmt.Errorf("%v of %v messages are not confirmed", n, len(d.records))
			if cause := reach(); cause != nil {
				err = fmt.Errorf("%w: %w", err, cause)
			}
			return &retry.Transient{Err: err}
		}
	}
}

// tooLarge lists the records that were refused with their batch for its size,
// and lets them wait again.
func (d *delivery) tooLarge() (list []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, err := range d.errs {
		if len(d.records) > 1 && d.state[i] == rejected && !d.alone[i] && errors.Is(err, kerr.MessageTooLarge) {
			d.state[i], d.alone[i] = waiting, true
			list = append(list, i)
		}
	}
	return list
}

// outcome returns how many bytes were published and, if something was not, an
// error that is transient as long as something waits to be tried again.
func (d *delivery) outcome() (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var failed error
	for i, state := range d.state {
		switch state {
		case waiting:
			return 0, d.errs[i]
		case rejected:
			if failed == nil {
				failed = d.errs[i]
			}
		case underWay, published:
		}
	}
	return d.bytes, failed
}

// batchError names the messages of the batch that are not published.
func (d *delivery) batchError(messages service.MessageBatch, err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	batchErr := service.NewBatchError(messages, err)
	for i, state := range d.state {
		switch state {
		case published:
		case rejected:
			_ = batchErr.Failed(i, d.errs[i]) // itself
		case waiting, underWay:
			_ = batchErr.Failed(i, err) // itself
		}
	}
	return batchErr
}
