// Package replay delivers the messages of a batch input again when the stream
// rejects them, until it takes them.
//
// It stands in for service.AutoRetryNacksBatched of Benthos 4.60, which loses
// messages: after a batch has shrunk to those of its messages that failed, it
// still finds them by their places in the whole batch.
package replay

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// longest is the longest time that a batch which fails again and again waits.
const longest = time.Second

// Toggled returns in, replayed if the field of
// service.NewAutoRetryNacksToggleField says so.
func Toggled(conf *service.ParsedConfig, in service.BatchInput) (service.BatchInput, error) {
	on, err := conf.FieldBool(service.AutoRetryNacksToggleFieldName)
	if err != nil || !on {
		return in, err
	}
	return Rejected(in), nil
}

// Rejected returns an input that reads from in and delivers what is rejected
// again, at first at once and then after growing delays. A batch is acknowledged
// at in when each of its messages has been taken; in never learns of a
// rejection. Once in has ended, the input ends with its last batch.
func Rejected(in service.BatchInput) service.BatchInput {
	r := &input{in: in, changed: make(chan struct{}, 1), wanted: make(chan struct{}, 1), read: make(chan result, 1)}
	r.reading, r.stop = context.WithCancel(context.Background())
	return r
}

type input struct {
	in      service.BatchInput
	changed chan struct{} // holds one while something may have changed
	wanted  chan struct{} // asks for a read of in
	reader  sync.Once     // starts what answers that
	read    chan result   // of the one read of in that is under way
	reading context.Context
	stop    context.CancelFunc

	mu       sync.Mutex
	rejected []*delivery
	open     int // batches that are not acknowledged
	underWay bool
	ended    bool // in has
}

type result struct {
	batch service.MessageBatch
	ack   service.AckFunc
	err   error
}

// delivery is a batch, or what is left of it.
type delivery struct {
	batch      service.MessageBatch
	ack        service.AckFunc
	rejections int
}

// Connect connects in. An input that has ended still delivers what is open.
func (r *input) Connect(ctx context.Context) error {
	err := r.in.Connect(ctx)
	if !errors.Is(err, service.ErrEndOfInput) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended = true; r.open == 0 {
		return err
	}
	return nil
}

// ReadBatch returns a rejected batch, or else the next of in.
func (r *input) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	for {
		d, ended := r.next()
		if d != nil {
			batch, ack := r.deliver(d)
			return batch, ack, nil
		}
		if ended {
			return nil, nil, service.ErrEndOfInput
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-r.changed:
		case read := <-r.read:
			d, err := r.take(read)
			if err != nil {
				return nil, nil, err
			}
			if d != nil {
				batch, ack := r.deliver(d)
				return batch, ack, nil
			}
		}
	}
}

// next returns a rejected batch, if there is one, and otherwise sees to it that
// in is being read, unless it has ended.
func (r *input) next() (d *delivery, ended bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.rejected) > 0 {
		d, r.rejected = r.rejected[0], r.rejected[1:]
		return d, false
	}
	if r.ended {
		return nil, r.open == 0
	}
	if !r.underWay {
		r.underWay = true
		r.reader.Do(func() { go r.readAll() })
		r.wanted <- struct{}{}
	}
	return nil, false
}

// readAll reads in whenever that is wanted, until the input closes. It has a
// goroutine of its own, since a rejected batch must not wait for in. What has been
// read is kept for the next call of ReadBatch.
func (r *input) readAll() {
	for {
		select {
		case <-r.wanted:
			batch, ack, err := r.in.ReadBatch(r.reading)
			r.read <- result{batch, ack, err}
		case <-r.reading.Done():
			return
		}
	}
}

// take makes a delivery of what has been read; none at the end of in.
func (r *input) take(read result) (*delivery, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.underWay = false
	if errors.Is(read.err, service.ErrEndOfInput) {
		r.ended = true
		return nil, nil
	}
	if read.err != nil {
		return nil, read.err
	}
	r.open++
	return &delivery{batch: read.batch, ack: read.ack}, nil
}

// deliver returns a batch to be sent, with what its answer does.
func (r *input) deliver(d *delivery) (service.MessageBatch, service.AckFunc) {
	sent := d.batch.Copy()
	var index *service.Indexer
	if len(sent) > 1 { // otherwise there is nothing to find
		index = sent.Index() // anew for each delivery, so that places are those of what is left
	}
	var once sync.Once
	return sent, func(ctx context.Context, rejection error) (err error) {
		once.Do(func() {
			if rejection != nil {
				r.reject(d, index, rejection)
				return
			}
			err = d.ack(ctx, nil)
			r.mu.Lock()
			r.open--
			r.mu.Unlock()
			r.change()
		})
		return err
	}
}

// reject has what is left of a delivery delivered again.
func (r *input) reject(d *delivery, index *service.Indexer, rejection error) {
	d.batch = left(d.batch, index, rejection)
	d.rejections++
	again := func() {
		r.mu.Lock()
		r.rejected = append(r.rejected, d)
		r.mu.Unlock()
		r.change()
	}
	if d.rejections == 1 {
		again()
		return
	}
	time.AfterFunc(min(longest, time.Millisecond<<min(d.rejections, 10)), again)
}

// left returns the messages of a batch that an error is about: those that it
// marks, or all if it does not tell. index is nil for a single message.
func left(batch service.MessageBatch, index *service.Indexer, err error) service.MessageBatch {
	each, ok := errors.AsType[*service.BatchError](err)
	if !ok || index == nil || each.IndexedErrors() == 0 {
		return batch
	}
	failed := map[int]bool{}
	known := 0
	each.WalkMessagesIndexedBy(index, func(i int, _ *service.Message, err error) bool {
		if err != nil {
			failed[i] = true
			known++
		}
		return true
	})
	if known < each.IndexedErrors() {
		return batch // something failed of which no one knows where it came from
	}
	rest := make(service.MessageBatch, 0, len(failed))
	for i, m := range batch {
		if failed[i] {
			rest = append(rest, m)
		}
	}
	return rest
}

// change has ReadBatch look again.
func (r *input) change() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// Close ends the read that is under way, and in.
func (r *input) Close(ctx context.Context) error {
	r.stop()
	return r.in.Close(ctx)
}
