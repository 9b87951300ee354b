package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

const answersName = "answers"

// newTransactionCluster is a cluster with a topic for answers as well, of one
// partition.
func newTransactionCluster(t *testing.T, partitions int32) *kfake.Cluster {
	t.Helper()
	c := newCluster(t, partitions)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	require.NoError(t, err)
	defer cl.Close()
	_, err = kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, answersName)
	require.NoError(t, err)
	return c
}

// begin makes a session that is quick in everything, with the memory of one before.
func begin(t *testing.T, c *kfake.Cluster, id string, before ...*SessionState) *TransactionSession {
	t.Helper()
	conf := TransactionConfig{
		Connection: Connection{Seeds: c.ListenAddrs(), ClientID: "test", MaxAge: time.Second},
		Options: []kgo.Opt{
			kgo.ConsumerGroup("group"), kgo.ConsumeTopics(topicName),
			kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50 * time.Millisecond),
			kgo.SessionTimeout(5 * time.Second), kgo.HeartbeatInterval(50 * time.Millisecond),
		},
		ID: id, Topics: []string{topicName},
		MaxMessages: 100, MaxBytes: 1 << 20, PollTimeout: time.Second, Timeout: patience,
	}
	conf.State = NewSessionState(retry.Policy{Strategy: retry.NoRetry}, 100, time.Minute)
	conf.State.size = transactionSize{min: 100, max: 100, current: 100, period: time.Minute}
	for _, memory := range before {
		conf.State = memory
	}
	res := service.MockResources()
	component := status.New(res, "mfn_kafka_transaction", status.Connector)
	t.Cleanup(component.Close)
	s, err := NewTransactionSession(t.Context(), conf, retry.Policy{Strategy: retry.NoRetry}, res, component)
	require.NoError(t, err)
	return s
}

func closeInTheEnd(t *testing.T, s *TransactionSession) {
	t.Helper()
	t.Cleanup(func() { assert.NoError(t, s.Close(context.Background())) })
}

// transaction is one that is open, with what was read in it.
type transaction struct {
	*Transaction
	ids      []string
	contexts []context.Context // of the messages
	end      service.AckFunc
}

func read(t *testing.T, s *TransactionSession) transaction {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	messages, end, err := s.Read(ctx)
	require.NoError(t, err)
	tx := transaction{end: end, Transaction: TransactionOf(messages[0])}
	require.NotNil(t, tx.Transaction)
	for _, msg := range messages {
		content, err := msg.AsBytes()
		require.NoError(t, err)
		tx.ids, tx.contexts = append(tx.ids, string(content)), append(tx.contexts, msg.Context())
		assert.Same(t, tx.Transaction, TransactionOf(msg.Copy()))
	}
	return tx
}

// answer produces an answer to each message of the transaction.
func (tx transaction) answer(ctx context.Context) error {
	var records []*kgo.Record
	for _, id := range tx.ids {
		records = append(records, &kgo.Record{Topic: answersName, Partition: -1, Value: []byte(id)})
	}
	return errors.Join(tx.Produce(ctx, records)...)
}

// answerAll reads, answers and commits until so many messages are done.
func answerAll(t *testing.T, s *TransactionSession, count int) {
	t.Helper()
	for done := 0; done < count; {
		tx := read(t, s)
		require.NoError(t, tx.answer(t.Context()))
		require.NoError(t, tx.end(t.Context(), nil))
		done += len(tx.ids)
	}
}

// answersIn lists the answers that a consumer with this isolation level sees. It
// reads up to a marker of its own, behind which nothing can follow that was
// produced before.
func answersIn(t *testing.T, c *kfake.Cluster, level kgo.IsolationLevel) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.FetchIsolationLevel(level),
		kgo.ConsumeTopics(answersName), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	require.NoError(t, err)
	defer cl.Close()
	marker := fmt.Sprint("marker ", time.Now().UnixNano())
	require.NoError(t, cl.ProduceSync(ctx, &kgo.Record{Topic: answersName, Value: []byte(marker)}).FirstErr())
	var all []string
	for {
		fetches := cl.PollFetches(ctx)
		require.NoError(t, ctx.Err())
		for r := range fetches.RecordsAll() {
			switch value := string(r.Value); {
			case value == marker:
				return all
			case !strings.HasPrefix(value, "marker "):
				all = append(all, value)
			}
		}
	}
}

