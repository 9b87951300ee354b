package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/tests/kafka/broker"
)

// topics is a pair of topics with the suite's own ends: a producer of
// parameters and a consumer of results.
type topics struct {
	in, out string
	brokers []string
	client  *kgo.Client
	book    book

	stop    context.CancelFunc
	reading sync.WaitGroup
}

// newTopics makes the topics and begins to read results, only committed ones if
// committed.
func newTopics(ctx context.Context, brokers []string, partitions int32, replicas int16, committed bool, b book) (*topics, error) {
	suffix := fmt.Sprintf("-%08x", rand.Uint32())
	t := &topics{in: "in" + suffix, out: "out" + suffix, brokers: brokers, book: b}
	isolation := kgo.ReadUncommitted()
	if committed {
		isolation = kgo.ReadCommitted()
	}
	var err error
	t.client, err = kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.ConsumeTopics(t.out),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(isolation),
		kgo.MetadataMinAge(100*time.Millisecond),
		kgo.UnknownTopicRetries(-1),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	)
	if err != nil {
		return nil, err
	}
	if err := t.create(ctx, partitions, replicas); err != nil {
		t.client.Close()
		return nil, err
	}
	readCtx, stop := context.WithCancel(ctx)
	t.stop = stop
	t.reading.Go(func() {
		for readCtx.Err() == nil {
			t.client.PollFetches(readCtx).EachRecord(func(r *kgo.Record) { b.answer(r.Value) })
		}
	})
	return t, nil
}

// create makes both topics. A broker that has just started may need a while.
func (t *topics) create(ctx context.Context, partitions int32, replicas int16) error {
	admin := kadm.NewClient(t.client)
	var failure error
	err := await(ctx, time.Minute, "topics to be made", func() bool {
		made, err := admin.CreateTopics(ctx, partitions, replicas, nil, t.in, t.out)
		if failure = err; err == nil {
			for _, topic := range made {
				if topic.Err != nil && !errors.Is(topic.Err, kerr.TopicAlreadyExists) {
					failure = topic.Err
				}
			}
		}
		return failure == nil
	})
	return errors.Join(err, failure)
}

// feed produces messages first … first+n−1, and returns when they are there.
func (t *topics) feed(ctx context.Context, first, n int) error {
	var records []*kgo.Record
	for i := first; i < first+n; i++ {
		id, content := message(i)
		t.book.send(id) // an answer may come before ProduceSync returns
		records = append(records, &kgo.Record{Topic: t.in, Key: []byte(id), Value: content})
	}
	for _, r := range t.client.ProduceSync(ctx, records...) {
		if r.Err != nil {
			return fmt.Errorf("producing: %w", r.Err)
		}
	}
	return nil
}

// feedUntilThere produces in the background, again where the suite's own client
// gives up. It does so only with records that no broker can have.
func (t *topics) feedUntilThere(ctx context.Context, first, n int) error {
	for i := first; i < first+n; i++ {
		id, content := message(i)
		t.book.send(id)
		var produce func()
		produce = func() {
			t.client.Produce(ctx, &kgo.Record{Topic: t.in, Key: []byte(id), Value: content}, func(_ *kgo.Record, err error) {
				if err != nil && ctx.Err() == nil && !errors.Is(err, kgo.ErrClientClosed) {
					go produce()
				}
			})
		}
		produce()
	}
	return nil
}

func (t *topics) close() {
	t.stop()
	t.reading.Wait()
	t.client.Close()
}

// kafkaInput is an input of a group; more are further fields.
func (t *topics) kafkaInput(more string) string {
	return fmt.Sprintf(`
input:
  mfn_kafka:
    seed_brokers: [ %q ]
    topics: [ %v ]
    consumer_group: %v
    commit_period: 500ms
    %v
pipeline:
  threads: 2
  processors: [ { mfn_simulate: {} } ]
`, strings.Join(t.brokers, ","), t.in, t.in, more)
}

// kafkaOutput has further fields, too.
func (t *topics) kafkaOutput(more string) string {
	return fmt.Sprintf(`
output:
  mfn_kafka:
    seed_brokers: [ %q ]
    topic: %v
    retry: { initial_delay: 100ms, max_delay: 1s }
    %v
`, strings.Join(t.brokers, ","), t.out, more)
}

func killKafkaToKafka(ctx context.Context, s *suite, c *broker.Cluster, dir string, r *row) error {
	l := newLedger()
	t, err := newTopics(ctx, c.Brokers(), 3, 1, false, l)
	if err != nil {
		return err
	}
	defer t.close()
	return killing{
		stream: t.kafkaInput("instance_id: worker") + t.kafkaOutput(""),
		ledger: l, feed: t.feed,
		check: func(bool) error { return nil },
	}.run(ctx, s, dir, r)
}

