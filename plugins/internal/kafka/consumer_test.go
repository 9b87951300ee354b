package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"go.uber.org/goleak"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

const (
	patience  = 30 * time.Second
	topicName = "topic"
)

// newCluster starts an in-process broker with a topic and checks in the end
// that nothing runs any more.
func newCluster(t *testing.T, partitions int32, more ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(partitions, topicName), kfake.GroupMinSessionTimeout(time.Second)}
	c, err := kfake.NewCluster(append(opts, more...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func fill(t *testing.T, c *kfake.Cluster, partitions int32, count int, padding string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	require.NoError(t, err)
	defer cl.Close()
	var records []*kgo.Record
	for p := range partitions {
		for n := range count {
			records = append(records, &kgo.Record{Topic: topicName, Partition: p, Value: fmt.Appendf(nil, "%v:%v%v", p, n, padding)})
		}
	}
	require.NoError(t, cl.ProduceSync(t.Context(), records...).FirstErr())
}

// join makes a consumer that is quick in everything.
func join(t *testing.T, c *kfake.Cluster, change func(*ConsumerConfig)) *Consumer {
	t.Helper()
	return joinWith(t, c, service.MockResources(), change)
}

func joinWith(t *testing.T, c *kfake.Cluster, res *service.Resources, change func(*ConsumerConfig)) *Consumer {
	t.Helper()
	conf := ConsumerConfig{
		Connection: Connection{Seeds: c.ListenAddrs(), ClientID: "test", MaxAge: time.Second},
		Topics:     []string{topicName},
		GroupID:    "group",
		Group: []kgo.Opt{
			kgo.ConsumeTopics(topicName), kgo.FetchMaxWait(50 * time.Millisecond),
			kgo.SessionTimeout(5 * time.Second), kgo.HeartbeatInterval(50 * time.Millisecond),
		},
		MaxMessages: 10, PollTimeout: time.Second, CheckpointLimit: 1000, CommitPeriod: 20 * time.Millisecond,
		RevokeTimeout: patience, RevokeLimit: 2 * patience, LagPeriod: time.Minute, QueueBytes: 1 << 20, TotalBytes: 50 << 20,
	}
	if change != nil {
		change(&conf)
	}
	component := status.New(res, "mfn_kafka", status.Connector)
	t.Cleanup(component.Close)
	consumer, err := NewConsumer(t.Context(), conf, retry.Policy{Strategy: retry.NoRetry}, res, component)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, consumer.Close(context.Background())) })
	return consumer
}

type delivered struct {
	id     string
	offset int64
	ack    service.AckFunc
}

// deliveries lists the messages of a batch, which are confirmed together.
func deliveries(t *testing.T, b Batch) (all []delivered) {
	t.Helper()
	for _, m := range b.Messages {
		content, err := m.AsBytes()
		require.NoError(t, err)
		id, _, _ := strings.Cut(string(content), " ")
		offset, _ := m.MetaGetMut("kafka_offset")
		all = append(all, delivered{id, int64(offset.(int)), b.Ack})
	}
	return all
}

// take reads so many messages without confirming them.
func take(t *testing.T, c *Consumer, count int) (all []delivered) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range count {
		b, err := c.Read(ctx)
		require.NoError(t, err, "after %v of %v messages", len(all), count)
		all = append(all, deliveries(t, b)...)
	}
	return all
}

func ids(all []delivered) (list []string) {
	for _, d := range all {
		list = append(list, d.id)
	}
	return list
}

func confirm(t *testing.T, all []delivered) {
	t.Helper()
	for _, d := range all {
		require.NoError(t, d.ack(t.Context(), nil))
	}
}

// commits records every offset that is asked to be committed.
type commits struct {
	mu  sync.Mutex
	all []string // "partition@offset", as asked
}

func watchCommits(c *kfake.Cluster) *commits {
	w := &commits{}
	c.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, topic := range req.(*kmsg.OffsetCommitRequest).Topics {
			for _, p := range topic.Partitions {
				w.all = append(w.all, fmt.Sprintf("%v@%v", p.Partition, p.Offset))
			}
		}
		return nil, nil, false
	})
	return w
}

