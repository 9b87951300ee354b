package kafka

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

const lettersName = "letters"

// newClusterWithSmallAnswers is a cluster whose topic for answers takes 2000 bytes
// at once, with another for what does not fit.
func newClusterWithSmallAnswers(t *testing.T) *kfake.Cluster {
	t.Helper()
	c := newCluster(t, 1)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	require.NoError(t, err)
	defer cl.Close()
	limit := "2000"
	_, err = kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &limit}, answersName)
	require.NoError(t, err)
	_, err = kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, lettersName)
	require.NoError(t, err)
	return c
}

// answerOrWrite answers what content makes of each message, and writes those that
// are refused to another topic, as a fallback does. It ends the transaction, and
// says how many were refused.
func answerOrWrite(t *testing.T, tx transaction, content func(id string) string) (refused []string) {
	t.Helper()
	var records []*kgo.Record
	for _, id := range tx.ids {
		records = append(records, &kgo.Record{Topic: answersName, Partition: -1, Value: []byte(content(id))})
	}
	var rejection error
	for i, err := range tx.Produce(t.Context(), records) {
		if err == nil {
			continue
		}
		refused = append(refused, tx.ids[i])
		letter := &kgo.Record{Topic: lettersName, Partition: -1, Value: []byte(tx.ids[i])}
		rejection = errors.Join(rejection, errors.Join(tx.Produce(t.Context(), []*kgo.Record{letter})...))
	}
	require.NoError(t, tx.end(t.Context(), rejection))
	return refused
}

// A record that is too large for the brokers is refused alone, though they refuse all
// that the client sends along with it. Another topic takes it in the same
// transaction.
func TestTransactionWithARecordThatIsTooLargeForTheBrokers(t *testing.T) {
	for _, row := range []struct {
		name    string
		sizes   map[string]int
		refused []string
	}{
		{name: "one", sizes: map[string]int{"0:3": 5000}, refused: []string{"0:3"}},
		{name: "the first and the last", sizes: map[string]int{"0:0": 5000, "0:9": 5000}, refused: []string{"0:0", "0:9"}},
		{name: "none but all together", sizes: map[string]int{"0:1": 1200, "0:2": 1200, "0:5": 1200, "0:6": 1200}},
		{name: "one and others together", sizes: map[string]int{"0:1": 1200, "0:2": 1200, "0:5": 5000, "0:6": 1200}, refused: []string{"0:5"}},
		{name: "all", sizes: map[string]int{"0:0": 5000, "0:1": 5000, "0:2": 5000, "0:3": 5000, "0:4": 5000, "0:5": 5000, "0:6": 5000, "0:7": 5000, "0:8": 5000, "0:9": 5000},
			refused: []string{"0:0", "0:1", "0:2", "0:3", "0:4", "0:5", "0:6", "0:7", "0:8", "0:9"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newClusterWithSmallAnswers(t)
			fill(t, c, 1, 10, "")
			s := begin(t, c, "id")
			closeInTheEnd(t, s)
			content := func(id string) string { return id + noise(id, row.sizes[id]) }
			tx := read(t, s)
			require.Len(t, tx.ids, 10)
			before := &kgo.Record{Topic: lettersName, Partition: -1, Value: []byte("before")}
			require.NoError(t, errors.Join(tx.Produce(t.Context(), []*kgo.Record{before})...))
			assert.Equal(t, row.refused, answerOrWrite(t, tx, content))
			assert.True(t, s.Committed())
			assert.EqualValues(t, 10, committedAt(c, 0))
			assert.ElementsMatch(t, append(row.refused, "before"), valuesIn(t, c, lettersName))
			assert.Len(t, valuesIn(t, c, answersName), 10-len(row.refused))
		})
	}
}

// A record that was refused does not keep the others from being written, in order.
func TestTransactionGoesOnAfterARefusal(t *testing.T) {
	c := newTransactionCluster(t, 1)
	fill(t, c, 1, 3, "")
	s := begin(t, c, "id")
	closeInTheEnd(t, s)
	tx := read(t, s)
	require.NoError(t, tx.answer(t.Context()))
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: answersName, Err: kerr.InvalidRecord})
	errs := tx.Produce(t.Context(), []*kgo.Record{{Topic: answersName, Partition: -1, Value: []byte("x")}})
	require.ErrorIs(t, errs[0], kerr.InvalidRecord)
	errs = tx.Produce(t.Context(), []*kgo.Record{{Topic: answersName, Partition: -1, Value: []byte("y")}})
	require.NoError(t, errs[0])
	require.NoError(t, tx.end(t.Context(), nil))
	assert.Equal(t, []string{"0:0", "0:1", "0:2", "y"}, answersIn(t, c, kgo.ReadCommitted()))
}

