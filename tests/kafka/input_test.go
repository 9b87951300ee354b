package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

func TestMetadata(t *testing.T) {
	topic, group := topic(t, 2), name(t, "group")
	at := time.UnixMilli(1764850000123)
	long := strings.Repeat("x", 100_000)
	produce(t,
		&kgo.Record{Topic: topic, Partition: 1, Key: []byte("first"), Value: []byte(`{"id":"a"}`), Timestamp: at, Headers: []kgo.RecordHeader{
			{Key: "source", Value: []byte("one")}, {Key: "source", Value: []byte("two")},
			{Key: "long", Value: []byte(long)}, {Key: "kafka_topic", Value: []byte("forged")}, {Key: "nothing"},
		}},
		&kgo.Record{Topic: topic, Partition: 1, Key: []byte{0, 0xff, 0xfe}, Value: nil, Timestamp: at},
	)

	var mu sync.Mutex
	var got []*service.Message
	s := start(t, inputYAML(group, topic), func(_ context.Context, b service.MessageBatch) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, b...)
		return nil
	})
	await.Until(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(got) == 2 })
	s.Stop()

	byOffset := map[int]*service.Message{}
	for _, m := range got {
		offset, _ := m.MetaGetMut("kafka_offset")
		byOffset[offset.(int)] = m
	}
	meta := func(m *service.Message, key string) any {
		v, ok := m.MetaGetMut(key)
		require.True(t, ok, key)
		return v
	}
	first, second := byOffset[0], byOffset[1]
	assert.JSONEq(t, `{"id":"a"}`, text(first))
	assert.Equal(t, "first", meta(first, "kafka_key"))
	assert.Equal(t, topic, meta(first, "kafka_topic"), "a header cannot forge it")
	assert.Equal(t, 1, meta(first, "kafka_partition"))
	assert.Equal(t, int64(1), meta(first, "kafka_lag"))
	assert.Equal(t, at.UnixMilli(), meta(first, "kafka_timestamp_ms"))
	assert.Equal(t, at.Unix(), meta(first, "kafka_timestamp_unix"))
	assert.Equal(t, false, meta(first, "kafka_tombstone_message"))
	assert.Equal(t, "two", meta(first, "source"))
	assert.Equal(t, long, meta(first, "long"))
	assert.Empty(t, meta(first, "nothing"))

	assert.Empty(t, text(second))
	assert.Equal(t, "\x00\xff\xfe", meta(second, "kafka_key"))
	assert.Equal(t, int64(0), meta(second, "kafka_lag"))
	assert.Equal(t, true, meta(second, "kafka_tombstone_message"))
}

func TestHeadersAsLists(t *testing.T) {
	topic, group := topic(t, 1), name(t, "group")
	produce(t, &kgo.Record{Topic: topic, Value: []byte("x"), Headers: []kgo.RecordHeader{
		{Key: "source", Value: []byte("one")}, {Key: "source", Value: []byte("two")},
	}})
	got := make(chan any, 1)
	start(t, inputYAML(group, topic, "multi_header: true"), func(_ context.Context, b service.MessageBatch) error {
		v, _ := b[0].MetaGetMut("source")
		got <- v
		return nil
	})
	assert.Equal(t, []any{"one", "two"}, <-got)
}

// What is committed is what lies before the first message that is not
// confirmed, and a restart begins there.
func TestCommitsUpToTheFirstGap(t *testing.T) {
	topic, group := topic(t, 1), name(t, "group")
	adm := admin(t)
	produce(t, numbered(topic, 1, 0, 20)...)

	g := newGate(t)
	var first ledger
	s := start(t, inputYAML(group, topic), func(ctx context.Context, b service.MessageBatch) error {
		if text(b[0]) == "0:5" {
			return g.wait(ctx)
		}
		return first.consume(ctx, b)
	})
	await.Until(t, func() bool { return first.distinct() == 19 })
	await.Until(t, func() bool { return committed(adm, group, topic, 0) == 5 })
	s.Abandon()
	assert.Equal(t, int64(5), committed(adm, group, topic, 0), "closing commits no more")

	var second ledger
	s = start(t, inputYAML(group, topic), second.consume)
	await.Until(t, func() bool { return second.distinct() == 15 })
	s.Stop()
	want := make([]string, 0, 15)
	for n := 5; n < 20; n++ {
		want = append(want, fmt.Sprintf("0:%v", n))
	}
	assert.ElementsMatch(t, want, second.inOrder())
	assert.Equal(t, int64(20), committed(adm, group, topic, 0))
}