// requireEachOnce says that a consumer of committed records sees one answer to
// each message of the partitions.
func requireEachOnce(t *testing.T, c *kfake.Cluster, partitions int32, each int) {
	t.Helper()
	var want []string
	for p := range partitions {
		for n := range each {
			want = append(want, fmt.Sprintf("%v:%v", p, n))
		}
		assert.EqualValues(t, each, committedAt(c, p))
	}
	assert.ElementsMatch(t, want, answersIn(t, c, kgo.ReadCommitted()))
}

// lastStable is the offset where a consumer of committed records stops.
func lastStable(t *testing.T, c *kfake.Cluster) int64 {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	require.NoError(t, err)
	defer cl.Close()
	offsets, err := kadm.NewClient(cl).ListCommittedOffsets(t.Context(), answersName)
	require.NoError(t, err)
	require.NoError(t, offsets.Error())
	o, ok := offsets.Lookup(answersName, 0)
	require.True(t, ok)
	return o.Offset
}

// Answers and offsets are there together, and not before the commit.
func TestTransactionCommits(t *testing.T) {
	c := newTransactionCluster(t, 2)
	fill(t, c, 2, 5, "")
	s := begin(t, c, "id")
	closeInTheEnd(t, s)
	assert.False(t, s.Committed())

	tx := read(t, s)
	assert.Equal(t, "id", tx.ID())
	require.NoError(t, tx.answer(t.Context()))
	assert.Zero(t, lastStable(t, c), "nothing is visible before the commit")
	assert.EqualValues(t, -1, committedAt(c, 0))
	assert.EqualValues(t, -1, committedAt(c, 1))

	require.NoError(t, tx.end(t.Context(), nil))
	assert.True(t, s.Committed())
	assert.Positive(t, lastStable(t, c))
	answerAll(t, s, 10-len(tx.ids))
	requireEachOnce(t, c, 2, 5)
	require.NoError(t, s.Err())
}

func TestTheFirstCauseOfAnAbortCounts(t *testing.T) {
	var tr Transaction
	require.NoError(t, tr.cause())
	tr.abort(io.EOF)
	tr.abort(io.ErrClosedPipe)
	require.ErrorIs(t, tr.cause(), io.EOF)
}

// A transaction leaves nothing behind if one of its messages is rejected; its messages
// are read again.
func TestTransactionIsAbortedByARejection(t *testing.T) {
	c := newTransactionCluster(t, 1)
	fill(t, c, 1, 5, "")
	s := begin(t, c, "id")
	closeInTheEnd(t, s)
	first := read(t, s)
	require.NoError(t, first.answer(t.Context()))
	require.NoError(t, first.end(t.Context(), errors.New("refused")))
	assert.EqualValues(t, -1, committedAt(c, 0))
	assert.False(t, s.Committed())

	// What ends it again, or answers late, changes nothing.
	require.NoError(t, first.end(t.Context(), nil))
	require.ErrorIs(t, first.answer(t.Context()), errTransactionOver)

	second := read(t, s)
	assert.Equal(t, first.ids, second.ids)
	assert.NotSame(t, first.Transaction, second.Transaction)
	require.NoError(t, first.end(t.Context(), errors.New("late")), "it is not the second's")
	require.NoError(t, second.answer(t.Context()))
	require.NoError(t, second.end(t.Context(), nil))

	requireEachOnce(t, c, 1, 5)
	assert.Len(t, answersIn(t, c, kgo.ReadUncommitted()), 10, "the aborted ones are there for those who look")
	assert.Contains(t, lastErrors(), "transaction aborted: refused")
}

// lastErrors joins the last errors of all inputs that are.
func lastErrors() string {
	var all []string
	for _, component := range status.Snapshot().Components {
		if m, ok := component.Metrics.(status.ConnectorMetrics); ok && m.LastError != nil {
			all = append(all, *m.LastError)
		}
	}
	return strings.Join(all, "\n")
}

