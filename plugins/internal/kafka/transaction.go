package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

const (
	// rejectionPause is how long a session waits after a transaction that was
	// rejected, twice as long after each further one up to longestPause.
	rejectionPause = 100 * time.Millisecond
	longestPause   = 10 * time.Second
)

var (
	errTransactionOver = errors.New("the transaction that this message belongs to has ended, the message is read again")
	errGivenUp         = errors.New("a record was given up before the brokers confirmed it")
	errClosing         = errors.New("the session closes")
)

// TransactionConfig says what a session reads, and how.
type TransactionConfig struct {
	Connection Connection
	Options    []kgo.Opt // group, fetching and producing
	ID         string    // transactional id
	Topics     []string
	Regexp     bool // Topics are regular expressions

	MaxMessages int           // records of a transaction
	PollTimeout time.Duration // of each poll
	Timeout     time.Duration // after which brokers abort a transaction
	HeaderLists bool

	CreateTopics bool // those that are produced to
}

// TransactionSession reads records as a member of a consumer group, one
// transaction at a time: what is produced for them and the offsets up to which
// they were read are committed together, or not at all.
//
// After an error whose outcome is not known it is of no use any more. What the
// brokers hold is the truth then, and the next session begins with it.
type TransactionSession struct {
	conf       TransactionConfig
	log        *service.Logger
	status     *status.Component
	session    *kgo.GroupTransactSession
	topics     *topicMaker
	stopClient context.CancelFunc
	ended      func() // fetching, for the status
	turn       chan struct{}
	living     context.Context // ends when the session closes
	die        context.CancelFunc
	rejections int // in a row; needs the turn
	committed  atomic.Bool

	mu   sync.Mutex
	open *Transaction
	dead error
}

// NewTransactionSession connects to the brokers, as often as policy says, ends
// what an earlier session with the same transactional id has left open, fencing
// it if it still runs, and joins the group.
func NewTransactionSession(ctx context.Context, conf TransactionConfig, policy retry.Policy, res *service.Resources, component *status.Component) (*TransactionSession, error) {
	s := &TransactionSession{
		conf:   conf,
		log:    res.Logger(),
		status: component,
		turn:   make(chan struct{}, 1),
	}
	s.living, s.die = context.WithCancel(context.Background())
	policy.Timeout = connectTimeout
	op := retry.Operation{Name: "Kafka connect", Subject: "topic", Value: strings.Join(conf.Topics, ",")}
	err := retry.New(policy, s.log, component).Do(ctx, op, func(ctx context.Context) (int64, error) {
		if err := probe(ctx, ConsumerConfig{Connection: conf.Connection, Topics: conf.Topics, Regexp: conf.Regexp}, s.log); err != nil {
			return 0, err
		}
		return 0, s.begin(ctx)
	})
	if err != nil {
		return nil, err
	}
	s.ended = component.Begin()
	return s, nil
}

func (s *TransactionSession) begin(ctx context.Context) error {
	clientCtx, stopClient := context.WithCancel(context.Background())
	opts := append(s.conf.Connection.Options(s.log), s.conf.Options...)
	opts = append(opts,
		kgo.WithContext(clientCtx),
		kgo.TransactionalID(s.conf.ID),
		kgo.TransactionTimeout(s.conf.Timeout),
		kgo.RecordDeliveryTimeout(s.conf.Timeout),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RecordPartitioner(choosing{kgo.StickyKeyPartitioner(nil)}),
		kgo.ProducerLinger(0),
		// What waits is bounded by the transaction; the client's own bound
		// would block where nothing can interrupt it.
		kgo.MaxBufferedRecords(math.MaxInt32),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, added map[string][]int32) {
			if len(added) > 0 {
				s.log.With("partitions", describe(added)).Info("Partitions assigned")
			}
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, revoked map[string][]int32) {
			if len(revoked) > 0 {
				s.log.With("partitions", describe(revoked)).Info("Partitions revoked")
			}
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
			if len(lost) > 0 {
				s.log.With("partitions", describe(lost)).Warn("Partitions lost: the group went on without this member")
			}
		}),
		kgo.WithHooks(&Reach{
			Lost: func(err error) {
				s.status.Erred(fmt.Errorf("connecting to a broker: %w", err))
			},
			Found: func() { s.status.Connected() },
		}),
	)
	session, err := kgo.NewGroupTransactSession(opts...)
	if err != nil {
		stopClient()
		return fmt.Errorf("making the client: %w", err)
	}
	// The offsets of a transaction that was left open are not readable until it
	// has ended, which this brings about at once.
	if _, _, err := session.Client().ProducerID(ctx); err != nil {
		stopClient()
		session.Close()
		return fmt.Errorf("taking over transactional_id %q: %w", s.conf.ID, Classify(err))
	}
	s.session, s.stopClient = session, stopClient
	if s.conf.CreateTopics {
		s.topics = &topicMaker{client: session.Client()}
	}
	return nil
}