// With a limit of 1 the order of each partition is kept through several
// threads and rejections, and a partition that is stuck holds up no other.
func TestLimitOfOneKeepsOrder(t *testing.T) {
	const partitions, each = 4, 40
	topic, group := topic(t, partitions), name(t, "group")
	produce(t, numbered(topic, partitions, 0, each)...)

	g := newGate(t)
	var l ledger
	s := start(t, inputYAML(group, topic, "checkpoint_limit: 1", "max_messages: 7"), func(ctx context.Context, b service.MessageBatch) error {
		if m := text(b[0]); strings.HasPrefix(m, "0:") {
			if err := g.wait(ctx); err != nil {
				return err
			}
		}
		sleep(ctx, time.Duration(rand.Int64N(int64(time.Millisecond))))
		if rand.IntN(10) == 0 {
			return errors.New("rejected by chance")
		}
		return l.consume(ctx, b)
	})
	await.Until(t, func() bool { return l.distinct() == (partitions-1)*each })
	assert.Empty(t, l.partition(0))
	g.open()
	await.Until(t, func() bool { return l.distinct() == partitions*each })
	s.Stop()

	for p := range int32(partitions) {
		got := l.partition(p)
		require.Len(t, got, each, "partition %v", p)
		for n, m := range got {
			require.Equal(t, fmt.Sprintf("%v:%v", p, n), m)
		}
	}
}

func TestRejectedIsDeliveredAgain(t *testing.T) {
	topic, group := topic(t, 1), name(t, "group")
	adm := admin(t)
	produce(t, numbered(topic, 1, 0, 5)...)
	var l, rejected ledger
	start(t, inputYAML(group, topic), func(ctx context.Context, b service.MessageBatch) error {
		if m := text(b[0]); m == "0:2" && rejected.total() < 3 {
			rejected.add(m)
			return errors.New("not now")
		}
		return l.consume(ctx, b)
	})
	await.Until(t, func() bool { return l.distinct() == 5 })
	await.Until(t, func() bool { return committed(adm, group, topic, 0) == 5 })
	assert.Equal(t, 5, l.total())
	assert.Equal(t, 3, rejected.total())
}

func TestRejectedIsDroppedIfSaid(t *testing.T) {
	topic, group := topic(t, 1), name(t, "group")
	adm := admin(t)
	produce(t, numbered(topic, 1, 0, 5)...)
	var l ledger
	s := start(t, inputYAML(group, topic, "auto_replay_nacks: false"), func(ctx context.Context, b service.MessageBatch) error {
		if text(b[0]) == "0:2" {
			return errors.New("never")
		}
		return l.consume(ctx, b)
	})
	await.Until(t, func() bool { return committed(adm, group, topic, 0) == 5 })
	assert.Equal(t, 4, l.distinct())
	assert.True(t, s.logs.contain("Message was rejected and is not delivered again"))
	assert.True(t, s.logs.contain("source="+topic+"/0/2"))
}

func TestBatching(t *testing.T) {
	const partitions, each = 3, 50
	topic, group := topic(t, partitions), name(t, "group")
	adm := admin(t)
	produce(t, numbered(topic, partitions, 0, each)...)
	var mu sync.Mutex
	var l ledger
	sizes := map[int]int{}
	s := start(t, inputYAML(group, topic, "checkpoint_limit: 1", "batching: { count: 20, period: 200ms }"), func(ctx context.Context, b service.MessageBatch) error {
		mu.Lock()
		sizes[len(b)]++
		of := map[any]bool{}
		for _, m := range b {
			p, _ := m.MetaGetMut("kafka_partition")
			of[p] = true
		}
		mu.Unlock()
		if len(of) != 1 {
			t.Errorf("a batch holds messages of %v partitions", len(of))
		}
		return l.consume(ctx, b)
	})
	await.Until(t, func() bool { return l.distinct() == partitions*each })
	for p := range int32(partitions) {
		await.Until(t, func() bool { return committed(adm, group, topic, p) == each })
	}
	s.Stop()
	assert.Equal(t, partitions*each, l.total())
	mu.Lock()
	defer mu.Unlock()
	assert.GreaterOrEqual(t, sizes[20], partitions, "batches of the size asked for: %v", sizes)
	for p := range int32(partitions) { // one batch at a time, so in order
		for n, m := range l.partition(p) {
			require.Equal(t, fmt.Sprintf("%v:%v", p, n), m)
		}
	}
}

func TestTopicThatAppearsLater(t *testing.T) {
	topic, group := name(t, "topic"), name(t, "group")
	var l ledger
	s := start(t, inputYAML(group, topic), l.consume)
	await.Until(t, func() bool { return s.logs.contain("Topic does not exist, waiting for it") })
	createTopic(t, topic, 2)
	produce(t, numbered(topic, 2, 0, 3)...)
	await.Until(t, func() bool { return l.distinct() == 6 })
}

