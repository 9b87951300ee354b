package kafka

import "github.com/twmb/franz-go/pkg/kgo"

// Checkpointer keeps account of the batches of one partition that have been handed
// out, in the partition's order, and knows the offset that may be committed:
// all batches before it are confirmed. The zero value is
// ready for use. It is not safe for concurrent use.
type Checkpointer struct {
	batches  []*InFlightBatch // handed out, the oldest first; the first is not confirmed
	position kgo.EpochOffset
	known    bool
	inFlight int
	span     int
}

// InFlightBatch is one batch that was handed out.
type InFlightBatch struct {
	end       kgo.EpochOffset // one past its last record
	count     int
	confirmed bool
}

// Add notes that a batch of count records has been handed out. Its last record has the
// given offset and leader epoch.
func (o *Checkpointer) Add(last int64, epoch int32, count int) *InFlightBatch {
	h := &InFlightBatch{end: kgo.EpochOffset{Epoch: epoch, Offset: last + 1}, count: count}
	o.batches = append(o.batches, h)
	o.inFlight += count
	o.span += count
	return h
}

// Confirm notes that every record of a batch has been delivered. It is
// idempotent.
func (o *Checkpointer) Confirm(h *InFlightBatch) {
	if h.confirmed {
		return
	}
	h.confirmed = true
	o.inFlight -= h.count

	done := 0
	for done < len(o.batches) && o.batches[done].confirmed {
		o.position, o.known = o.batches[done].end, true
		o.span -= o.batches[done].count
		o.batches[done] = nil // a slice that moves on keeps what it has passed
		done++
	}
	o.batches = o.batches[done:]
}

// Undo takes back the batch that was added last, which was not handed out
// after all.
func (o *Checkpointer) Undo(h *InFlightBatch) {
	last := len(o.batches) - 1
	if last < 0 || o.batches[last] != h {
		return
	}
	o.batches = o.batches[:last]
	o.inFlight -= h.count
	o.span -= h.count
}

// Position returns the offset of the first record that is not confirmed, and
// false if none has been confirmed yet.
func (o *Checkpointer) Position() (kgo.EpochOffset, bool) { return o.position, o.known }

// InFlight returns how many records are handed out and not confirmed.
func (o *Checkpointer) InFlight() int { return o.inFlight }

// Span returns how many records have been handed out from the first that is not
// confirmed on, those that are confirmed among them.
func (o *Checkpointer) Span() int { return o.span }
