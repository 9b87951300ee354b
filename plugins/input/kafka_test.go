package input

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// kafkaCluster starts an in-process broker with the topic params, which has one
// partition and the given values.
func kafkaCluster(t *testing.T, values ...string) *kfake.Cluster {
	t.Helper()
	streamtest.VerifyNoLeak(t)
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "params"), kfake.GroupMinSessionTimeout(time.Second))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("params"))
	require.NoError(t, err)
	defer cl.Close()
	for _, v := range values {
		require.NoError(t, cl.ProduceSync(t.Context(), kgo.StringRecord(v)).FirstErr())
	}
	return c
}

// kafkaRun is a stream that reads from a broker.
type kafkaRun struct {
	*streamtest.Stream
	mu  sync.Mutex
	got []string
}

func runKafka(t *testing.T, c *kfake.Cluster, fields string) *kafkaRun {
	t.Helper()
	r := &kafkaRun{}
	r.Stream = streamtest.Run(t, func(b *service.StreamBuilder) {
		require.NoError(t, b.AddInputYAML(fmt.Sprintf(`
label: params
mfn_kafka:
  seed_brokers: [ %q ]
  topics: [ params ]
  consumer_group: workers
  fetch_max_wait: 50ms
  commit_period: 50ms
  %v`, c.ListenAddrs()[0], strings.ReplaceAll(fields, "\n", "\n  "))))
		require.NoError(t, b.AddConsumerFunc(func(_ context.Context, m *service.Message) error {
			content, err := m.AsBytes()
			r.mu.Lock()
			defer r.mu.Unlock()
			r.got = append(r.got, string(content))
			return err
		}))
	})
	return r
}

func (r *kafkaRun) values() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.got...)
}

func kafkaCommitted(c *kfake.Cluster) int64 {
	if info := c.GroupInfo("workers"); info != nil {
		if commit, ok := info.Commits["params"][0]; ok {
			return commit.Offset
		}
	}
	return -1
}

func TestKafkaReadsCommitsAndCounts(t *testing.T) {
	c := kafkaCluster(t, "a", "bc", "")
	r := runKafka(t, c, "")
	await.Until(t, func() bool { return kafkaCommitted(c) == 3 }, "all is committed")
	assert.Equal(t, []string{"a", "bc", ""}, r.values())
	report := streamtest.Report(t, kafkaType)
	assert.Equal(t, status.Fetching, report.Status)
	m := report.Metrics.(status.ConnectorMetrics)
	assert.EqualValues(t, 3, m.TotalBytesFetched)
	assert.Equal(t, m.TotalRequests, m.SuccessfulRequests)
	assert.GreaterOrEqual(t, m.TotalRequests, int64(2), "the connection and a poll at least")
	r.Stop(t)
	assert.Equal(t, status.Disconnected, streamtest.Report(t, kafkaType).Status)
	assert.Empty(t, c.GroupInfo("workers").Members, "it has left")
}

// What is not committed when a stream stops is delivered again to the next.
// A batch that expands enormously holds up its partition, and is named.
func TestKafkaBatchThatIsTooLargeDecompressed(t *testing.T) {
	for _, codec := range []struct {
		name string
		kgo.CompressionCodec
	}{
		{"zstd", kgo.ZstdCompression()}, {"gzip", kgo.GzipCompression()}, {"lz4", kgo.Lz4Compression()}, {"snappy", kgo.SnappyCompression()},
	} {
		t.Run(codec.name, func(t *testing.T) {
			c := kafkaCluster(t, "before")
			cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("params"),
				kgo.ProducerBatchCompression(codec.CompressionCodec), kgo.ProducerBatchMaxBytes(64<<20))
			require.NoError(t, err)
			defer cl.Close()
			large := kgo.StringRecord(strings.Repeat(" ", 4<<20))
			require.NoError(t, cl.ProduceSync(t.Context(), large).FirstErr())
			require.NoError(t, cl.ProduceSync(t.Context(), kgo.StringRecord("after")).FirstErr())

			r := runKafka(t, c, "max_batch_bytes: 1MiB")
			await.Until(t, func() bool {
				return strings.Contains(r.Logs.String(), "topic params, partition 0: the batch of offsets 1 to 1 has more than max_batch_bytes")
			}, "the error")
			await.Until(t, func() bool { return kafkaCommitted(c) == 1 }, "the commit of what came before")
			assert.Equal(t, []string{"before"}, r.values())
			r.Stop(t)

			r = runKafka(t, c, "")
			await.Until(t, func() bool { return len(r.values()) == 2 }, "what is let in")
			assert.Equal(t, "after", r.values()[1])
		})
	}
}

