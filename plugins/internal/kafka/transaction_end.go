package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
)

// end ends the transaction that is open, which it must be: ending it again changes
// nothing.
func (s *TransactionSession) end(ctx context.Context, tx *openTransaction, rejection error) error {
	s.mu.Lock()
	mine := s.open == tx
	if mine {
		s.open = nil
	}
	s.mu.Unlock()
	if !mine {
		return nil
	}
	defer func() { <-s.transactionMu }()

	if cause := tx.finish(); cause != nil {
		rejection = cause
	}
	// A request that is cut off leaves the client with a state that it does not
	// know, so it has time.
	ctx, cancel := context.WithTimeout(ctx, s.conf.Timeout+closeTimeout)
	defer cancel()
	if rejection == nil {
		rejection = s.checkEpoch(ctx, tx)
	}
	committed, err := s.session.End(ctx, kgo.TransactionEndTry(rejection == nil))
	if !committed {
		s.conf.State.keepSlots(tx.records, tx.contexts)
	}
	for _, recreated := range tx.recreated {
		s.topics.Refresh(recreated)
	}
	switch {
	case errors.Is(err, kerr.UnknownTopicID): // the client has aborted, and goes on
		s.noteAborted(tx, err)
	case err != nil:
		err = fmt.Errorf("ending a transaction: %w", err)
		s.fail(err)
		return err
	case rejection != nil:
		s.noteAborted(tx, rejection)
	case !committed:
		s.log.Info("Transaction aborted, since the group is rebalancing; its records are read again")
	default:
		s.noteCommitted(tx)
	}
	return nil
}

// checkEpoch returns an error if the client has another epoch than when the
// transaction began. What it wrote before is aborted then, and must not be taken
// for done.
func (s *TransactionSession) checkEpoch(ctx context.Context, tx *openTransaction) error {
	p, err := s.producer(ctx)
	if err == nil && p != tx.producer {
		return errEpochChanged
	}
	return err
}

// noteAborted notes that a transaction was aborted for its records. One whose topic was
// made again finds the new one when it is tried again.
func (s *TransactionSession) noteAborted(tx *openTransaction, cause error) {
	again := isRecreated(cause)
	s.conf.State.aborted(again)
	if isContext(cause) || errors.Is(cause, errClosing) {
		return
	}
	s.status.AttemptFailed(fmt.Errorf("transaction aborted: %w", cause))
	log := logs.With(s.log, "operation", "Kafka transaction", "messages", len(tx.records), "error", cause.Error())
	if again {
		log.Warn("Transaction aborted; its records are read again")
	} else {
		log.Error("Transaction aborted, since a message was rejected; its records are read again")
	}
}

func (s *TransactionSession) noteCommitted(tx *openTransaction) {
	took := time.Since(tx.began)
	s.conf.State.committed(tx.records, took)
	s.committed.Store(true)
	ledger.Process.Taken.Add(int64(len(tx.records)))
	ledger.Process.Settled.Add(int64(len(tx.records)))
	ledger.Process.Published.Add(tx.produced)
	logs.With(s.log, "operation", "Kafka transaction", "messages", len(tx.records), "bytes", tx.bytes,
		"milliseconds", float64(took.Microseconds())/1000).Debug("Transaction committed")
}

// fail notes that the session cannot be used any more.
func (s *TransactionSession) fail(err error) {
	err = explainFence(s.conf, err)
	s.conf.State.failed()
	s.mu.Lock()
	first := s.err == nil
	if first {
		s.err = err
	}
	s.mu.Unlock()
	if !first || errors.Is(err, kgo.ErrClientClosed) {
		return
	}
	s.status.OperationFailed(err)
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
