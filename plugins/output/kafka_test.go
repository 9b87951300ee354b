package output

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

// runKafka runs a stream that publishes to an in-process broker, which has the
// topics results and others, of one partition.
func runKafka(t *testing.T, fields string) (*webhookRun, *kfake.Cluster) {
	t.Helper()
	streamtest.VerifyNoLeak(t)
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "results", "others"))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return runOutput(t, fmt.Sprintf("label: results\nmfn_kafka:\n  seed_brokers: [ %q ]\n  %v", c.ListenAddrs()[0],
		strings.ReplaceAll(fields, "\n", "\n  "))), c
}

// kafkaValues reads so many values from a topic, and looks for more.
func kafkaValues(t *testing.T, c *kfake.Cluster, topic string, count int) (values []string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.FetchMaxWait(10*time.Millisecond))
	require.NoError(t, err)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), await.Patience)
	defer cancel()
	for len(values) < count {
		for _, r := range cl.PollFetches(ctx).Records() {
			values = append(values, string(r.Value))
		}
		require.NoError(t, ctx.Err(), "only %v", values)
	}
	require.EqualValues(t, c.PartitionInfo(topic, 0).HighWatermark, count, "%v", values)
	return values
}

func kafkaMetrics(t *testing.T) status.PublisherMetrics {
	t.Helper()
	return streamtest.Report(t, kafkaType).Metrics.(status.PublisherMetrics)
}

func TestKafkaCountsWhatItPublishes(t *testing.T) {
	run, c := runKafka(t, "topic: results")
	require.NoError(t, run.publish(`{"simulation_id":"a"}`, `b`))
	require.NoError(t, run.publish(`c`))
	assert.Equal(t, []string{`{"simulation_id":"a"}`, "b", "c"}, kafkaValues(t, c, "results", 3))
	m := kafkaMetrics(t)
	assert.EqualValues(t, 2, m.TotalPublishes)
	assert.EqualValues(t, 2, m.SuccessfulPublishes)
	assert.Zero(t, m.FailedPublishes)
	assert.EqualValues(t, len(`{"simulation_id":"a"}`)+len("a")+len("b")+len("c"), m.TotalBytesPublished)
}

// What passes while an attempt lasts is the client's to mend, without duplicates.
func TestKafkaTransientErrorsPass(t *testing.T) {
	for _, err := range []*kerr.Error{kerr.NotEnoughReplicas, kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, kerr.CoordinatorLoadInProgress} {
		run, c := runKafka(t, "topic: results")
		fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: err, Count: 2})
		require.NoError(t, run.publish("a", "b"), err.Message)
		assert.Equal(t, []string{"a", "b"}, kafkaValues(t, c, "results", 2), err.Message)
		assert.EqualValues(t, 2, fault.Hits(), err.Message)
		m := kafkaMetrics(t)
		assert.EqualValues(t, 1, m.TotalPublishes)
		assert.Zero(t, m.TotalRetries)
		run.Stop(t)
	}
}

// What outlasts attempts is tried again, and counted, without duplicates.
func TestKafkaRetries(t *testing.T) {
	run, c := runKafka(t, "topic: results\ntimeout: 200ms\nretry: { strategy: fixed_delay, initial_delay: 1ms, max_retries: 100 }")
	fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	done := make(chan error, 1)
	go func() { done <- run.publish("a", "b") }()
	await.Until(t, func() bool { return kafkaMetrics(t).TotalRetries >= 2 }, "it is tried again")
	fault.Remove()
	require.NoError(t, <-done)
	assert.Equal(t, []string{"a", "b"}, kafkaValues(t, c, "results", 2))
	m := kafkaMetrics(t)
	assert.EqualValues(t, m.TotalRetries+1, m.TotalPublishes)
	assert.EqualValues(t, 1, m.SuccessfulPublishes)
	assert.Zero(t, m.FailedPublishes)
	assert.Contains(t, run.Logs.String(), "timed out after 200ms: 2 of 2 messages are not confirmed")
}

