package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/tests/kafka/broker"
)

// topicFault strikes the topics of a stream, at least once or exactly once. The
// stream reads the topics in and more, and writes results to out and copies, and
// what fails to dead.
type topicFault struct {
	exactlyOnce bool
	times       int
	maximum     liveness
	strike      func(ctx context.Context, t *moreTopics) error
	dead        int // records that are dead letters, for each strike
}

// moreTopics are the topics of the suite and those that are struck.
type moreTopics struct {
	*topics
	admin              *kadm.Client
	more, copies, dead string
	next               int // message to more
}

func (f topicFault) run(ctx context.Context, s *suite, c *broker.Cluster, dir string, r *row) error {
	l := newLedger()
	of, err := newTopics(ctx, c.Brokers(), 3, 1, f.exactlyOnce, l)
	if err != nil {
		return err
	}
	defer of.close()
	if f.exactlyOnce {
		defer complainOfDuplicates(l, r)
	}
	t := &moreTopics{topics: of, admin: kadm.NewClient(of.client), more: of.in + "-more", copies: of.out + "-copies", dead: of.out + "-dead", next: 1_000_000}
	if _, err := t.admin.CreateTopics(ctx, 3, 1, nil, t.more, t.copies, t.dead); err != nil {
		return err
	}
	err = disturbance{
		stream: t.stream(f.exactlyOnce), ledger: l, feed: of.feed, collect: func() error { return nil }, times: f.times, maximum: f.maximum,
		strike: func(ctx context.Context, _ *program) error { return f.strike(ctx, t) },
	}.run(ctx, s, dir, r)
	if err != nil {
		return err
	}
	dead, err := t.count(ctx, t.dead)
	if want := f.dead * r.runs; dead != want {
		l.complain("%v dead letters, not %v", dead, want)
		r.balance = l.result()
	}
	return err
}

func (t *moreTopics) stream(exactlyOnce bool) string {
	brokers := strings.Join(t.brokers, ",")
	input := fmt.Sprintf("mfn_kafka: { seed_brokers: [ %q ], topics: [ %v, %v ], consumer_group: %[2]v, commit_period: 500ms, metadata_max_age: 5s }",
		brokers, t.in, t.more)
	output := func(topic, oversized string) string {
		return fmt.Sprintf("mfn_kafka: { seed_brokers: [ %q ], topic: %v, oversized: %v, retry: { initial_delay: 100ms, max_delay: 1s, max_retries: 20 } }",
			brokers, topic, oversized)
	}
	if exactlyOnce {
		input = fmt.Sprintf("mfn_kafka_transaction: { seed_brokers: [ %q ], topics: [ %v, %v ], consumer_group: %[2]v, transactional_id: worker, metadata_max_age: 5s, "+
			"retry: { initial_delay: 100ms, max_delay: 1s, max_retries: 100 } }", brokers, t.in, t.more)
		output = func(topic, oversized string) string {
			return fmt.Sprintf("mfn_kafka_transaction: { transactional_id: worker, topic: %v, oversized: %v }", topic, oversized)
		}
	}
	return fmt.Sprintf(`
input:
  %v
pipeline:
  processors: [ { mfn_simulate: {} } ]
output:
  switch:
    cases:
      - check: errored()
        output:
          %[4]v
      - output:
          broker:
            outputs:
              - %[2]v
              - fallback:
                - %[3]v
                - %[4]v
`, input, output(t.out, "reject"), output(t.copies, "reject"), output(t.dead, "describe"))
}

// recreate deletes a topic and makes it again.
func (t *moreTopics) recreate(ctx context.Context, topic string) error {
	if _, err := t.admin.DeleteTopic(ctx, topic); err != nil {
		return err
	}
	return await(ctx, time.Minute, "a topic to be made again", func() bool {
		made, err := t.admin.CreateTopic(ctx, 3, 1, nil, topic)
		return err == nil && made.Err == nil
	})
}

// recreateCopies does so with the topic of the copies, and waits for copies in it.
func recreateCopies(ctx context.Context, t *moreTopics) error {
	if err := t.recreate(ctx, t.copies); err != nil {
		return err
	}
	return await(ctx, time.Minute, "copies in the new topic", func() bool {
		ends, err := t.admin.ListEndOffsets(ctx, t.copies)
		total := int64(0)
		ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
		return err == nil && total > 0
	})
}

// recreateMore does so with a topic that is read, and writes messages to it.
func recreateMore(ctx context.Context, t *moreTopics) error {
	if err := t.recreate(ctx, t.more); err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(t.brokers...), kgo.UnknownTopicRetries(-1))
	if err != nil {
		return err
	}
	defer client.Close()
	for range 20 {
		id, content := message(t.next)
		t.next++
		t.book.send(id)
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: t.more, Value: content}).FirstErr(); err != nil {
			return fmt.Errorf("producing: %w", err)
		}
	}
	return nil
}

// sendTooLarge sends records that are no JSON, and too large for a copy with an
// error: just so, and by far, compressed.
func sendTooLarge(ctx context.Context, t *moreTopics) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(t.brokers...), kgo.ProducerBatchMaxBytes(8<<20))
	if err != nil {
		return err
	}
	defer client.Close()
	var errs []error
	for _, size := range []int{1_048_392, 3 << 20} {
		errs = append(errs, client.ProduceSync(ctx, &kgo.Record{Topic: t.in, Value: []byte(strings.Repeat("x", size))}).FirstErr())
	}
	return errors.Join(errs...)
}

// count returns how many committed records a topic has.
func (t *moreTopics) count(ctx context.Context, topic string) (n int, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(t.brokers...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	for idle := false; !idle; {
		poll, cancel := context.WithTimeout(ctx, 3*time.Second)
		records := client.PollFetches(poll).NumRecords()
		cancel()
		n += records
		idle = records == 0
	}
	return n, ctx.Err()
}

func topicScenarios() (all []scenario) {
	for _, f := range []struct {
		name  string
		fault topicFault
	}{
		{"results' topic made again", topicFault{times: 3, strike: recreateCopies, maximum: liveness{silence: 15 * time.Second, lines: 1, simulations: 1.5}}},
		{"parameters' topic made again", topicFault{times: 3, strike: recreateMore, maximum: liveness{silence: 60 * time.Second, lines: 1, simulations: 1.5}}},
		{"records that fit nowhere", topicFault{times: 3, strike: sendTooLarge, dead: 2, maximum: liveness{silence: 5 * time.Second, lines: 5, simulations: 1.5}}},
	} {
		all = append(all, scenario{name: f.name, kafka: true, run: withBroker(1, nil, f.fault.run)})
		f.fault.exactlyOnce = true
		all = append(all, scenario{name: f.name + ", exactly once", kafka: true, run: withBroker(1, nil, f.fault.run)})
	}
	return all
}