// choosing is a partitioner that leaves the choice to records with a partition
// of 0 or more.
type choosing struct{ kgo.Partitioner }

// ForTopic returns the partitioner of a topic.
func (c choosing) ForTopic(topic string) kgo.TopicPartitioner {
	return choosingTopic{c.Partitioner.ForTopic(topic)}
}

type choosingTopic struct{ kgo.TopicPartitioner }

// RequiresConsistency tells that a chosen partition stays the chosen one.
func (c choosingTopic) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || c.TopicPartitioner.RequiresConsistency(r)
}

// Partition returns the record's partition.
func (c choosingTopic) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return c.TopicPartitioner.Partition(r, n)
}

// OnNewBatch lets records without a key fill one partition after the other.
func (c choosingTopic) OnNewBatch() {
	if p, ok := c.TopicPartitioner.(kgo.TopicPartitionerOnNewBatch); ok {
		p.OnNewBatch()
	}
}

// Read waits until the transaction before has ended, and for records, for which
// it begins one. The function that it returns ends it: it commits without an
// error, and aborts with one. When the session is of no use any more, Read
// returns service.ErrNotConnected, and Err says why.
func (s *TransactionSession) Read(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	select {
	case s.turn <- struct{}{}:
	case <-s.living.Done():
		return nil, nil, service.ErrEndOfInput
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	messages, tx, err := s.read(ctx)
	if err != nil {
		<-s.turn
		return nil, nil, err
	}
	return messages, func(ctx context.Context, err error) error { return s.end(ctx, tx, err) }, nil
}

func (s *TransactionSession) read(ctx context.Context) (service.MessageBatch, *Transaction, error) {
	if s.Err() != nil {
		return nil, nil, service.ErrNotConnected
	}
	if s.rejections > 0 {
		pause := min(rejectionPause<<min(s.rejections-1, 20), longestPause)
		if err := retry.Sleep(ctx, pause); err != nil {
			return nil, nil, err
		}
	}
	for {
		fetches := s.poll(ctx)
		switch {
		case s.living.Err() != nil:
			return nil, nil, service.ErrEndOfInput
		case s.Err() != nil:
			return nil, nil, service.ErrNotConnected
		}
		if fetches.NumRecords() > 0 {
			return s.transaction(fetches)
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
	}
}

// poll returns what has been fetched. After an error that brought nothing else
// it waits for a while.
func (s *TransactionSession) poll(ctx context.Context) kgo.Fetches {
	pollCtx, cancel := context.WithTimeout(ctx, s.conf.PollTimeout)
	defer cancel()
	defer context.AfterFunc(s.living, cancel)()
	fetches := s.session.PollRecords(pollCtx, s.conf.MaxMessages)
	var failed error
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if f.Err != nil && !isContext(f.Err) {
			failed = errors.Join(failed, fetchError(f.Topic, f.FetchPartition))
		}
	})
	switch {
	case failed == nil:
	case errors.Is(failed, kgo.ErrClientClosed) || errors.Is(failed, kerr.FencedInstanceID) || isGone(failed):
		s.fail(failed) // a topic that is gone is another for the next session
	case errors.Is(failed, errNoOffset):
		s.status.GaveUp(failed)
		s.log.With("operation", "Kafka poll", "error", failed.Error()).Error("The input ends, since it cannot go on")
		ledger.Process.Fail(fmt.Errorf("reading from Kafka: %w", failed))
		s.die()
	default:
		s.status.Erred(failed)
		s.log.With("operation", "Kafka poll", "topic", strings.Join(s.conf.Topics, ","), "error", failed.Error()).
			Error("Fetching failed, the client tries again")
		if fetches.NumRecords() == 0 {
			<-pollCtx.Done()
		}
	}
	return fetches
}

