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

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

// FieldTransactionalID is the field by which the input and the outputs of a stream
// find each other.
var FieldTransactionalID = fields.Text("transactional_id").Where("text that is not blank",
	`this.string().trim() != ""`, func(id string) bool { return strings.TrimSpace(id) != "" }).
	Schema(jsonschema.TextMatching(`\S`))

// ExactlyOnceExample is a stream that commits offsets and results together.
const ExactlyOnceExample = `
input:
  mfn_kafka_transaction:
    seed_brokers: [ "localhost:9092" ]
    topics: [ mfn-input ]
    consumer_group: mfn-processor
    transactional_id: 'mfn-processor-${HOSTNAME:1}'

pipeline:
  processors:
    - mfn_simulate: {}

output:
  switch:
    cases:
      - check: errored()
        output:
          processors:
            - mapping: meta mfn_error = error()
          mfn_kafka_transaction:
            transactional_id: 'mfn-processor-${HOSTNAME:1}'
            topic: mfn-failures
            metadata:
              include_patterns: [ "^mfn_error$" ]
      - output:
          mfn_kafka_transaction:
            transactional_id: 'mfn-processor-${HOSTNAME:1}'
            topic: mfn-output
`

var (
	errTransactionOver = errors.New("the transaction that this message belongs to has ended")
	errUnconfirmed     = errors.New("a record was given up before the brokers confirmed it")
)

// AbortedError is that of each record of a transaction that can only be aborted. It
// is not worth another try, since the message is read again.
type AbortedError struct{ cause error }

// Error says why.
func (e *AbortedError) Error() string {
	return fmt.Sprintf("the transaction is aborted, and the message read again: %v", e.cause)
}

// Unwrap returns the cause.
func (e *AbortedError) Unwrap() error { return e.cause }

type transactionKey struct{}

// Transaction is the transaction that a message was read in. A record that the brokers
// refuse is not part of it, and does not keep the rest from being committed.
type Transaction struct {
	id              string
	topics          *Topics
	creator         *topicCreator
	maxMessageBytes int64 // max_message_bytes
	lastAttempt     bool  // retries are used up: an error that may pass is as any other

	mu         sync.RWMutex // held shared while records are handed to the client
	ended      bool
	ctx        context.Context // ends before that
	cancel     context.CancelFunc
	stateMu    sync.Mutex // guards what follows
	abortCause error      // why it can only be aborted, if so
	recreated  []error    // of topics
	produced   int64
}

// TransactionOf returns the transaction of a message: that of its record, or of the
// message it was made from; nil for none.
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
	errs := make([]error, len(records))
	if errs := t.abortedErrors(records); errs != nil {
		return errs
	}
	t.creator.create(ctx, records)
	send := make([]int, 0, len(records))
	for i, r := range records {
		if errs[i] = t.tooLarge(r); errs[i] == nil {
			send = append(send, i)
		}
	}
	t.send(ctx, records, send, errs)
	t.classifyErrors(records, send, errs)
	if aborted := t.abortedErrors(records); aborted != nil {
		return aborted
	}
	return errs
}

// abortedErrors returns the errors of records if the transaction can only be aborted.
func (t *Transaction) abortedErrors(records []*kgo.Record) []error {
	cause := t.cause()
	if cause == nil {
		return nil
	}
	return slices.Repeat([]error{&AbortedError{cause}}, len(records))
}

// tooLarge returns the error of a record that is too large for the client.
func (t *Transaction) tooLarge(r *kgo.Record) error {
	// The client counts the framing of a batch and of the record, too.
	if n := size(r) + 256 + 10*int64(len(r.Headers)); n > t.maxMessageBytes {
		return fmt.Errorf("%w: %v bytes do not fit max_message_bytes, %v", kerr.MessageTooLarge, size(r), t.maxMessageBytes)
	}
	return nil
}