func TestKafkaGoesOnWhereItWas(t *testing.T) {
	c := kafkaCluster(t, "a", "b")
	first := runKafka(t, c, "commit_period: 1h")
	await.Until(t, func() bool { return len(first.values()) == 2 }, "both arrive")
	first.Stop(t)
	assert.EqualValues(t, 2, kafkaCommitted(c), "stopping commits")

	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("params"))
	require.NoError(t, err)
	require.NoError(t, cl.ProduceSync(t.Context(), kgo.StringRecord("c")).FirstErr())
	cl.Close()
	second := runKafka(t, c, "")
	await.Until(t, func() bool { return len(second.values()) == 1 }, "the third arrives")
	assert.Equal(t, []string{"c"}, second.values())
}

// Connecting is tried again as the policy says, and then at Benthos's next turn.
func TestKafkaRetriesConnecting(t *testing.T) {
	c := kafkaCluster(t, "a")
	refused := make(chan struct{})
	var count int
	c.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
		if count++; count > 4 {
			c.DropControl()
			return nil, nil, false
		}
		if count == 4 {
			close(refused)
		}
		c.KeepControl()
		return nil, errors.New("hang up"), true
	})
	r := runKafka(t, c, "retry: { strategy: fixed_delay, initial_delay: 1ms, max_retries: 1 }")
	<-refused
	await.Until(t, func() bool { return len(r.values()) == 1 }, "it arrives")
	m := streamtest.Report(t, kafkaType).Metrics.(status.ConnectorMetrics)
	assert.Positive(t, m.TotalRetries)
	logs := r.Logs.String()
	at := strings.Index(logs, `msg="Operation failed, will be tried again"`)
	require.GreaterOrEqual(t, at, 0)
	line, _, _ := strings.Cut(logs[at:], "\n")
	for _, field := range []string{`operation="Kafka connect"`, "topic=params", "attempt=1", "max_retries=1"} {
		assert.Contains(t, line, field) // in any order
	}
}

// A group that cannot be joined is in the log and in the report.
func TestKafkaGroupThatCannotBeJoined(t *testing.T) {
	c := kafkaCluster(t, "a")
	fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: "workers", Err: kerr.GroupAuthorizationFailed, TopLevel: true, Count: -1})
	r := runKafka(t, c, "")
	await.Until(t, func() bool { return strings.Contains(r.Logs.String(), "GROUP_AUTHORIZATION_FAILED") }, "the log says so")
	await.Until(t, func() bool {
		m, _ := streamtest.Report(t, kafkaType).Metrics.(status.ConnectorMetrics)
		return m.LastError != nil && strings.Contains(*m.LastError, "GROUP_AUTHORIZATION_FAILED")
	}, "the report says so")
	fault.Remove()
	await.Until(t, func() bool { return len(r.values()) == 1 }, "it arrives when it may join")
}

func TestKafkaExamplesBuild(t *testing.T) {
	view, ok := service.GlobalEnvironment().GetInputConfig(kafkaType)
	require.True(t, ok)
	data, err := view.TemplateData()
	require.NoError(t, err)
	require.NotEmpty(t, data.Examples)
	for _, example := range data.Examples {
		conf := example.Config // the other components are not part of this package
		if at := strings.Index(conf, "pipeline:"); at >= 0 {
			conf = conf[:at]
		}
		require.NoError(t, service.NewStreamBuilder().SetYAML(conf), example.Title)
	}
}

