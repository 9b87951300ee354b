package kafka

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// The broker stops and starts under streams that read and write. Nothing is
// lost, and both go on by themselves.
func TestBrokerRestarts(t *testing.T) {
	const partitions, each = 4, 30
	from, to, group := topic(t, partitions), topic(t, partitions), name(t, "group")
	produce(t, numbered(from, partitions, 0, each)...)

	var l ledger
	s := hold(t, inputYAML(group, from), func(m string) bool { return strings.HasSuffix(m, ":7") })
	copying := start(t, inputYAML(name(t, "group"), from)+outputYAML(to, "timeout: 2s", "retry: { max_retries: 100, strategy: fixed_delay, initial_delay: 100ms }"), nil)
	reader := start(t, inputYAML(name(t, "group"), to), l.consume)
	await.Until(t, func() bool { return s.held.total() == partitions && l.distinct() == partitions*each })

	require.NoError(t, kafka.Stop())
	await.Until(t, func() bool { return strings.Contains(s.get("/stats"), `"status":"error"`) }, "the input says that it has lost the broker")
	require.NoError(t, kafka.Start())
	await.Until(t, func() bool { return strings.Contains(s.get("/stats"), `"status":"fetching"`) })

	s.gate.open()
	produce(t, numbered(from, partitions, each, each)...)
	await.Until(t, func() bool { return s.done.distinct() == 2*partitions*each })
	await.Until(t, func() bool { return l.distinct() == 2*partitions*each })
	adm := admin(t)
	for p := range int32(partitions) {
		await.Until(t, func() bool { return committed(adm, group, from, p) == 2*each })
	}
	copying.Stop()
	reader.Stop()
	s.Stop()
	t.Logf("%v messages, lost 0, duplicated %v and %v", 2*partitions*each, s.done.total()-s.done.distinct(), l.total()-l.distinct())
}

// A message that is published while the broker is away is tried again as often
// as the policy says and then rejected, so that another output can have it.
func TestBrokerAway(t *testing.T) {
	topic := topic(t, 1)
	var l ledger
	s := start(t, fmt.Sprintf(`
input: { generate: { interval: 20ms, mapping: 'root = "message"' } }
output:
  fallback:
    - mfn_kafka:
        seed_brokers: %v
        topic: %v
        timeout: 500ms
        retry: { max_retries: 1, initial_delay: 10ms }
    - function: { id: %q }
`, list(kafka.Brokers()), topic, register(func(_ context.Context, b service.MessageBatch) error {
		reason, _ := b[0].MetaGet("fallback_error")
		l.add(reason)
		return nil
	})), nil)
	read(t, topic, 1)
	require.NoError(t, kafka.Stop())
	await.Until(t, func() bool { return l.total() > 0 })
	require.NoError(t, kafka.Start())
	reason := l.inOrder()[0]
	// It depends on whether the broker went while a message was on its way.
	assert.Regexp(t, "Kafka produce failed after 1 retry: (connecting to 127.0.0.1|timed out after 500ms: 1 of 1 messages are not confirmed)", reason)
	assert.True(t, s.logs.contain("Operation failed, will be tried again"))

	// And it goes on: what is published now arrives.
	before := metric(t, s, "successful_publishes")
	await.Until(t, func() bool { return metric(t, s, "successful_publishes") > before })
}

// With no broker there, streams say so, try again, and stop when asked to.
func TestNoBroker(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := listener.Addr().String()
	require.NoError(t, listener.Close())

	in, out := secure([]string{nobody}, "topic", "group", "client_id: test")
	producer := start(t, source("a")+out, nil)
	var l ledger
	consumer := start(t, in, l.consume)
	await.Until(t, func() bool { return producer.logs.contain("Brokers cannot be reached") })
	await.Until(t, func() bool { return producer.logs.contain("Operation failed, will be tried again") })
	await.Until(t, func() bool { return consumer.logs.contain("Failed to connect to mfn_kafka") })
	for _, s := range []*stream{producer, consumer} {
		assert.True(t, s.logs.contain("connection refused"))
		assert.Contains(t, s.get("/stats"), "connection refused")
		s.Stop()
	}
}

// A stream that stops commits and leaves the group. That it leaves no goroutine
// is what TestMain sees to, for all tests.
func TestStopLeavesNothing(t *testing.T) {
	topic, other, group := topic(t, 3), topic(t, 1), name(t, "group")
	produce(t, numbered(topic, 3, 0, 10)...)
	adm := admin(t)
	require.Zero(t, members(adm, group))
	var l ledger
	a := start(t, inputYAML(group, topic, "batching: { count: 3, period: 10ms }"), l.consume)
	b := start(t, inputYAML(name(t, "group"), topic)+outputYAML(other), nil)
	await.Until(t, func() bool { return l.total() == 30 })
	read(t, other, 30)
	a.Stop()
	b.Stop()
	require.Zero(t, members(adm, group))
	for p := range int32(3) {
		assert.Equal(t, int64(10), committed(adm, group, topic, p))
	}
}
