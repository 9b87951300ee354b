package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// writeTransaction writes records in one transaction, which ends as it is told.
func writeTransaction(t *testing.T, end kgo.TransactionEndTry, records ...*kgo.Record) {
	t.Helper()
	cl := client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID(name(t, "transaction")))
	require.NoError(t, cl.BeginTransaction())
	require.NoError(t, cl.ProduceSync(t.Context(), records...).FirstErr())
	require.NoError(t, cl.EndTransaction(t.Context(), end))
}

// lagOf reports whether the stream's lag of partition 0 is n.
func lagOf(s *stream, topic string, n int) bool {
	return strings.Contains(s.get("/metrics"), fmt.Sprintf(`mfn_kafka_lag{label="source",partition="0",path="root.input",topic="%v"} %v`+"\n", topic, n))
}

// Behind the ends of transactions, and behind what was aborted, the group has no
// lag left, by its own account and by ours.
func TestNoLagBehindTransactions(t *testing.T) {
	for _, row := range []struct {
		name   string
		fields []string
		want   int
	}{
		{"uncommitted", []string{"isolation_level: read_uncommitted"}, 28},
		{"committed", []string{"isolation_level: read_committed"}, 6},
		{"one by one", []string{"isolation_level: read_committed", "checkpoint_limit: 1"}, 6},
		{"batches", []string{"isolation_level: read_committed", "batching: { count: 4, period: 50ms }"}, 6},
	} {
		t.Run(row.name, func(t *testing.T) {
			topic, group := topic(t, 1), name(t, "group")
			adm := admin(t)
			writeTransaction(t, kgo.TryCommit, numbered(topic, 1, 0, 5)...)
			writeTransaction(t, kgo.TryCommit, numbered(topic, 1, 5, 1)...)
			writeTransaction(t, kgo.TryAbort, numbered(topic, 1, 6, 22)...)
			var l ledger
			s := start(t, inputYAML(group, topic, append(row.fields, "topic_lag_refresh_period: 100ms")...), l.consume)
			await.Until(t, func() bool { return committed(adm, group, topic, 0) == 31 }, "of 28 records and 3 ends")
			await.Until(t, func() bool { return lagOf(s, topic, 0) })
			assert.Equal(t, row.want, l.total())

			lags, err := adm.Lag(t.Context(), group)
			require.NoError(t, err)
			assert.Zero(t, lags[group].Lag.Total())
			produce(t, numbered(topic, 1, 28, 1)...)
			await.Until(t, func() bool { return l.has("0:28") })
			s.Stop()
			assert.EqualValues(t, 32, committed(adm, group, topic, 0))
		})
	}
}

// The same in transactions, whether the last one holds messages or was aborted.
func TestNoLagBehindTransactionsInTransactions(t *testing.T) {
	for _, row := range []struct {
		name string
		last kgo.TransactionEndTry
		want int
	}{{"committed", kgo.TryCommit, 7}, {"aborted", kgo.TryAbort, 5}} {
		t.Run(row.name, func(t *testing.T) {
			from, to, group, id := topic(t, 1), topic(t, 1), name(t, "group"), name(t, "transaction")
			adm := admin(t)
			s := start(t, transactionYAML(id, group, from, "", transactionOutput(id, to)), nil)
			l := answers(t, to)
			writeTransaction(t, kgo.TryCommit, numbered(from, 1, 0, 5)...)
			await.Until(t, func() bool { return committed(adm, group, from, 0) == 6 })
			writeTransaction(t, row.last, numbered(from, 1, 5, 2)...)
			await.Until(t, func() bool { return committed(adm, group, from, 0) == 9 })
			await.Until(t, func() bool { return l.distinct() == row.want })
			s.Stop()
			assert.Equal(t, row.want, l.total())
		})
	}
}

// A message that is rejected for ever holds up its partition: no more than the
// limit is delivered, and delivered again after a crash.
func TestLimitBoundsWhatIsDeliveredBehindARejectedMessage(t *testing.T) {
	const limit = 10
	topic, group := topic(t, 2), name(t, "group")
	adm := admin(t)
	produce(t, numbered(topic, 2, 0, 100)...)
	var l, rejected ledger
	consume := func(ctx context.Context, b service.MessageBatch) error {
		if text(b[0]) == "0:0" {
			rejected.add("0:0")
			return errors.New("never")
		}
		return l.consume(ctx, b)
	}
	fields := []string{fmt.Sprint("checkpoint_limit: ", limit), "retry: { initial_delay: 1ms, max_delay: 10ms }"}
	s := start(t, inputYAML(group, topic, fields...), consume)
	await.Until(t, func() bool { return len(l.partition(1)) == 100 && rejected.total() > 20 })
	s.Abandon()
	assert.Len(t, l.partition(0), limit-1)
	assert.EqualValues(t, -1, committed(adm, group, topic, 0))

	s = start(t, inputYAML(group, topic, fields...), l.consume)
	await.Until(t, func() bool { return l.distinct() == 200 })
	s.Stop()
	assert.Equal(t, 200+limit-1, l.total())
	assert.EqualValues(t, 100, committed(adm, group, topic, 0))
}

// Without an offset to go on from, inputs that may start nowhere else end.
func TestNoCommittedOffset(t *testing.T) {
	for _, kind := range []string{"mfn_kafka", "mfn_kafka_transaction"} {
		t.Run(kind, func(t *testing.T) {
			topic, group := topic(t, 1), name(t, "group")
			produce(t, numbered(topic, 1, 0, 3)...)
			conf := inputYAML(group, topic, "start_offset: committed")
			if kind == "mfn_kafka_transaction" {
				id := name(t, "transaction")
				conf = transactionYAML(id, group, topic, "", transactionOutput(id, topic), "start_offset: committed")
			} else {
				conf += "output: { drop: {} }\n"
			}
			s := start(t, conf, nil)
			select {
			case <-s.done:
			case <-time.After(patience):
				t.Fatal("it goes on")
			}
			assert.True(t, s.logs.contain("start_offset is committed, but the group has committed none"))
		})
	}
}