func TestKafkaWorksWithRequiredFieldsAlone(t *testing.T) {
	conf, err := kafkaSpec().ParseYAML("seed_brokers: [ localhost:9092 ]\ntopics: [ params ]\nconsumer_group: workers", nil)
	require.NoError(t, err)
	in, err := newKafka(conf, service.MockResources())
	require.NoError(t, err)
	assert.Equal(t, 100, in.conf.MaxMessages)
	assert.Equal(t, time.Second, in.conf.PollTimeout)
	assert.Equal(t, 1024, in.conf.CheckpointLimit)
	assert.Equal(t, 5*time.Second, in.conf.CommitPeriod)
	_, _, err = in.ReadBatch(t.Context())
	require.ErrorIs(t, err, service.ErrNotConnected)
	require.NoError(t, in.Close(t.Context()))
}

func TestKafkaBatchTime(t *testing.T) {
	for field, want := range map[string]time.Duration{"": 10 * time.Millisecond, "batch_time: 0s": 0, "batch_time: 1s": time.Second} {
		t.Run(field, func(t *testing.T) {
			conf, err := kafkaSpec().ParseYAML("seed_brokers: [ localhost:9092 ]\ntopics: [ a ]\nconsumer_group: b\n"+field, nil)
			require.NoError(t, err)
			parsed, err := parseKafka(conf, service.MockResources())
			require.NoError(t, err)
			assert.Equal(t, want, parsed.BatchTime, field)
		})
	}
	conf, err := kafkaSpec().ParseYAML("seed_brokers: [ localhost:9092 ]\ntopics: [ a ]\nconsumer_group: b\nbatch_time: -1s", nil)
	require.NoError(t, err)
	_, err = parseKafka(conf, service.MockResources())
	require.EqualError(t, err, "batch_time: must be a duration with a unit, such as 500ms, 30s or 5m, of at least 0s, it is -1s")
}

// Without an offset to go on from, an input that may start nowhere else ends with
// the error.
func TestKafkaEndsWithoutACommittedOffset(t *testing.T) {
	for _, row := range []struct {
		name      string
		committed int64 // -1 for none
		says      string
	}{
		{"none", -1, "start_offset is committed, but the group has committed none"},
		{"behind the end", 100, "start_offset is committed, but the offset that the group has committed does not exist any more"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := kafkaCluster(t, "a")
			if row.committed >= 0 {
				kafkaCommit(t, c, row.committed)
			}
			r := runKafka(t, c, "start_offset: committed")
			r.AwaitEnd(t)
			assert.Contains(t, r.Logs.String(), "topic params, partition 0: "+row.says)
			assert.Empty(t, r.values())
		})
	}
	t.Run("there", func(t *testing.T) {
		c := kafkaCluster(t, "a", "b")
		kafkaCommit(t, c, 1)
		r := runKafka(t, c, "start_offset: committed")
		await.Until(t, func() bool { return kafkaCommitted(c) == 2 }, "it goes on from there")
		assert.Equal(t, []string{"b"}, r.values())
	})
}

// kafkaCommit commits an offset for the group.
func kafkaCommit(t *testing.T, c *kfake.Cluster, offset int64) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	require.NoError(t, err)
	defer cl.Close()
	var offsets kadm.Offsets
	offsets.AddOffset("params", 0, offset, -1)
	require.NoError(t, kadm.NewClient(cl).CommitAllOffsets(t.Context(), "workers", offsets))
}

