package kafka

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// transactionYAML is a stream in transactions, with further fields of its
// input, one a line.
func transactionYAML(id, group, from, processors, output string, fields ...string) string {
	return fmt.Sprintf(`
input:
  label: source
  mfn_kafka_transaction:
    seed_brokers: %v
    topics: [ %v ]
    consumer_group: %v
    transactional_id: %v
    timeout: 100ms
    session_timeout: 10s
    heartbeat_interval: 100ms
    fetch_max_wait: 100ms
    transaction_timeout: 10s
    metadata_max_age: 1s
    %v
pipeline:
  processors: [ %v ]
output:
  label: sink
%v
`, list(kafka.Brokers()), from, group, id, strings.Join(fields, "\n    "), processors, indent(output))
}

func transactionOutput(id, to string, fields ...string) string {
	return fmt.Sprintf("mfn_kafka_transaction:\n  transactional_id: %v\n  topic: %v\n  %v", id, to, strings.Join(fields, "\n  "))
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(text, "\n", "\n  ")
}

// answers follows what a consumer of committed records reads from a topic.
func answers(t *testing.T, topic string) *ledger {
	t.Helper()
	l := &ledger{}
	cl := client(t, kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.UnknownTopicRetries(-1))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			fetches := cl.PollFetches(t.Context())
			if fetches.IsClientClosed() || t.Context().Err() != nil {
				return
			}
			fetches.EachRecord(func(r *kgo.Record) { l.add(string(r.Value)) })
		}
	}()
	t.Cleanup(func() { <-done })
	return l
}

// requireOnce waits until every message of the partitions is there, and then
// for the marker that a transaction behind them writes, so that nothing of
// theirs can follow.
func requireOnce(t *testing.T, l *ledger, want int) {
	t.Helper()
	await.Until(t, func() bool { return l.distinct() >= want })
	assert.Equal(t, want, l.distinct())
	assert.Equal(t, want, l.total(), "nothing is there twice")
}

func TestTransactionsFromTopicToTopic(t *testing.T) {
	const partitions, each = 3, 50
	from, to, group, id := topic(t, partitions), topic(t, 1), name(t, "group"), name(t, "id")
	produce(t, numbered(from, partitions, 0, each)...)
	l := answers(t, to)
	s := start(t, transactionYAML(id, group, from, "", transactionOutput(id, to), "max_messages: 7"), nil)
	requireOnce(t, l, partitions*each)
	adm := admin(t)
	for p := range int32(partitions) {
		await.Until(t, func() bool { return committed(adm, group, from, p) == each })
		assertInOrder(t, l.partition(p))
	}
	stats := s.get("/metrics")
	assert.Contains(t, stats, "mfn_kafka_transaction")
	s.Stop()
	assert.Equal(t, 0, members(adm, group), "it has left the group")

	// What comes after a restart is not mixed with what was before.
	produce(t, numbered(from, partitions, each, 1)...)
	start(t, transactionYAML(id, group, from, "", transactionOutput(id, to)), nil)
	requireOnce(t, l, partitions*(each+1))
}

// A message that is rejected aborts what is written in its transaction, until
// it is taken.
func TestTransactionIsAbortedAndReadAgain(t *testing.T) {
	from, to, group, id := topic(t, 1), topic(t, 1), name(t, "group"), name(t, "id")
	produce(t, numbered(from, 1, 0, 20)...)
	l := answers(t, to)
	// The output rejects message 13 the first three times.
	output := fmt.Sprintf(`switch:
  cases:
    - check: content().string() == "0:13" && count(%q) < 4
      output: { reject: "not yet" }
    - output:
%v`, id, indent(indent(indent(indent(transactionOutput(id, to))))))
	s := start(t, transactionYAML(id, group, from, "", output, "max_messages: 20"), nil)
	requireOnce(t, l, 20)
	await.Until(t, func() bool { return committed(admin(t), group, from, 0) == 20 })
	assertInOrder(t, l.partition(0))
	assert.Equal(t, 3, strings.Count(s.logs.String(), "Transaction aborted, since a message was rejected"))
	// Without transactions in mind, the aborted ones are there to see.
	assert.Greater(t, len(read(t, to, 21)), 20)
}