// What cannot succeed fails at once, those messages of the batch alone.
func TestKafkaRejectsOnlyTheMessagesThatFailed(t *testing.T) {
	run, c := runKafka(t, `topic: ${! json("topic") }`)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "others", Err: kerr.TopicAuthorizationFailed, Count: -1})
	batch := service.MessageBatch{}
	for _, topic := range []string{"results", "others", "results", "", "others"} {
		batch = append(batch, service.NewMessage(fmt.Appendf(nil, `{"topic":%q}`, topic)))
	}
	batch = append(batch, service.NewMessage([]byte("no JSON")))
	err := run.send(t.Context(), batch)
	require.Error(t, err)
	// Which messages are rejected is what a fallback sees, and it is what is not there.
	values := kafkaValues(t, c, "results", 2)
	assert.Equal(t, []string{`{"topic":"results"}`, `{"topic":"results"}`}, values)
	m := kafkaMetrics(t)
	assert.EqualValues(t, 1, m.TotalPublishes)
	assert.EqualValues(t, 1, m.FailedPublishes)
	assert.Zero(t, m.TotalRetries)
	assert.Contains(t, *m.LastError, "TOPIC_AUTHORIZATION_FAILED")
}

// A batch's error names what is not published: what was refused and what was given
// up while it waited, and nothing else.
func TestKafkaBatchErrorNamesTheMessages(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "results", "others", "busy"))
	require.NoError(t, err)
	defer c.Close()
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "others", Err: kerr.TopicAuthorizationFailed, Count: -1})
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "busy", Err: kerr.NotEnoughReplicas, Count: -1})
	conf, err := kafkaSpec().ParseYAML(fmt.Sprintf("seed_brokers: [ %q ]\ntopic: ${! content() }\ntimeout: 1s\nretry: { strategy: no_retry }", c.ListenAddrs()[0]), nil)
	require.NoError(t, err)
	out, err := newKafka(conf, service.MockResources())
	require.NoError(t, err)
	require.ErrorIs(t, out.WriteBatch(t.Context(), service.MessageBatch{service.NewMessage(nil)}), service.ErrNotConnected)
	require.NoError(t, out.Connect(t.Context()))
	defer func() { require.NoError(t, out.Close(t.Context())) }()
	for name, want := range map[string]map[int]string{
		"refused":             {1: "TOPIC_AUTHORIZATION_FAILED", 3: "topic: it is empty for this message", 4: "TOPIC_AUTHORIZATION_FAILED"},
		"refused and waiting": {1: "TOPIC_AUTHORIZATION_FAILED", 3: "topic: it is empty for this message", 4: "TOPIC_AUTHORIZATION_FAILED", 5: "1 of 7 messages are not confirmed"},
	} {
		t.Run(name, func(t *testing.T) {
			batch := service.MessageBatch{}
			for _, topic := range []string{"results", "others", "results", "", "others", "busy", "results"} {
				if topic == "busy" && want[5] == "" {
					topic = "results"
				}
				batch = append(batch, service.NewMessage([]byte(topic)))
			}
			index := batch.Index()
			var batchErr *service.BatchError
			require.ErrorAs(t, out.WriteBatch(t.Context(), batch), &batchErr)
			failed := map[int]string{}
			batchErr.WalkMessagesIndexedBy(index, func(i int, _ *service.Message, err error) bool {
				if err != nil {
					failed[i] = err.Error()
				}
				return true
			})
			require.Len(t, failed, len(want))
			for i, text := range want {
				assert.Contains(t, failed[i], text)
			}
		})
	}
}

// What may be written in more than one way passes lint, and starts.
func TestKafkaSettingsAsTheyAreWritten(t *testing.T) {
	for _, settings := range []string{
		"acks: leader\nidempotent_write: no", "acks: none\nidempotent_write: 'OFF'", "idempotent_write: on",
		"partitioner: manual\npartition: 0", "partitioner: manual\npartition: '12'", "partitioner: manual\npartition: ${! @kafka_partition }",
		"partition: ''", "timestamp_ms: 1764850000123", "timestamp_ms: ${! @kafka_timestamp_ms }", "max_message_bytes: 4096", "topic: 7",
	} {
		t.Run(settings, func(t *testing.T) {
			if !strings.HasPrefix(settings, "topic") {
				settings = "topic: t\n" + settings
			}
			b := service.NewResourceBuilder()
			require.NoError(t, b.AddOutputYAML("label: results\nmfn_kafka:\n  seed_brokers: [ localhost:1 ]\n  "+strings.ReplaceAll(settings, "\n", "\n  ")))
			_, stop, err := b.Build()
			require.NoError(t, err)
			require.NoError(t, stop(t.Context()))
		})
	}
}