// transaction begins one for the records.
func (s *TransactionSession) transaction(fetches kgo.Fetches) (service.MessageBatch, *Transaction, error) {
	tx := &Transaction{id: s.conf.ID, session: s.session, topics: s.topics}
	var messages service.MessageBatch
	var bytes int64
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		for _, r := range f.Records {
			msg := Message(r, f.LastStableOffset-r.Offset-1, s.conf.HeaderLists)
			messages = append(messages, msg.WithContext(context.WithValue(msg.Context(), transactionKey{}, tx)))
			bytes += size(r)
		}
	})
	if err := s.session.Begin(); err != nil {
		s.fail(fmt.Errorf("beginning a transaction: %w", err))
		return nil, nil, service.ErrNotConnected
	}
	s.mu.Lock()
	s.open = tx
	s.mu.Unlock()
	s.status.Succeeded(bytes)
	return messages, tx, nil
}

// end ends the transaction that is open, which it must be: ending it twice is
// ending it once.
func (s *TransactionSession) end(ctx context.Context, tx *Transaction, rejection error) error {
	s.mu.Lock()
	mine := s.open == tx
	if mine {
		s.open = nil
	}
	s.mu.Unlock()
	if !mine {
		return nil
	}
	defer func() { <-s.turn }()

	spoiled := tx.finish()
	if rejection == nil {
		rejection = spoiled
	}
	// A request that is cut off leaves the client with a state that it does not
	// know, so it has time.
	ctx, cancel := context.WithTimeout(ctx, s.conf.Timeout+closeTimeout)
	defer cancel()
	committed, err := s.session.End(ctx, kgo.TransactionEndTry(rejection == nil))
	switch {
	case err != nil:
		err = fmt.Errorf("ending a transaction: %w", err)
		s.fail(err)
		return err
	case rejection != nil:
		s.rejections++
		if !isContext(rejection) && !errors.Is(rejection, errClosing) {
			s.status.Erred(fmt.Errorf("transaction aborted: %w", rejection))
			s.log.With("error", rejection.Error()).Error("Transaction aborted, since a message was rejected; its records are read again")
		}
	case !committed:
		s.log.Info("Transaction aborted, since the group is rebalancing; its records are read again")
	default:
		s.rejections = 0
		s.committed.Store(true)
	}
	return nil
}

// Err says why the session is of no use any more, nil if it is.
func (s *TransactionSession) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead
}

// Committed says whether the session has committed a transaction.
func (s *TransactionSession) Committed() bool { return s.committed.Load() }

// fail notes that the session is of no use any more.
func (s *TransactionSession) fail(err error) {
	err = explainFence(s.conf, err)
	s.mu.Lock()
	first := s.dead == nil
	if first {
		s.dead = err
	}
	s.mu.Unlock()
	if !first || errors.Is(err, kgo.ErrClientClosed) {
		return
	}
	s.status.GaveUp(err)
	s.log.With("operation", "Kafka transaction", "error", err.Error()).
		Error("Transaction failed, connecting again; its records are read again unless they were committed")
}

// Fenced says whether the error is that of a session which gave way to another.
func Fenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) ||
		errors.Is(err, kerr.InvalidProducerEpoch) ||
		errors.Is(err, kerr.FencedInstanceID)
}