func (w *commits) list() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.all)
}

func committedAt(c *kfake.Cluster, partition int32) int64 {
	info := c.GroupInfo("group")
	if info == nil {
		return -1
	}
	commit, ok := info.Commits[topicName][partition]
	if !ok {
		return -1
	}
	return commit.Offset
}

// A member that the group has thrown out commits nothing of what it had, and
// what was in flight is delivered again.
func TestLostPartitionsAreNotCommitted(t *testing.T) {
	c := newCluster(t, 1)
	fill(t, c, 1, 5, "")
	w := watchCommits(c)
	consumer := join(t, c, nil)
	before := take(t, consumer, 5)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID, TopLevel: true, Group: "group"})
	again := take(t, consumer, 5)
	assert.Equal(t, ids(before), ids(again))

	confirm(t, before) // late
	confirm(t, again[:2])
	await.Until(t, func() bool { return committedAt(c, 0) == 2 })
	for _, commit := range w.list() {
		assert.NotEqual(t, "0@5", commit)
	}
	confirm(t, again[2:])
	await.Until(t, func() bool { return committedAt(c, 0) == 5 })
}

// Nothing of a partition that was revoked is committed afterwards, though its
// messages are confirmed then.
func TestNothingIsCommittedAfterRevocation(t *testing.T) {
	c := newCluster(t, 2)
	fill(t, c, 2, 5, "")
	w := watchCommits(c)
	quick := func(conf *ConsumerConfig) { conf.RevokeTimeout = 100 * time.Millisecond }
	first := join(t, c, quick)
	held := take(t, first, 10)

	second := join(t, c, quick)
	moved := take(t, second, 5)
	partition := moved[0].id[:1]
	confirm(t, held)
	kept := int32(0)
	if partition == "0" {
		kept = 1
	}
	await.Until(t, func() bool { return committedAt(c, kept) == 5 })
	for _, commit := range w.list() {
		assert.False(t, strings.HasPrefix(commit, partition), commit)
	}
	confirm(t, moved)
	await.Until(t, func() bool { return committedAt(c, 1-kept) == 5 })
}

// A commit that fails is made again, by the same member or, when it is for a
// partition that goes, before it goes.
func TestCommitsThatFail(t *testing.T) {
	c := newCluster(t, 2)
	fill(t, c, 2, 5, "")
	first := join(t, c, nil)
	failing := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.UnstableOffsetCommit, Count: 3})
	confirm(t, take(t, first, 10))
	await.Until(t, func() bool { return failing.Hits() >= 3 })
	await.Until(t, func() bool { return committedAt(c, 0) == 5 && committedAt(c, 1) == 5 })

	fill(t, c, 2, 5, "")
	all := take(t, first, 10)
	second := join(t, c, nil)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.UnstableOffsetCommit, Count: 4})
	confirm(t, all)
	await.Until(t, func() bool { return committedAt(c, 0) == 10 && committedAt(c, 1) == 10 })
	fill(t, c, 2, 1, "")
	confirm(t, take(t, first, 1))
	confirm(t, take(t, second, 1))
	await.Until(t, func() bool { return committedAt(c, 0) == 11 && committedAt(c, 1) == 11 })
}

// A partition that is revoked goes only when its messages in flight are confirmed,
// and committed, so that its next owner begins after them.
func TestRevocationWaits(t *testing.T) {
	c := newCluster(t, 2)
	fill(t, c, 2, 5, "")
	first := join(t, c, nil)
	held := take(t, first, 10)
	second := join(t, c, nil)
	await.Until(t, func() bool { return len(first.partitions()) == 1 }, "a revocation waits")
	confirm(t, held)
	fill(t, c, 2, 1, "")
	confirm(t, take(t, first, 1))
	next := take(t, second, 1)
	assert.EqualValues(t, 5, next[0].offset)
	confirm(t, next)
	await.Until(t, func() bool { return committedAt(c, 0) == 6 && committedAt(c, 1) == 6 })
}

