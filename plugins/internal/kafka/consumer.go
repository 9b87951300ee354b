package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/signal"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

const (
	// connectTimeout bounds one attempt to reach the brokers.
	connectTimeout = 30 * time.Second
	// commitTimeout bounds one commit, revokeCommitTimeout those of a revocation.
	// commitReserve is the part of a revocation that is kept for them.
	commitTimeout       = 3 * time.Second
	revokeCommitTimeout = 10 * time.Second
	commitReserve       = 2 * commitTimeout
	// leaveTimeout is how long a consumer that closes waits for its group to
	// finish rebalancing, closeTimeout bounds what it does then.
	leaveTimeout = 2 * time.Second
	closeTimeout = 5 * time.Second
	// pollErrorBackoff is the least time between a poll that brought nothing but an
	// error and the next, errorLogInterval that between log lines with one error.
	pollErrorBackoff = 100 * time.Millisecond
	errorLogInterval = 10 * time.Second
)

// ConsumerConfig says what a consumer reads and how.
type ConsumerConfig struct {
	Connection Connection
	GroupID    string
	InstanceID string    // of a static member, empty for none
	Group      []kgo.Opt // what is consumed, and how the group divides it
	Topics     []string
	Regexp     bool // Topics are regular expressions
	Committed  bool // only records of committed transactions are read

	MaxMessages     int           // records per poll
	PollTimeout     time.Duration // of each poll
	CheckpointLimit int           // records of a partition from the oldest not confirmed to the newest handed out
	CommitPeriod    time.Duration
	RevokeTimeout   time.Duration // for records in flight when their partition is revoked
	RevokeLimit     time.Duration // for all of a revocation, commits included
	LagPeriod       time.Duration // between refreshes of the lag
	QueueBytes      int64         // fetched records of a partition that should wait, each
	TotalBytes      int64         // and of all partitions together; a small multiple at most does
	HeaderLists     bool
	DropRejected    bool                             // a message that is rejected downstream is done with
	BatchTime       time.Duration                    // what a batch should take, 0 for batches of one record
	Batcher         func() (*service.Batcher, error) // decides about batches instead, unless nil
}

// Consumer is one member of a consumer group. It loses no record: for each
// partition that it is assigned, it commits the offset of the first record that is not
// confirmed. It commits nothing for a partition that it has lost.
//
// When partitions are revoked, it stops handing out their records at once,
// waits for those in flight, within a limit, and commits, all before the group
// may assign them to another member. Meanwhile it goes on with the partitions
// that it keeps: nothing here waits for what is downstream while it holds a
// lock or keeps the client from polling.
type Consumer struct {
	conf        ConsumerConfig
	log         *service.Logger
	status      *status.Component
	endFetching func() // fetching, for the status
	lag         *service.MetricGauge
	sizer       *batchSizer

	client         *kgo.Client
	stopClient     context.CancelFunc
	out            chan Batch
	assignedSignal signal.Signal // set when partitions are assigned
	pollWanted     signal.Signal // set when there may be a reason to poll
	bufferedBytes  atomic.Int64  // bytes that have been polled and not handed out

	ctx     context.Context // ends when the consumer closes
	stop    context.CancelFunc
	workers sync.WaitGroup

	// A poll and the entry of what it returned into the queues hold assignmentMu
	// shared, a change of the assignment holds it exclusively. So no record
	// that was fetched under one assignment is taken for one of the next.
	assignmentMu sync.RWMutex

	mu            sync.Mutex
	owned         map[topicPartition]*partition
	deletedTopics map[topicID]bool // topics that were deleted
	polling       context.Context  // ends when the assignment is about to change
	endPolling    context.CancelFunc
	closed        bool

	commitMu sync.Mutex // one commit at a time
}

