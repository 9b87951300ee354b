package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

const (
	// connectTimeout bounds one attempt to reach the brokers.
	connectTimeout = 30 * time.Second
	// commitTimeout bounds one commit, revokeTimeout those of a revocation.
	commitTimeout = 3 * time.Second
	revokeTimeout = 10 * time.Second
	// leaveTimeout is how long a consumer that closes waits for its group to
	// finish rebalancing, closeTimeout bounds what it does then.
	leaveTimeout = 2 * time.Second
	closeTimeout = 5 * time.Second
	// pollPause is the least time between a poll that brought nothing but an
	// error and the next, sameError that between log lines with one error.
	pollPause = 100 * time.Millisecond
	sameError = 10 * time.Second
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
	CheckpointLimit int           // records of a partition handed out and not confirmed
	CommitPeriod    time.Duration
	RevokeTimeout   time.Duration // for records in flight when their partition is revoked
	LagPeriod       time.Duration // between refreshes of the lag
	QueueBytes      int64         // fetched records of a partition that should wait, each
	TotalBytes      int64         // and of all partitions together; a small multiple at most does
	HeaderLists     bool
	DropRejected    bool                             // a message that is rejected downstream is done with
	BatchTime       time.Duration                    // what a batch should take, 0 for batches of one record
	Batcher         func() (*service.Batcher, error) // decides about batches instead, unless nil
}

// Consumer is one member of a consumer group. It loses no record: it commits,
// of each partition it is assigned, the offset up to which everything has been
// confirmed, and nothing of a partition that it is not assigned any more.
//
// When partitions are revoked, it stops handing out their records at once,
// waits for those in flight, within a limit, and commits, all before the group
// may assign them to another member. Meanwhile it goes on with the partitions
// that it keeps: nothing here waits for what is downstream while it holds a
// lock or keeps the client from polling.
type Consumer struct {
	conf   ConsumerConfig
	log    *service.Logger
	status *status.Component
	ended  func() // fetching, for the status
	lag    *service.MetricGauge
	pace   *pace

	client     *kgo.Client
	stopClient context.CancelFunc
	out        chan Batch
	gained     chan struct{} // told of new partitions
	hungry     chan struct{} // told when there may be a reason to poll
	waiting    atomic.Int64  // bytes that have been polled and not handed out

	ctx     context.Context // ends when the consumer closes
	stop    context.CancelFunc
	workers sync.WaitGroup

	// A poll and the entry of what it returned into the queues hold assignment
	// shared, a change of the assignment holds it exclusively. So no record
	// that was fetched under one assignment is taken for one of the next.
	assignment sync.RWMutex

	mu         sync.Mutex
	live       map[topicPartition]*partition
	polling    context.Context // ends when the assignment is about to change
	endPolling context.CancelFunc
	closed     bool

	committing sync.Mutex // one commit at a time
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
		conf:   conf,
		log:    log,
		status: component,
		lag:    res.Metrics().NewGauge("mfn_kafka_lag", "topic", "partition"),
		pace:   newPace(conf.BatchTime),
		out:    make(chan Batch),
		gained: make(chan struct{}, 1),
		hungry: make(chan struct{}, 1),
		live:   make(map[topicPartition]*partition),
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
		kgo.OnPartitionsAssigned(c.assigned),
		kgo.OnPartitionsRevoked(c.revoked),
		kgo.OnPartitionsLost(c.lost),
		kgo.WithHooks(&Reach{
			Lost: func(err error) {
				component.Erred(fmt.Errorf("connecting to a broker: %w", err))
			},
			Found: func() { component.Connected() },
		}),
	)
	// The client's own goroutines may call back before it is returned.
	c.assignment.Lock()
	client, err := kgo.NewClient(opts...)
	c.client = client
	c.assignment.Unlock()
	if err != nil {
		c.stop()
		c.stopClient()
		return nil, fmt.Errorf("making the client: %w", err)
	}

	c.ended = component.Begin()
	c.workers.Go(c.pollAll)
	c.workers.Go(func() { c.every(conf.CommitPeriod, nil, c.commitAll) })
	c.workers.Go(func() { c.every(conf.LagPeriod, c.gained, c.measureLag) })
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

