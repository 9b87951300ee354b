package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
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
	ledger  *ledger

	stop    context.CancelFunc
	reading sync.WaitGroup
}

// newTopics makes the topics and begins to read results, only committed ones if
// committed.
func newTopics(ctx context.Context, brokers []string, partitions int32, replicas int16, committed bool, l *ledger) (*topics, error) {
	suffix := fmt.Sprintf("-%08x", rand.Uint32())
	t := &topics{in: "in" + suffix, out: "out" + suffix, brokers: brokers, ledger: l}
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
			t.client.PollFetches(readCtx).EachRecord(func(r *kgo.Record) { l.answer(r.Value) })
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
		t.ledger.send(id) // an answer may come before ProduceSync returns
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
		t.ledger.send(id)
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
http: { enabled: false }
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

func (t *topics) kafkaOutput() string {
	return fmt.Sprintf(`
output:
  mfn_kafka:
    seed_brokers: [ %q ]
    topic: %v
    retry: { initial_delay: 100ms, max_delay: 1s }
`, strings.Join(t.brokers, ","), t.out)
}

// withBroker runs on a cluster of one broker.
func withBroker(brokers int, properties map[string]string, run func(ctx context.Context, s *suite, c *broker.Cluster, dir string, r *row) error) func(context.Context, *suite, string, *row) error {
	return func(ctx context.Context, s *suite, dir string, r *row) error {
		data, err := subdir(dir, "kafka")
		if err != nil {
			return err
		}
		c, err := broker.Start(ctx, broker.Options{Jars: s.jars, Dir: data, Brokers: brokers, Properties: properties})
		if err != nil {
			return err
		}
		defer c.Close()
		return run(ctx, s, c, dir, r)
	}
}

func killKafkaToKafka(ctx context.Context, s *suite, c *broker.Cluster, dir string, r *row) error {
	l := newLedger()
	t, err := newTopics(ctx, c.Brokers(), 3, 1, false, l)
	if err != nil {
		return err
	}
	defer t.close()
	return killing{
		stream: t.kafkaInput("instance_id: worker") + t.kafkaOutput(),
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

// brokerFault strikes brokers while a stream goes from topic to topic.
func brokerFault(times int, strike func(ctx context.Context, c *broker.Cluster) error) func(context.Context, *suite, *broker.Cluster, string, *row) error {
	return func(ctx context.Context, s *suite, c *broker.Cluster, dir string, r *row) error {
		l := newLedger()
		t, err := newTopics(ctx, c.Brokers(), 6, int16(min(len(c.Nodes()), 3)), false, l)
		if err != nil {
			return err
		}
		defer t.close()
		return disturbance{
			stream: t.kafkaInput("session_timeout: 10s") + t.kafkaOutput(),
			ledger: l, feed: t.feedUntilThere, collect: func() error { return nil }, times: times,
			strike: func(ctx context.Context, _ *program) error { return strike(ctx, c) },
		}.run(ctx, s, dir, r)
	}
}

func stopAndStart(ctx context.Context, c *broker.Cluster) error {
	n := c.Nodes()[0]
	if err := n.Stop(); err != nil {
		return err
	}
	pause(ctx, time.Second)
	return errors.Join(n.Start(), c.Wait(ctx))
}

func killAndStart(ctx context.Context, c *broker.Cluster) error {
	n := c.Nodes()[rand.IntN(len(c.Nodes()))]
	if err := n.Kill(); err != nil {
		return err
	}
	pause(ctx, time.Second)
	return errors.Join(n.Start(), c.Wait(ctx))
}

func pauseAndResume(ctx context.Context, c *broker.Cluster) error {
	n := c.Nodes()[0]
	if err := n.Pause(); err != nil {
		return err
	}
	pause(ctx, 12*time.Second) // longer than the session timeout
	return errors.Join(n.Resume(), c.Wait(ctx))
}

// brokerDiskFull gives the broker a small disk and fills it. A broker whose
// only disk is full shuts itself down; it comes back when there is room.
func brokerDiskFull(ctx context.Context, s *suite, dir string, r *row) (err error) {
	data, err := subdir(dir, "kafka")
	if err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=192m"); err != nil {
		return fmt.Errorf("%w: %w", errNotHere, err)
	}
	defer func() {
		if unmountErr := syscall.Unmount(data, syscall.MNT_DETACH); err == nil {
			err = unmountErr
		}
	}()
	c, err := broker.Start(ctx, broker.Options{Jars: s.jars, Dir: data})
	if err != nil {
		return err
	}
	defer c.Close()
	return brokerFault(1, func(ctx context.Context, c *broker.Cluster) error {
		filler := filepath.Join(data, "filler")
		if err := fill(filler); err != nil {
			return err
		}
		pause(ctx, 5*time.Second)
		if err := os.Remove(filler); err != nil {
			return err
		}
		n := c.Nodes()[0]
		if err := n.Kill(); err != nil {
			return err
		}
		return errors.Join(n.Start(), c.Wait(ctx))
	})(ctx, s, c, dir, r)
}

// kafkaNetwork puts a proxy before the broker.
func kafkaNetwork(times int, strike func(ctx context.Context, p *proxy)) func(context.Context, *suite, string, *row) error {
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
			return p.addr(), nil
		}})
		if p != nil {
			defer p.close()
		}
		if err != nil {
			return err
		}
		defer c.Close()
		return brokerFault(times, func(ctx context.Context, _ *broker.Cluster) error {
			strike(ctx, p)
			p.heal()
			return nil
		})(ctx, s, c, dir, r)
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
	stream := t.kafkaInput("session_timeout: 6s\n    heartbeat_interval: 1s") + t.kafkaOutput()
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