// A revocation ends, with its commits, before the group goes on without the member:
// though messages are in flight, and though commits fail.
func TestRevocationEndsInTime(t *testing.T) {
	c := newCluster(t, 2)
	fill(t, c, 2, 5, "")
	first := join(t, c, func(conf *ConsumerConfig) {
		conf.RevokeLimit, conf.CommitPeriod = 800*time.Millisecond, time.Hour
	})
	confirm(t, take(t, first, 10)[:9])
	failing := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.UnstableOffsetCommit, Count: -1})
	began := time.Now()
	second := join(t, c, nil)
	assert.Len(t, take(t, second, 5), 5)
	assert.Less(t, time.Since(began), revokeCommitTimeout/2)
	failing.Remove()
}

// Closing takes no longer than its context, though a worker does not end.
func TestCloseWithinItsContext(t *testing.T) {
	c := newCluster(t, 1)
	fill(t, c, 1, 3, "")
	consumer := join(t, c, nil)
	confirm(t, take(t, consumer, 3))
	await.Until(t, func() bool { return committedAt(c, 0) == 3 })
	stuck := make(chan struct{})
	consumer.workers.Go(func() { <-stuck })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, consumer.Close(ctx), context.DeadlineExceeded)
	close(stuck)
}

// A partition whose fetching has paused is read again under its next assignment.
func TestAPauseEndsWithTheAssignment(t *testing.T) {
	const each, kib = 200, 1 << 10
	c := newCluster(t, 4)
	fill(t, c, 4, each, " "+strings.Repeat("x", 10*kib))
	consumer := join(t, c, narrow)
	confirmed := map[string]bool{}
	await.Until(t, func() bool { // partition 0 is slow
		for _, d := range take(t, consumer, 1) {
			if !strings.HasPrefix(d.id, "0:") {
				confirm(t, []delivered{d})
				confirmed[d.id] = true
			}
		}
		_, _, paused := waiting(consumer)
		return paused > 0
	})
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID, TopLevel: true, Group: "group"})
	for len(confirmed) < 4*each {
		d := take(t, consumer, 1)
		confirm(t, d)
		confirmed[d[0].id] = true
	}
	await.Until(t, func() bool { return committedAt(c, 0) == each })
}

// What a shutdown rejects is not dropped, though rejected messages are.
func TestAShutdownDropsNothing(t *testing.T) {
	c := newCluster(t, 1)
	fill(t, c, 1, 3, "")
	drop := func(conf *ConsumerConfig) { conf.DropRejected = true }
	consumer := join(t, c, drop)
	all := take(t, consumer, 3)
	require.NoError(t, all[0].ack(t.Context(), errors.New("rejected")))
	await.Until(t, func() bool { return committedAt(c, 0) == 1 }, "it is dropped")
	consumer.stop()
	require.NoError(t, all[1].ack(t.Context(), errors.New("the output has closed")))
	require.NoError(t, all[2].ack(t.Context(), context.Canceled))
	require.NoError(t, consumer.Close(t.Context()))
	assert.EqualValues(t, 1, committedAt(c, 0))
	assert.Equal(t, []string{"0:1", "0:2"}, ids(take(t, join(t, c, drop), 2)))
}

// transact writes one transaction of count records and commits or aborts it.
func transact(t *testing.T, c *kfake.Cluster, count int, end kgo.TransactionEndTry) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("writer"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer cl.Close()
	require.NoError(t, cl.BeginTransaction())
	for n := range count {
		require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: topicName, Value: fmt.Append(nil, n)}).FirstErr())
	}
	require.NoError(t, cl.EndTransaction(t.Context(), end))
}