// remake deletes a topic and makes it again, at once.
func remake(t *testing.T, c *kfake.Cluster, topic string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	require.NoError(t, err)
	defer cl.Close()
	admin := kadm.NewClient(cl)
	_, err = admin.DeleteTopic(t.Context(), topic)
	require.NoError(t, err)
	_, err = admin.CreateTopic(t.Context(), 1, 1, nil, topic)
	require.NoError(t, err)
}

// A topic that is deleted and made again is published to again, within one attempt.
func TestKafkaTopicIsMadeAgain(t *testing.T) {
	run, c := runKafka(t, "topic: results\nretry: { strategy: no_retry }")
	require.NoError(t, run.publish("a"))
	for _, message := range []string{"b", "c"} {
		remake(t, c, "results")
		require.NoError(t, run.publish(message))
		assert.Equal(t, []string{message}, kafkaValues(t, c, "results", 1))
	}
	assert.Contains(t, run.Logs.String(), "The topic was deleted and made again")
}

// What is on its way when that happens is published, too.
func TestKafkaTopicIsMadeAgainUnderLoad(t *testing.T) {
	run, c := runKafka(t, "topic: results\nretry: { strategy: no_retry }")
	const workers = 4
	var published [workers]atomic.Int64
	stop := make(chan struct{})
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := run.publish(fmt.Sprintf("%v:%v", w, n), "more"); err == nil {
					published[w].Add(1)
				}
			}
		})
	}
	more := func() {
		var before [workers]int64
		for w := range workers {
			before[w] = published[w].Load()
		}
		await.Until(t, func() bool {
			for w := range workers {
				if published[w].Load() < before[w]+3 {
					return false
				}
			}
			return true
		}, "each worker publishes")
	}
	more()
	for range 3 {
		remake(t, c, "results")
		more()
	}
	close(stop)
	group.Wait()
	assert.Zero(t, kafkaMetrics(t).FailedPublishes)
}

// firstRecord reads the first record of a topic.
func firstRecord(t *testing.T, c *kfake.Cluster, topic string) (*kgo.Record, map[string]string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.FetchMaxWait(10*time.Millisecond))
	require.NoError(t, err)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), await.Patience)
	defer cancel()
	records := cl.PollRecords(ctx, 1).Records()
	require.NotEmpty(t, records)
	headers := map[string]string{}
	for _, h := range records[0].Headers {
		headers[h.Key] = string(h.Value)
	}
	return records[0], headers
}

// What is too large is described, by a record that is small whatever it describes.
func TestKafkaDescribesWhatIsTooLarge(t *testing.T) {
	run, c := runKafka(t, "topic: results\noversized: describe\nmax_message_bytes: 64KiB\nkey: ${! @key }\nmetadata: { include_patterns: [ '^mfn_error$' ] }")
	large := service.NewMessage(fmt.Appendf(nil, `{"id":"tank-7","x":%q}`, strings.Repeat("x", 100_000)))
	large.MetaSetMut("key", strings.Repeat("k", 100_000))
	large.MetaSetMut("mfn_error", strings.Repeat("e", 100_000))
	large.MetaSetMut("kafka_topic", "parameters")
	large.MetaSetMut("kafka_partition", 3)
	large.MetaSetMut("kafka_offset", 42)
	require.NoError(t, run.send(t.Context(), service.MessageBatch{large}))
	record, headers := firstRecord(t, c, "results")
	assert.Empty(t, record.Value)
	assert.NotNil(t, record.Value, "a record without a value is a tombstone")
	assert.Len(t, record.Key, 1024)
	assert.Len(t, headers["mfn_error"], 1024)
	assert.Equal(t, strconv.Itoa(len(`{"id":"tank-7","x":""}`)+100_000), headers["mfn_oversized_bytes"])
	assert.Contains(t, headers["mfn_oversized_error"], "MESSAGE_TOO_LARGE")
	assert.Equal(t, "tank-7", headers["mfn_oversized_id"])
	assert.Equal(t, "parameters/3/42", headers["mfn_oversized_source"])
	assert.Equal(t, "parameters", headers["mfn_oversized_topic"])
	assert.Equal(t, "3", headers["mfn_oversized_partition"])
	assert.Equal(t, "42", headers["mfn_oversized_offset"])
	assert.Contains(t, run.Logs.String(), "a record that describes it is published in its place")
}

