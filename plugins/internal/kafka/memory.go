package kafka

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/slot"
)

// Memory is what an input knows of its transactions from one to the next, also
// when it has connected again.
type Memory struct {
	policy retry.Policy

	mu     sync.Mutex
	size   transactionSize
	kept   map[topicPartition]map[int64]context.Context // of aborted messages
	aborts int                                          // in a row
	atOnce bool                                         // the next one may succeed at once
}

// NewMemory returns the memory of transactions of up to most records, each of which
// should take as long as period. The pause after one that was aborted is that of a
// retry.
func NewMemory(policy retry.Policy, most int, period time.Duration) *Memory {
	least := min(runtime.GOMAXPROCS(0), most)
	return &Memory{
		policy: policy,
		size:   transactionSize{least: least, most: most, now: least, period: period},
		kept:   map[topicPartition]map[int64]context.Context{},
	}
}

// transactionSize says how many records a transaction takes: as many as are done in
// a period at the speed of the last one, but so many that each core has one.
type transactionSize struct {
	least, most, now int
	period           time.Duration
}

// took adapts to a transaction that took so long.
func (s *transactionSize) took(records int, d time.Duration) {
	fit := int(min(float64(records)*float64(s.period)/float64(max(d, time.Microsecond)), float64(s.most)))
	switch {
	case fit < s.now && d > s.period:
		s.now = max(fit, s.least)
	case records >= s.now: // there were more
		s.now = max(s.now, min(fit, 2*s.now))
	}
}

// records returns how many records the next transaction takes.
func (m *Memory) records() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.size.now
}

// pause returns how long to wait before the next transaction.
func (m *Memory) pause() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.aborts == 0 || m.atOnce && m.aborts == 1 {
		return 0
	}
	return m.policy.Pause(m.aborts)
}

// usedUp says whether records were rejected as often as they are tried again.
func (m *Memory) usedUp() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.aborts >= m.policy.MaxRetries
}

// attach gives the messages of records slots: those that they had if they were read
// before.
func (m *Memory) attach(records []*kgo.Record, batch service.MessageBatch) {
	slot.Attach(batch)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.kept) == 0 {
		return
	}
	for i, r := range records {
		if ctx := m.kept[topicPartition{r.Topic, r.Partition}][r.Offset]; ctx != nil {
			batch[i] = batch[i].WithContext(ctx)
		}
	}
}

// committed notes that the records are done with.
func (m *Memory) committed(records []*kgo.Record, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.aborts, m.atOnce = 0, false
	m.size.took(len(records), d)
	for _, r := range records {
		if len(m.kept) == 0 {
			return
		}
		m.drop(topicPartition{r.Topic, r.Partition}, r.Offset)
	}
}

func (m *Memory) drop(tp topicPartition, offset int64) {
	of := m.kept[tp]
	if delete(of, offset); len(of) == 0 {
		delete(m.kept, tp)
	}
}

// keep keeps the slots of records that are read again.
func (m *Memory) keep(records []*kgo.Record, contexts []context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	total := 0
	for _, of := range m.kept {
		total += len(of)
	}
	if total > m.size.most { // they are of partitions that are not read any more
		clear(m.kept)
	}
	for i, r := range records {
		tp := topicPartition{r.Topic, r.Partition}
		if m.kept[tp] == nil {
			m.kept[tp] = map[int64]context.Context{}
		}
		m.kept[tp][r.Offset] = contexts[i]
	}
}

// lose drops the slots of partitions that another member reads.
func (m *Memory) lose(partitions map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for topic, numbers := range partitions {
		for _, n := range numbers {
			delete(m.kept, topicPartition{topic, n})
		}
	}
}

// aborted notes that a transaction was aborted for its records, and whether the
// next one may succeed at once. If it does not, there are pauses.
func (m *Memory) aborted(atOnce bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.aborts++
	m.atOnce = atOnce
}

// failed notes that a transaction has ended with its session, as one that takes too
// long does.
func (m *Memory) failed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.size.now = m.size.least
}