// The group commits up to the very end of a partition, past what ends transactions
// and, where only committed records are read, past what was aborted. The lag is 0
// then.
func TestCommitsPassMarkers(t *testing.T) {
	for _, row := range []struct {
		name      string
		committed bool
		messages  int
	}{{"read_uncommitted", false, 26}, {"read_committed", true, 4}} {
		t.Run(row.name, func(t *testing.T) {
			c := newCluster(t, 1)
			transact(t, c, 3, kgo.TryCommit)
			transact(t, c, 1, kgo.TryCommit)
			transact(t, c, 22, kgo.TryAbort)
			consumer := join(t, c, func(conf *ConsumerConfig) {
				if conf.Committed = row.committed; row.committed {
					conf.Group = append(conf.Group, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
				}
			})
			all := take(t, consumer, row.messages)
			lags, err := consumer.lags(t.Context(), consumer.partitions())
			require.NoError(t, err)
			for _, lag := range lags {
				assert.EqualValues(t, 29, lag, "nothing is confirmed")
			}
			confirm(t, all)
			await.Until(t, func() bool { return committedAt(c, 0) == 29 }, "of 26 records and 3 markers")
			lags, err = consumer.lags(t.Context(), consumer.partitions())
			require.NoError(t, err)
			require.Len(t, lags, 1)
			for _, lag := range lags {
				assert.Zero(t, lag)
			}
		})
	}
}

// narrow leaves room for 100 KiB of each of four partitions, and for one record of
// each in flight.
func narrow(conf *ConsumerConfig) {
	conf.CheckpointLimit = 1
	conf.QueueBytes, conf.TotalBytes = 1<<20, 400<<10
	conf.Group = append(conf.Group, kgo.FetchMaxBytes(400<<10), kgo.FetchMaxPartitionBytes(100<<10))
}

func waiting(c *Consumer) (total int64, full, paused int) {
	for _, p := range c.partitions() {
		if !p.belowLowWater() {
			full++
		}
		p.mu.Lock()
		total += p.queued
		if p.paused {
			paused++
		}
		p.mu.Unlock()
	}
	return total, full, paused
}

// With nothing confirmed, what waits is bounded; and all of it arrives in the
// end, once and in order.
func TestWhatWaitsIsBounded(t *testing.T) {
	const partitions, each, kib = 4, 200, 1 << 10
	c := newCluster(t, partitions)
	fill(t, c, partitions, each, " "+strings.Repeat("x", 10*kib))
	consumer := join(t, c, narrow)
	await.Until(t, func() bool { _, full, _ := waiting(consumer); return full == partitions })
	total, _, _ := waiting(consumer)
	assert.LessOrEqual(t, total, int64(4*400*kib))
	assert.Equal(t, total, consumer.bufferedBytes.Load())

	next := [partitions]int{}
	for range partitions * each {
		d := take(t, consumer, 1)[0]
		var p, n int
		_, err := fmt.Sscanf(d.id, "%d:%d", &p, &n)
		require.NoError(t, err)
		require.Equal(t, next[p], n, "partition %v", p)
		next[p]++
		confirm(t, []delivered{d})
	}
	for p := range int32(partitions) {
		await.Until(t, func() bool { return committedAt(c, p) == each })
	}
	total, _, _ = waiting(consumer)
	assert.Zero(t, total)
	assert.Zero(t, consumer.bufferedBytes.Load())
}

// A partition whose records are not confirmed holds up no other. Fetching from
// it pauses, and goes on when they are.
func TestASlowPartitionHoldsUpNoOther(t *testing.T) {
	const partitions, each, kib = 4, 200, 1 << 10
	c := newCluster(t, partitions)
	fill(t, c, partitions, each, " "+strings.Repeat("x", 10*kib))
	consumer := join(t, c, narrow)
	var slow []delivered
	next := [partitions]int{}
	read := func() {
		d := take(t, consumer, 1)[0]
		var p, n int
		_, err := fmt.Sscanf(d.id, "%d:%d", &p, &n)
		require.NoError(t, err)
		require.Equal(t, next[p], n, "partition %v", p)
		next[p]++
		if p == 0 && n == 0 {
			slow = append(slow, d)
			return
		}
		confirm(t, []delivered{d})
	}
	for range (partitions-1)*each + 1 {
		read()
	}
	require.Len(t, slow, 1)
	await.Until(t, func() bool { _, _, paused := waiting(consumer); return paused == 1 })
	total, _, _ := waiting(consumer)
	assert.LessOrEqual(t, total, int64(4*400*kib))

	confirm(t, slow)
	for range each - 1 {
		read()
	}
	await.Until(t, func() bool { return committedAt(c, 0) == each })
	_, _, paused := waiting(consumer)
	assert.Zero(t, paused)
	assert.Zero(t, consumer.bufferedBytes.Load())
}

// Quick messages come in batches, slow ones by themselves, and a batch is
// confirmed as a whole.
func TestBatchesFollowTheBatchSizer(t *testing.T) {
	const each = 20_000
	c := newCluster(t, 1)
	fill(t, c, 1, each, "")
	consumer := join(t, c, func(conf *ConsumerConfig) {
		conf.BatchTime, conf.MaxMessages = time.Millisecond, 1000
	})
	next, largest := 0, 0
	for next < each {
		b, err := consumer.Read(t.Context())
		require.NoError(t, err)
		largest = max(largest, len(b.Messages))
		for _, m := range b.Messages {
			content, err := m.AsBytes()
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint("0:", next), string(content))
			next++
		}
		require.NoError(t, b.Ack(t.Context(), nil))
	}
	assert.Greater(t, largest, 1)
	assert.LessOrEqual(t, largest, 1000/batchesInFlight)
	await.Until(t, func() bool { return committedAt(c, 0) == each })
}

