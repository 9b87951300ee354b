package processor

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// All cores are used, and no more, however many batches come at once.
func TestACrewUsesTheCoresThatThereAre(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, cores := range []int{1, 2, 1000} {
		c := newWorkerPool(cores)
		most := int64(max(1, runtime.GOMAXPROCS(0)/cores))
		require.Equal(t, most, int64(cap(c.slots)))
		var working, seen atomic.Int64
		full := make(chan struct{})
		var once sync.Once
		var batches sync.WaitGroup
		done := make([]atomic.Int64, 300)
		for range 4 {
			batches.Go(func() {
				c.forEach(t.Context(), len(done), func(k int) {
					now := working.Add(1)
					for s := seen.Load(); now > s && !seen.CompareAndSwap(s, now); s = seen.Load() {
					}
					if now == most {
						once.Do(func() { close(full) })
					}
					<-full // as many as may work do so at once
					done[k].Add(1)
					working.Add(-1)
				})
			})
		}
		batches.Wait()
		assert.Equal(t, most, seen.Load())
		for k := range done {
			assert.Equal(t, int64(4), done[k].Load())
		}
	}
}

// A batch gives up what another one needs, and takes it again afterwards.
func TestACrewMakesRoom(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c := &workerPool{slots: make(chan struct{}, 2)}
	var working atomic.Int64
	proceed := make(chan struct{})
	var batches sync.WaitGroup
	batches.Go(func() {
		c.forEach(t.Context(), 100, func(int) {
			working.Add(1)
			<-proceed
			working.Add(-1)
		})
	})
	both := func() bool { return working.Load() == 2 }
	await.Until(t, both)

	small := make(chan struct{})
	batches.Go(func() {
		c.forEach(t.Context(), 1, func(int) { close(small) })
	})
	await.Until(t, func() bool { return c.waiting.Load() == 1 })
	for range 2 {
		proceed <- struct{}{}
	}
	<-small
	await.Until(t, func() bool {
		select {
		case proceed <- struct{}{}: // one more of the large batch, after which it looks for help
		default:
		}
		return both()
	})
	close(proceed)
	batches.Wait()
	assert.Empty(t, c.slots)
}

// When the context ends, messages are handed back as they were: neither results
// nor errors.
func TestABatchEndsWithItsContext(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	conf, err := simulateSpec().ParseYAML("", nil)
	require.NoError(t, err)
	s, err := newSimulate(conf, service.MockResources())
	require.NoError(t, err)

	var batch service.MessageBatch
	for range 100 {
		batch = append(batch, service.NewMessage([]byte(`{"grid_size":1024,"steps":10000}`)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		out, err := s.ProcessBatch(ctx, batch)
		assert.Nil(t, out)
		failed <- err
	}()
	await.Until(t, func() bool { return len(s.pool.slots) == cap(s.pool.slots) })
	cancel()
	select {
	case err := <-failed:
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(time.Minute):
		require.Fail(t, "the batch is still under way")
	}
	for _, msg := range batch {
		require.NoError(t, msg.GetError())
		content, err := msg.AsBytes()
		require.NoError(t, err)
		assert.Equal(t, `{"grid_size":1024,"steps":10000}`, string(content))
	}

	out, err := s.ProcessBatch(t.Context(), service.MessageBatch{service.NewMessage([]byte(`{"grid_size":8,"steps":2}`))})
	require.NoError(t, err)
	require.NoError(t, out[0][0].GetError(), "it works on")
	require.NoError(t, s.Close(t.Context()))
}

// Results and bad messages keep their metadata. The originals that an input keeps, to
// deliver them again, stay as they were.
func TestMetadataStays(t *testing.T) {
	conf, err := simulateSpec().ParseYAML("", nil)
	require.NoError(t, err)
	s, err := newSimulate(conf, service.MockResources())
	require.NoError(t, err)
	good, bad := service.NewMessage([]byte(`{"grid_size":8,"steps":2}`)), service.NewMessage([]byte(`{"steps":0}`))
	for _, msg := range []*service.Message{good, bad} {
		msg.MetaSetMut("kafka_key", "k")
	}
	kept := good
	out, err := s.ProcessBatch(t.Context(), service.MessageBatch{good.Copy(), bad.Copy()})
	require.NoError(t, err)
	require.Len(t, out[0], 2)
	for _, msg := range out[0] {
		key, ok := msg.MetaGet("kafka_key")
		assert.True(t, ok)
		assert.Equal(t, "k", key)
	}
	_, ok := out[0][0].MetaGetMut("mfn_elapsed_seconds")
	assert.True(t, ok)
	_, ok = kept.MetaGetMut("mfn_elapsed_seconds")
	assert.False(t, ok)
	content, err := kept.AsBytes()
	require.NoError(t, err)
	assert.Equal(t, `{"grid_size":8,"steps":2}`, string(content))
	require.Error(t, out[0][1].GetError())
}
