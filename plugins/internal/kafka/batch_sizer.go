package kafka

import (
	"sync"
	"time"
)

// batchSizer says how many records make a batch: as many as are confirmed in a given
// time, measured over the last few batches. Where messages are quick, a batch
// spares the stream what it does for each; where they are slow, they come one by
// one, and their results do not wait for each other.
type batchSizer struct {
	batch time.Duration // what a batch should take; 0: a batch is one record

	mu    sync.Mutex
	size  int
	count int // confirmed since the last measurement
	since time.Time
}

// batchWindow is how many batches' time a measurement takes.
const batchWindow = 10

// newBatchSizer begins with batches of one record.
func newBatchSizer(batch time.Duration) *batchSizer {
	return &batchSizer{batch: batch, size: 1, since: time.Now()}
}

// confirmed notes that so many records have been confirmed.
func (p *batchSizer) confirmed(n int) {
	if p.batch <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count += n
	elapsed := time.Since(p.since)
	if elapsed < batchWindow*p.batch {
		return
	}
	p.size = max(int(float64(p.count)*p.batch.Seconds()/elapsed.Seconds()), 1)
	p.count, p.since = 0, time.Now()
}

// batchSize returns how many records make a batch now.
func (p *batchSizer) batchSize() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size
}
