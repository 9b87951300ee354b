package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/signal"
)

// Topics publishes to topics that may be deleted and made again. A client knows a
// topic by its id, and refuses records for one that has got another id until it
// has let go of the old one.
type Topics struct {
	client *kgo.Client
	log    *service.Logger

	mu     sync.Mutex
	byName map[string]*topic
}

// topic is a topic that records are published to.
type topic struct {
	name string

	mu         sync.RWMutex // held shared while a record is handed to the client
	generation atomic.Int64 // how often the client has let go of the topic
	inFlight   atomic.Int64
	idle       signal.Signal // set when no record is in flight any more
}

// RecreatedError is that of a record whose topic was deleted and made again.
type RecreatedError struct {
	topic      *topic
	generation int64
	err        error
}

// Error returns the text of the brokers' error.
func (e *RecreatedError) Error() string {
	return fmt.Sprintf("topic %v was deleted and made again: %v", e.topic.name, e.err)
}

// Unwrap returns the brokers' error.
func (e *RecreatedError) Unwrap() error { return e.err }

// NewTopics returns the topics that client publishes to.
func NewTopics(client *kgo.Client, log *service.Logger) *Topics {
	return &Topics{client: client, log: log, byName: map[string]*topic{}}
}

func (t *Topics) of(name string) *topic {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.byName[name]
	if known == nil {
		known = &topic{name: name, idle: signal.New()}
		t.byName[name] = known
	}
	return known
}

// Produce hands a record to the client, which gives up when ctx ends. The error of
// the promise is classified.
func (t *Topics) Produce(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	to := t.of(r.Topic)
	to.mu.RLock()
	defer to.mu.RUnlock()
	t.produce(ctx, to, r, promise)
}

// ProduceAlone does so when no other record for the topic is under way, and
// returns when there is an answer, or limit ends. Whatever the brokers refuse then
// is this record. Its error, if the record was not handed to the client, is that of
// limit.
func (t *Topics) ProduceAlone(ctx, limit context.Context, r *kgo.Record, promise func(*kgo.Record, error)) error {
	to := t.of(r.Topic)
	to.mu.Lock()
	defer to.mu.Unlock()
	for to.inFlight.Load() > 0 {
		select {
		case <-to.idle.C():
		case <-limit.Done():
			return limit.Err()
		}
	}
	answered := make(chan struct{})
	t.produce(ctx, to, r, func(r *kgo.Record, err error) {
		promise(r, err)
		close(answered)
	})
	select {
	case <-answered:
	case <-limit.Done():
	}
	return nil
}

func (t *Topics) produce(ctx context.Context, to *topic, r *kgo.Record, promise func(*kgo.Record, error)) {
	generation := to.generation.Load()
	to.inFlight.Add(1)
	t.client.Produce(ctx, r, func(r *kgo.Record, err error) {
		if to.inFlight.Add(-1) == 0 {
			to.idle.Set()
		}
		promise(r, to.classify(generation, err))
	})
}

// classify says what the error of a record means that was handed to the client in
// a generation.
func (t *topic) classify(generation int64, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.UnknownTopicID), t.generation.Load() != generation && !errors.Is(err, context.Canceled):
		// When the client lets go of a topic, it fails the records that it holds, by an
		// error that has no name.
		return &retry.Transient{Err: &RecreatedError{t, generation, err}}
	}
	return Classify(err)
}

// Refresh lets go of the topic that err is about, if it is a RecreatedError, so that
// its records can be handed to the client again.
func (t *Topics) Refresh(err error) (refreshed bool) {
	recreated, ok := errors.AsType[*RecreatedError](err)
	if !ok {
		return false
	}
	to := recreated.topic
	to.mu.Lock()
	defer to.mu.Unlock()
	if to.generation.Load() != recreated.generation {
		return true
	}
	to.generation.Add(1)
	t.client.PurgeTopicsFromProducing(to.name)
	t.log.With("topic", to.name).Warn("The topic was deleted and made again; messages are published to the new one")
	return true
}
