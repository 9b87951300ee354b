package output

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/kafka"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/signal"
)

// delivery is one batch on its way. Its records may outlast an attempt: the
// client keeps them and goes on, and the next attempt waits for the same ones,
// so that a slow broker does not get them twice.
type delivery struct {
	topics   *kafka.Topics
	records  []*kgo.Record
	describe func(i int, cause error) *kgo.Record // of what is too large; nil to reject it
	idle     signal.Signal                        // set when no record is in flight any more

	mu       sync.Mutex
	states   []recordState
	tried    []sizeTrial
	errs     []error // why a record is not published
	inFlight int
	bytes    int64 // published
}

type recordState int8

const (
	pending recordState = iota
	inFlight
	published
	rejected // cannot be published
)

// sizeTrial is what has been tried with a record that was refused for its size.
type sizeTrial int8

const (
	batched sizeTrial = iota
	alone             // since a batch can be too large though no record of it is
	described
)

func newDelivery(topics *kafka.Topics, n int) *delivery {
	return &delivery{
		topics:  topics,
		records: make([]*kgo.Record, n),
		idle:    signal.New(),
		states:  make([]recordState, n),
		tried:   make([]sizeTrial, n),
		errs:    make([]error, n),
	}
}

func (d *delivery) reject(i int, err error) {
	d.states[i], d.errs[i] = rejected, err
}

// maxRefreshes is how often one attempt lets go of topics that were made again.
const maxRefreshes = 3

// attempt hands to the client what waits and returns when all is settled or
// limit ends. Records stay with the client until ctx ends.
func (d *delivery) attempt(ctx, limit context.Context, reach func() error) (int64, error) {
	for refreshes := 0; ; refreshes++ {
		d.start(ctx)
		if err := d.wait(limit, reach); err != nil {
			return 0, err
		}
		for _, i := range d.oversized(batched) {
			d.startAlone(ctx, limit, i)
			if err := d.wait(limit, reach); err != nil {
				return 0, err
			}
		}
		if d.describe != nil {
			for _, i := range d.oversized(alone) {
				d.records[i], d.tried[i] = d.describe(i, d.errs[i]), described
			}
			d.start(ctx)
			if err := d.wait(limit, reach); err != nil {
				return 0, err
			}
		}
		if refreshes == maxRefreshes || !d.refreshTopics() {
			return d.outcome()
		}
	}
}

// start hands the records to the client that wait.
func (d *delivery) start(ctx context.Context) {
	d.mu.Lock()
	var start []int
	for i, state := range d.states {
		if state == pending {
			d.states[i] = inFlight
			d.inFlight++
			if d.tried[i] == alone {
				d.tried[i] = batched
			}
			start = append(start, i)
		}
	}
	d.mu.Unlock()
	for _, i := range start {
		d.topics.Produce(ctx, d.records[i], func(r *kgo.Record, err error) { d.recordResult(i, r, err) })
	}
}

// startAlone hands one record to the client when there is no other.
func (d *delivery) startAlone(ctx, limit context.Context, i int) {
	d.mu.Lock()
	d.states[i], d.tried[i] = inFlight, alone
	d.inFlight++
	d.mu.Unlock()
	err := d.topics.ProduceAlone(ctx, limit, d.records[i], func(r *kgo.Record, err error) { d.recordResult(i, r, err) })
	if err != nil {
		d.recordResult(i, d.records[i], &retry.Transient{Err: fmt.Errorf("waiting for the other records: %w", err)})
	}
}

func (d *delivery) recordResult(i int, r *kgo.Record, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inFlight--
	d.errs[i] = err
	switch {
	case err == nil:
		d.states[i] = published
		d.bytes += int64(len(r.Key) + len(r.Value))
	case retry.IsTransient(err):
		d.states[i] = pending
	default:
		d.states[i] = rejected
	}
	if d.inFlight == 0 {
		d.idle.Set()
	}
}

// wait waits until no record is under way.
func (d *delivery) wait(limit context.Context, reach func() error) error {
	for {
		if d.countInFlight() == 0 {
			return nil
		}
		select {
		case <-d.idle.C():
		case <-limit.Done():
			err := fmt.Errorf("%v of %v messages are not confirmed", d.countInFlight(), len(d.records))
			if cause := reach(); cause != nil {
				err = fmt.Errorf("%w: %w", err, cause)
			}
			return &retry.Transient{Err: err}
		}
	}
}

func (d *delivery) countInFlight() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inFlight
}

// oversized lists the records that were refused for their size when they were tried
// in this way, and lets them wait again.
func (d *delivery) oversized(tried sizeTrial) (list []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, err := range d.errs {
		if d.states[i] == rejected && d.tried[i] == tried && errors.Is(err, kerr.MessageTooLarge) {
			d.states[i] = pending
			list = append(list, i)
		}
	}
	return list
}

// refreshTopics lets go of the topics of records that wait because their topic was made
// again, and says whether there are any.
func (d *delivery) refreshTopics() (refreshed bool) {
	d.mu.Lock()
	var errs []error
	for i, state := range d.states {
		if state == pending && d.errs[i] != nil {
			errs = append(errs, d.errs[i])
		}
	}
	d.mu.Unlock()
	for _, err := range errs {
		refreshed = d.topics.Refresh(err) || refreshed
	}
	return refreshed
}

// outcome returns how many bytes were published and, if something was not, an
// error that is transient as long as something waits to be tried again.
func (d *delivery) outcome() (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var failed error
	for i, state := range d.states {
		switch state {
		case pending:
			return 0, d.errs[i]
		case rejected:
			if failed == nil {
				failed = d.errs[i]
			}
		case inFlight, published:
		}
	}
	return d.bytes, failed
}

// batchError names the messages of the batch that are not published.
func (d *delivery) batchError(messages service.MessageBatch, err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	failed := &batchFailures{batch: messages}
	failed.add(err)
	for i, state := range d.states {
		switch state {
		case published:
		case rejected:
			failed.add(d.errs[i], i)
		case pending, inFlight:
			failed.add(err, i)
		}
	}
	return failed.err()
}
