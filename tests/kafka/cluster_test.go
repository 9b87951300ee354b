// Package kafka tests the Kafka input and output inside streams, against an
// in-process broker or, when MFN_KAFKA_JARS names the jars of one, against a
// real Apache Kafka that the tests start and stop.
package kafka

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/mfn-connect/mfn-connect/tests/kafka/broker"
)

// cluster is what the tests need of a Kafka, whichever it is.
type cluster interface {
	Brokers() []string
	SASL() []string
	TLS() []string
	CA() string
	// Stop stops all brokers, Start starts them again with what they had.
	Stop() error
	Start() error
	Close()
}

var kafka cluster

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp(os.Getenv("MFN_KAFKA_DIR"), "kafka-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary directory

	if jars := os.Getenv("MFN_KAFKA_JARS"); jars != "" {
		kafka, err = startReal(jars, dir)
	} else {
		kafka, err = startFake(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	kafka.Close()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

type realKafka struct{ *broker.Cluster }

func startReal(jars, dir string) (cluster, error) {
	c, err := broker.Start(context.Background(), broker.Options{Jars: jars, Dir: dir})
	return realKafka{c}, err
}

func (k realKafka) Stop() error {
	for _, n := range k.Nodes() {
		if err := n.Stop(); err != nil {
			return err
		}
	}
	return nil
}

func (k realKafka) Start() error {
	for _, n := range k.Nodes() {
		if err := n.Start(); err != nil {
			return err
		}
	}
	return k.Wait(context.Background())
}

type fakeKafka struct {
	plain, sasl, tls *kfake.Cluster
	ca               string
	opts             []kfake.Opt // of plain
	brokers          []string    // of plain, also while it is stopped
}

func startFake(dir string) (cluster, error) {
	// It persists, so that it can stop and start. Its offsets, kept in memory
	// between fsyncs otherwise, are to survive too.
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.DataDir(dir), kfake.SyncWrites(), kfake.AllowAutoTopicCreation(),
		kfake.DefaultNumPartitions(1), kfake.GroupMinSessionTimeout(time.Second)}
	k := &fakeKafka{}
	var err error
	if k.plain, err = kfake.NewCluster(opts...); err != nil {
		return nil, err
	}
	k.brokers = k.plain.ListenAddrs()
	var port int
	if _, err := fmt.Sscanf(k.brokers[0][strings.LastIndex(k.brokers[0], ":")+1:], "%d", &port); err != nil {
		return nil, err
	}
	k.opts = append(slices.Clone(opts), kfake.Ports(port))

	if k.sasl, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.AllowAutoTopicCreation(),
		kfake.Superuser("PLAIN", broker.User, broker.Password),
		kfake.Superuser("SCRAM-SHA-256", broker.User, broker.Password),
		kfake.Superuser("SCRAM-SHA-512", broker.User, broker.Password)); err != nil {
		return nil, err
	}
	conf, ca, err := broker.ServerTLS(dir)
	if err != nil {
		return nil, err
	}
	k.ca = ca
	k.tls, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(conf), kfake.AllowAutoTopicCreation())
	return k, err
}

func (k *fakeKafka) Brokers() []string { return k.brokers }
func (k *fakeKafka) SASL() []string    { return k.sasl.ListenAddrs() }
func (k *fakeKafka) TLS() []string     { return k.tls.ListenAddrs() }
func (k *fakeKafka) CA() string        { return k.ca }

func (k *fakeKafka) Stop() error {
	k.plain.Close()
	return nil
}

func (k *fakeKafka) Start() (err error) {
	k.plain, err = kfake.NewCluster(k.opts...)
	return err
}

func (k *fakeKafka) Close() {
	k.plain.Close()
	k.sasl.Close()
	k.tls.Close()
}

const (
	patience = 60 * time.Second // more than any machine needs
	beat     = 20 * time.Millisecond
)

var unique atomic.Int64

// name returns a name for a topic or group that no other test has.
func name(t *testing.T, kind string) string {
	t.Helper()
	short := strings.NewReplacer("/", "-", "_", "-").Replace(strings.ToLower(t.Name()))
	return fmt.Sprintf("%v-%v-%v-%v", kind, short, os.Getpid(), unique.Add(1))
}

func client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	// A client of the tests is patient and quick to notice changes.
	opts = append([]kgo.Opt{kgo.SeedBrokers(kafka.Brokers()...), kgo.MetadataMinAge(100 * time.Millisecond)}, opts...)
	cl, err := kgo.NewClient(opts...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return cl
}

func admin(t *testing.T) *kadm.Client {
	t.Helper()
	return kadm.NewClient(client(t))
}

// topic makes a topic with so many partitions.
func topic(t *testing.T, partitions int32) string {
	t.Helper()
	topic := name(t, "topic")
	createTopic(t, topic, partitions)
	return topic
}

func createTopic(t *testing.T, topic string, partitions int32) {
	t.Helper()
	resp, err := admin(t).CreateTopic(t.Context(), partitions, 1, nil, topic)
	require.NoError(t, err)
	require.NoError(t, resp.Err)
}

// produce writes records, waiting until the broker has them.
func produce(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	cl := client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(-1))
	require.NoError(t, cl.ProduceSync(t.Context(), records...).FirstErr())
}

// numbered makes count records per partition with the values "partition:number".
func numbered(topic string, partitions int32, from, count int) (records []*kgo.Record) {
	for n := from; n < from+count; n++ {
		for p := range partitions {
			records = append(records, &kgo.Record{Topic: topic, Partition: p, Value: fmt.Appendf(nil, "%v:%v", p, n)})
		}
	}
	return records
}

// read reads count records from a topic, of every partition from its start.
func read(t *testing.T, topic string, count int, opts ...kgo.Opt) (records []*kgo.Record) {
	t.Helper()
	cl := client(t, append([]kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart())}, opts...)...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(records) < count {
		fetches := cl.PollFetches(ctx)
		require.NoError(t, ctx.Err(), "only %v of %v records came", len(records), count)
		records = append(records, fetches.Records()...)
	}
	return records
}

// committed returns the offset that a group has committed, -1 for none.
func committed(adm *kadm.Client, group, topic string, partition int32) int64 {
	offsets, err := adm.FetchOffsets(context.Background(), group)
	if err != nil {
		return -1 // the group does not exist yet, or the broker is busy with it
	}
	o, ok := offsets.Lookup(topic, partition)
	if !ok {
		return -1
	}
	return o.At
}

// members returns how many members a group has.
func members(adm *kadm.Client, group string) int {
	groups, err := adm.DescribeGroups(context.Background(), group)
	if err != nil {
		return -1
	}
	return len(groups[group].Members)
}

// settled reports whether a group is stable and its members have so many
// partitions, the fewest first.
func settled(adm *kadm.Client, group string, want ...int) bool {
	groups, err := adm.DescribeGroups(context.Background(), group)
	if err != nil || groups[group].State != "Stable" {
		return false
	}
	var counts []int
	for _, m := range groups[group].Members {
		n := 0
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, topic := range assigned.Topics {
				n += len(topic.Partitions)
			}
		}
		counts = append(counts, n)
	}
	slices.Sort(counts)
	return slices.Equal(counts, want)
}
