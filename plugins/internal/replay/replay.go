// Package replay delivers the messages of a batch input again when the stream
// rejects them, until it takes them.
//
// It stands in for service.AutoRetryNacksBatched of Benthos 4.60, which loses
// messages: after a batch has shrunk to those of its messages that failed, it
// still finds them by their places in the whole batch.
package replay

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/shutdown"
	"github.com/mfn-connect/mfn-connect/plugins/internal/signal"
	"github.com/mfn-connect/mfn-connect/plugins/internal/slot"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracing"
)

// Field names of Fields.
const (
	fieldOn          = service.AutoRetryNacksToggleFieldName
	fieldMaxRejected = "max_rejected"
)

var (
	on          = fields.Bool(fieldOn)
	maxRejected = fields.Count(fieldMaxRejected, 1)
)

// Fields returns the configuration fields of an input whose rejected messages are
// delivered again.
func Fields() []*service.ConfigField {
	return []*service.ConfigField{
		on.Field().
			Description("Whether messages that the stream has rejected are delivered again, without end. Otherwise a rejected message is dropped, unless its source hands it out again.").
			Default(true),
		maxRejected.Field().
			Description("How many rejected messages may wait for their next delivery or be in flight again. While there are more, the input takes nothing new. The pause before each delivery grows from `retry.initial_delay` to `retry.max_delay`.").
			Default(1000).
			Advanced(),
	}
}

// Options say how messages are delivered again.
type Options struct {
	// Policy gives the pause before each delivery: that of a retry, without end.
	Policy retry.Policy
	// Finite says that the input ends by itself. A message is then given up if it
	// was refused, or if it was rejected more than Policy.MaxRetries times, or twice
	// as often for an error that may pass. Otherwise the stream could never end.
	Finite bool
	// MaxRejected bounds the messages that were rejected and are not delivered yet.
	MaxRejected int
	Spans       tracing.Spans // of the messages
	Log         *service.Logger
}

// Toggled returns in, whose messages are counted and carry slots. They are
// delivered again when they are rejected, if the fields of conf say so.
func Toggled(conf *service.ParsedConfig, in service.BatchInput, opts Options) (service.BatchInput, error) {
	var again bool
	err := cmp.Or(
		fields.Into(&again, on, conf),
		fields.Into(&opts.MaxRejected, maxRejected, conf),
	)
	if err != nil {
		return nil, err
	}
	ledger.Process.HasInput()
	if opts.Finite {
		ledger.Process.SetFinite()
	}
	if !again {
		return &dropOnNack{BatchInput: in, spans: opts.Spans, log: opts.Log}, nil
	}
	return OnNack(in, opts), nil
}

