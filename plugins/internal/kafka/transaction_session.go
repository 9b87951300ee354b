package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracing"
)

var (
	errClosing      = errors.New("the session closes")
	errEpochChanged = errors.New("the client has started over, and what it wrote before is lost")
)

// TransactionConfig says what a session reads, and how.
type TransactionConfig struct {
	Connection Connection
	Options    []kgo.Opt // group, fetching and producing
	ID         string    // transactional id
	Topics     []string
	Regexp     bool // Topics are regular expressions

	MaxMessages int           // records of a transaction
	Period      time.Duration // that a transaction should take
	MaxBytes    int64         // of a record that is produced
	PollTimeout time.Duration // of each poll
	Timeout     time.Duration // after which brokers abort a transaction
	HeaderLists bool

	CreateTopics bool // those that are produced to

	Spans tracing.Spans
	State *SessionState // that of the session before, if there was one
}

// TransactionSession reads records as a member of a consumer group, one
// transaction at a time: their offsets and what is produced for them are
// committed together, or not at all.
//
// After an error whose outcome is not known it cannot be used any more. What the
// brokers hold is the truth then, and the next session begins with it.
type TransactionSession struct {
	conf          TransactionConfig
	log           *service.Logger
	status        *status.Component
	session       *kgo.GroupTransactSession
	topics        *Topics
	creator       *topicCreator
	stopClient    context.CancelFunc
	endFetching   func() // fetching, for the status
	transactionMu chan struct{}
	ctx           context.Context // ends when the session closes
	cancel        context.CancelFunc
	committed     atomic.Bool

	mu   sync.Mutex
	open *openTransaction
	err  error
}

// NewTransactionSession connects to the brokers, as often as policy says, ends
// what an earlier session with the same transactional id has left open, fencing
// it if it still runs, and joins the group.
func NewTransactionSession(ctx context.Context, conf TransactionConfig, policy retry.Policy, res *service.Resources, component *status.Component) (*TransactionSession, error) {
	s := &TransactionSession{
		conf:          conf,
		log:           res.Logger(),
		status:        component,
		transactionMu: make(chan struct{}, 1),
	}
	if conf.State == nil {
		s.conf.State = NewSessionState(policy, conf.MaxMessages, conf.Period)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
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
	s.endFetching = component.Begin()
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
		kgo.KeepControlRecords(), // or nothing tells where transactions end
		kgo.RecordPartitioner(explicitPartitioner{kgo.StickyKeyPartitioner(nil)}),
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
				s.dropSlots(revoked)
				s.log.With("partitions", describe(revoked)).Info("Partitions revoked")
			}
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
			if len(lost) > 0 {
				s.dropSlots(lost)
				s.log.With("partitions", describe(lost)).Warn("Partitions lost: the group went on without this member")
			}
		}),
		kgo.WithHooks(&ConnHook{
			OnDown: func(err error) {
				s.status.AttemptFailed(fmt.Errorf("connecting to a broker: %w", err))
			},
			OnUp: func() { s.status.Connected() },
		}),
	)
	session, err := kgo.NewGroupTransactSession(opts...)
	if err != nil {
		stopClient()
		return fmt.Errorf("making the client: %w", err)
	}
	// The offsets of a transaction that was left open are not readable until it
	// has ended. This ends it at once.
	if _, _, err := session.Client().ProducerID(ctx); err != nil {
		stopClient()
		session.Close()
		return fmt.Errorf("taking over transactional_id %q: %w", s.conf.ID, Classify(err))
	}
	s.session, s.stopClient = session, stopClient
	if s.conf.CreateTopics {
		s.creator = &topicCreator{client: session.Client()}
	}
	s.topics = NewTopics(session.Client(), s.log)
	return nil
}