// send writes some of the records, and sets their errors. The brokers refuse all
// records that wait for a partition if one of them is too large, so that those are
// divided until it is found.
func (t *Transaction) send(ctx context.Context, records []*kgo.Record, indexes []int, errs []error) {
	t.produceAll(ctx, records, indexes, errs)
	var tooLarge []int
	for _, i := range indexes {
		if errors.Is(errs[i], kerr.MessageTooLarge) {
			tooLarge = append(tooLarge, i)
		}
	}
	switch half := len(tooLarge) / 2; {
	case len(tooLarge) == 1:
		t.sendAlone(ctx, records[tooLarge[0]], &errs[tooLarge[0]])
	case len(tooLarge) > 1:
		t.send(ctx, records, tooLarge[:half], errs)
		t.send(ctx, records, tooLarge[half:], errs)
	}
}

// sendAlone writes a record alone. It may have been refused because of others in the
// same batch.
func (t *Transaction) sendAlone(ctx context.Context, r *kgo.Record, result *error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	answer := make(chan error, 1)
	t.mu.RLock()
	defer t.mu.RUnlock()
	var err error = &AbortedError{errTransactionOver}
	if !t.ended {
		err = t.topics.ProduceAlone(context.WithoutCancel(ctx), ctx, r, func(_ *kgo.Record, err error) { answer <- err })
	}
	if err != nil {
		*result = err
		return
	}
	select {
	case *result = <-answer:
	case <-ctx.Done():
		*result = errUnconfirmed
		t.abort(errUnconfirmed)
	}
}

// produceAll hands some of the records to the client, and waits for their errors.
func (t *Transaction) produceAll(ctx context.Context, records []*kgo.Record, indexes []int, errs []error) {
	type outcome struct {
		index int
		err   error
	}
	outcomes := make(chan outcome, len(indexes))
	t.mu.RLock()
	if t.ended {
		t.mu.RUnlock()
		for _, i := range indexes {
			errs[i] = &AbortedError{errTransactionOver}
		}
		return
	}
	for _, i := range indexes {
		// The client may not drop a record that the brokers may already have a part of;
		// aborting does it properly.
		t.topics.Produce(context.WithoutCancel(ctx), records[i], func(_ *kgo.Record, err error) { outcomes <- outcome{i, err} })
	}
	t.mu.RUnlock()

	for _, i := range indexes {
		errs[i] = errUnconfirmed
	}
	for range indexes {
		select {
		case o := <-outcomes:
			errs[o.index] = o.err
		case <-ctx.Done():
			t.abort(errUnconfirmed)
			return
		}
	}
}

// classifyErrors says what the errors of the records mean for the transaction. One that may
// pass aborts it, so that no fallback takes what has its place elsewhere.
func (t *Transaction) classifyErrors(records []*kgo.Record, sent []int, errs []error) {
	t.stateMu.Lock()
	defer t.stateMu.Unlock()
	for _, i := range sent {
		err := errs[i]
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			t.creator.forget(records[i].Topic)
		}
		switch {
		case err == nil:
			t.produced++
			continue
		case isRecreated(err):
			t.recreated = append(t.recreated, err)
		case endsTransaction(err):
		case t.lastAttempt || !retry.IsTransient(err):
			continue
		}
		if t.abortCause == nil {
			t.abortCause = err
		}
	}
}

// abort notes that the transaction can only be aborted.
func (t *Transaction) abort(cause error) {
	t.stateMu.Lock()
	defer t.stateMu.Unlock()
	if t.abortCause == nil {
		t.abortCause = cause
	}
}

// cause says why the transaction can only be aborted, if so.
func (t *Transaction) cause() error {
	t.stateMu.Lock()
	defer t.stateMu.Unlock()
	return t.abortCause
}

// finish lets no more records in, and says why those that are may not be
// committed, if so.
func (t *Transaction) finish() error {
	t.cancel()
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	return t.cause()
}

// endsTransaction says whether an error of a record is one of its transaction, which
// the brokers may have ended, as after transaction_timeout.
func endsTransaction(err error) bool {
	if _, ok := errors.AsType[*kerr.Error](err); !ok {
		return !retry.IsTransient(err) // the client's own
	}
	return Fenced(err) || errors.Is(err, kerr.InvalidTxnState) || errors.Is(err, kerr.TransactionAbortable) ||
		errors.Is(err, kerr.UnknownProducerID) || errors.Is(err, kerr.InvalidProducerIDMapping) ||
		errors.Is(err, kerr.OutOfOrderSequenceNumber)
}

func isRecreated(err error) bool {
	_, ok := errors.AsType[*RecreatedError](err)
	return ok
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