// A partition that cannot be fetched is in the log and counted; the others go on.
func TestFetchErrors(t *testing.T) {
	c := newCluster(t, 2)
	fill(t, c, 2, 3, "")
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.TopicAuthorizationFailed, Partitions: []int32{1}, Count: 3})
	consumer := join(t, c, nil)
	all := take(t, consumer, 6)
	confirm(t, all)
	await.Until(t, func() bool { return committedAt(c, 0) == 3 && committedAt(c, 1) == 3 })
	found := false
	for _, component := range status.Snapshot().Components {
		if m, ok := component.Metrics.(status.ConnectorMetrics); ok && m.LastError != nil && strings.Contains(*m.LastError, "topic topic, partition 1: TOPIC_AUTHORIZATION_FAILED") {
			found = true
		}
	}
	assert.True(t, found)
}

// An outage is in the status for as long as it lasts, though nothing is read before or
// after it.
func TestAnOutageIsInTheStatus(t *testing.T) {
	c := newCluster(t, 1)
	var down atomic.Bool
	consumer := join(t, c, func(conf *ConsumerConfig) {
		conf.Group = append(conf.Group, kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			if down.Load() {
				return nil, syscall.ECONNREFUSED
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}))
	})
	await.Until(t, func() bool { return len(consumer.partitions()) == 1 }, "the assignment")
	isInError := func() bool {
		components := status.Snapshot().Components
		return components[len(components)-1].Status == status.Error
	}
	assert.False(t, isInError())
	down.Store(true)
	c.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
		return nil, errors.New("hang up"), true
	})
	await.Until(t, isInError, "the outage")
	down.Store(false)
	await.Until(t, func() bool { return !isInError() }, "its end")
}

func TestLagIsMeasured(t *testing.T) {
	metrics, counts := streamtest.NoteMetrics(t)
	builder := service.NewResourceBuilder()
	require.NoError(t, builder.SetMetricsYAML(metrics))
	res, end, err := builder.Build()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, end(context.Background())) })
	c := newCluster(t, 1)
	fill(t, c, 1, 5, "")
	consumer := joinWith(t, c, res, func(conf *ConsumerConfig) { conf.LagPeriod = 20 * time.Millisecond })
	all := take(t, consumer, 5)
	await.Until(t, func() bool { return counts()["mfn_kafka_lag"] == 5 }, "what is not confirmed to count")
	confirm(t, all[:2])
	await.Until(t, func() bool { return counts()["mfn_kafka_lag"] == 3 }, "the rest")
	confirm(t, all[2:])
}

