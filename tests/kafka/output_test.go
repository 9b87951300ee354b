package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// fetchedBytes is what /stats says of the bytes that the first component has
// fetched or published.
func fetchedBytes(t *testing.T, s *stream) int64 {
	t.Helper()
	return int64(metric(t, s, "total_bytes_fetched"))
}

// metric returns a figure of the stream's Kafka component that has it.
func metric(t *testing.T, s *stream, key string) float64 {
	t.Helper()
	var report struct {
		Components []struct {
			Path    string
			Status  string
			Metrics map[string]any
		}
	}
	require.NoError(t, json.Unmarshal([]byte(s.get("/stats")), &report))
	for _, c := range report.Components {
		if n, ok := c.Metrics[key].(float64); ok && c.Status != "disconnected" {
			return n
		}
	}
	t.Fatalf("no %v in %+v", key, report)
	return 0
}

// source makes a stream's input of messages.
func source(messages ...string) string {
	return fmt.Sprintf(`
input:
  label: messages
  generate:
    count: %v
    interval: ""
    mapping: |
      let all = %v
      root = $all.index(counter() - 1)
      meta mfn_kind = "test"
      meta other = "hidden"
      meta number = counter() - 1
`, len(messages), list(messages))
}

func TestPublish(t *testing.T) {
	topic := topic(t, 1)
	s := start(t, source(`{"simulation_id":"sim-1","x":1}`, `{"x":2}`, `not JSON`, `{"simulation_id":7}`, `{"simulation_id":""}`)+
		outputYAML(topic, "max_in_flight: 1", "metadata: { include_prefixes: [ mfn_ ] }", `timestamp_ms: "1764850000123"`), nil)
	records := read(t, topic, 5)
	<-s.done

	var keys, values []string
	for _, r := range records {
		keys = append(keys, string(r.Key))
		values = append(values, string(r.Value))
		require.Equal(t, []kgo.RecordHeader{{Key: "mfn_kind", Value: []byte("test")}}, r.Headers)
		assert.Equal(t, int64(1764850000123), r.Timestamp.UnixMilli())
	}
	assert.Equal(t, []string{"sim-1", "", "", "7", ""}, keys)
	assert.Nil(t, records[1].Key, "no key is none, not an empty one")
	assert.Equal(t, []string{`{"simulation_id":"sim-1","x":1}`, `{"x":2}`, `not JSON`, `{"simulation_id":7}`, `{"simulation_id":""}`}, values)
	assert.Contains(t, s.get("/stats"), `"total_publishes":5,"successful_publishes":5,"failed_publishes":0`)
}

func TestCompression(t *testing.T) {
	message := strings.Repeat("compress me ", 100)
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			topic := topic(t, 1)
			start(t, source(message, message)+outputYAML(topic, "compression: "+codec), nil)
			for _, r := range read(t, topic, 2) {
				assert.Equal(t, message, string(r.Value))
				got := r.Attrs.CompressionType()
				assert.Equal(t, codec == "none", got == 0, "type %v", got)
			}
		})
	}
}

func TestPartitioners(t *testing.T) {
	messages := make([]string, 30)
	for i := range messages {
		messages[i] = fmt.Sprintf(`{"simulation_id":"sim-%v"}`, i%5)
	}
	run := func(t *testing.T, fields ...string) []*kgo.Record {
		t.Helper()
		topic := topic(t, 3)
		start(t, source(messages...)+outputYAML(topic, append(fields, "max_in_flight: 1")...), nil)
		return read(t, topic, len(messages))
	}
	count := func(records []*kgo.Record) (n [3]int) {
		for _, r := range records {
			n[r.Partition]++
		}
		return n
	}
	t.Run("murmur2_hash", func(t *testing.T) {
		of := map[string]int32{}
		hash := kgo.StickyKeyPartitioner(nil).ForTopic("any")
		for _, r := range run(t) {
			if p, ok := of[string(r.Key)]; ok {
				assert.Equal(t, p, r.Partition)
			}
			of[string(r.Key)] = r.Partition
			assert.Equal(t, hash.Partition(r, 3), int(r.Partition))
		}
		assert.Len(t, of, 5)
	})
	t.Run("round_robin", func(t *testing.T) {
		assert.Equal(t, [3]int{10, 10, 10}, count(run(t, "partitioner: round_robin")))
	})
	t.Run("least_backup", func(t *testing.T) {
		run(t, "partitioner: least_backup")
	})
	t.Run("manual", func(t *testing.T) {
		records := run(t, "partitioner: manual", `partition: '${! @number.number() % 2 + 1 }'`)
		assert.Equal(t, [3]int{0, 15, 15}, count(records))
	})
}