// Read waits for the next batch. When the consumer has been closed, it returns
// service.ErrEndOfInput.
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

// every calls do in each period, and whenever it is asked to.
func (c *Consumer) every(period time.Duration, asked <-chan struct{}, do func()) {
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

// pollAll polls until the consumer closes. It does not wait after an error:
// the client goes on by itself, and the next poll may bring other partitions.
func (c *Consumer) pollAll() {
	var last string
	var logged time.Time
	for c.awaitRoom() {
		n, err := c.poll()
		if n > 0 {
			c.status.Succeeded(n)
		}
		if err == nil {
			continue
		}
		c.status.Erred(err)
		if err.Error() != last || time.Since(logged) > sameError {
			last, logged = err.Error(), time.Now()
			c.log.With("operation", "Kafka poll", "topic", strings.Join(c.conf.Topics, ","), "error", last).
				Error("Fetching failed, the client tries again")
		}
		if n == 0 {
			select {
			case <-time.After(pollPause):
			case <-c.ctx.Done():
			}
		}
	}
}

// awaitRoom waits until some partition wants records, or there is no partition,
// and reports false when the consumer closes.
func (c *Consumer) awaitRoom() bool {
	for c.ctx.Err() == nil {
		partitions := c.partitions()
		if len(partitions) == 0 || slices.ContainsFunc(partitions, (*partition).wantsMore) {
			return true
		}
		select {
		case <-c.hungry:
		case <-c.ctx.Done():
		}
	}
	return false
}

func (c *Consumer) tellHungry() {
	select {
	case c.hungry <- struct{}{}:
	default:
	}
}

// poll takes what has been fetched into the partitions' queues and returns how
// many bytes that was.
func (c *Consumer) poll() (bytes int64, err error) {
	c.assignment.RLock()
	defer c.assignment.RUnlock()
	c.mu.Lock()
	polling := c.polling
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(polling, c.conf.PollTimeout)
	defer cancel()

	fetches := c.client.PollRecords(ctx, c.conf.MaxMessages)
	records := 0
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if f.Err != nil && !isContext(f.Err) && !errors.Is(f.Err, kgo.ErrClientClosed) {
			err = errors.Join(err, fetchError(f))
		}
		if len(f.Records) == 0 {
			return
		}
		p := c.partition(topicPartition{f.Topic, f.Partition})
		if p == nil {
			return // revoked while the client was fetching
		}
		records += len(f.Records)
		for _, r := range f.Records {
			bytes += size(r)
		}
		end := f.HighWatermark
		if c.conf.Committed {
			end = f.LastStableOffset
		}
		p.push(f.Records, end)
	})
	// A pause makes the client drop what it has fetched of a partition and fetch
	// it again, so it waits until the client holds nothing, or memory demands it.
	if records < c.conf.MaxMessages || c.waiting.Load() > 2*c.conf.TotalBytes {
		c.pauseFull()
	}
	return bytes, err
}

func (c *Consumer) pauseFull() {
	full := make(map[string][]int32)
	for _, p := range c.partitions() {
		if p.pause() {
			full[p.topic] = append(full[p.topic], p.number)
		}
	}
	if len(full) > 0 {
		c.client.PauseFetchPartitions(full)
		c.resumeDrained(full)
	}
}

// resumeDrained resumes partitions whose queues went down before the pause took
// effect, since no record that leaves them will.
func (c *Consumer) resumeDrained(full map[string][]int32) {
	for topic, numbers := range full {
		for _, n := range numbers {
			if p := c.partition(topicPartition{topic, n}); p != nil && !p.isPaused() {
				p.resume()
			}
		}
	}
}

func fetchError(f kgo.FetchTopicPartition) error {
	err := Classify(f.Err)
	if f.Topic == "" {
		return err
	}
	return fmt.Errorf("topic %v, partition %v: %w", f.Topic, f.Partition, err)
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func (c *Consumer) partition(tp topicPartition) *partition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live[tp]
}

