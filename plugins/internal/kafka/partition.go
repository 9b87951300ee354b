package kafka

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/signal"
)

// Batch is what a consumer hands out: messages of one partition, in its order,
// and the function by which their delivery is confirmed.
type Batch struct {
	Messages service.MessageBatch
	Ack      service.AckFunc
}

// partition is one partition for as long as one assignment of it lasts. What
// was handed out under it can be confirmed at any time, but counts only while
// it is assigned: another assignment of the same partition is another value.
//
// Records wait in its queue until there is room for them downstream. Nothing is
// polled while all queues are well filled. While one is not, the others may grow
// beyond their size, and at last fetching from them pauses, so that a slow partition
// holds up no other.
type partition struct {
	topicPartition
	limit          int           // records from the oldest that is not confirmed to the newest handed out
	queueSize      int64         // bytes that should wait
	bufferedBytes  *atomic.Int64 // bytes that wait in all partitions
	headerLists    bool
	batcher        *service.Batcher // nil: the sizer decides
	sizer          *batchSizer      // of all partitions
	doneIfRejected func(error) bool // whether a rejected batch counts as done
	pollWanted     func()           // tells that the queue has gone down to half of its size
	resume         func()           // fetching, after a pause
	out            chan<- Batch

	cancel  context.CancelFunc
	stopped chan struct{}
	changed signal.Signal // set when something below changed

	mu        sync.Mutex
	topicID   topicID // of the records fetched
	queue     []*kgo.Record
	queued    int64
	paused    bool
	end       int64 // the partition's end as the last fetch knew it
	read      int64 // one past the last record fetched, -1 before the first
	first     int64 // the first record fetched
	offsets   Checkpointer
	committed kgo.EpochOffset
}

type topicPartition struct {
	topic  string
	number int32
}

// push adds records that were fetched, of the topic with this id.
func (p *partition) push(id topicID, records []*kgo.Record, end int64) {
	defer p.changed.Set()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.topicID, p.end = id, end
	bytes := int64(0)
	for _, r := range records {
		bytes += cost(r)
		if p.read < 0 {
			p.first = r.Offset
		}
		p.read = r.Offset + 1
	}
	p.queued += bytes
	p.bufferedBytes.Add(bytes)
	p.queue = append(p.queue, records...)
}

// belowLowWater reports whether the queue is down to half of its size.
func (p *partition) belowLowWater() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lowWater()
}

func (p *partition) lowWater() bool { return p.queued <= p.queueSize/2 }

// startPause reports whether fetching is to pause, once: when twice the queue's size
// waits.
func (p *partition) startPause() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused || p.queued < 2*p.queueSize {
		return false
	}
	p.paused = true
	return true
}

// dequeue takes the oldest records from the queue, n at most.
func (p *partition) dequeue(n int) []*kgo.Record {
	records, low, resume := p.pop(n)
	if resume {
		p.resume()
	}
	if low {
		p.pollWanted()
	}
	return records
}

// pop also reports whether the queue has just gone low, and whether fetching
// is to go on after a pause.
func (p *partition) pop(n int) (records []*kgo.Record, low, resume bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n = min(n, len(p.queue))
	records = slices.Clone(p.queue[:n])
	clear(p.queue[:n]) // a slice that moves on keeps what it has passed
	p.queue = p.queue[n:]
	bytes := int64(0)
	for _, r := range records {
		bytes += cost(r)
	}
	was := p.lowWater()
	p.queued -= bytes
	p.bufferedBytes.Add(-bytes)
	low = p.lowWater() && !was
	resume = low && p.paused
	if resume {
		p.paused = false
	}
	return records, low, resume
}

// run hands out what is in the queue until ctx ends.
func (p *partition) run(ctx context.Context) {
	defer close(p.stopped)
	if p.batcher != nil {
		defer func() {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
			defer cancel()
			_ = p.batcher.Close(closing) // nothing is lost with its processors
		}()
	}
	for {
		records, messages := p.collect(ctx)
		if len(records) == 0 {
			return
		}
		inFlight, ok := p.reserve(ctx, records)
		if !ok {
			return
		}
		if len(messages) == 0 { // markers, or what the batching policy's processors dropped
			p.confirm(inFlight)
			continue
		}
		select {
		case p.out <- Batch{Messages: messages, Ack: p.ack(inFlight)}:
		case <-ctx.Done():
			p.undo(inFlight)
			return
		}
	}
}

// collect waits for a batch: the records, and the messages made of them. There
// are no records when ctx has ended.
func (p *partition) collect(ctx context.Context) ([]*kgo.Record, service.MessageBatch) {
	if p.batcher != nil {
		return p.collectBatch(ctx)
	}
	for {
		if records := p.dequeue(p.batchSize()); len(records) > 0 {
			return records, p.messages(records)
		}
		if _, ok := p.waitForChange(ctx, 0); !ok {
			return nil, nil
		}
	}
}