func TestAcks(t *testing.T) {
	for _, acks := range []string{"leader", "none"} {
		t.Run(acks, func(t *testing.T) {
			topic := topic(t, 1)
			start(t, source("a", "b")+outputYAML(topic, "idempotent_write: false", "acks: "+acks), nil)
			assert.Len(t, read(t, topic, 2), 2)
		})
	}
}

// Messages of a batch keep their order within a partition.
func TestOrderWithinABatch(t *testing.T) {
	messages := make([]string, 500)
	for i := range messages {
		messages[i] = fmt.Sprintf(`{"n":%v}`, i)
	}
	topic := topic(t, 1)
	start(t, source(messages...)+outputYAML(topic, "batching: { count: 500 }", "max_in_flight: 1"), nil)
	for i, r := range read(t, topic, len(messages)) {
		require.Equal(t, messages[i], string(r.Value))
	}
}

// What is too large is rejected alone, by the client or by the brokers, and the
// rest of its batch is delivered, once.
func TestTooLarge(t *testing.T) {
	small := func(n int) string { return fmt.Sprintf(`{"n":%v}`, n) }
	for name, limit := range map[string]string{"for the client": "64KiB", "for the brokers": "8MiB"} {
		t.Run(name, func(t *testing.T) {
			// The broker's limit is about 1 MiB. Five that fit each do not fit together.
			medium := `{"m":"` + strings.Repeat("x", 300_000) + `"}`
			large := strings.Repeat("y", 1_500_000)
			messages := []string{small(0), large, small(1), small(2)}
			want := 3
			if limit == "8MiB" {
				messages = append(messages, medium, medium, medium, medium, medium)
				want += 5
			}
			topic, failed := topic(t, 1), topic(t, 1)
			s := start(t, source(messages...)+fmt.Sprintf(`
output:
  fallback:
    - mfn_kafka:
        seed_brokers: %v
        topic: %v
        compression: none
        max_message_bytes: %v
        batching: { count: %v }
    - processors:
        - mapping: 'root = "%%v bytes, %%v".format(content().length(), @fallback_error)'
      mfn_kafka: { seed_brokers: %v, topic: %v }
`, list(kafka.Brokers()), topic, limit, len(messages), list(kafka.Brokers()), failed), nil)

			values := map[string]int{}
			for _, r := range read(t, topic, want) {
				values[string(r.Value)]++
			}
			rejected := read(t, failed, 1)
			<-s.done
			assert.Equal(t, 1, values[small(0)])
			assert.Equal(t, 1, values[small(2)])
			if limit == "8MiB" {
				assert.Equal(t, 5, values[medium])
			}
			assert.Contains(t, string(rejected[0].Value), "1500000 bytes, ")
			assert.Contains(t, string(rejected[0].Value), "MESSAGE_TOO_LARGE")
			assert.Len(t, read(t, topic, want), want, "nothing was delivered twice")
			assert.Len(t, rejected, 1)
		})
	}
}

