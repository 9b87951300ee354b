package input

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// hostileRecord is what a record may hold that is not a text.
type hostileRecord struct {
	key, value         []byte
	noKey, noValue     bool
	name, otherName    string
	header             []byte
	noHeader, repeated bool
	timestamp          int64
}

var hostileRecords = []hostileRecord{
	{key: []byte("key"), value: []byte(`{"id":"a"}`), name: "trace", header: []byte("1"), otherName: "x", timestamp: 1_700_000_000_000},
	{noKey: true, noValue: true, noHeader: true, repeated: true},
	{key: []byte{}, value: []byte{}, name: "", header: []byte{}, otherName: ""},
	{key: []byte{0, 0xff, '\n'}, value: []byte{0xfe, 0}, name: "kafka_key", header: []byte("forged"), otherName: "kafka_tombstone_message", repeated: true},
	{key: []byte("k"), value: []byte("[1"), name: "\xff\x00", header: []byte{0xff, 0, '\r', '\n'}, otherName: "é: ö", timestamp: 1},
	{noKey: true, value: []byte("x"), name: "kafka_offset", noHeader: true, otherName: "kafka_topic", timestamp: 1 << 41},
}

// mostHostile is what a broker takes with all that is told of it.
const mostHostile = 200_000

// fuzzRecords calls check with records.
func fuzzRecords(f *testing.F, check func(t *testing.T, r *kgo.Record, lists bool)) {
	f.Helper()
	for i, r := range hostileRecords {
		f.Add(r.key, r.value, r.noKey, r.noValue, r.name, r.otherName, r.header, r.noHeader, r.repeated, r.timestamp, i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, key, value []byte, noKey, noValue bool, name, otherName string, header []byte, noHeader, repeated bool, timestamp int64, lists bool) {
		if len(key)+len(value)+len(name)+len(otherName)+len(header) > mostHostile {
			return
		}
		if noKey {
			key = nil
		}
		if noValue {
			value = nil
		}
		if noHeader {
			header = nil
		}
		r := &kgo.Record{
			Key: key, Value: value, Timestamp: time.UnixMilli(timestamp & (1<<42 - 1)),
			Headers: []kgo.RecordHeader{{Key: name, Value: header}, {Key: otherName, Value: []byte("other")}},
		}
		if repeated {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte("again")})
		}
		check(t, r, lists)
	})
}

// fuzzCluster starts an in-process broker for all inputs of a fuzz target, with
// topics of one partition. The group has read all that is in the topic params: a
// broker's goroutine for a group is none of a stream's.
func fuzzCluster(f *testing.F, group string, topics ...string) *kfake.Cluster {
	f.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topics...), kfake.GroupMinSessionTimeout(time.Second))
	require.NoError(f, err)
	f.Cleanup(c.Close)
	publish(f, c, kgo.StringRecord("first"))
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumerGroup(group), kgo.ConsumeTopics("params"), kgo.DisableAutoCommit(),
	)
	require.NoError(f, err)
	defer cl.Close()
	require.Equal(f, 1, cl.PollFetches(f.Context()).NumRecords())
	require.NoError(f, cl.CommitUncommittedOffsets(f.Context()))
	return c
}

// publish writes records to the topic params, and sets their offsets.
func publish(t testing.TB, c *kfake.Cluster, records ...*kgo.Record) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("params"), kgo.ProducerLinger(0))
	require.NoError(t, err)
	defer cl.Close()
	require.NoError(t, cl.ProduceSync(t.Context(), records...).FirstErr())
}

// committedOf returns the offset that a group has committed of a topic.
func committedOf(c *kfake.Cluster, group, topic string) int64 {
	if info := c.GroupInfo(group); info != nil {
		return info.Commits[topic][0].Offset
	}
	return -1
}

// metadataOf is what MetadataDocs promises of a record, without its lag.
func metadataOf(r *kgo.Record, lists bool) map[string]any {
	meta := map[string]any{}
	for _, h := range r.Headers {
		if lists {
			list, _ := meta[h.Key].([]any)
			meta[h.Key] = append(list, string(h.Value))
		} else {
			meta[h.Key] = string(h.Value)
		}
	}
	maps.Copy(meta, map[string]any{
		"kafka_key":               string(r.Key),
		"kafka_topic":             r.Topic,
		"kafka_partition":         int(r.Partition),
		"kafka_offset":            int(r.Offset),
		"kafka_timestamp_ms":      r.Timestamp.UnixMilli(),
		"kafka_timestamp_unix":    r.Timestamp.Unix(),
		"kafka_tombstone_message": r.Value == nil,
	})
	return meta
}