// A revocation, with its commits, ends before the group goes on without the member.
func TestKafkaRevokeLimit(t *testing.T) {
	for _, row := range []struct {
		name, fields string
		want         time.Duration
	}{
		{"defaults", "", 41 * time.Second},
		{"close to the end", "revoke_timeout: 44s", 41 * time.Second},
		{"few heartbeats", "heartbeat_interval: 20s", 24 * time.Second},
		{"short", "rebalance_timeout: 2s\nrevoke_timeout: 1s", time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			conf, err := kafkaSpec().ParseYAML("seed_brokers: [ localhost:9092 ]\ntopics: [ a ]\nconsumer_group: b\n"+row.fields, nil)
			require.NoError(t, err)
			parsed, err := parseKafka(conf, service.MockResources())
			require.NoError(t, err)
			assert.Equal(t, row.want, parsed.RevokeLimit)
		})
	}
}

// line returns the first log line with a message, empty if there is none.
func (r *kafkaRun) line(message string) string {
	logs := r.Logs.String()
	at := strings.Index(logs, fmt.Sprintf("msg=%q", message))
	if at < 0 {
		return ""
	}
	line, _, _ := strings.Cut(logs[at:], "\n")
	return line
}

func TestKafkaTellsOfFetchesAndCommits(t *testing.T) {
	c := kafkaCluster(t, "a", "bc")
	r := runKafka(t, c, "")
	await.Until(t, func() bool { return r.line("Offsets committed") != "" }, "the log tells of a commit")
	for message, fields := range map[string][]string{
		"Records fetched":   {`operation="Kafka fetch"`, "topic=params", "partitions=params[0]", "records=2", "bytes=3", "milliseconds="},
		"Offsets committed": {`operation="Kafka commit"`, "topic=params", "partitions=params[0]", "milliseconds="},
	} {
		t.Run(message, func(t *testing.T) {
			for _, field := range fields {
				assert.Contains(t, r.line(message), field)
			}
		})
	}
	assert.Equal(t, 1, strings.Count(r.Logs.String(), `msg="Records fetched"`), "polls that bring nothing are left out")
}

// An input whose brokers cannot be reached says so in its status.
func TestKafkaThatCannotConnect(t *testing.T) {
	streamtest.VerifyNoLeak(t)
	streamtest.Run(t, func(b *service.StreamBuilder) {
		require.NoError(t, b.AddInputYAML(fmt.Sprintf(`
mfn_kafka:
  seed_brokers: [ %q ]
  topics: [ params ]
  consumer_group: workers
  retry: { max_retries: 1, initial_delay: 1ms }`, strings.TrimPrefix(streamtest.Unreachable(t), "http://"))))
		require.NoError(t, b.AddConsumerFunc(func(context.Context, *service.Message) error { return nil }))
	})
	await.Until(t, func() bool {
		report := streamtest.Report(t, kafkaType)
		m, _ := report.Metrics.(status.ConnectorMetrics)
		return report.Status == status.Error && m.FailedRequests > 0 && m.LastErrorTimestamp != nil &&
			strings.Contains(*m.LastError, "connection refused")
	}, "the status is an error")
}

// A topic that does not exist is told of once, and waited for.
func TestKafkaWaitsForItsTopic(t *testing.T) {
	c := kafkaCluster(t)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	require.NoError(t, err)
	defer cl.Close()
	adm := kadm.NewClient(cl)
	_, err = adm.DeleteTopic(t.Context(), "params")
	require.NoError(t, err)
	r := runKafka(t, c, "metadata_max_age: 1s")
	await.Until(t, func() bool { return r.line("Topic does not exist, waiting for it") != "" }, "the log says so")
	_, err = adm.CreateTopic(t.Context(), 1, 1, nil, "params")
	require.NoError(t, err)
	publish(t, c, kgo.StringRecord("a"))
	await.Until(t, func() bool { return kafkaCommitted(c) == 1 }, "it is read")
	assert.Equal(t, 1, strings.Count(r.Logs.String(), "Topic does not exist"))
	assert.NotContains(t, r.Logs.String(), "level=ERROR")
}