// A topic that does not exist is tried again, as often as the policy says, and
// then given up; a message that cannot become a record is given up at once.
func TestGivenUp(t *testing.T) {
	missing, failed := name(t, "missing"), topic(t, 1)
	s := start(t, source(`{"id":"a"}`)+fmt.Sprintf(`
output:
  fallback:
    - label: first
      mfn_kafka:
        seed_brokers: %v
        topic: %v
        allow_auto_topic_creation: false
        retry: { max_retries: 1, initial_delay: 10ms }
    - mfn_kafka:
        seed_brokers: %v
        topic: %v
        metadata: { include_patterns: [ "^fallback_error$" ] }
`, list(kafka.Brokers()), missing, list(kafka.Brokers()), failed), nil)
	r := read(t, failed, 1)[0]
	<-s.done
	require.Len(t, r.Headers, 1)
	assert.Contains(t, string(r.Headers[0].Value), "Kafka produce failed after 1 retry: UNKNOWN_TOPIC_OR_PARTITION")
	assert.Contains(t, s.get("/stats"), `"total_publishes":2,"successful_publishes":0,"failed_publishes":1,"total_retries":1`)
	logs := s.logs.String()
	assert.Contains(t, logs, `msg="Operation failed, will be tried again"`)
	assert.Contains(t, logs, `operation="Kafka produce" topic=`+missing)

	bad := topic(t, 1)
	start(t, source(`{"id":"a"}`)+fmt.Sprintf(`
output:
  fallback:
    - mfn_kafka:
        seed_brokers: %v
        topic: %v
        partitioner: manual
        partition: ${! json("partition").or("none") }
    - mfn_kafka:
        seed_brokers: %v
        topic: %v
        metadata: { include_patterns: [ "^fallback_error$" ] }
`, list(kafka.Brokers()), failed, list(kafka.Brokers()), bad), nil)
	assert.Contains(t, string(read(t, bad, 1)[0].Headers[0].Value), `partition: "none" is no integer`)
}

