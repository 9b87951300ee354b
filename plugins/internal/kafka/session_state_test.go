package kafka

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/slot"
)

func TestTransactionSize(t *testing.T) {
	const period = 100 * time.Millisecond
	for _, row := range []struct {
		name    string
		now     int
		records int
		took    time.Duration
		want    int
	}{
		{name: "quick and full", now: 100, records: 100, took: 10 * time.Millisecond, want: 200},
		{name: "quick, with nothing left", now: 100, records: 50, took: 10 * time.Millisecond, want: 100},
		{name: "almost a period", now: 100, records: 100, took: 80 * time.Millisecond, want: 125},
		{name: "slow", now: 100, records: 100, took: time.Second, want: 10},
		{name: "slow with few", now: 100, records: 10, took: time.Second, want: 4},
		{name: "very slow", now: 100, records: 100, took: time.Hour, want: 4},
		{name: "as many as may be", now: 900, records: 900, took: time.Millisecond, want: 1000},
		{name: "no time at all", now: 4, records: 4, took: 0, want: 8},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := transactionSize{min: 4, max: 1000, current: row.now, period: period}
			s.adapt(row.records, row.took)
			assert.Equal(t, row.want, s.current)
		})
	}
}

// A transaction that failed with its session, as after its timeout, is followed by a
// small one.
func TestTransactionSizeAfterAFailure(t *testing.T) {
	m := NewSessionState(retry.Policy{}, 1000, time.Second)
	least := m.records()
	for range 20 {
		m.committed(make([]*kgo.Record, m.records()), 0)
	}
	assert.Equal(t, 1000, m.records())
	m.failed()
	assert.Equal(t, least, m.records())
	assert.Equal(t, 3, NewSessionState(retry.Policy{}, 3, time.Second).size.max)
	assert.Equal(t, 1, NewSessionState(retry.Policy{}, 1, time.Second).records())
}

// The pause before records are read again is that of a retry.
func TestPauseAfterAbortedTransactions(t *testing.T) {
	m := NewSessionState(retry.Policy{Strategy: retry.ExponentialBackoff, InitialDelay: time.Second, MaxDelay: 5 * time.Second, MaxRetries: 2}, 10, time.Second)
	assert.Zero(t, m.pause())
	var pauses []time.Duration
	var exhausted []bool
	for range 5 {
		m.aborted(false)
		pauses, exhausted = append(pauses, m.pause()), append(exhausted, m.retriesExhausted())
	}
	assert.Equal(t, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second}, pauses)
	assert.Equal(t, []bool{false, true, true, true, true}, exhausted)
	m.committed(nil, 0)
	assert.Zero(t, m.pause())

	m.aborted(true)
	assert.Zero(t, m.pause(), "the next one knows more")
	m.aborted(true)
	assert.Equal(t, 2*time.Second, m.pause(), "but not without an end")
}

// What was computed for a message is there when it is read again, also by another
// session, until it is done with.
func TestSlotsOutlastAbortedTransactions(t *testing.T) {
	c := newTransactionCluster(t, 1)
	fill(t, c, 1, 3, "")
	slots := func(tx transaction) (values []any) {
		for _, ctx := range tx.contexts {
			value, _ := slot.From(ctx).Load("result")
			values = append(values, value)
		}
		return values
	}
	old := begin(t, c, "id")
	tx := read(t, old)
	require.Equal(t, []any{nil, nil, nil}, slots(tx))
	for i, ctx := range tx.contexts {
		slot.From(ctx).Store("result", i)
	}
	require.NoError(t, tx.end(t.Context(), errors.New("refused")))
	tx = read(t, old)
	require.Equal(t, []any{0, 1, 2}, slots(tx))
	require.NoError(t, old.Close(context.Background())) // with the transaction open

	next := begin(t, c, "id", old.conf.State)
	closeInTheEnd(t, next)
	tx = read(t, next)
	require.Equal(t, []any{0, 1, 2}, slots(tx))
	require.NoError(t, tx.answer(t.Context()))
	require.NoError(t, tx.end(t.Context(), nil))
	assert.Empty(t, next.conf.State.slots)
	requireEachOnce(t, c, 1, 3)
}

// The slots of a partition that another member reads are let go of.
func TestSlotsOfAPartitionThatIsLost(t *testing.T) {
	m := NewSessionState(retry.Policy{}, 10, time.Second)
	records := []*kgo.Record{{Topic: "a", Partition: 0}, {Topic: "a", Partition: 1}, {Topic: "b", Partition: 1}}
	m.keepSlots(records, []context.Context{t.Context(), t.Context(), t.Context()})
	m.dropPartitions(map[string][]int32{"a": {1, 2}})
	assert.Len(t, m.slots, 2)
	assert.NotContains(t, m.slots, topicPartition{"a", 1})
}