func (c *Consumer) partitions() []*partition {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*partition, 0, len(c.live))
	for _, p := range c.live {
		all = append(all, p)
	}
	return all
}

// reassign interrupts the poll, runs change while no other can begin, and lets
// polling go on.
func (c *Consumer) reassign(change func()) {
	c.mu.Lock()
	c.endPolling()
	c.mu.Unlock()

	c.assignment.Lock()
	defer c.assignment.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	c.polling, c.endPolling = context.WithCancel(c.ctx)
	if len(c.live) > 0 {
		share := min(c.conf.QueueBytes, c.conf.TotalBytes/int64(len(c.live)))
		for _, p := range c.live {
			p.setQueueSize(share)
		}
	}
	c.tellHungry()
}

// assigned is called by the client, before it fetches from the partitions.
func (c *Consumer) assigned(_ context.Context, client *kgo.Client, added map[string][]int32) {
	if len(added) == 0 {
		return
	}
	client.ResumeFetchPartitions(added) // a pause outlives the assignment it was made in
	c.reassign(func() {
		if c.closed {
			return
		}
		for topic, numbers := range added {
			for _, n := range numbers {
				tp := topicPartition{topic, n}
				p, err := c.newPartition(tp)
				if err != nil {
					logs.With(c.log, "topic", topic, "partition", n, "error", err.Error()).
						Error("Partition cannot be read: its batching policy failed")
					continue
				}
				c.live[tp] = p
			}
		}
	})
	select {
	case c.gained <- struct{}{}:
	default:
	}
	c.log.With("partitions", describe(added)).Info("Partitions assigned")
}

func (c *Consumer) newPartition(tp topicPartition) (*partition, error) {
	ctx, stop := context.WithCancel(c.ctx)
	p := &partition{
		topicPartition: tp,
		limit:          c.conf.CheckpointLimit,
		queueSize:      c.conf.QueueBytes,
		lists:          c.conf.HeaderLists,
		rejected:       func(err error) bool { return c.rejected(tp, err) },
		waiting:        &c.waiting,
		hungry:         c.tellHungry,
		resume: func() {
			c.client.ResumeFetchPartitions(map[string][]int32{tp.topic: {tp.number}})
		},
		pace:    c.pace,
		out:     c.out,
		stop:    stop,
		stopped: make(chan struct{}),
		changed: make(chan struct{}, 1),
		read:    -1,
	}
	if c.conf.Batcher != nil {
		var err error
		if p.batcher, err = c.conf.Batcher(); err != nil {
			stop()
			return nil, err
		}
	}
	c.workers.Go(func() { p.run(ctx) })
	return p, nil
}

// rejected says whether a message that was rejected downstream is done with.
func (c *Consumer) rejected(tp topicPartition, err error) bool {
	if !c.conf.DropRejected || c.ctx.Err() != nil || isContext(err) {
		return false
	}
	logs.With(c.log, "topic", tp.topic, "partition", tp.number, "error", err.Error()).
		Error("Message dropped, since it was rejected and auto_replay_nacks is off")
	return true
}

// take removes partitions from those that are live and stops them.
func (c *Consumer) take(lost map[string][]int32) []*partition {
	var taken []*partition
	c.reassign(func() {
		for topic, numbers := range lost {
			for _, n := range numbers {
				tp := topicPartition{topic, n}
				if p := c.live[tp]; p != nil {
					taken = append(taken, p)
					delete(c.live, tp)
				}
			}
		}
	})
	for _, p := range taken {
		p.halt()
		c.setLag(p.topicPartition, 0)
	}
	return taken
}