// churn lets four workers join and leave a group under load.
func churn(member func(worker int) string) func(context.Context, *suite, *broker.Cluster, string, *row) error {
	return func(ctx context.Context, s *suite, c *broker.Cluster, dir string, r *row) error {
		l := newLedger()
		t, err := newTopics(ctx, c.Brokers(), 12, 1, false, l)
		if err != nil {
			return err
		}
		defer t.close()

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
			workers[k], err = s.start(ctx, workerDir, t.kafkaInput(member(k))+t.kafkaOutput())
			return err
		}
		if err := start(0); err != nil {
			return err
		}
		moves := 16
		if s.short {
			moves = 4
		}
		next := 0
		for range moves {
			if err := t.feed(ctx, next, 200); err != nil {
				return err
			}
			next += 200
			pause(ctx, time.Duration(300+rand.IntN(1200))*time.Millisecond)
			moved := time.Now()
			k := 1 + rand.IntN(3)
			switch p := workers[k]; {
			case p == nil:
				if err := start(k); err != nil {
					return err
				}
			case rand.IntN(2) == 0:
				p.kill()
				workers[k] = nil
			default:
				if err := p.stop(60 * time.Second); err != nil {
					return err
				}
				workers[k] = nil
			}
			r.runs++
			if err := t.feed(ctx, next, 20); err != nil {
				return err
			}
			next += 20
			if err := await(ctx, longRecovery, "an answer after the move", func() bool {
				_, ok := l.firstAfter(moved)
				return ok
			}); err != nil {
				return err
			}
			first, _ := l.firstAfter(moved)
			r.recoveries = append(r.recoveries, first.Sub(moved))
		}
		err = await(ctx, longRecovery, "every message to be answered", l.complete)
		r.tally = l.balance()
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, tail(workers[0].log.String(), 4000))
		}
		return err
	}
}

const quickSession = "session_timeout: 6s\n    heartbeat_interval: 500ms\n    revoke_timeout: 5s\n    rebalance_timeout: 10s"

func kafkaScenarios() []scenario {
	one := func(run func(context.Context, *suite, *broker.Cluster, string, *row) error) func(context.Context, *suite, string, *row) error {
		return withBroker(1, nil, run)
	}
	return []scenario{
		{name: "kill, Kafka to Kafka", kafka: true, run: one(killKafkaToKafka)},
		{name: "kill, Kafka to Kafka, exactly once", kafka: true, run: one(killExactlyOnce)},
		{name: "workers join and leave, exactly once", kafka: true, run: one(churnExactlyOnce)},
		{name: "broker killed, exactly once", kafka: true, run: exactlyOnceFault(2, func(ctx context.Context, c *broker.Cluster, _ *proxy) error { return killAndStart(ctx, c) })},
		{name: "network to Kafka: connections cut, exactly once", kafka: true, run: exactlyOnceFault(1, cutAndHalve)},
		{name: "kill, Kafka to webhook", kafka: true, run: one(killKafkaToWebhook)},
		{name: "broker stopped and started", kafka: true, run: one(brokerFault(2, stopAndStart))},
		{name: "broker killed", kafka: true, run: one(brokerFault(3, killAndStart))},
		{name: "broker paused", kafka: true, run: one(brokerFault(1, pauseAndResume))},
		{name: "broker's disk full", kafka: true, run: brokerDiskFull},
		{name: "one of three brokers killed", kafka: true, run: withBroker(3, nil, brokerFault(3, killAndStart))},
		{name: "worker paused past its session", kafka: true, run: one(consumerPaused)},
		{name: "workers join and leave, cooperative", kafka: true, run: one(churn(func(int) string { return quickSession }))},
		{name: "workers join and leave, eager", kafka: true, run: one(churn(func(int) string { return quickSession + "\n    group_balancer: range" }))},
		{name: "workers join and leave, static members", kafka: true, run: one(churn(func(k int) string {
			return quickSession + fmt.Sprintf("\n    instance_id: worker-%d", k)
		}))},
		{name: "network to Kafka: delays", kafka: true, run: kafkaNetwork(1, func(ctx context.Context, p *proxy) {
			p.delay.Store(int64(300 * time.Millisecond))
			pause(ctx, 5*time.Second)
		})},
		{name: "network to Kafka: connections cut", kafka: true, run: kafkaNetwork(2, func(ctx context.Context, p *proxy) {
			for range 10 {
				p.cut()
				pause(ctx, 200*time.Millisecond)
			}
		})},
		{name: "network to Kafka: answers halved", kafka: true, run: kafkaNetwork(1, func(ctx context.Context, p *proxy) {
			for range 10 {
				p.halve.Store(true)
				pause(ctx, 200*time.Millisecond)
			}
		})},
		{name: "network to Kafka: black hole", kafka: true, run: kafkaNetwork(1, func(ctx context.Context, p *proxy) {
			p.blackHole.Store(true)
			pause(ctx, 12*time.Second)
			p.cut()
		})},
	}
}