func explainFence(conf TransactionConfig, err error) error {
	switch {
	case errors.Is(err, kerr.FencedInstanceID):
		return fmt.Errorf("another member of the group has the same instance_id, each needs its own: %w", err)
	case Fenced(err):
		return fmt.Errorf("transactional_id %q is in use by another instance, each needs its own, or a transaction took longer than transaction_timeout, %v: %w", conf.ID, conf.Timeout, err)
	}
	return err
}

// Close aborts the transaction that is open, if one is, leaves the group
// (unless as a static member) and ends everything the session runs. With
// brokers that do not answer it gives up after some 10 seconds, or when ctx
// ends.
func (s *TransactionSession) Close(ctx context.Context) error {
	s.mu.Lock()
	tx := s.open
	s.mu.Unlock()
	s.die()
	s.ended()

	var err error
	if tx != nil {
		endCtx, cancel := context.WithTimeout(ctx, closeTimeout)
		err = s.end(endCtx, tx, errClosing)
		cancel()
	}
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	select {
	case s.turn <- struct{}{}: // nobody polls or ends a transaction
	case <-ctx.Done():
	}
	if leaveErr := s.session.Client().LeaveGroupContext(ctx); leaveErr != nil {
		err = errors.Join(err, fmt.Errorf("leaving the consumer group: %w", leaveErr))
		s.stopClient()
	}
	s.session.Close()
	s.stopClient()
	return err
}

type transactionKey struct{}

// Transaction is the one in which a message was read.
type Transaction struct {
	id      string
	session *kgo.GroupTransactSession
	topics  *topicMaker

	mu      sync.RWMutex // held shared while records are handed to the client
	ended   bool
	spoiled atomic.Bool // a record was given up whose fate is not known
}

// TransactionOf returns the transaction in which the message was read, or that
// from which it was made was, nil for none.
func TransactionOf(msg *service.Message) *Transaction {
	tx, _ := msg.Context().Value(transactionKey{}).(*Transaction)
	return tx
}

// ID returns the transactional id.
func (t *Transaction) ID() string { return t.id }

// Produce writes the records inside the transaction, waits until the brokers
// have them, and returns the error of each. Records whose partition is below 0
// go where their key says.
func (t *Transaction) Produce(ctx context.Context, records []*kgo.Record) []error {
	type outcome struct {
		index int
		err   error
	}
	outcomes := make(chan outcome, len(records))
	t.topics.make(ctx, records)
	t.mu.RLock()
	if t.ended {
		t.mu.RUnlock()
		return slices.Repeat([]error{errTransactionOver}, len(records))
	}
	for i, r := range records {
		// The client may not drop a record at will, of which the brokers may
		// have something already; aborting does it properly.
		t.session.Produce(context.WithoutCancel(ctx), r, func(_ *kgo.Record, err error) { outcomes <- outcome{i, err} })
	}
	t.mu.RUnlock()

	errs := slices.Repeat([]error{errGivenUp}, len(records))
	for range records {
		select {
		case o := <-outcomes:
			errs[o.index] = Classify(o.err)
			if errors.Is(o.err, kerr.UnknownTopicOrPartition) {
				t.topics.forget(records[o.index].Topic)
			}
		case <-ctx.Done():
			t.spoiled.Store(true)
			return errs
		}
	}
	return errs
}

// finish lets no more records in, and says why those that are may not be
// committed, if so.
func (t *Transaction) finish() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	if t.spoiled.Load() {
		return errGivenUp
	}
	return nil
}

// announcement is the key under which an input with this transactional id is
// known to the other components of its program.
type announcement struct{ id string }

// AnnounceTransactions lets outputs know that there is an input with this
// transactional id.
func AnnounceTransactions(res *service.Resources, id string) {
	res.SetGeneric(announcement{id}, true)
}

// TransactionsAnnounced says whether there is an input with this transactional
// id.
func TransactionsAnnounced(res *service.Resources, id string) bool {
	_, ok := res.GetGeneric(announcement{id})
	return ok
}

// FieldTransactionalID is the field by which the input and the outputs of a stream
// find each other.
var FieldTransactionalID = fields.Text("transactional_id").Where("text that is not blank",
	`this.string().trim() != ""`, func(id string) bool { return strings.TrimSpace(id) != "" })