// An answer that the brokers refuse is told to the one who gave it, and the
// others of the transaction go with it if it is not sent elsewhere.
func TestTransactionWithARecordThatIsRefused(t *testing.T) {
	c := newTransactionCluster(t, 1)
	fill(t, c, 1, 3, "")
	s := begin(t, c, "id")
	closeInTheEnd(t, s)
	tx := read(t, s)
	require.NoError(t, tx.answer(t.Context()))
	fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: answersName, Err: kerr.MessageTooLarge, Count: -1})
	err := tx.answer(t.Context())
	require.ErrorIs(t, err, kerr.MessageTooLarge)
	fault.Remove()
	require.NoError(t, tx.end(t.Context(), err))
	answerAll(t, s, 3)
	requireEachOnce(t, c, 1, 3)
}

// A transaction is not committed if nobody waited to hear whether the brokers have one
// of its records, though all is said to be delivered.
func TestTransactionWithARecordThatWasGivenUp(t *testing.T) {
	c := newTransactionCluster(t, 1)
	fill(t, c, 1, 3, "")
	s := begin(t, c, "id")
	closeInTheEnd(t, s)
	tx := read(t, s)
	asked, release := make(chan struct{}), make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(asked)
		c.SleepControl(func() { <-release })
		c.DropControl()
		return nil, nil, false
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	require.ErrorIs(t, tx.answer(ctx), errUnconfirmed)
	close(release)
	require.NoError(t, tx.end(t.Context(), nil))
	assert.False(t, s.Committed())
	assert.EqualValues(t, -1, committedAt(c, 0))

	answerAll(t, s, 3)
	requireEachOnce(t, c, 1, 3)
}

// A transaction that has records of a partition which goes to another member is
// aborted, although it was delivered; what stays is read again.
func TestTransactionIsAbortedByARebalance(t *testing.T) {
	c := newTransactionCluster(t, 2)
	fill(t, c, 2, 5, "")
	a := begin(t, c, "a")
	closeInTheEnd(t, a)
	var mine transaction
	for mine = read(t, a); len(mine.ids) < 10; mine = read(t, a) {
		// Both partitions are to be in it.
		require.NoError(t, mine.end(t.Context(), errors.New("more, please")))
	}
	require.NoError(t, mine.answer(t.Context()))

	b := begin(t, c, "b")
	closeInTheEnd(t, b)
	theirs := read(t, b)
	require.Len(t, theirs.ids, 5, "one partition has moved")
	require.NoError(t, theirs.answer(t.Context()))

	require.NoError(t, mine.end(t.Context(), nil))
	assert.False(t, a.Committed())
	require.NoError(t, a.Err(), "the session goes on")
	require.NoError(t, theirs.end(t.Context(), nil))
	assert.True(t, b.Committed())

	answerAll(t, a, 5)
	requireEachOnce(t, c, 2, 5)
}

// A member that the group has thrown out aborts what it has open, and joins
// again by itself.
func TestTransactionIsAbortedByTheLossOfItsPartitions(t *testing.T) {
	c := newTransactionCluster(t, 1)
	fill(t, c, 1, 5, "")
	s := begin(t, c, "id")
	closeInTheEnd(t, s)
	tx := read(t, s)
	require.NoError(t, tx.answer(t.Context()))
	joins := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Observe: true, Count: -1})
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID, TopLevel: true, Group: "group"})
	await.Until(t, func() bool { return joins.Hits() > 0 })
	require.NoError(t, tx.end(t.Context(), nil))
	assert.False(t, s.Committed())
	answerAll(t, s, 5)
	requireEachOnce(t, c, 1, 5)
}

// Closing aborts the transaction that is open, leaves the group, and ends the
// reading that waits for its turn.
func TestCloseWithAnOpenTransaction(t *testing.T) {
	c := newTransactionCluster(t, 1)
	fill(t, c, 1, 5, "")
	s := begin(t, c, "id")
	tx := read(t, s)
	require.NoError(t, tx.answer(t.Context()))
	waiting := make(chan error)
	go func() {
		_, _, err := s.Read(context.WithoutCancel(t.Context()))
		waiting <- err
	}()
	require.NoError(t, s.Close(t.Context()))
	// It may have had its turn when the transaction had ended.
	err := <-waiting
	assert.True(t, errors.Is(err, service.ErrEndOfInput) || errors.Is(err, service.ErrNotConnected), "%v", err)
	assert.Empty(t, c.GroupInfo("group").Members)
	assert.EqualValues(t, -1, committedAt(c, 0))
	require.NoError(t, tx.end(t.Context(), nil), "too late")
	require.ErrorIs(t, tx.answer(t.Context()), errTransactionOver)

	next := begin(t, c, "id")
	closeInTheEnd(t, next)
	answerAll(t, next, 5)
	requireEachOnce(t, c, 1, 5)
}