func (p *partition) collectBatch(ctx context.Context) (records []*kgo.Record, _ service.MessageBatch) {
	for complete := false; !complete; {
		if next := p.dequeue(1); len(next) > 0 {
			messages := p.messages(next)
			if len(messages) == 0 && len(records) == 0 {
				return next, nil // no message is gathered that would bring the batch to its end
			}
			records = append(records, next...)
			complete = len(messages) > 0 && p.batcher.Add(messages[0])
			continue
		}
		var left time.Duration
		if len(records) > 0 {
			left, _ = p.batcher.UntilNext()
		}
		var ok bool
		if complete, ok = p.waitForChange(ctx, left); !ok {
			return nil, nil
		}
	}
	messages, err := p.batcher.Flush(ctx)
	if err != nil || ctx.Err() != nil {
		return nil, nil
	}
	return records, messages
}

// waitForChange waits until something has changed or, if limit is above 0, for that
// long, which it reports as late. It is not ok when ctx has ended.
func (p *partition) waitForChange(ctx context.Context, limit time.Duration) (late, ok bool) {
	var timer <-chan time.Time
	if limit > 0 {
		timer = time.After(limit)
	}
	select {
	case <-p.changed.C():
	case <-timer:
		late = true
	case <-ctx.Done():
	}
	return late, ctx.Err() == nil
}

// reserve waits until the batch fits below the limit, or everything before it is
// confirmed, and notes it as handed out.
func (p *partition) reserve(ctx context.Context, records []*kgo.Record) (*InFlightBatch, bool) {
	for {
		p.mu.Lock()
		if n := p.offsets.Span(); n == 0 || n+len(records) <= p.limit {
			last := records[len(records)-1]
			h := p.offsets.Add(last.Offset, last.LeaderEpoch, len(records))
			p.mu.Unlock()
			return h, true
		}
		p.mu.Unlock()
		if _, ok := p.waitForChange(ctx, 0); !ok {
			return nil, false
		}
	}
}

// batchesInFlight is how many batches of one partition should fit below its
// limit, so that there is always one for each stage of the stream.
const batchesInFlight = 4

// batchSize returns how many records make a batch, if there are as many.
func (p *partition) batchSize() int {
	return max(min(p.sizer.batchSize(), p.limit/batchesInFlight), 1)
}

// messages converts records. The markers that end transactions become none.
func (p *partition) messages(records []*kgo.Record) service.MessageBatch {
	p.mu.Lock()
	end := p.end
	p.mu.Unlock()
	batch := make(service.MessageBatch, 0, len(records))
	for _, r := range records {
		if !r.Attrs.IsControl() {
			batch = append(batch, Message(r, end-r.Offset-1, p.headerLists))
		}
	}
	return batch
}

func (p *partition) ack(h *InFlightBatch) service.AckFunc {
	return func(_ context.Context, err error) error {
		if err == nil || p.doneIfRejected(err) {
			p.confirm(h)
		}
		return nil
	}
}

func (p *partition) confirm(h *InFlightBatch) {
	defer p.changed.Set()
	p.sizer.confirmed(h.count)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offsets.Confirm(h)
}

func (p *partition) undo(h *InFlightBatch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offsets.Undo(h)
}

// stop stops handing out and waits until that has stopped.
func (p *partition) stop() {
	p.cancel()
	<-p.stopped
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bufferedBytes.Add(-p.queued)
	p.queue, p.queued = nil, 0
}

// drain waits until everything that was handed out is confirmed, or ctx ends,
// and returns how many records are still in flight. It comes after stop.
func (p *partition) drain(ctx context.Context) int {
	for {
		p.mu.Lock()
		n := p.offsets.InFlight()
		p.mu.Unlock()
		if n == 0 {
			return 0
		}
		if _, ok := p.waitForChange(ctx, 0); !ok {
			return n
		}
	}
}

// uncommitted returns the offset to commit, and false if it is committed already.
func (p *partition) uncommitted() (kgo.EpochOffset, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	position, known := p.offsets.Position()
	return position, known && position != p.committed
}

func (p *partition) markCommitted(position kgo.EpochOffset) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.committed = position
}

// position returns the offset of the first record that is not confirmed, as
// far as this assignment knows it.
func (p *partition) position() (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if position, known := p.offsets.Position(); known {
		return position.Offset, true
	}
	return p.first, p.read >= 0
}

// byTopic arranges partitions as the client wants them.
func byTopic(partitions []*partition) map[string][]int32 {
	m := make(map[string][]int32)
	for _, p := range partitions {
		m[p.topic] = append(m[p.topic], p.number)
	}
	for _, numbers := range m {
		slices.Sort(numbers)
	}
	return m
}

func (p *partition) setQueueSize(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queueSize = n
}

// id returns the id of the topic, zero if it is not known.
func (p *partition) id() topicID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.topicID
}

func (p *partition) isPaused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused
}