// OnNack returns an input that reads from in and delivers what is rejected
// again, after pauses that grow. A batch is acknowledged at in when each of its
// messages has been taken or given up. Once in has ended, the input ends with its
// last batch.
func OnNack(in service.BatchInput, opts Options) service.BatchInput {
	r := &input{
		in: in, opts: opts,
		changed: signal.New(), readWanted: make(chan struct{}, 1), results: make(chan result, 1),
		pausing: map[*delivery]*time.Timer{},
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

type input struct {
	in         service.BatchInput
	opts       Options
	changed    signal.Signal // set when there may be something to deliver
	readWanted chan struct{} // asks for a read of in
	reader     sync.Once     // starts what answers that
	results    chan result   // of the one read of in that is under way
	ctx        context.Context
	cancel     context.CancelFunc

	mu        sync.Mutex
	pausing   map[*delivery]*time.Timer // for the end of their pause
	due       []*delivery               // their pause is over
	rejected  int                       // messages that were rejected and are not delivered yet
	lastTaken time.Time                 // when a delivery was taken whole, or the first rejected
	open      int                       // batches that are not acknowledged
	reading   bool
	ended     bool // in has
	warned    bool // of messages that nobody delivers
	closed    bool
}

// quietPeriod is how long nothing may happen to the last messages of an input that has
// ended before the log says so.
const quietPeriod = 10 * time.Second

type result struct {
	batch service.MessageBatch
	ack   service.AckFunc
	err   error
}

// delivery is a batch, or what is left of it.
type delivery struct {
	batch      service.MessageBatch
	size       int // of the batch, as it was read
	ack        service.AckFunc
	rejections int
	givenUp    error // of messages that are not delivered again
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
		case <-r.changed.C():
		case <-r.quiet():
			r.warnOfUnfinished()
		case read := <-r.results:
			d, err := r.newDelivery(read)
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
	if len(r.due) > 0 {
		d, r.due = r.due[0], r.due[1:]
		return d, false
	}
	if r.ended {
		return nil, r.open == 0
	}
	if !r.reading && r.rejected < r.opts.MaxRejected {
		r.reading = true
		r.reader.Do(func() { go r.readAll() })
		r.readWanted <- struct{}{}
	}
	return nil, false
}

// quiet fires after quietPeriod if the input has ended, and waits for deliveries alone.
func (r *input) quiet() <-chan time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended || r.rejected > 0 || r.warned {
		return nil
	}
	return time.After(quietPeriod)
}

// warnOfUnfinished says that the last messages wait, unless a component works on
// them. Benthos fills a batch without a period only with messages that never come,
// and tells nobody.
func (r *input) warnOfUnfinished() {
	if !status.Quiet(quietPeriod) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.warned = true
	logs.With(r.opts.Log, "batches", r.open, "seconds", quietPeriod.Seconds()).
		Warn("The input has ended, but its last messages are not delivered. If they wait for a batch to be full, set period beside count in its batching")
}

// readAll reads in whenever that is wanted, until the input closes. It has a
// goroutine of its own, since a rejected batch must not wait for in. What has been
// read is kept for the next call of ReadBatch.
func (r *input) readAll() {
	for {
		select {
		case <-r.readWanted:
			batch, ack, err := r.in.ReadBatch(r.ctx)
			r.results <- result{batch, ack, err}
		case <-r.ctx.Done():
			return
		}
	}
}

// newDelivery makes a delivery of what has been read; none at the end of in.
func (r *input) newDelivery(read result) (*delivery, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reading = false
	if errors.Is(read.err, service.ErrEndOfInput) {
		r.ended = true
		return nil, nil
	}
	if read.err != nil {
		return nil, read.err
	}
	r.open++
	ledger.Process.Taken.Add(int64(len(read.batch)))
	r.opts.Spans.Begin(read.batch)
	slot.Attach(read.batch)
	return &delivery{batch: read.batch, size: len(read.batch), ack: read.ack}, nil
}

// deliver returns a batch to be sent, with what its answer does.
func (r *input) deliver(d *delivery) (service.MessageBatch, service.AckFunc) {
	sent := d.batch.Copy()
	var index *service.Indexer
	if len(sent) > 1 { // otherwise there is nothing to find
		index = sent.Index() // of this delivery: positions are those of the messages that are left
	}
	var once sync.Once
	return sent, func(ctx context.Context, rejection error) (err error) {
		once.Do(func() {
			if rejection != nil {
				err = r.reject(ctx, d, index, rejection)
				return
			}
			r.recovered()
			err = r.finish(ctx, d)
		})
		return err
	}
}

// finish acknowledges a batch when all its messages are done.
func (r *input) finish(ctx context.Context, d *delivery) error {
	err := d.ack(ctx, d.givenUp)
	ledger.Process.Settled.Add(int64(d.size))
	r.mu.Lock()
	r.open--
	if d.rejections > 0 {
		r.rejected -= len(d.batch)
	}
	r.mu.Unlock()
	r.changed.Set()
	return err
}

// reject has what is left of a delivery delivered again after a pause, but for
// what is given up.
func (r *input) reject(ctx context.Context, d *delivery, index *service.Indexer, rejection error) error {
	rest, errs := failedMessages(d.batch, index, rejection)
	r.mu.Lock()
	if d.rejections > 0 {
		r.rejected -= len(d.batch)
	}
	d.rejections++
	d.batch = rest
	if r.opts.Finite {
		d.batch = r.dropExhausted(d, errs)
	}
	r.rejected += len(d.batch)
	if r.lastTaken.IsZero() {
		r.lastTaken = time.Now()
	}
	if len(d.batch) > 0 && !r.closed {
		r.pausing[d] = time.AfterFunc(r.opts.Policy.Pause(d.rejections), func() { r.pauseOver(d) })
	}
	finished := len(d.batch) == 0 // after this the delivery may be another goroutine's
	r.mu.Unlock()
	if finished {
		return r.finish(ctx, d)
	}
	r.changed.Set()
	return nil
}

// dropExhausted returns the messages of a delivery that are worth another one. It is
// called with the lock held.
func (r *input) dropExhausted(d *delivery, errs []error) service.MessageBatch {
	rest := make(service.MessageBatch, 0, len(d.batch))
	for i, m := range d.batch {
		refused := slot.From(m.Context()).Refusal()
		maxRejections := r.opts.Policy.MaxRetries
		if retry.IsTransient(errs[i]) {
			maxRejections *= 2 // the other side may be down for a while
		}
		if d.rejections <= maxRejections && (refused == nil || !errors.Is(errs[i], refused)) {
			rest = append(rest, m)
			continue
		}
		d.givenUp = errs[i]
		ledger.Process.Leave(identity.Full(m), errs[i])
		warn(r.opts.Log, m, errs[i], "Message is left undelivered")
	}
	return rest
}

// warn writes a line about a message.
func warn(log *service.Logger, m *service.Message, err error, text string) {
	logs.With(log, "id", identity.ID(m), "source", identity.Source(m), "error", err.Error()).Warn(text)
}

// pauseOver makes a delivery due whose pause is over.
func (r *input) pauseOver(d *delivery) {
	r.mu.Lock()
	if _, ok := r.pausing[d]; ok {
		delete(r.pausing, d)
		r.due = append(r.due, d)
	}
	r.mu.Unlock()
	r.changed.Set()
}

// recovered notes that a delivery was taken. If none had been for a while, the
// other side is back, and what waits need wait no longer.
func (r *input) recovered() {
	r.mu.Lock()
	defer r.mu.Unlock()
	outage := !r.lastTaken.IsZero() && time.Since(r.lastTaken) >= 2*r.opts.Policy.InitialDelay
	if r.rejected > 0 {
		r.lastTaken = time.Now()
	} else {
		r.lastTaken = time.Time{}
	}
	if !outage {
		return
	}
	for d, timer := range r.pausing {
		if timer.Stop() {
			delete(r.pausing, d)
			r.due = append(r.due, d)
		}
	}
}

// failedMessages returns the messages of a batch that an error is about, with their errors:
// those that it marks, or all if it does not tell. index is nil for a single
// message.
func failedMessages(batch service.MessageBatch, index *service.Indexer, err error) (rest service.MessageBatch, errs []error) {
	all := func() (service.MessageBatch, []error) { return batch, slices.Repeat([]error{err}, len(batch)) }
	each, ok := errors.AsType[*service.BatchError](err)
	if !ok || index == nil || each.IndexedErrors() == 0 {
		return all()
	}
	failed := map[int]error{}
	known := 0
	each.WalkMessagesIndexedBy(index, func(i int, _ *service.Message, err error) bool {
		if err != nil {
			failed[i] = err
			known++
		}
		return true
	})
	if known < each.IndexedErrors() {
		return all() // something failed that cannot be traced to a message of the batch
	}
	for i, m := range batch {
		if err := failed[i]; err != nil {
			rest, errs = append(rest, m), append(errs, err)
		}
	}
	return rest, errs
}

// Close ends the read that is under way, the pauses, and in.
func (r *input) Close(ctx context.Context) error {
	r.cancel()
	r.mu.Lock()
	r.closed = true
	for d, timer := range r.pausing {
		timer.Stop()
		delete(r.pausing, d)
	}
	r.mu.Unlock()
	return r.in.Close(ctx)
}

// dropOnNack delivers each message one time, and tells the input of each rejection.
type dropOnNack struct {
	service.BatchInput
	spans tracing.Spans
	log   *service.Logger
}

// ReadBatch returns the next batch.
func (o *dropOnNack) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	batch, ack, err := o.BatchInput.ReadBatch(ctx)
	if err != nil {
		return nil, nil, err
	}
	ledger.Process.Taken.Add(int64(len(batch)))
	o.spans.Begin(batch)
	slot.Attach(batch)
	sent := batch.Copy()
	var index *service.Indexer
	if len(sent) > 1 {
		index = sent.Index()
	}
	return sent, func(ctx context.Context, rejection error) error {
		ledger.Process.Settled.Add(int64(len(batch)))
		// What a shutdown rejects, its source hands out again at the next start.
		if rejection != nil && !shutdown.Begun() {
			rest, errs := failedMessages(batch, index, rejection)
			for i, m := range rest {
				ledger.Process.Leave(identity.Full(m), errs[i])
				warn(o.log, m, errs[i], "Message was rejected and is not delivered again, since "+fieldOn+" is off")
			}
		}
		return ack(ctx, rejection)
	}, nil
}