// An error that may pass aborts the transaction though something else takes the
// message, until retries are used up.
func TestTransactionIsAbortedByAnErrorThatMayPass(t *testing.T) {
	c := newTransactionCluster(t, 1)
	fill(t, c, 1, 3, "")
	memory := NewSessionState(retry.Policy{Strategy: retry.FixedDelay, MaxRetries: 2}, 100, time.Minute)
	memory.size.current = 100
	s := begin(t, c, "id", memory)
	closeInTheEnd(t, s)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: answersName, Err: kerr.UnknownTopicOrPartition, Count: -1})
	for attempt := range 3 {
		tx := read(t, s)
		require.ErrorIs(t, tx.answer(t.Context()), kerr.UnknownTopicOrPartition)
		require.NoError(t, tx.end(t.Context(), nil), "a fallback has taken it")
		assert.Equal(t, attempt == 2, s.Committed())
	}
}

// A topic that is deleted and made again is written to again: what a transaction
// wrote to the old one is lost, and so the transaction is aborted.
func TestTransactionWritesToATopicMadeAgain(t *testing.T) {
	for _, row := range []struct {
		name           string
		before, within bool
	}{
		{name: "between transactions", before: true},
		{name: "within a transaction", within: true},
		{name: "twice", before: true, within: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newTransactionCluster(t, 1)
			fill(t, c, 1, 5, "")
			s := begin(t, c, "id")
			closeInTheEnd(t, s)
			answerAll(t, s, 5)
			fillFrom(t, c, 1, 5, 5)
			if row.before {
				remakeAnswers(t, c)
			}
			await.Until(t, func() bool {
				tx := read(t, s)
				err := tx.answer(t.Context())
				if row.within {
					remakeAnswers(t, c)
					row.within = false
					err = tx.answer(t.Context())
				}
				require.NoError(t, tx.end(t.Context(), err))
				return committedAt(c, 0) == 10
			})
			require.NoError(t, s.Err(), "the session goes on")
			assert.ElementsMatch(t, []string{"0:5", "0:6", "0:7", "0:8", "0:9"}, answersIn(t, c, kgo.ReadCommitted()))
		})
	}
}

// noise is text that cannot be compressed to less than some four fifths, another
// for each id.
func noise(id string, n int) string {
	random := rand.New(rand.NewPCG(uint64(id[2]), uint64(n)))
	text := make([]byte, n)
	for i := range text {
		text[i] = byte('!' + random.IntN(90))
	}
	return string(text)
}

// The client may notice that a topic was made again before anything else is written
// to it. What was written is lost then, and the transaction is not committed.
func TestTransactionWhoseTopicIsFoundToBeAnother(t *testing.T) {
	c := newTransactionCluster(t, 1)
	fill(t, c, 1, 5, "")
	s := begin(t, c, "id")
	closeInTheEnd(t, s)
	tx := read(t, s)
	require.NoError(t, tx.answer(t.Context()))
	remakeAnswers(t, c)
	looks := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Observe: true, Count: -1})
	for n := range int64(2) { // when it asks again, it has taken in the answer before
		await.Until(t, func() bool {
			s.session.Client().ForceMetadataRefresh()
			return looks.Hits() > int(n)
		})
	}
	require.NoError(t, tx.end(t.Context(), nil))
	assert.False(t, s.Committed())
	await.Until(t, func() bool {
		tx := read(t, s)
		require.NoError(t, tx.end(t.Context(), tx.answer(t.Context())))
		return s.Committed()
	})
	require.NoError(t, s.Err(), "the session goes on")
	requireEachOnce(t, c, 1, 5)
}

// remakeAnswers deletes the topic of answers and makes it again.
func remakeAnswers(t *testing.T, c *kfake.Cluster) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	require.NoError(t, err)
	defer cl.Close()
	_, err = kadm.NewClient(cl).DeleteTopic(t.Context(), answersName)
	require.NoError(t, err)
	_, err = kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, answersName)
	require.NoError(t, err)
}

// valuesIn lists the committed values of a topic.
func valuesIn(t *testing.T, c *kfake.Cluster, topic string) (values []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer cl.Close()
	require.NoError(t, cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("end")}).FirstErr())
	for {
		fetches := cl.PollFetches(ctx)
		require.NoError(t, ctx.Err())
		for r := range fetches.RecordsAll() {
			if string(r.Value) == "end" {
				return values
			}
			values = append(values, string(r.Value))
		}
	}
}