func killKafkaToWebhook(ctx context.Context, s *suite, c *broker.Cluster, dir string, r *row) error {
	l := newLedger()
	t, err := newTopics(ctx, c.Brokers(), 3, 1, false, l)
	if err != nil {
		return err
	}
	defer t.close()
	hook, err := newWebhook(ctx, l)
	if err != nil {
		return err
	}
	defer hook.close()
	return killing{
		stream: t.kafkaInput("instance_id: worker") + webhookOutput(hook.url),
		ledger: l, feed: t.feed,
		check: func(bool) error { return nil },
	}.run(ctx, s, dir, r)
}

// transfer is a stream from topic to topic, in transactions if exactlyOnce, that
// is struck while records keep coming.
type transfer struct {
	brokers     []string
	replicas    int
	exactlyOnce bool
	times       int
	strike      func(ctx context.Context) error
}

func (x transfer) run(ctx context.Context, s *suite, dir string, r *row) error {
	l := newLedger()
	t, err := newTopics(ctx, x.brokers, 6, int16(x.replicas), x.exactlyOnce, l)
	if err != nil {
		return err
	}
	defer t.close()
	stream := t.kafkaInput("session_timeout: 10s") + t.kafkaOutput("")
	if x.exactlyOnce {
		stream = t.exactlyOnce("worker", "session_timeout: 6s\n    retry: { initial_delay: 100ms, max_delay: 1s, max_retries: 100 }")
		defer complainOfDuplicates(l, r)
	}
	return disturbance{
		stream: stream, ledger: l, feed: t.feedUntilThere, collect: func() error { return nil }, times: x.times,
		strike: func(ctx context.Context, _ *program) error { return x.strike(ctx) },
	}.run(ctx, s, dir, r)
}

// kafkaNetwork puts a proxy before the broker and strikes the connections.
func kafkaNetwork(times int, exactlyOnce bool, strike func(ctx context.Context, p *proxy) error) func(context.Context, *suite, string, *row) error {
	return func(ctx context.Context, s *suite, dir string, r *row) error {
		data, err := subdir(dir, "kafka")
		if err != nil {
			return err
		}
		var p *proxy
		c, err := broker.Start(ctx, broker.Options{Jars: s.jars, Dir: data, Through: func(address string) (string, error) {
			var err error
			if p, err = newProxy(ctx, address); err != nil {
				return "", err
			}
			return p.address, nil
		}})
		if p != nil {
			defer p.close()
		}
		if err != nil {
			return err
		}
		defer c.Close()
		return transfer{
			brokers: []string{p.address}, replicas: 1, exactlyOnce: exactlyOnce, times: times,
			strike: func(ctx context.Context) error { return strike(ctx, p) },
		}.run(ctx, s, dir, r)
	}
}

// consumerPaused stops a worker in its tracks for longer than its session, while
// another one goes on.
func consumerPaused(ctx context.Context, s *suite, c *broker.Cluster, dir string, r *row) error {
	l := newLedger()
	t, err := newTopics(ctx, c.Brokers(), 6, 1, false, l)
	if err != nil {
		return err
	}
	defer t.close()
	otherDir, err := subdir(dir, "other")
	if err != nil {
		return err
	}
	stream := t.kafkaInput("session_timeout: 6s\n    heartbeat_interval: 1s") + t.kafkaOutput("")
	other, err := s.start(ctx, otherDir, stream)
	if err != nil {
		return err
	}
	defer other.kill()
	return disturbance{
		stream: stream, ledger: l, feed: t.feed, collect: func() error { return nil }, times: 2,
		strike: func(ctx context.Context, p *program) error {
			if err := p.signal(syscall.SIGSTOP); err != nil {
				return err
			}
			pause(ctx, 9*time.Second)
			return p.signal(syscall.SIGCONT)
		},
	}.run(ctx, s, dir, r)
}