// NewConsumer connects to the brokers, as often as policy says, and joins the
// group. From then on the client connects again by itself.
func NewConsumer(ctx context.Context, conf ConsumerConfig, policy retry.Policy, res *service.Resources, component *status.Component) (*Consumer, error) {
	log := res.Logger()
	policy.Timeout = connectTimeout
	op := retry.Operation{Name: "Kafka connect", Subject: "topic", Value: strings.Join(conf.Topics, ",")}
	err := retry.New(policy, log, component).Do(ctx, op, func(ctx context.Context) (int64, error) {
		return 0, probe(ctx, conf, log)
	})
	if err != nil {
		return nil, err
	}

	c := &Consumer{
		conf:           conf,
		log:            log,
		status:         component,
		lag:            res.Metrics().NewGauge("mfn_kafka_lag", "topic", "partition"),
		sizer:          newBatchSizer(conf.BatchTime),
		out:            make(chan Batch),
		assignedSignal: signal.New(),
		pollWanted:     signal.New(),
		owned:          make(map[topicPartition]*partition),
		deletedTopics:  make(map[topicID]bool),
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.polling, c.endPolling = context.WithCancel(c.ctx)

	var clientCtx context.Context
	clientCtx, c.stopClient = context.WithCancel(context.Background())
	opts := append(conf.Connection.Options(log), conf.Group...)
	if conf.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(conf.InstanceID))
	}
	opts = append(opts,
		kgo.ConsumerGroup(conf.GroupID),
		kgo.WithContext(clientCtx),
		kgo.DisableAutoCommit(),
		// The end of a transaction takes an offset of its own. Positions pass it,
		// and what was aborted before it, only where the client hands it out.
		kgo.KeepControlRecords(),
		kgo.OnPartitionsAssigned(c.onAssigned),
		kgo.OnPartitionsRevoked(c.onRevoked),
		kgo.OnPartitionsLost(c.onLost),
		kgo.WithHooks(&ConnHook{
			OnDown: func(err error) {
				component.AttemptFailed(fmt.Errorf("connecting to a broker: %w", err))
			},
			OnUp: func() { component.Connected() },
		}),
	)
	// The client's own goroutines may call back before it is returned.
	c.assignmentMu.Lock()
	client, err := kgo.NewClient(opts...)
	c.client = client
	c.assignmentMu.Unlock()
	if err != nil {
		c.stop()
		c.stopClient()
		return nil, fmt.Errorf("making the client: %w", err)
	}

	c.endFetching = component.Begin()
	c.workers.Go(c.pollAll)
	c.workers.Go(func() { c.runEvery(conf.CommitPeriod, nil, c.commitAll) })
	c.workers.Go(func() { c.runEvery(conf.LagPeriod, c.assignedSignal.C(), c.measureLag) })
	return c, nil
}

// probe finds out whether the brokers can be reached, and says which topics do
// not exist yet, with a client of its own: that of the consumer would join the
// group.
func probe(ctx context.Context, conf ConsumerConfig, log *service.Logger) error {
	client, err := kgo.NewClient(conf.Connection.Options(log)...)
	if err != nil {
		return fmt.Errorf("making the client: %w", err)
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return conf.Connection.Error(err)
	}
	if conf.Regexp {
		return nil
	}
	details, err := kadm.NewClient(client).ListTopics(ctx, conf.Topics...)
	if err != nil {
		return fmt.Errorf("looking for topics %v: %w", strings.Join(conf.Topics, ", "), Classify(err))
	}
	for _, topic := range conf.Topics {
		switch err := details[topic].Err; {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			log.With("topic", topic).Warn("Topic does not exist, waiting for it")
		case err != nil:
			log.With("topic", topic, "error", err.Error()).Error("Topic cannot be read")
		}
	}
	return nil
}

// Read waits for the next batch. When the consumer has been closed or cannot go on,
// it returns service.ErrEndOfInput.
func (c *Consumer) Read(ctx context.Context) (Batch, error) {
	select {
	case b := <-c.out:
		return b, nil
	case <-ctx.Done():
		return Batch{}, ctx.Err()
	case <-c.ctx.Done():
		return Batch{}, service.ErrEndOfInput
	}
}

// fail ends the consumer for an error that will not pass, and with it the input.
func (c *Consumer) fail(err error) {
	c.status.OperationFailed(err)
	c.log.With("operation", "Kafka poll", "error", err.Error()).Error("The input ends, since it cannot go on")
	ledger.Process.Fail(fmt.Errorf("reading from Kafka: %w", err))
	c.stop()
}

// runEvery calls do in each period, and whenever it is asked to.
func (c *Consumer) runEvery(period time.Duration, asked <-chan struct{}, do func()) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			do()
		case <-asked:
			do()
		case <-c.ctx.Done():
			return
		}
	}
}

// Close commits what is confirmed, leaves the group (unless as a static
// member) and ends everything the consumer runs. With brokers that do not
// answer it gives up after some 10 seconds, or when ctx ends.
func (c *Consumer) Close(ctx context.Context) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.mu.Unlock()

	c.stop()
	defer c.endFetching()
	done := make(chan struct{})
	go func() {
		c.workers.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("closing the Kafka consumer: %w", ctx.Err())
	}

	// Leaving revokes what is assigned, which commits it.
	leaving, cancel := context.WithTimeout(ctx, leaveTimeout)
	leaveErr := c.client.LeaveGroupContext(leaving)
	cancel()
	if leaveErr != nil {
		parting, cancel := context.WithTimeout(ctx, closeTimeout)
		leaveErr = c.leave(parting)
		cancel()
	}
	err = errors.Join(err, leaveErr)
	c.stopClient()
	c.client.Close()
	return err
}