// Closing ends the reading that waits for records, at once.
func TestCloseWhileReadingWaits(t *testing.T) {
	c := newTransactionCluster(t, 1)
	s := begin(t, c, "id")
	s.conf.PollTimeout = time.Hour
	read := make(chan error)
	go func() {
		_, _, err := s.Read(context.WithoutCancel(t.Context()))
		read <- err
	}()
	await.Until(t, func() bool {
		group := c.GroupInfo("group")
		return group != nil && len(group.Members) == 1 && len(s.transactionMu) == 1
	})
	closed := make(chan error)
	go func() { closed <- s.Close(t.Context()) }()
	require.ErrorIs(t, <-read, service.ErrEndOfInput)
	require.NoError(t, <-closed)
	assert.Empty(t, c.GroupInfo("group").Members)
}

// A session that starts with the transactional id of one that is gone without a
// word ends what that has left open, and fences it if it is not gone after all.
func TestTransactionIsTakenOver(t *testing.T) {
	c := newTransactionCluster(t, 1)
	fill(t, c, 1, 5, "")
	old := begin(t, c, "id")
	tx := read(t, old)
	require.NoError(t, tx.answer(t.Context()))
	assert.Zero(t, lastStable(t, c))

	next := begin(t, c, "id")
	closeInTheEnd(t, next)
	assert.Positive(t, lastStable(t, c), "what was open is not any more")
	err := tx.end(t.Context(), nil)
	require.Error(t, err)
	assert.True(t, Fenced(err), "%v", err)
	require.ErrorContains(t, old.Err(), `transactional_id "id" is in use by another instance`)
	_, _, err = old.Read(t.Context())
	require.ErrorIs(t, err, service.ErrNotConnected)
	require.NoError(t, old.Close(t.Context()))

	answerAll(t, next, 5)
	requireEachOnce(t, c, 1, 5)
}

// Members come and go, and messages are rejected, while the topic is written to;
// each message has one answer that is visible.
func TestTransactionsUnderChurn(t *testing.T) {
	const partitions, rounds, each = 4, 5, 10
	c := newTransactionCluster(t, partitions)
	work := func(ctx context.Context, s *TransactionSession, done chan<- struct{}) {
		defer close(done)
		for turn := 0; ; turn++ {
			messages, end, err := s.Read(ctx)
			if err != nil {
				return
			}
			tx := transaction{Transaction: TransactionOf(messages[0])}
			for _, msg := range messages {
				content, err := msg.AsBytes()
				if err != nil {
					return
				}
				tx.ids = append(tx.ids, string(content))
			}
			err = tx.answer(t.Context())
			if turn%4 == 3 {
				err = errors.Join(err, errors.New("refused this time"))
			}
			if err := end(t.Context(), err); err != nil {
				return
			}
		}
	}
	start := func(id string) (leave func()) {
		ctx, cancel := context.WithCancel(t.Context())
		s, done := begin(t, c, id), make(chan struct{})
		go work(ctx, s, done)
		return func() {
			cancel() // reading ends before a session closes, answering need not
			require.NoError(t, s.Close(context.Background()))
			<-done
		}
	}
	leave := start("worker-0")
	for round := range rounds {
		fillFrom(t, c, partitions, round*each, each)
		join := start(fmt.Sprint("worker-", round+1))
		leave()
		leave = join
	}
	await.Until(t, func() bool {
		for p := range int32(partitions) {
			if committedAt(c, p) < rounds*each {
				return false
			}
		}
		return true
	})
	leave()
	requireEachOnce(t, c, partitions, rounds*each)
}

// fillFrom writes the messages first … first+count−1 of each partition.
func fillFrom(t *testing.T, c *kfake.Cluster, partitions int32, first, count int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer cl.Close()
	var records []*kgo.Record
	for p := range partitions {
		for n := range count {
			records = append(records, &kgo.Record{Topic: topicName, Partition: p, Value: fmt.Appendf(nil, "%v:%v", p, first+n)})
		}
	}
	require.NoError(t, cl.ProduceSync(t.Context(), records...).FirstErr())
}
