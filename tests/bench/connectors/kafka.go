package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
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

// arrived waits until a topic holds as many records, and returns how many it
// holds.
func (k *kafka) arrived(ctx context.Context, topic string, messages int) (int, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(k.cluster.Brokers()...))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for {
		ends, err := admin.ListEndOffsets(ctx, topic)
		if err != nil {
			return 0, err
		}
		total := int64(0)
		ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
		if total >= int64(messages) {
			return int(total), nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// steady returns how long so many messages take at the rate of the second half
// of them, so that neither the start nor the joining of the group counts.
func (k *kafka) steady(ctx context.Context, topic string, messages int) (time.Duration, error) {
	before, err := k.arrived(ctx, topic, messages/2)
	if err != nil {
		return 0, err
	}
	half := time.Now()
	after, err := k.arrived(ctx, topic, messages)
	if err != nil {
		return 0, err
	}
	return time.Duration(float64(time.Since(half)) * float64(messages) / float64(after-before)), nil
}

// program carries messages from topic to topic, each at least once.
func (k *kafka) program(ctx context.Context, messages int) (time.Duration, error) {
	return k.stream(ctx, messages, `
input: { mfn_kafka: { seed_brokers: [ %[1]q ], topics: [ %[2]v ], consumer_group: %[2]v } }
%[4]v
output: { mfn_kafka: { seed_brokers: [ %[1]q ], topic: %[3]v } }
`)
}

// exactlyOnce carries them in transactions.
func (k *kafka) exactlyOnce(ctx context.Context, messages int) (time.Duration, error) {
	return k.stream(ctx, messages, `
input: { mfn_kafka_transaction: { seed_brokers: [ %[1]q ], topics: [ %[2]v ], consumer_group: %[2]v, transactional_id: %[2]v } }
%[4]v
output: { mfn_kafka_transaction: { transactional_id: %[2]v, topic: %[3]v } }
`)
}

// stream runs a stream from topic to topic.
func (k *kafka) stream(ctx context.Context, messages int, format string) (time.Duration, error) {
	in, out, err := k.prepare(ctx, messages)
	if err != nil {
		return 0, err
	}
	dir, err := k.bench.turn()
	if err != nil {
		return 0, err
	}
	cmd, err := k.bench.start(ctx, dir, fmt.Sprintf(format, strings.Join(k.cluster.Brokers(), ","), in, out, pipeline))
	if err != nil {
		return 0, err
	}
	took, err := k.steady(ctx, out, messages)
	return took, errors.Join(err, k.bench.stop(cmd))
}

// bare is what the client library does by itself: it polls, produces a result for
// each record with all acknowledgements, waits for them, and goes on. Offsets are
// committed every five seconds, as the program does. poll is how many records it
// takes at a time; 0: whole fetches.
func (k *kafka) bare(poll int) func(context.Context, int) (time.Duration, error) {
	return func(ctx context.Context, messages int) (took time.Duration, err error) {
		in, out, err := k.prepare(ctx, messages)
		if err != nil {
			return 0, err
		}
		client, err := kgo.NewClient(
			kgo.SeedBrokers(k.cluster.Brokers()...),
			kgo.ConsumeTopics(in), kgo.ConsumerGroup(in), kgo.AutoCommitMarks(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		)
		if err != nil {
			return 0, err
		}
		defer client.Close()
		before := ownCPU()
		ctx, cancel := context.WithCancelCause(ctx)
		loop := make(chan struct{})
		go func() {
			defer close(loop)
			if err := answer(ctx, client, poll, out, messages); err != nil {
				cancel(err)
			}
		}()
		took, err = k.steady(ctx, out, messages)
		<-loop
		k.bench.cpu = ownCPU() - before
		err = errors.Join(err, context.Cause(ctx))
		cancel(nil)
		return took, err
	}
}

// answer consumes so many records and produces a result for each.
func answer(ctx context.Context, client *kgo.Client, poll int, topic string, messages int) error {
	for done := 0; done < messages; {
		fetches := client.PollRecords(ctx, poll)
		if err := fetches.Err(); err != nil {
			return err
		}
		records := fetches.Records()
		done += len(records)
		var failure atomic.Pointer[error]
		for _, r := range records {
			record := &kgo.Record{Topic: topic, Key: r.Key, Value: fmt.Appendf(make([]byte, 0, len(result)+16), result, r.Offset)}
			client.Produce(ctx, record, func(_ *kgo.Record, err error) {
				if err != nil {
					failure.Store(&err)
				}
			})
		}
		if err := client.Flush(ctx); err != nil {
			return err
		}
		if err := failure.Load(); err != nil {
			return *err
		}
		client.MarkCommitRecords(records...)
	}
	return nil
}

// result is one of the program's, so that it is as long and as easy to compress.
const result = `{"event":"simulation_complete","simulation_id":"m%07d","params":{"grid_size":4,"steps":1,"alpha":0.18,"spike_probability":0.25,` +
	`"turing_enabled":true,"turing_threshold":0.75,"quantum_jitter":false,"jitter_var":0.0005,"seed":1,"d_activator":0.1,"d_inhibitor":0.05,` +
	`"r_activator":0.01,"r_inhibitor":0.02,"boundary":"periodic"},"fractal_dimension":0,"features":{"D_box":0,"D_r2":0,` +
	`"V_min":-70.88793856587239,"V_max":-60.97130502384776,"V_mean":-67.83351642874055,"V_std":2.6513113127824743,"V_skew":1.0518831037807141,` +
	`"V_kurt":0.406451366429311,"dV_mean":0,"dV_max":0,"T_stable":0,"E_trend":0,"f_active":0,"N_clusters_low":0,"N_clusters_med":0,` +
	`"N_clusters_high":0,"max_cluster_size":0,"cluster_size_std":0},"growth_events":1,"turing_activations":0,"clamping_events":0,` +
	`"field_min_mV":-70.88793856587239,"field_max_mV":-60.97130502384776,"field_mean_mV":-67.83351642874055,"field_std_mV":2.6513113127824743,` +
	`"activator_mean":0.048433541926779705,"inhibitor_mean":0.05597724206639444}`