func TestSettingsThatCannotBe(t *testing.T) {
	const required = "seed_brokers: [ localhost:9092 ], "
	for field, want := range map[string]string{
		"checkpoint_limit: 0":                                           "checkpoint_limit: must be a whole number of 1 or more, it is 0",
		"max_messages: 0":                                               "max_messages: must be a whole number of 1 or more, it is 0",
		"fetch_max_bytes: lots":                                         "fetch_max_bytes: must be a size in bytes, or one such as 512KiB or 50MB, 1 … 2147483647 bytes, it is lots",
		"fetch_max_partition_bytes: 1GiB":                               "fetch_max_partition_bytes: must be no larger than fetch_max_bytes",
		"revoke_timeout: 1h":                                            "revoke_timeout: must be below rebalance_timeout",
		"rebalance_timeout: 0s":                                         "rebalance_timeout: must be a duration with a unit, such as 500ms, 30s or 5m, above 0s, it is 0s",
		"heartbeat_interval: 30s":                                       "heartbeat_interval: must be a third of session_timeout at most",
		"commit_period: 0s":                                             "commit_period: must be a duration with a unit, such as 500ms, 30s or 5m, above 0s, it is 0s",
		"timeout: 0s":                                                   "timeout: must be a duration with a unit, such as 500ms, 30s or 5m, above 0s, it is 0s",
		"metadata_max_age: 1ms":                                         "metadata_max_age: must be a duration with a unit, such as 500ms, 30s or 5m, of at least 1s, it is 1ms",
		"start_offset: middle":                                          "start_offset: must be one of committed, earliest, latest, it is middle",
		"isolation_level: none":                                         "isolation_level: must be one of read_committed, read_uncommitted, it is none",
		"group_balancer: fair":                                          "group_balancer: must be one of cooperative_sticky, range, round_robin, sticky, it is fair",
		"sasl: [ { mechanism: PLAIN } ]":                                "sasl.0.username: PLAIN needs one",
		"sasl: [ { mechanism: OTHER, username: a } ]":                   "mechanism: must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, none, it is OTHER",
		"consumer_group: group, topics: [ 'a:0' ]":                      "topics: must be names of topics",
		"consumer_group: group, topics: [ a/b ]":                        "topics: must be names of topics",
		"consumer_group: group, topics: [ ',' ]":                        "topics: must be names of topics",
		"consumer_group: group, topics: []":                             "topics: must be a list with at least one element, each of it text",
		"consumer_group: ' ', topics: [ topic ]":                        "consumer_group: must be text that is not blank",
		"consumer_group: group, topics: [ '[' ], regexp_topics: true":   "topics: must be regular expressions, since regexp_topics is set",
		"consumer_group: group, topics: [ topic ], seed_brokers: [ '']": "seed_brokers: must be at least one address of a broker",
	} {
		if !strings.Contains(field, "consumer_group") {
			field = "consumer_group: group, topics: [ topic ], " + field
		}
		if !strings.Contains(field, "seed_brokers") {
			field = required + field
		}
		b := service.NewResourceBuilder()
		err := b.AddInputYAML("{ label: test, mfn_kafka: { " + field + " } }")
		assert.ErrorContains(t, build(b, err), want, field)
	}
	for field, want := range map[string]string{
		"acks: leader":                         "idempotent_write needs acks all, got leader",
		"acks: some":                           "acks: must be one of all, leader, none, it is some",
		"partitioner: manual":                  "partitioner manual needs the field partition",
		"partitioner: other":                   "partitioner: must be one of least_backup, manual, murmur2_hash, round_robin, it is other",
		"partition: 1":                         "partition needs partitioner manual",
		"partition: one, partitioner: manual":  "partition: must be a whole number, 0 … 2147483647, or text",
		"timestamp_ms: yesterday":              "timestamp_ms: must be a whole number",
		"acks: leader, idempotent_write: 'on'": "idempotent_write needs acks all, got leader",
		"max_in_flight: 0":                     "max_in_flight: must be a whole number of 1 or more, it is 0",
		"max_message_bytes: 1.5GB":             "max_message_bytes: must be a size in bytes, or one such as 512KiB or 50MB, 1 … 1073741824 bytes, it is 1.5GB",
		"max_message_bytes: 0":                 "max_message_bytes: must be a size in bytes, or one such as 512KiB or 50MB, 1 … 1073741824 bytes, it is 0",
		"compression: rar":                     "compression: must be one of gzip, lz4, none, snappy, zstd, it is rar",
		"topic: ' '":                           "topic: must be the name of a topic",
	} {
		if !strings.HasPrefix(field, "topic") {
			field = "topic: topic, " + field
		}
		b := service.NewResourceBuilder()
		err := b.AddOutputYAML("{ label: test, mfn_kafka: { " + required + field + " } }")
		assert.ErrorContains(t, build(b, err), want, field)
	}
}

// build makes the component called test that was added with err.
func build(b *service.ResourceBuilder, err error) error {
	if err != nil {
		return err
	}
	res, stop, err := b.Build()
	if err != nil {
		return err
	}
	ctx := context.Background()
	if res.HasInput("test") {
		err = res.AccessInput(ctx, "test", func(*service.ResourceInput) {})
	} else {
		err = res.AccessOutput(ctx, "test", func(*service.ResourceOutput) {})
	}
	return errors.Join(err, stop(ctx))
}

// recreateTopic deletes a topic and makes it again.
func recreateTopic(t *testing.T, topic string, partitions int32) {
	t.Helper()
	adm := admin(t)
	_, err := adm.DeleteTopic(t.Context(), topic)
	require.NoError(t, err)
	await.Until(t, func() bool {
		resp, err := adm.CreateTopic(t.Context(), partitions, 1, nil, topic)
		return err == nil && resp.Err == nil
	}, "brokers take a moment to delete")
}