// Read waits until the transaction before has ended, and for records, for which
// it begins one. The function that it returns ends it: it commits without an
// error, and aborts with one. When the session cannot be used any more, Read
// returns service.ErrNotConnected, and Err says why.
func (s *TransactionSession) Read(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	select {
	case s.transactionMu <- struct{}{}:
	case <-s.ctx.Done():
		return nil, nil, service.ErrEndOfInput
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	messages, tx, err := s.read(ctx)
	if err != nil {
		<-s.transactionMu
		return nil, nil, err
	}
	return messages, func(ctx context.Context, err error) error { return s.end(ctx, tx, err) }, nil
}

func (s *TransactionSession) read(ctx context.Context) (service.MessageBatch, *openTransaction, error) {
	if s.Err() != nil {
		return nil, nil, service.ErrNotConnected
	}
	if err := s.pauseAfterAbort(ctx); err != nil {
		return nil, nil, err
	}
	for {
		fetches := s.poll(ctx)
		switch {
		case s.ctx.Err() != nil:
			return nil, nil, service.ErrEndOfInput
		case s.Err() != nil:
			return nil, nil, service.ErrNotConnected
		}
		if hasMessages(fetches) {
			return s.beginTransaction(ctx, fetches)
		}
		if fetches.NumRecords() > 0 {
			if err := s.commitMarkers(ctx); err != nil {
				return nil, nil, err
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
	}
}

// dropSlots lets go of what is kept for partitions that another member reads now, unless
// the session ends: the next one may read them again.
func (s *TransactionSession) dropSlots(partitions map[string][]int32) {
	if s.ctx.Err() == nil {
		s.conf.State.dropPartitions(partitions)
	}
}

// hasMessages says whether not all of what was fetched are the ends of transactions.
func hasMessages(fetches kgo.Fetches) bool {
	for iter := fetches.RecordIter(); !iter.Done(); {
		if !iter.Next().Attrs.IsControl() {
			return true
		}
	}
	return false
}

// commitMarkers commits the position behind ends of transactions that no message follows.
func (s *TransactionSession) commitMarkers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.conf.Timeout+closeTimeout)
	defer cancel()
	err := s.session.Begin()
	if err == nil {
		_, err = s.session.End(ctx, kgo.TryCommit)
	}
	if err != nil {
		s.fail(fmt.Errorf("committing the position behind a transaction: %w", err))
		return service.ErrNotConnected
	}
	return nil
}

// pauseAfterAbort waits after a transaction that was aborted.
func (s *TransactionSession) pauseAfterAbort(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	err := retry.Sleep(ctx, s.conf.State.pause())
	if s.ctx.Err() != nil {
		return service.ErrEndOfInput
	}
	return err
}

// poll returns what has been fetched. After an error that brought nothing else
// it waits for a while.
func (s *TransactionSession) poll(ctx context.Context) kgo.Fetches {
	pollCtx, cancel := context.WithTimeout(ctx, s.conf.PollTimeout)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	fetches := s.session.PollRecords(pollCtx, s.conf.State.records())
	var failed error
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if f.Err != nil && !isContext(f.Err) {
			failed = errors.Join(failed, fetchError(f.Topic, f.FetchPartition))
		}
	})
	switch {
	case failed == nil:
	case errors.Is(failed, kgo.ErrClientClosed) || errors.Is(failed, kerr.FencedInstanceID) || isUnknownTopicID(failed):
		s.fail(failed) // a topic that is gone is another for the next session
	case errors.Is(failed, errNoOffset):
		s.status.OperationFailed(failed)
		s.log.With("operation", "Kafka poll", "error", failed.Error()).Error("The input ends, since it cannot go on")
		ledger.Process.Fail(fmt.Errorf("reading from Kafka: %w", failed))
		s.cancel()
	default:
		s.status.AttemptFailed(failed)
		s.log.With("operation", "Kafka poll", "topic", strings.Join(s.conf.Topics, ","), "error", failed.Error()).
			Error("Fetching failed, the client tries again")
		if fetches.NumRecords() == 0 {
			<-pollCtx.Done()
		}
	}
	return fetches
}

// openTransaction is a transaction with what was read in it.
type openTransaction struct {
	*Transaction
	records  []*kgo.Record
	contexts []context.Context // of their messages, with their slots
	bytes    int64
	began    time.Time
	producer producerID
}

// producerID is that of a client; another epoch is another beginning.
type producerID struct {
	id    int64
	epoch int16
}

// beginTransaction begins one for the records.
func (s *TransactionSession) beginTransaction(ctx context.Context, fetches kgo.Fetches) (service.MessageBatch, *openTransaction, error) {
	tx := &openTransaction{began: time.Now(), Transaction: &Transaction{
		id: s.conf.ID, topics: s.topics, creator: s.creator,
		maxMessageBytes: s.conf.MaxBytes, lastAttempt: s.conf.State.retriesExhausted(),
	}}
	tx.ctx, tx.cancel = context.WithCancel(context.Background())
	var messages service.MessageBatch
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		for _, r := range f.Records {
			if r.Attrs.IsControl() {
				continue
			}
			messages = append(messages, Message(r, f.LastStableOffset-r.Offset-1, s.conf.HeaderLists))
			tx.records = append(tx.records, r)
			tx.bytes += size(r)
		}
	})
	s.conf.Spans.Begin(messages)
	s.conf.State.attach(tx.records, messages)
	tx.contexts = make([]context.Context, len(messages))
	for i, msg := range messages {
		tx.contexts[i] = msg.Context()
		messages[i] = msg.WithContext(context.WithValue(msg.Context(), transactionKey{}, tx.Transaction))
	}
	err := s.session.Begin()
	if err == nil {
		tx.producer, err = s.producer(ctx)
	}
	if err != nil {
		s.conf.State.keepSlots(tx.records, tx.contexts)
		s.fail(fmt.Errorf("beginning a transaction: %w", err))
		return nil, nil, service.ErrNotConnected
	}
	s.mu.Lock()
	s.open = tx
	s.mu.Unlock()
	s.status.AttemptSucceeded(tx.bytes)
	return messages, tx, nil
}

func (s *TransactionSession) producer(ctx context.Context) (p producerID, err error) {
	p.id, p.epoch, err = s.session.Client().ProducerID(context.WithoutCancel(ctx))
	return p, err
}

// Err says why the session cannot be used any more, nil if it can.
func (s *TransactionSession) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Committed says whether the session has committed a transaction.
func (s *TransactionSession) Committed() bool { return s.committed.Load() }

// Close aborts the transaction that is open, if one is, leaves the group
// (unless as a static member) and ends everything the session runs. With
// brokers that do not answer it gives up after some 10 seconds, or when ctx
// ends.
func (s *TransactionSession) Close(ctx context.Context) error {
	s.mu.Lock()
	tx := s.open
	s.mu.Unlock()
	s.cancel()
	s.endFetching()

	var err error
	if tx != nil {
		endCtx, cancel := context.WithTimeout(ctx, closeTimeout)
		err = s.end(endCtx, tx, errClosing)
		cancel()
	}
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	select {
	case s.transactionMu <- struct{}{}: // nobody polls or ends a transaction
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