func TestTopicsByExpression(t *testing.T) {
	prefix, group := name(t, "topic"), name(t, "group")
	createTopic(t, prefix+".a", 1)
	produce(t, numbered(prefix+".a", 1, 0, 3)...)
	var l ledger
	start(t, inputYAML(group, `"^`+prefix+`[.].*"`, "regexp_topics: true"), l.consume)
	await.Until(t, func() bool { return l.total() == 3 })
	createTopic(t, prefix+".b", 1)
	produce(t, numbered(prefix+".b", 1, 3, 2)...)
	await.Until(t, func() bool { return l.total() == 5 })
}

func TestStartOffsets(t *testing.T) {
	t.Run("latest", func(t *testing.T) {
		topic, group := topic(t, 1), name(t, "group")
		produce(t, numbered(topic, 1, 0, 3)...)
		var l ledger
		s := start(t, inputYAML(group, topic, "start_offset: latest"), l.consume)
		await.Until(t, func() bool { return s.logs.contain("Partitions assigned") })
		// When the client has looked up the end is not to be seen, so new ones
		// are written until one comes.
		for n := 3; l.total() == 0; n++ {
			produce(t, numbered(topic, 1, n, 1)...)
			sleep(t.Context(), beat)
		}
		assert.False(t, l.has("0:0"))
	})
	t.Run("committed", func(t *testing.T) {
		topic, group := topic(t, 1), name(t, "group")
		produce(t, numbered(topic, 1, 0, 3)...)
		s := start(t, inputYAML(group, topic, "start_offset: committed"), func(context.Context, service.MessageBatch) error {
			t.Error("delivered")
			return nil
		})
		await.Until(t, func() bool { return s.logs.contain("the group has committed none") })
		assert.Contains(t, s.get("/stats"), "the group has committed none")
	})
	t.Run("out of range", func(t *testing.T) {
		adm := admin(t)
		topic, group := topic(t, 1), name(t, "group")
		produce(t, numbered(topic, 1, 0, 10)...)
		var l ledger
		s := start(t, inputYAML(group, topic), l.consume)
		await.Until(t, func() bool { return committed(adm, group, topic, 0) == 10 })
		s.Stop()
		produce(t, numbered(topic, 1, 10, 10)...)
		deleteRecords(t, topic, 15) // a part of what the group has not read is gone
		var again ledger
		start(t, inputYAML(group, topic), again.consume)
		await.Until(t, func() bool { return committed(adm, group, topic, 0) == 20 })
		assert.ElementsMatch(t, []string{"0:15", "0:16", "0:17", "0:18", "0:19"}, again.inOrder())
	})
}

func deleteRecords(t *testing.T, topic string, before int64) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, 0, before, -1)
	resp, err := admin(t).DeleteRecords(t.Context(), offsets)
	require.NoError(t, err)
	require.NoError(t, resp.Error())
}

func TestTransactions(t *testing.T) {
	topic := topic(t, 1)
	transact(t, topic, true, "committed-1")
	transact(t, topic, false, "aborted")
	transact(t, topic, true, "committed-2")

	var committedOnly, all ledger
	start(t, inputYAML(name(t, "group"), topic, "isolation_level: read_committed"), committedOnly.consume)
	start(t, inputYAML(name(t, "group"), topic), all.consume)
	await.Until(t, func() bool { return committedOnly.has("committed-2") && all.has("committed-2") })
	assert.ElementsMatch(t, []string{"committed-1", "committed-2"}, committedOnly.inOrder())
	assert.Contains(t, all.inOrder(), "aborted")
}

func transact(t *testing.T, topic string, commit bool, value string) {
	t.Helper()
	cl := client(t, kgo.TransactionalID(name(t, "tx")), kgo.DefaultProduceTopic(topic))
	require.NoError(t, cl.BeginTransaction())
	require.NoError(t, cl.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr())
	require.NoError(t, cl.EndTransaction(t.Context(), kgo.TransactionEndTry(commit)))
}

func TestLag(t *testing.T) {
	topic, group := topic(t, 1), name(t, "group")
	produce(t, numbered(topic, 1, 0, 10)...)
	g := newGate(t)
	s := start(t, inputYAML(group, topic, "topic_lag_refresh_period: 100ms"), func(ctx context.Context, b service.MessageBatch) error {
		if n, _ := strconv.Atoi(text(b[0])[2:]); n >= 4 {
			return g.wait(ctx)
		}
		return nil
	})
	lag := func(n int) func() bool {
		line := fmt.Sprintf(`mfn_kafka_lag{label="source",partition="0",path="root.input",topic="%v"} %v`, topic, n)
		return func() bool { return strings.Contains(s.get("/metrics"), line) }
	}
	await.Until(t, lag(6))
	produce(t, numbered(topic, 1, 10, 5)...)
	await.Until(t, lag(11))
	g.open()
	await.Until(t, lag(0))
}