// Results and dead letters are written in the same transaction; batches are
// split, filtered and replaced by processors.
func TestTransactionOfSeveralOutputs(t *testing.T) {
	const each = 40
	from, to, dead, group, id := topic(t, 2), topic(t, 1), topic(t, 1), name(t, "group"), name(t, "id")
	produce(t, numbered(from, 2, 0, each)...)
	results, letters := answers(t, to), answers(t, dead)
	processors := `
    { mapping: 'root.text = content().string()' },
    { split: { size: 3 } },
    { mapping: 'root = if this.text.has_suffix("5") { deleted() } else if this.text.has_suffix("7") { throw("seven") }' },
    { branch: { processors: [ { mapping: 'root = "x"' } ], result_map: 'root.x = content().string()' } },
    { archive: { format: json_array } },
    { unarchive: { format: json_array } },
    { mapping: 'root = this.text' }`
	output := fmt.Sprintf(`switch:
  cases:
    - check: content().string().has_suffix("7")
      output:
%v
    - output:
%v`, indent(indent(indent(indent(transactionOutput(id, dead))))), indent(indent(indent(indent(transactionOutput(id, to))))))
	start(t, transactionYAML(id, group, from, processors, output, "max_messages: 11"), nil)
	requireOnce(t, letters, 2*each/10)
	requireOnce(t, results, 2*each-2*2*each/10)
}

// Workers join and leave, and each result is there once.
func TestTransactionsWhileWorkersJoinAndLeave(t *testing.T) {
	for _, balancer := range []string{"cooperative_sticky", "range"} {
		t.Run(balancer, func(t *testing.T) {
			const partitions, step = 6, 20
			from, to, group := topic(t, partitions), topic(t, partitions), name(t, "group")
			l := answers(t, to)
			ids := [3]string{name(t, "id"), name(t, "id"), name(t, "id")}
			worker := func(k int) *stream {
				return start(t, transactionYAML(ids[k], group, from, "{ sleep: { duration: 2ms } }", transactionOutput(ids[k], to),
					"max_messages: 10", "group_balancer: "+balancer), nil)
			}
			written := 0
			write := func() {
				produce(t, numbered(from, partitions, written, step)...)
				written += step
				await.Until(t, func() bool { return l.distinct() >= written*partitions/2 })
			}
			a := worker(0)
			write()
			b := worker(1)
			write()
			c := worker(2)
			write()
			a.Stop()
			write()
			b.Stop()
			a = worker(0)
			write()
			c.Stop()
			write()
			requireOnce(t, l, written*partitions)
			a.Stop()
			requireOnce(t, l, written*partitions)
		})
	}
}

// Two instances with one transactional id fence each other, which one of them
// says, and still no result is lost or there twice.
func TestTransactionIsFenced(t *testing.T) {
	from, to, group, id := topic(t, 2), topic(t, 1), name(t, "group"), name(t, "id")
	l := answers(t, to)
	conf := transactionYAML(id, group, from, "", transactionOutput(id, to))
	old := start(t, conf, nil)
	produce(t, numbered(from, 2, 0, 5)...)
	await.Until(t, func() bool { return l.distinct() == 10 })
	other := start(t, conf, nil)
	written := 5
	await.Until(t, func() bool {
		produce(t, numbered(from, 2, written, 1)...)
		written++
		return old.logs.contain("is in use by another instance")
	})
	other.Stop()
	requireOnce(t, l, written*2)
}

