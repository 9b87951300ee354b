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

// SessionState is what an input knows of its transactions from one to the next, also
// when it has connected again.
type SessionState struct {
	policy retry.Policy

	mu          sync.Mutex
	size        transactionSize
	slots       map[topicPartition]map[int64]context.Context // of aborted messages
	aborts      int                                          // in a row
	retryAtOnce bool                                         // the next one may succeed at once
}

// NewSessionState returns the state of an input. A transaction has up to maxRecords
// records, and should take as long as period. The pause after an aborted one is that
// of a retry.
func NewSessionState(policy retry.Policy, maxRecords int, period time.Duration) *SessionState {
	minRecords := min(runtime.GOMAXPROCS(0), maxRecords)
	return &SessionState{
		policy: policy,
		size:   transactionSize{min: minRecords, max: maxRecords, current: minRecords, period: period},
		slots:  map[topicPartition]map[int64]context.Context{},
	}
}

// transactionSize says how many records a transaction takes: as many as are done in
// a period at the speed of the last one, but so many that each core has one.
type transactionSize struct {
	min, max, current int
	period            time.Duration
}

// adapt adapts to a transaction that took so long.
func (s *transactionSize) adapt(records int, d time.Duration) {
	fit := int(min(float64(records)*float64(s.period)/float64(max(d, time.Microsecond)), float64(s.max)))
	switch {
	case fit < s.current && d > s.period:
		s.current = max(fit, s.min)
	case records >= s.current: // there were more
		s.current = max(s.current, min(fit, 2*s.current))
	}
}

// records returns how many records the next transaction takes.
func (m *SessionState) records() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.size.current
}

// pause returns how long to wait before the next transaction.
func (m *SessionState) pause() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.aborts == 0 || m.retryAtOnce && m.aborts == 1 {
		return 0
	}
	return m.policy.Pause(m.aborts)
}

// retriesExhausted says whether records were rejected as often as they are tried again.
func (m *SessionState) retriesExhausted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.aborts >= m.policy.MaxRetries
}

// attach gives the messages of records slots: those that they had if they were read
// before.
func (m *SessionState) attach(records []*kgo.Record, batch service.MessageBatch) {
	slot.Attach(batch)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.slots) == 0 {
		return
	}
	for i, r := range records {
		if ctx := m.slots[topicPartition{r.Topic, r.Partition}][r.Offset]; ctx != nil {
			batch[i] = batch[i].WithContext(ctx)
		}
	}
}

// committed notes that the records are done with.
func (m *SessionState) committed(records []*kgo.Record, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.aborts, m.retryAtOnce = 0, false
	m.size.adapt(len(records), d)
	for _, r := range records {
		if len(m.slots) == 0 {
			return
		}
		m.dropSlot(topicPartition{r.Topic, r.Partition}, r.Offset)
	}
}

func (m *SessionState) dropSlot(tp topicPartition, offset int64) {
	of := m.slots[tp]
	if delete(of, offset); len(of) == 0 {
		delete(m.slots, tp)
	}
}

// keepSlots keeps the slots of records that are read again.
func (m *SessionState) keepSlots(records []*kgo.Record, contexts []context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	total := 0
	for _, of := range m.slots {
		total += len(of)
	}
	if total > m.size.max { // they are of partitions that are not read any more
		clear(m.slots)
	}
	for i, r := range records {
		tp := topicPartition{r.Topic, r.Partition}
		if m.slots[tp] == nil {
			m.slots[tp] = map[int64]context.Context{}
		}
		m.slots[tp][r.Offset] = contexts[i]
	}
}

// dropPartitions drops the slots of partitions that another member reads.
func (m *SessionState) dropPartitions(partitions map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for topic, numbers := range partitions {
		for _, n := range numbers {
			delete(m.slots, topicPartition{topic, n})
		}
	}
}

// aborted notes that a transaction was aborted for its records, and whether the
// next one may succeed at once. If it does not, there are pauses.
func (m *SessionState) aborted(retryAtOnce bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.aborts++
	m.retryAtOnce = retryAtOnce
}

// failed notes that a transaction has ended with its session, as one that takes too
// long does.
func (m *SessionState) failed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.size.current = m.size.min
}
