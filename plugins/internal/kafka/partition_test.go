package kafka

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/signal"
)

// running is a partition that hands out its records, inside a synctest bubble.
type running struct {
	*partition
	handed <-chan Batch
}

func runPartition(t *testing.T, change func(*partition)) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	out := make(chan Batch)
	p := &partition{
		topicPartition: topicPartition{topicName, 0},
		limit:          1000, queueSize: 1 << 20, bufferedBytes: &atomic.Int64{},
		doneIfRejected: func(error) bool { return false },
		pollWanted:     func() {}, resume: func() {}, sizer: newBatchSizer(0), out: out,
		cancel: stop, stopped: make(chan struct{}), changed: signal.New(), read: -1,
	}
	if change != nil {
		change(p)
	}
	go p.run(ctx)
	t.Cleanup(p.stop)
	return &running{p, out}
}

// records makes records with these offsets.
func records(from, count int64) (list []*kgo.Record) {
	for n := range count {
		list = append(list, &kgo.Record{Topic: topicName, Offset: from + n, Value: []byte("{}")})
	}
	return list
}

// next returns what is handed out when everything has come to rest.
func (r *running) next(t *testing.T) (all []delivered) {
	t.Helper()
	for {
		synctest.Wait()
		select {
		case b := <-r.handed:
			all = append(all, deliveries(t, b)...)
		default:
			return all
		}
	}
}

func TestLimit(t *testing.T) {
	for _, row := range []struct {
		name  string
		limit int
	}{{"one at a time", 1}, {"ten", 10}, {"no divisor of the records", 7}} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := runPartition(t, func(p *partition) { p.limit = row.limit })
				r.push(topicID{}, records(0, 50), 50)
				first := r.next(t)
				require.Len(t, first, row.limit)
				confirm(t, first[1:])
				assert.Empty(t, r.next(t), "the oldest is not confirmed")

				confirm(t, first[:1])
				expected := int64(row.limit)
				for expected < 50 {
					all := r.next(t)
					require.NotEmpty(t, all)
					require.LessOrEqual(t, len(all), row.limit)
					for _, d := range all {
						require.Equal(t, expected, d.offset)
						expected++
					}
					confirm(t, all)
				}
				position, _ := r.uncommitted()
				assert.EqualValues(t, 50, position.Offset)
			})
		})
	}
}

// What waits to be handed out when the partition goes was never handed out.
func TestHaltTakesBackWhatNobodyTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runPartition(t, func(p *partition) { p.limit = 2 })
		r.push(topicID{}, records(0, 3), 3)
		select {
		case b := <-r.handed:
			confirm(t, deliveries(t, b))
		case <-time.After(time.Minute):
			t.Fatal("nothing is handed out")
		}
		synctest.Wait() // the second is offered
		r.stop()
		assert.Zero(t, r.drain(t.Context()))
		position, ok := r.uncommitted()
		assert.True(t, ok)
		assert.EqualValues(t, 1, position.Offset)
		assert.Zero(t, r.bufferedBytes.Load())
	})
}

// A revocation waits for what is in flight, and no longer than its limit.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runPartition(t, nil)
		r.push(topicID{}, records(0, 3), 3)
		all := r.next(t)
		r.stop()
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		assert.Equal(t, 3, r.drain(short))

		drained := make(chan int, 1)
		go func() { drained <- r.drain(t.Context()) }()
		confirm(t, all[:2])
		synctest.Wait()
		assert.Empty(t, drained)
		confirm(t, all[2:])
		synctest.Wait()
		assert.Zero(t, <-drained)
	})
}

// The position is that of the first record that is not confirmed, whether or not
// one has been confirmed.
func TestPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runPartition(t, nil)
		_, known := r.position()
		assert.False(t, known)
		r.push(topicID{}, records(3, 4), 7)
		all := r.next(t)
		at := func() int64 {
			position, known := r.position()
			assert.True(t, known)
			return position
		}
		assert.EqualValues(t, 3, at())
		confirm(t, all[1:3])
		assert.EqualValues(t, 3, at())
		confirm(t, all[:1])
		assert.EqualValues(t, 6, at())
		require.NoError(t, all[3].ack(t.Context(), errors.New("rejected")))
		assert.EqualValues(t, 6, at())
	})
}

// What is committed is not to be committed again, nor is what is not known.
func TestWhatIsToBeCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runPartition(t, nil)
		_, due := r.uncommitted()
		assert.False(t, due, "nothing was read")
		r.push(topicID{}, records(3, 4), 7)
		all := r.next(t)
		_, due = r.uncommitted()
		assert.False(t, due, "nothing is confirmed")
		confirm(t, all[:2])
		position, due := r.uncommitted()
		assert.True(t, due)
		assert.EqualValues(t, 5, position.Offset)
		r.markCommitted(position)
		_, due = r.uncommitted()
		assert.False(t, due)
		confirm(t, all[2:])
		position, due = r.uncommitted()
		assert.True(t, due)
		assert.EqualValues(t, 7, position.Offset)
	})
}

// The markers that end transactions become no messages, and the position passes
// them, however messages are gathered to batches.
func TestMarkersArePassed(t *testing.T) {
	for _, row := range []struct {
		name  string
		count int // of a batch, 0 for no batching policy
	}{{"without a batching policy", 0}, {"in batches of two", 2}, {"in batches that never fill", 100}} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := runPartition(t, func(p *partition) {
					p.limit = 8
					if row.count > 0 {
						batcher, err := service.BatchPolicy{Count: row.count, Period: "1s"}.NewBatcher(service.MockResources())
						require.NoError(t, err)
						p.batcher = batcher
					}
				})
				fetched := records(0, 9)
				for _, marker := range []int{0, 3, 4, 7, 8} {
					fetched[marker].Attrs = kgo.NewRecordAttrs(kgo.RecordAttrsOpts{Control: true})
				}
				r.push(topicID{}, fetched, 9)
				offsets := []int64{}
				for len(offsets) < 4 {
					all := r.next(t)
					for _, d := range all {
						offsets = append(offsets, d.offset)
					}
					confirm(t, all)
					time.Sleep(time.Second) // the batch's period
				}
				assert.Equal(t, []int64{1, 2, 5, 6}, offsets)
				synctest.Wait()
				position, _ := r.position()
				assert.EqualValues(t, 9, position)
			})
		})
	}
}