// churn lets four workers join and leave a group under load. The first stays.
func churn(exactlyOnce bool, stream func(t *topics, worker int) string) func(context.Context, *suite, string, *row) error {
	return withBroker(1, nil, func(ctx context.Context, s *suite, c *broker.Cluster, dir string, r *row) error {
		l := newLedger()
		t, err := newTopics(ctx, c.Brokers(), 12, 1, exactlyOnce, l)
		if err != nil {
			return err
		}
		defer t.close()
		if exactlyOnce {
			defer complainOfDuplicates(l, r)
		}

		var workers [4]*program
		defer func() {
			for _, p := range workers {
				if p != nil {
					p.kill()
				}
			}
		}()
		start := func(k int) error {
			workerDir, err := subdir(dir, fmt.Sprint("worker-", k))
			if err != nil {
				return err
			}
			workers[k], err = s.start(ctx, workerDir, stream(t, k))
			return err
		}
		move := func(k int) error {
			p := workers[k]
			if p == nil {
				return start(k)
			}
			workers[k] = nil
			if rand.IntN(2) == 0 {
				p.kill()
				return nil
			}
			return p.stop(60 * time.Second)
		}
		if err := start(0); err != nil {
			return err
		}
		moves := 16
		if s.short {
			moves = 4
		}
		next := 0
		feed := func(n int) error {
			err := t.feed(ctx, next, n)
			next += n
			return err
		}
		for range moves {
			if err := feed(200); err != nil {
				return err
			}
			pause(ctx, time.Duration(300+rand.IntN(1200))*time.Millisecond)
			moved := time.Now()
			if err := move(1 + rand.IntN(len(workers)-1)); err != nil {
				return err
			}
			r.runs++
			if err := feed(20); err != nil {
				return err
			}
			if err := await(ctx, slowRecovery, "an answer after the move", func() bool {
				_, ok := l.firstAfter(moved)
				return ok
			}); err != nil {
				return err
			}
			first, _ := l.firstAfter(moved)
			r.recoveries = append(r.recoveries, first.Sub(moved))
		}
		err = await(ctx, slowRecovery, "every message to be answered", l.complete)
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, tail(workers[0].log.String(), 4000))
		}
		if stopErr := workers[0].stop(60 * time.Second); err == nil {
			err = stopErr
		}
		r.balance = l.result()
		return err
	})
}

// transferring is the stream of a worker from topic to topic; more are further
// fields of its input.
func transferring(more string) func(t *topics, worker int) string {
	return func(t *topics, _ int) string { return t.kafkaInput(quickSession+more) + t.kafkaOutput("") }
}

const quickSession = "session_timeout: 6s\n    heartbeat_interval: 500ms\n    revoke_timeout: 5s\n    rebalance_timeout: 10s"

func kafkaScenarios() []scenario {
	one := func(run func(context.Context, *suite, *broker.Cluster, string, *row) error) func(context.Context, *suite, string, *row) error {
		return withBroker(1, nil, run)
	}
	all := []scenario{
		{name: "kill, Kafka to Kafka", kafka: true, run: one(killKafkaToKafka)},
		{name: "kill, Kafka to Kafka, exactly once", kafka: true, run: one(killExactlyOnce)},
		{name: "workers join and leave, exactly once", kafka: true, run: churn(true, func(t *topics, k int) string {
			return t.exactlyOnce(fmt.Sprint("worker-", k), "session_timeout: 2s")
		})},
		// Not of one broker: Kafka takes partitions that have no leader for deleted,
		// and their part of a transaction that is about to be committed for done.
		{name: "one of three brokers killed, exactly once", kafka: true, run: withBroker(3, nil, brokerFault(3, true, killAndStart))},
		{name: "network to Kafka: all of it, exactly once", kafka: true, run: kafkaNetwork(1, true, allOfIt)},
		{name: "kill, Kafka to webhook", kafka: true, run: one(killKafkaToWebhook)},
		{name: "broker stopped and started", kafka: true, run: one(brokerFault(2, false, stopAndStart))},
		{name: "broker killed", kafka: true, run: one(brokerFault(3, false, killAndStart))},
		{name: "broker paused", kafka: true, run: one(brokerFault(1, false, pauseAndResume))},
		{name: "broker's disk full", kafka: true, run: brokerDiskFull},
		{name: "one of three brokers killed", kafka: true, run: withBroker(3, nil, brokerFault(3, false, killAndStart))},
		{name: "leaders moved among three brokers", kafka: true, run: withBroker(3, nil, brokerFault(1, false, moveLeaders))},
		{name: "worker paused past its session", kafka: true, run: one(consumerPaused)},
		{name: "workers join and leave, cooperative", kafka: true, run: churn(false, transferring(""))},
		{name: "workers join and leave, eager", kafka: true, run: churn(false, transferring("\n    group_balancer: range"))},
		{name: "workers join and leave, static members", kafka: true, run: churn(false, func(t *topics, k int) string {
			return transferring(fmt.Sprint("\n    instance_id: worker-", k))(t, k)
		})},
	}
	all = append(all, topicScenarios()...)
	for _, f := range networkFaults() {
		all = append(all, scenario{name: "network to Kafka: " + f.name, kafka: true, run: kafkaNetwork(f.times, false, f.strike)})
	}
	return all
}