// A message that is too large is rejected alone, and may go elsewhere in the
// same transaction.
func TestTransactionGoesOnAfterATooLargeMessage(t *testing.T) {
	from, to, dead, group, id := topic(t, 1), topic(t, 1), topic(t, 1), name(t, "group"), name(t, "id")
	produce(t, &kgo.Record{Topic: from, Value: []byte("a")}, &kgo.Record{Topic: from, Value: []byte("large")}, &kgo.Record{Topic: from, Value: []byte("b")})
	results, letters := answers(t, to), answers(t, dead)
	output := fmt.Sprintf(`fallback:
  -
%v
  -
%v
    processors: [ { mapping: 'root = content().slice(0, 5)' } ]`, indent(indent(transactionOutput(id, to))), indent(indent(transactionOutput(id, dead))))
	processors := `{ mapping: 'root = if content().string() == "large" { "large" + "x".repeat(2000000) } else { content() }' }`
	start(t, transactionYAML(id, group, from, processors, output), nil)
	requireOnce(t, results, 2)
	requireOnce(t, letters, 1)
}

// Only messages of the transaction may be written in it.
func TestTransactionTakesNoOtherMessages(t *testing.T) {
	from, alien, to, group, id := topic(t, 1), topic(t, 1), topic(t, 1), name(t, "group"), name(t, "id")
	produce(t, &kgo.Record{Topic: alien, Value: []byte("alien")})
	l := answers(t, to)
	own := func(kind, topic, group, more string) string {
		return fmt.Sprintf("{ %v: { seed_brokers: %v, topics: [ %v ], consumer_group: %v, %v } }", kind, list(kafka.Brokers()), topic, group, more)
	}
	s := start(t, fmt.Sprintf(`
input:
  broker:
    inputs:
      - %v
      - %v
output:
%v
`, own("mfn_kafka", alien, name(t, "group"), "auto_replay_nacks: false"),
		own("mfn_kafka_transaction", from, group, "transactional_id: "+id),
		indent(transactionOutput(id, to))), nil)
	await.Until(t, func() bool { return s.logs.contain("does not come from an input mfn_kafka_transaction") })
	produce(t, numbered(from, 1, 0, 3)...)
	requireOnce(t, l, 3)
	assert.False(t, l.has("alien"))
}

func TestTransactionOutputWithoutItsInput(t *testing.T) {
	b := service.NewStreamBuilder()
	require.NoError(t, b.SetYAML(fmt.Sprintf("input: { mfn_file: { directory: %q, exit_when_empty: true } }\noutput:\n", t.TempDir())+indent(transactionOutput("some-id", "t"))))
	b.DisableLinting()
	b.SetLogger(slog.New(slog.DiscardHandler))
	s, err := b.Build()
	if err == nil {
		err = s.Run(t.Context())
	}
	require.ErrorContains(t, err, `no input mfn_kafka_transaction with the transactional_id "some-id"`)
}

// A topic that is to be read is waited for, while one that is to be written is
// made.
func TestTransactionWaitsForItsTopic(t *testing.T) {
	const partitions, each = 3, 5
	from, to, id := name(t, "topic"), name(t, "topic"), name(t, "transaction")
	adm := admin(t)
	s := start(t, transactionYAML(id, name(t, "group"), from, "", transactionOutput(id, to)), nil)
	await.Until(t, func() bool { return s.logs.contain("Topic does not exist, waiting for it") })
	await.Until(t, func() bool { return strings.Contains(s.get("/stats"), `"status":"fetching"`) })
	createTopic(t, from, partitions) // fails if it is there
	produce(t, numbered(from, partitions, 0, each)...)
	read(t, to, partitions*each)
	topics, err := adm.ListTopics(t.Context(), from)
	require.NoError(t, err)
	assert.Len(t, topics[from].Partitions, partitions)
	s.Stop()
}

// A result that is too large for its topic goes to another one, or is described,
// in the same transaction, and what was sent along with it is there once.
func TestTransactionWithResultsTooLargeForTheirTopic(t *testing.T) {
	from, to, dead, group, id := topic(t, 1), name(t, "small"), topic(t, 1), name(t, "group"), name(t, "id")
	limit := "3000"
	resp, err := admin(t).CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &limit}, to)
	require.NoError(t, err)
	require.NoError(t, resp.Err)
	produce(t, numbered(from, 1, 0, 40)...)
	results, letters := answers(t, to), answers(t, dead)
	output := fmt.Sprintf(`fallback:
  -
%v
  -
%v
    processors: [ { mapping: 'root = content().string().split(" ").index(0)' } ]`,
		indent(indent(transactionOutput(id, to))), indent(indent(transactionOutput(id, dead))))
	// Two results are too large, others only together.
	processors := `{ mapping: 'root = content().string() + if ["0:7", "0:23"].contains(content().string()) { " " + "x".repeat(5000) } else { " " + "y".repeat(600) }' }`
	s := start(t, transactionYAML(id, group, from, processors, output, "compression: none"), nil)
	await.Until(t, func() bool { return committed(admin(t), group, from, 0) == 40 })
	requireOnce(t, results, 38)
	requireOnce(t, letters, 2)
	assert.True(t, letters.has("0:7") && letters.has("0:23"))
	assert.False(t, s.logs.contain("Transaction aborted, since a message was rejected"))
}