// revoked is called by the client when partitions are to go to another member,
// which cannot have them before this returns. The client has dropped what it
// had fetched from them, and goes on with its heartbeats.
func (c *Consumer) revoked(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	taken := c.take(lost)
	if len(taken) == 0 {
		return
	}
	log := c.log.With("partitions", describe(byTopic(taken)))
	log.Debug("Partitions are to be revoked, waiting for messages in flight")

	// A consumer that closes has waited for what was in flight already.
	limit, cancel := context.WithTimeout(c.ctx, c.conf.RevokeTimeout)
	defer cancel()
	inFlight := 0
	for _, p := range taken {
		inFlight += p.drain(limit)
	}
	if inFlight > 0 && c.ctx.Err() == nil {
		logs.With(log, "in_flight", inFlight, "revoke_timeout", c.conf.RevokeTimeout.String()).
			Warn("Messages of revoked partitions are still in flight and will be delivered again")
	}

	ctx, cancel := context.WithTimeout(context.Background(), revokeTimeout)
	defer cancel()
	c.committing.Lock()
	defer c.committing.Unlock()
	for c.commit(ctx, taken) && ctx.Err() == nil {
		select {
		case <-time.After(metadataMinAge):
		case <-ctx.Done():
		}
	}
	log.Info("Partitions revoked")
}

// lost is called by the client when the group has gone on without this member.
// Others have the partitions already, so nothing is awaited or committed.
func (c *Consumer) lost(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	if taken := c.take(lost); len(taken) > 0 {
		c.log.With("partitions", describe(byTopic(taken))).
			Warn("Partitions lost: the group went on without this member, what is in flight will be delivered again")
	}
}

// commitAll commits all partitions that are assigned.
func (c *Consumer) commitAll() {
	c.committing.Lock()
	defer c.committing.Unlock()
	// Only now, so that what was revoked in the meantime is not among them. And
	// to its end: a commit that is cut off could arrive after the next one.
	c.commit(context.Background(), c.partitions())
}

// commit commits the partitions' offsets, in one request, and reports whether
// some failed for a reason that may pass. It needs the lock committing.
func (c *Consumer) commit(ctx context.Context, partitions []*partition) (again bool) {
	due := make(map[topicPartition]*partition)
	offsets := make(map[string]map[int32]kgo.EpochOffset)
	for _, p := range partitions {
		position, ok := p.due()
		if !ok {
			continue
		}
		if offsets[p.topic] == nil {
			offsets[p.topic] = make(map[int32]kgo.EpochOffset)
		}
		offsets[p.topic][p.number] = position
		due[p.topicPartition] = p
	}
	if len(due) == 0 {
		return false
	}

	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	c.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			again = c.commitFailed(offsets, err)
			return
		}
		for _, topic := range resp.Topics {
			for _, answer := range topic.Partitions {
				p := due[topicPartition{topic.Topic, answer.Partition}]
				if p == nil {
					continue
				}
				position := offsets[p.topic][p.number]
				if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
					failed := map[string]map[int32]kgo.EpochOffset{p.topic: {p.number: position}}
					again = c.commitFailed(failed, err) || again
					continue
				}
				p.markCommitted(position)
			}
		}
	})
	return again
}

// commitFailed logs that offsets are not committed, and reports whether it is
// worth another try. Either way nothing is lost: what is not committed is
// delivered again.
func (c *Consumer) commitFailed(offsets map[string]map[int32]kgo.EpochOffset, err error) bool {
	numbers := make(map[string][]int32)
	for topic, of := range offsets {
		for n := range of {
			numbers[topic] = append(numbers[topic], n)
		}
	}
	log := c.log.With("operation", "Kafka commit", "partitions", describe(numbers), "error", err.Error())
	if isContext(err) || errors.Is(err, kerr.RebalanceInProgress) {
		// The group is busy with an assignment; the next commit follows.
		log.Debug("Offsets are not committed")
		return false
	}
	log.Warn("Offsets are not committed")
	return isTransient(err)
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
	c.workers.Wait()
	c.ended()

	// Leaving revokes what is assigned, which commits it.
	leaving, cancel := context.WithTimeout(ctx, leaveTimeout)
	err := c.client.LeaveGroupContext(leaving)
	cancel()
	if err != nil {
		parting, cancel := context.WithTimeout(ctx, closeTimeout)
		err = c.farewell(parting)
		cancel()
	}
	c.stopClient()
	c.client.Close()
	return err
}