// A topic that is deleted and made again, with fewer partitions, is published to
// again, and nothing goes to the dead letters.
func TestOutputTopicIsMadeAgain(t *testing.T) {
	from, to, dead := topic(t, 1), topic(t, 3), topic(t, 1)
	s := start(t, fmt.Sprintf(`
input:
  mfn_kafka: { seed_brokers: %[1]v, topics: [ %[2]v ], consumer_group: %[5]v, fetch_max_wait: 50ms }
output:
  fallback:
    - mfn_kafka: { seed_brokers: %[1]v, topic: %[3]v, allow_auto_topic_creation: false }
    - mfn_kafka: { seed_brokers: %[1]v, topic: %[4]v }
`, list(kafka.Brokers()), from, to, dead, name(t, "group")), nil)
	sent := 0
	send := func(n int) {
		produce(t, numbered(from, 1, sent, n)...)
		sent += n
	}
	send(10)
	read(t, to, 10)

	recreateTopic(t, to, 2) // while nothing is on its way
	send(10)
	read(t, to, 10)

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // while messages keep coming
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				send(1)
			}
		}
	}()
	recreateTopic(t, to, 1)
	read(t, to, 20)
	close(stop)
	<-stopped
	send(1)
	last := fmt.Sprintf("0:%v", sent-1)
	await.Until(t, func() bool {
		ends, err := admin(t).ListEndOffsets(t.Context(), to)
		require.NoError(t, err)
		o, _ := ends.Lookup(to, 0)
		records := read(t, to, int(o.Offset))
		return len(records) > 0 && string(records[len(records)-1].Value) == last
	})
	ends, err := admin(t).ListEndOffsets(t.Context(), dead)
	require.NoError(t, err)
	o, ok := ends.Lookup(dead, 0)
	require.True(t, ok)
	assert.Zero(t, o.Offset, "nothing is in the dead letters")
	assert.True(t, s.logs.contain("The topic was deleted and made again"))
}

// A message that fits nowhere is described where the last resort describes, and
// the offsets behind it are committed: one that is too large for the client, and
// one for the topic alone.
func TestTooLargeForTheDeadLetters(t *testing.T) {
	from, to, dead, group := topic(t, 1), topic(t, 1), name(t, "dead"), name(t, "group")
	limit := "2000"
	resp, err := admin(t).CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &limit}, dead)
	require.NoError(t, err)
	require.NoError(t, resp.Err)
	cl := client(t, kgo.ProducerBatchMaxBytes(8<<20), kgo.ProducerBatchCompression(kgo.GzipCompression()))
	require.NoError(t, cl.ProduceSync(t.Context(),
		&kgo.Record{Topic: from, Value: []byte("bad " + strings.Repeat("x", 3<<20))},
		&kgo.Record{Topic: from, Value: []byte("bad " + strings.Repeat("x", 5000))},
		&kgo.Record{Topic: from, Value: []byte("bad and small")},
		&kgo.Record{Topic: from, Value: []byte("good")}).FirstErr())
	start(t, fmt.Sprintf(`
input:
  mfn_kafka: { seed_brokers: %[1]v, topics: [ %[2]v ], consumer_group: %[5]v, fetch_max_wait: 50ms, commit_period: 100ms }
output:
  switch:
    cases:
      - check: content().string().has_prefix("bad")
        output:
          mfn_kafka: { seed_brokers: %[1]v, topic: %[4]v, oversized: describe, compression: none }
      - output:
          mfn_kafka: { seed_brokers: %[1]v, topic: %[3]v }
`, list(kafka.Brokers()), from, to, dead, group), nil)
	read(t, to, 1)
	records := read(t, dead, 3)
	sizes := map[string]string{}
	small := 0
	for _, r := range records {
		if string(r.Value) == "bad and small" {
			small++
			continue
		}
		assert.Empty(t, r.Value)
		headers := map[string]string{}
		for _, h := range r.Headers {
			headers[h.Key] = string(h.Value)
		}
		assert.Equal(t, from, headers["mfn_oversized_topic"])
		assert.Contains(t, headers["mfn_oversized_error"], "MESSAGE_TOO_LARGE")
		sizes[headers["mfn_oversized_offset"]] = headers["mfn_oversized_bytes"]
	}
	assert.Equal(t, 1, small)
	assert.Equal(t, map[string]string{"0": strconv.Itoa(4 + 3<<20), "1": "5004"}, sizes)
	await.Until(t, func() bool { return committed(admin(t), group, from, 0) == 4 })
}