// The topic of the results is deleted and made again, between transactions and while
// they go on. Nothing goes to the dead letters, and the input's topic is read again
// when that happens to it.
func TestTransactionsWithTopicsMadeAgain(t *testing.T) {
	from, to, dead, group, id := topic(t, 2), topic(t, 3), topic(t, 1), name(t, "group"), name(t, "id")
	output := fmt.Sprintf("fallback:\n  -\n%v\n  -\n%v", indent(indent(transactionOutput(id, to))), indent(indent(transactionOutput(id, dead))))
	s := start(t, transactionYAML(id, group, from, "", output, "allow_auto_topic_creation: false", "retry: { initial_delay: 100ms, max_delay: 1s, max_retries: 100 }"), nil)
	sent := 0
	send := func() {
		produce(t, numbered(from, 2, sent, 1)...)
		sent++
	}
	done := func() bool {
		return committed(admin(t), group, from, 0) == int64(sent) && committed(admin(t), group, from, 1) == int64(sent)
	}
	for range 5 {
		send()
	}
	await.Until(t, done)

	recreateTopic(t, to, 2) // while nothing is on its way
	l := answers(t, to)
	send()
	requireOnce(t, l, 2)
	await.Until(t, done)

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // while messages keep coming
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				send()
			}
		}
	}()
	recreateTopic(t, to, 1)
	close(stop)
	<-stopped
	send()
	await.Until(t, done)
	l = answers(t, to)
	last := fmt.Sprintf("0:%v", sent-1)
	await.Until(t, func() bool { return l.has(last) })
	assert.Equal(t, l.distinct(), l.total(), "nothing is there twice")
	ends, err := admin(t).ListEndOffsets(t.Context(), dead)
	require.NoError(t, err)
	o, ok := ends.Lookup(dead, 0)
	require.True(t, ok)
	if o.Offset > 0 { // of transactions that were aborted
		dead := answers(t, dead)
		sleep(t.Context(), time.Second)
		assert.Zero(t, dead.total())
	}

	recreateTopic(t, from, 2)
	sent = 1000
	produce(t, numbered(from, 2, sent, 3)...)
	await.Until(t, func() bool { return l.has("0:1002") && l.has("1:1002") })
	assert.Equal(t, l.distinct(), l.total(), "nothing is there twice")
	assert.True(t, s.logs.contain("The topic was deleted and made again"))
}

// A transaction that can only be aborted is, though the stream would try a message
// for ever that its output rejects.
func TestTransactionIsAbortedInAFanOut(t *testing.T) {
	from, to, copies, group, id := topic(t, 1), topic(t, 1), topic(t, 1), name(t, "group"), name(t, "id")
	output := fmt.Sprintf("broker:\n  outputs:\n    -\n%v\n    -\n%v", indent(indent(indent(transactionOutput(id, to)))), indent(indent(indent(transactionOutput(id, copies)))))
	start(t, transactionYAML(id, group, from, "", output, "retry: { initial_delay: 100ms, max_delay: 1s, max_retries: 100 }"), nil)
	results := answers(t, to)
	produce(t, numbered(from, 1, 0, 5)...)
	requireOnce(t, results, 5)
	recreateTopic(t, copies, 1)
	produce(t, numbered(from, 1, 5, 5)...)
	requireOnce(t, answers(t, copies), 5)
	requireOnce(t, results, 10)
}
