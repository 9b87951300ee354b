package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/slot"
)

// FieldTransactionalID is the field by which the input and the outputs of a stream
// find each other.
var FieldTransactionalID = fields.Text("transactional_id").Where("text that is not blank",
	`this.string().trim() != ""`, func(id string) bool { return strings.TrimSpace(id) != "" })

var (
	errTransactionOver = errors.New("the transaction that this message belongs to has ended, the message is read again")
	errGivenUp         = errors.New("a record was given up before the brokers confirmed it")
)

// abortedError is that of a record which comes when the transaction can only be
// aborted.
type abortedError struct{ cause error }

// Error says why.
func (e *abortedError) Error() string {
	return fmt.Sprintf("the transaction will be aborted, and the message read again: %v", e.cause)
}

// Unwrap returns the cause.
func (e *abortedError) Unwrap() error { return e.cause }

type transactionKey struct{}

// Transaction is the one in which a message was read.
//
// When the brokers refuse a record, the client starts over with a new epoch, which
// aborts what it has written of the transaction until then. The transaction is then
// aborted as a whole. What was refused is noted in the slots of its messages, so
// that it is not sent again, but rejected, when they are read again; another output
// can then take them.
type Transaction struct {
	id     string
	topics *Topics
	maker  *topicMaker
	memory *Memory
	limit  int64 // max_message_bytes
	last   bool  // retries are used up: what may pass is rejected, too

	mu       sync.RWMutex // held shared while records are handed to the client
	ended    bool
	state    sync.Mutex // guards what follows
	doom     error      // why it can only be aborted, if so
	learned  bool       // the next one knows more
	remade   []error    // of topics
	produced int64
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
// go where their key says. The context of a record is that of its message.
func (t *Transaction) Produce(ctx context.Context, records []*kgo.Record) []error {
	errs := make([]error, len(records))
	if _, cause := t.doomed(); cause != nil {
		return slices.Repeat([]error{&abortedError{cause}}, len(records))
	}
	t.maker.make(ctx, records)
	var send []int
	for i, r := range records {
		if errs[i] = t.refusal(r); errs[i] == nil {
			send = append(send, i)
		}
	}
	release := t.memory.sendCarefully()
	for _, group := range t.memory.groups(records, send) {
		t.send(ctx, records, group, errs)
	}
	release()
	t.judge(ctx, records, send, errs)
	return errs
}

// refusal returns the error of a record that cannot be written: one that is too
// large for the client, or one that the brokers have refused before.
func (t *Transaction) refusal(r *kgo.Record) error {
	// The client counts the framing of a batch and of the record, too.
	if n := size(r) + 256 + 10*int64(len(r.Headers)); n > t.limit {
		return fmt.Errorf("%w: %v bytes do not fit max_message_bytes, %v", kerr.MessageTooLarge, size(r), t.limit)
	}
	return takeRefusal(r)
}

// send hands some of the records to the client, and waits for their errors.
func (t *Transaction) send(ctx context.Context, records []*kgo.Record, which []int, errs []error) {
	type outcome struct {
		index int
		err   error
	}
	outcomes := make(chan outcome, len(which))
	t.mu.RLock()
	if t.ended {
		t.mu.RUnlock()
		for _, i := range which {
			errs[i] = errTransactionOver
		}
		return
	}
	for _, i := range which {
		// The client may not drop a record of which the brokers may have something
		// already; aborting does it properly.
		t.topics.Produce(context.WithoutCancel(ctx), records[i], func(_ *kgo.Record, err error) { outcomes <- outcome{i, err} })
	}
	t.mu.RUnlock()

	for _, i := range which {
		errs[i] = errGivenUp
	}
	for range which {
		select {
		case o := <-outcomes:
			errs[o.index] = o.err
		case <-ctx.Done():
			t.abort(errGivenUp, false)
			return
		}
	}
}

// judge says what the errors of the records mean for the transaction.
func (t *Transaction) judge(ctx context.Context, records []*kgo.Record, sent []int, errs []error) {
	var large []int
	for _, i := range sent {
		err := errs[i]
		switch {
		case err == nil:
			t.state.Lock()
			t.produced++
			t.state.Unlock()
		case errors.Is(err, errGivenUp) || errors.Is(err, errTransactionOver):
		case isRemade(err):
			t.state.Lock()
			t.remade = append(t.remade, err)
			t.state.Unlock()
			t.abort(err, true)
		case errors.Is(err, kerr.MessageTooLarge):
			large = append(large, i)
		case retry.IsTransient(err):
			if errors.Is(err, kerr.UnknownTopicOrPartition) {
				t.maker.forget(records[i].Topic)
			}
			if t.last {
				noteRefusal(records[i], err)
			}
			t.abort(err, t.last)
		default:
			noteRefusal(records[i], err)
			t.abort(err, true)
		}
	}
	if len(large) > 0 {
		t.abort(errs[large[0]], true)
		t.findTooLarge(ctx, records, large, errs)
	}
}

// findTooLarge finds which of several records that were refused together is too
// large: the brokers refuse all that wait for a partition.
func (t *Transaction) findTooLarge(ctx context.Context, records []*kgo.Record, which []int, errs []error) {
	if len(which) == 1 {
		i := which[0]
		answer := make(chan error, 1)
		limit, cancel := context.WithTimeout(ctx, closeTimeout)
		defer cancel()
		err := t.topics.ProduceAlone(context.WithoutCancel(ctx), limit, records[i], func(_ *kgo.Record, err error) { answer <- err })
		if err != nil || limit.Err() != nil {
			return
		}
		if err := <-answer; errors.Is(err, kerr.MessageTooLarge) {
			noteRefusal(records[i], err)
		}
		return
	}
	var bytes int64
	for _, i := range which {
		bytes += size(records[i])
	}
	t.memory.refusedTogether(bytes)
	for _, half := range [][]int{which[:len(which)/2], which[len(which)/2:]} {
		if len(half) > 1 {
			t.send(ctx, records, half, errs)
		}
		if ctx.Err() != nil {
			return
		}
		if len(half) == 1 || slices.ContainsFunc(half, func(i int) bool { return errors.Is(errs[i], kerr.MessageTooLarge) }) {
			t.findTooLarge(ctx, records, half, errs)
		}
	}
	for _, i := range which {
		if errs[i] == nil { // written, but in a transaction that is lost
			errs[i] = errTransactionOver
		}
	}
}

// abort notes that the transaction can only be aborted. The next one succeeds
// where this one failed if it has learned something.
func (t *Transaction) abort(cause error, learned bool) {
	t.state.Lock()
	defer t.state.Unlock()
	if t.doom == nil {
		t.doom = cause
	}
	t.learned = t.learned || learned
}

func (t *Transaction) doomed() (learned bool, cause error) {
	t.state.Lock()
	defer t.state.Unlock()
	return t.learned, t.doom
}

// Open says whether more can be written that will be committed.
func (t *Transaction) Open() bool {
	_, cause := t.doomed()
	return cause == nil
}

// finish lets no more records in, and says why those that are may not be
// committed, if so.
func (t *Transaction) finish() (learned bool, cause error) {
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	return t.doomed()
}

func isRemade(err error) bool {
	_, ok := errors.AsType[*RemadeError](err)
	return ok
}

// refusalKey is the key of a slot under which the brokers' refusal of a record for
// a topic is noted.
type refusalKey struct{ topic string }

func noteRefusal(r *kgo.Record, err error) {
	if r.Context != nil {
		slot.From(r.Context).Store(refusalKey{r.Topic}, err)
	}
}

// takeRefusal returns what was noted, once: if nothing else takes the message, the
// brokers are asked again.
func takeRefusal(r *kgo.Record) error {
	if r.Context == nil {
		return nil
	}
	kept := slot.From(r.Context)
	value, _ := kept.Load(refusalKey{r.Topic})
	err, _ := value.(error)
	if err != nil {
		kept.Store(refusalKey{r.Topic}, nil)
	}
	return err
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