// A description that is refused as well is rejected.
func TestKafkaDescriptionIsRefused(t *testing.T) {
	run, c := runKafka(t, "topic: results\noversized: describe")
	fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "results", Err: kerr.MessageTooLarge, Count: -1})
	require.ErrorIs(t, run.publish("a"), kerr.MessageTooLarge)
	assert.EqualValues(t, 3, fault.Hits(), "in company, alone, and described")
}

func TestKafkaShutdownInterruptsAWait(t *testing.T) {
	run, c := runKafka(t, "topic: results")
	asked := make(chan struct{}, 10)
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		select {
		case asked <- struct{}{}:
		default:
		}
		return nil, nil, true // no answer
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run.send(ctx, service.MessageBatch{service.NewMessage([]byte("a"))}) }()
	<-asked
	run.StopWithin(t, time.Millisecond)
	cancel() // who publishes learns nothing from a stream that had to hurry
	require.Error(t, <-done)
}

func TestKafkaExamplesBuild(t *testing.T) {
	view, ok := service.GlobalEnvironment().GetOutputConfig(kafkaType)
	require.True(t, ok)
	data, err := view.TemplateData()
	require.NoError(t, err)
	require.NotEmpty(t, data.Examples)
	for _, example := range data.Examples {
		conf := strings.ReplaceAll(example.Config, "mfn_simulate: {}", "noop: {}") // it is not part of this package
		require.NoError(t, service.NewStreamBuilder().SetYAML(conf), example.Title)
	}
}

// Any message becomes a record, or an error, and its key is its simulation id.
func FuzzKafkaRecord(f *testing.F) {
	for _, s := range []string{`{"simulation_id":"a"}`, `{"simulation_id":1e999}`, `{"simulation_id":{}}`, `[]`, "", "\xff", `{"simulation_id":"\u0000"}`} {
		f.Add([]byte(s), "header", "value", "3")
	}
	conf, err := kafkaSpec().ParseYAML(`
seed_brokers: [ localhost:9092 ]
topic: t
partitioner: manual
partition: ${! @partition }
timestamp_ms: ${! @partition }
metadata: { include_patterns: [ ".*" ] }
`, nil)
	require.NoError(f, err)
	out, err := newKafka(conf, service.MockResources())
	require.NoError(f, err)
	f.Cleanup(func() { _ = out.Close(context.Background()) })
	f.Fuzz(func(t *testing.T, content []byte, header, value, partition string) {
		msg := service.NewMessage(content)
		msg.MetaSet(header, value)
		msg.MetaSet("partition", partition)
		r, err := out.record.record(msg, newInterpolator(service.MessageBatch{msg}).resolver(0))
		if err != nil {
			assert.Contains(t, err.Error(), "is no integer")
			return
		}
		assert.Equal(t, string(content), string(r.Value))
		assert.GreaterOrEqual(t, r.Partition, int32(0))
		assert.NotEmpty(t, r.Headers)
		if r.Key != nil {
			assert.NotEmpty(t, r.Key)
		}
	})
}

// The brokers know how long they may take, so that they do not go on with what is tried
// again.
func TestKafkaTellsTheBrokersItsTimeout(t *testing.T) {
	for timeout, millis := range map[string]int32{"0s": 10_000, "10ms": 1000, "3s": 3000, "1h": 10_000} {
		t.Run(timeout, func(t *testing.T) {
			run, c := runKafka(t, "topic: results\nretry: { max_retries: 100 }\ntimeout: "+timeout)
			var told atomic.Int32
			c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
				told.Store(req.(*kmsg.ProduceRequest).TimeoutMillis)
				return nil, nil, false
			})
			require.NoError(t, run.publish("a"))
			assert.Equal(t, millis, told.Load())
		})
	}
}
