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

const partitions = 4

// kafka is a broker with pairs of topics, one pair for each turn.
type kafka struct {
	bench   *bench
	cluster *broker.Cluster
	turns   int
}

func startKafka(ctx context.Context, b *bench, jars string) (*kafka, error) {
	dir, err := b.turn()
	if err != nil {
		return nil, err
	}
	c, err := broker.Start(ctx, broker.Options{Jars: jars, Dir: dir})
	if err != nil {
		return nil, err
	}
	return &kafka{bench: b, cluster: c}, nil
}

func (k *kafka) close() { k.cluster.Close() }

// prepare makes a pair of topics and fills the first.
func (k *kafka) prepare(ctx context.Context, messages int) (in, out string, err error) {
	k.turns++
	in, out = fmt.Sprint("in-", k.turns), fmt.Sprint("out-", k.turns)
	client, err := kgo.NewClient(kgo.SeedBrokers(k.cluster.Brokers()...))
	if err != nil {
		return "", "", err
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopics(ctx, partitions, 1, nil, in, out); err != nil {
		return "", "", err
	}
	for i := range messages {
		client.Produce(ctx, &kgo.Record{Topic: in, Key: fmt.Append(nil, i), Value: parameters(i)}, func(_ *kgo.Record, e error) {
			if e != nil {
				err = e
			}
		})
	}
	return in, out, errors.Join(client.Flush(ctx), err)
}

// arrived waits until a topic holds as many records.
func (k *kafka) arrived(ctx context.Context, topic string, messages int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(k.cluster.Brokers()...))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for {
		ends, err := admin.ListEndOffsets(ctx, topic)
		if err != nil {
			return err
		}
		total := int64(0)
		ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
		if total >= int64(messages) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (k *kafka) program(ctx context.Context, messages int) (time.Duration, error) {
	in, out, err := k.prepare(ctx, messages)
	if err != nil {
		return 0, err
	}
	dir, err := k.bench.turn()
	if err != nil {
		return 0, err
	}
	started := time.Now()
	cmd, err := k.bench.start(ctx, dir, fmt.Sprintf(`
input: { mfn_kafka: { seed_brokers: [ %[1]q ], topics: [ %[2]v ], consumer_group: %[2]v } }
%[4]v
output: { mfn_kafka: { seed_brokers: [ %[1]q ], topic: %[3]v } }
`, strings.Join(k.cluster.Brokers(), ","), in, out, pipeline))
	if err != nil {
		return 0, err
	}
	err = k.arrived(ctx, out, messages)
	took := time.Since(started)
	return took, errors.Join(err, stop(cmd))
}

// bare is what the client library does by itself: it polls, produces what came
// with all acknowledgements, and commits.
func (k *kafka) bare(ctx context.Context, messages int) (time.Duration, error) {
	in, out, err := k.prepare(ctx, messages)
	if err != nil {
		return 0, err
	}
	started := time.Now()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(k.cluster.Brokers()...),
		kgo.ConsumeTopics(in), kgo.ConsumerGroup(in), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
	)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	for done := 0; done < messages; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return 0, err
		}
		var failure error
		fetches.EachRecord(func(r *kgo.Record) {
			done++
			// A value as long as a result.
			value := append(make([]byte, 0, resultBytes), r.Value...)
			client.Produce(ctx, &kgo.Record{Topic: out, Key: r.Key, Value: value[:resultBytes]}, func(_ *kgo.Record, err error) {
				if err != nil {
					failure = err
				}
			})
		})
		if err := errors.Join(client.Flush(ctx), failure); err != nil {
			return 0, err
		}
		if err := client.CommitUncommittedOffsets(ctx); err != nil {
			return 0, err
		}
	}
	if err := k.arrived(ctx, out, messages); err != nil {
		return 0, err
	}
	return time.Since(started), nil
}

// resultBytes is about the length of a result.
const resultBytes = 1000