// FuzzKafka reads records with any key, value and headers, each in a stream of
// its own that goes on where the one before has ended: content and metadata are
// exact, nothing comes twice, and the offset is committed.
func FuzzKafka(f *testing.F) {
	c := fuzzCluster(f, "workers", "params")
	fuzzRecords(f, func(t *testing.T, r *kgo.Record, lists bool) {
		end := kgo.StringRecord("end")
		publish(t, c, r, end)

		var mu sync.Mutex
		var contents []string
		var metas []map[string]any
		s := streamtest.Run(t, func(b *service.StreamBuilder) {
			require.NoError(t, b.AddInputYAML(fmt.Sprintf(`
mfn_kafka:
  seed_brokers: [ %q ]
  topics: [ params ]
  consumer_group: workers
  fetch_max_wait: 10ms
  commit_period: 5ms
  multi_header: %v`, c.ListenAddrs()[0], lists)))
			require.NoError(t, b.AddConsumerFunc(func(_ context.Context, m *service.Message) error {
				content, err := m.AsBytes()
				if err != nil {
					return err
				}
				meta := map[string]any{}
				err = m.MetaWalkMut(func(key string, value any) error {
					meta[key] = value
					return nil
				})
				mu.Lock()
				defer mu.Unlock()
				contents, metas = append(contents, string(content)), append(metas, meta)
				return err
			}))
		})
		await.Until(t, func() bool { return committedOf(c, "workers", "params") == end.Offset+1 }, "all is committed")
		s.Stop(t)

		assert.Equal(t, []string{string(r.Value), "end"}, contents)
		require.Len(t, metas, 2)
		for i, record := range []*kgo.Record{r, end} {
			assert.EqualValues(t, end.Offset-record.Offset, metas[i]["kafka_lag"])
			delete(metas[i], "kafka_lag")
			assert.Equal(t, metadataOf(record, lists), metas[i])
		}
	})
}

// FuzzKafkaTransaction answers records with any key, value and headers by what
// they hold, exactly once: content, key and metadata arrive in the topic of
// results, and the offset is committed.
func FuzzKafkaTransaction(f *testing.F) {
	c := fuzzCluster(f, "workers", "params", "results")
	var next int64 // offset of the results
	fuzzRecords(f, func(t *testing.T, r *kgo.Record, _ bool) {
		end := kgo.StringRecord("end")
		publish(t, c, r, end)
		s := streamtest.Run(t, func(b *service.StreamBuilder) {
			require.NoError(t, b.SetYAML(fmt.Sprintf(`
input:
  mfn_kafka_transaction:
    seed_brokers: [ %q ]
    topics: [ params ]
    consumer_group: workers
    transactional_id: fuzz
    fetch_max_wait: 10ms
output:
  mfn_kafka_transaction:
    transactional_id: fuzz
    topic: results
    key: ${! @kafka_key }
    metadata: { include_patterns: [ ".*" ] }`, c.ListenAddrs()[0])))
		})
		await.Until(t, func() bool { return committedOf(c, "workers", "params") == end.Offset+1 }, "all is committed")
		s.Stop(t)

		results := committedResults(t, c, next)
		require.Len(t, results, 2)
		next = results[1].Offset + 1
		for i, record := range []*kgo.Record{r, end} {
			assert.Equal(t, string(record.Value), string(results[i].Value))
			assert.Equal(t, string(record.Key), string(results[i].Key))
			want, got := map[string]string{}, map[string]string{}
			for name, value := range metadataOf(record, false) {
				want[name] = fmt.Sprint(value)
			}
			for _, h := range results[i].Headers {
				got[h.Key] = string(h.Value)
			}
			delete(got, "kafka_lag") // it counts the ends of transactions too
			assert.Equal(t, want, got)
		}
	})
}

// committedResults are the records of committed transactions from an offset on,
// up to what was the end of the topic.
func committedResults(t *testing.T, c *kfake.Cluster, from int64) (results []*kgo.Record) {
	t.Helper()
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(c.ListenAddrs()...), kgo.FetchMaxWait(10*time.Millisecond), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"results": {0: kgo.NewOffset().At(from)}}),
		kgo.KeepControlRecords(),
	)
	require.NoError(t, err)
	defer cl.Close()
	for end := c.PartitionInfo("results", 0).HighWatermark; ; {
		fetches := cl.PollFetches(t.Context())
		require.NoError(t, fetches.Err())
		for _, r := range fetches.Records() {
			if !r.Attrs.IsControl() {
				results = append(results, r)
			}
			if r.Offset == end-1 {
				return results
			}
		}
	}
}