// A consumer that cannot go on ends, commits what is confirmed, and has the process
// say that its job is not complete.
func TestAConsumerThatCannotGoOnEnds(t *testing.T) {
	c := newCluster(t, 2)
	fill(t, c, 1, 2, "")
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	require.NoError(t, err)
	defer cl.Close()
	var offsets kadm.Offsets
	offsets.AddOffset(topicName, 0, 0, -1)
	require.NoError(t, kadm.NewClient(cl).CommitAllOffsets(t.Context(), "group", offsets))

	failed := len(ledger.Process.Failures())
	consumer := join(t, c, func(conf *ConsumerConfig) {
		conf.CommitPeriod = time.Hour
		conf.Group = append(conf.Group, kgo.ConsumeStartOffset(kgo.NewOffset().AtCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtCommitted()))
	})
	var all []delivered
	for {
		b, err := consumer.Read(t.Context())
		if err != nil {
			require.ErrorIs(t, err, service.ErrEndOfInput)
			break
		}
		all = append(all, deliveries(t, b)...)
	}
	failures := ledger.Process.Failures()
	require.Len(t, failures, failed+1)
	require.EqualError(t, failures[failed], "reading from Kafka: topic topic, partition 1: start_offset is committed, but the group has committed none")
	confirm(t, all)
	require.NoError(t, consumer.Close(t.Context()))
	assert.EqualValues(t, len(all), max(committedAt(c, 0), 0))
}

// A consumer whose group goes on rebalancing commits and leaves all the same, so
// that the others need not wait for its session to end.
func TestCloseDuringARebalance(t *testing.T) {
	byName := kversion.Stable()
	byName.SetMaxKeyVersion(kmsg.Fetch.Int16(), 12)
	for _, row := range []struct {
		name, instance string
		broker         []kfake.Opt
	}{
		{name: "a member"},
		{name: "a static member", instance: "instance"},
		{name: "topics are known by name alone", broker: []kfake.Opt{kfake.MaxVersions(byName)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newCluster(t, 2, row.broker...)
			fill(t, c, 2, 5, "")
			consumer := join(t, c, func(conf *ConsumerConfig) { conf.InstanceID = row.instance })
			all := take(t, consumer, 10)

			stuckInARebalance(c)
			confirm(t, all)
			require.NoError(t, consumer.Close(t.Context()))
			assert.EqualValues(t, 5, committedAt(c, 0))
			assert.EqualValues(t, 5, committedAt(c, 1))
			if row.instance == "" {
				assert.Empty(t, c.GroupInfo("group").Members)
			} else {
				assert.Len(t, c.GroupInfo("group").Members, 1)
			}
		})
	}
}

// stuckInARebalance has the group's member wait in a rebalance that goes on and on.
func stuckInARebalance(c *kfake.Cluster) {
	waiting := make(chan struct{})
	c.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(waiting)
		return nil, nil, true
	})
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.RebalanceInProgress, TopLevel: true, Group: "group"})
	<-waiting
}

// A consumer closes although the brokers are gone.
func TestCloseWithoutBrokers(t *testing.T) {
	c := newCluster(t, 1)
	fill(t, c, 1, 3, "")
	consumer := join(t, c, func(conf *ConsumerConfig) { conf.CommitPeriod = time.Hour })
	confirm(t, take(t, consumer, 3))
	c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	require.Error(t, consumer.Close(ctx))
	_, err := consumer.Read(t.Context())
	require.ErrorIs(t, err, service.ErrEndOfInput)
}

// Closing does not wait for what is in flight when a partition is being
// revoked at that moment.
func TestCloseDuringRevocation(t *testing.T) {
	c := newCluster(t, 2)
	fill(t, c, 2, 3, "")
	first := join(t, c, nil)
	take(t, first, 6) // never confirmed
	second := join(t, c, nil)
	await.Until(t, func() bool { return len(first.partitions()) == 1 }, "a revocation waits")
	require.NoError(t, first.Close(t.Context()))
	assert.Len(t, take(t, second, 6), 6)
}
