package retry

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// limited is a server that allows so many requests in each second, and asks for
// a pause of a second otherwise.
type limited struct {
	latency time.Duration
	allowed int

	mu       sync.Mutex
	second   int64
	count    int
	requests int
}

func (l *limited) attempt(ctx context.Context) (int64, error) {
	if err := Sleep(ctx, l.latency); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	if now := time.Now().Unix(); now != l.second {
		l.second, l.count = now, 0
	}
	if l.count++; l.count > l.allowed {
		return 0, &Transient{Err: errBroken, After: time.Second}
	}
	return 0, nil
}

func TestPauseOfAHostHoldsForAllOperationsOnIt(t *testing.T) {
	const messages = 60
	synctest.Test(t, func(t *testing.T) {
		r, _, metrics := retrier(t, Policy{Strategy: ExponentialBackoff, MaxRetries: 10, InitialDelay: time.Second, MaxDelay: time.Minute})
		server := &limited{latency: time.Millisecond, allowed: 5}
		op := operation
		op.Host = t.Name()
		var all sync.WaitGroup
		for range messages {
			all.Go(func() { assert.NoError(t, r.Do(t.Context(), op, server.attempt)) })
		}
		all.Wait()
		assert.Zero(t, metrics().FailedRequests)
		// One burst that is refused, then hardly more than what is allowed.
		assert.Less(t, server.requests, 2*messages+messages/4)
	})
}

func TestHostThatHasRecoveredGetsAllRequestsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := retrier(t, Policy{Strategy: FixedDelay, MaxRetries: 1, MaxDelay: time.Minute})
		op := operation
		op.Host = t.Name()
		refused := false
		require.NoError(t, r.Do(t.Context(), op, func(context.Context) (int64, error) {
			if !refused {
				refused = true
				return 0, &Transient{Err: errBroken, After: time.Minute}
			}
			return 0, nil
		}))
		server := &limited{latency: 10 * time.Millisecond, allowed: 1 << 30}
		begin := time.Now()
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { assert.NoError(t, r.Do(t.Context(), op, server.attempt)) })
		}
		all.Wait()
		assert.Less(t, time.Since(begin), 2*time.Second)
	})
}

func TestPauseHoldsForNoOtherHostAndForNoOneWithoutAHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := retrier(t, Policy{Strategy: NoRetry, MaxDelay: time.Minute})
		op := operation
		op.Host = t.Name()
		require.Error(t, r.Do(t.Context(), op, func(context.Context) (int64, error) {
			return 0, &Transient{Err: errBroken, After: time.Hour}
		}))
		begin := time.Now()
		for host, want := range map[string]time.Duration{"": 0, "another": 0} {
			other := operation
			other.Host = host
			require.NoError(t, r.Do(t.Context(), other, func(context.Context) (int64, error) { return 0, nil }))
			assert.Equal(t, want, time.Since(begin), host)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, r.Do(ctx, op, nil), context.DeadlineExceeded, "a wait for a host ends with the context")
		require.NoError(t, r.Do(t.Context(), op, func(context.Context) (int64, error) { return 0, nil }))
		assert.Equal(t, time.Minute, time.Since(begin), "max_delay bounds it")
	})
}

func TestAnswersOfOneBurstAreOnePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gates{byHost: map[string]*gate{}}
		enter := func() *pass {
			p, err := g.acquire(t.Context(), "host")
			require.NoError(t, err)
			return p
		}
		burst := []*pass{enter(), enter(), enter()}
		time.Sleep(time.Millisecond)
		for _, p := range burst {
			p.release(false, time.Second)
		}
		g.byHost["host"].width = 8
		time.Sleep(time.Second)
		burst = []*pass{enter(), enter(), enter()}
		time.Sleep(time.Millisecond)
		for _, p := range burst {
			p.release(false, time.Second)
		}
		assert.Equal(t, 4, g.byHost["host"].width)
	})
}

func TestGatesThatNothingUsesAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gates{byHost: map[string]*gate{}}
		for _, host := range []string{"first", "second"} {
			p, err := g.acquire(t.Context(), host)
			require.NoError(t, err)
			p.release(false, time.Second)
			time.Sleep(time.Hour)
		}
		assert.Len(t, g.byHost, 1)
	})
}

// A host that cannot be reached does not get more at a time for that.
func TestFailuresOpenNoGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gates{byHost: map[string]*gate{}}
		p, err := g.acquire(t.Context(), "host")
		require.NoError(t, err)
		p.release(false, time.Second)
		time.Sleep(time.Second)
		width := func(served bool) int {
			for range 10 * widenAfter {
				p, err := g.acquire(t.Context(), "host")
				require.NoError(t, err)
				p.release(served, 0)
			}
			return g.byHost["host"].width
		}
		assert.Equal(t, 1, width(false))
		assert.Greater(t, width(true), 1)
	})
}
