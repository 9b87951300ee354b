package retry

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// withBreaker returns a retrier whose breaker opens after so many failures in a row.
func withBreaker(t *testing.T, threshold int) *Retrier {
	t.Helper()
	r, _, _ := retrier(t, Policy{
		Strategy: NoRetry, MaxDelay: time.Minute,
		Breaker: Breaker{Enabled: true, FailureThreshold: threshold, RecoveryTimeout: time.Minute},
	})
	return r
}

// try makes an attempt of this result, and returns the error of the operation.
func try(t *testing.T, r *Retrier, result error) error {
	t.Helper()
	return r.Do(t.Context(), operation, func(context.Context) (int64, error) { return 0, result })
}

var failure = &Transient{Err: errBroken}

func TestBreakerCountsFailuresInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := withBreaker(t, 2)
		for range 5 {
			require.ErrorIs(t, try(t, r, failure), errBroken)
			require.NoError(t, try(t, r, nil), "a success between two failures keeps it closed")
		}
		require.ErrorIs(t, try(t, r, failure), errBroken)
		require.ErrorIs(t, try(t, r, failure), errBroken)
		require.ErrorIs(t, try(t, r, nil), ErrCircuitOpen)
	})
}

func TestBreakerTellsItsState(t *testing.T) {
	metrics, counts := streamtest.NoteMetrics(t)
	builder := service.NewResourceBuilder()
	require.NoError(t, builder.SetMetricsYAML(metrics))
	res, end, err := builder.Build()
	require.NoError(t, err)
	component := status.New(res, t.Name(), status.Connector)
	defer component.Close()
	r := New(Policy{
		Strategy: NoRetry, MaxDelay: time.Minute,
		Breaker: Breaker{Enabled: true, FailureThreshold: 2, RecoveryTimeout: time.Minute},
	}, res.Logger(), component)
	state := func() float64 { return counts()["mfn_circuit_state"] }
	require.ErrorIs(t, try(t, r, failure), errBroken)
	assert.Zero(t, state())
	require.ErrorIs(t, try(t, r, failure), errBroken)
	assert.EqualValues(t, 2, state(), "it is open")
	require.NoError(t, end(t.Context()))
}

// An attempt that its caller has given up is no success, which would end a row of
// failures or close a breaker.
func TestBreakerTakesNoInterruptionForASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := withBreaker(t, 2)
		interrupt := func() {
			ctx, cancel := context.WithCancel(t.Context())
			err := r.Do(ctx, operation, func(context.Context) (int64, error) {
				cancel()
				return 0, ctx.Err()
			})
			require.ErrorIs(t, err, context.Canceled)
		}
		require.ErrorIs(t, try(t, r, failure), errBroken)
		interrupt()
		require.ErrorIs(t, try(t, r, failure), errBroken)
		require.ErrorIs(t, try(t, r, failure), ErrCircuitOpen, "two in a row, the interruption aside")
		time.Sleep(time.Minute + time.Second)
		interrupt()
		require.ErrorIs(t, try(t, r, failure), errBroken, "the next attempt is the trial")
		require.ErrorIs(t, try(t, r, failure), ErrCircuitOpen, "it was not closed")
	})
}

// While the one attempt that tries the other side is under way, others wait.
func TestBreakerLetsNothingThroughBesideTheTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := withBreaker(t, 1)
		require.ErrorIs(t, try(t, r, failure), errBroken)
		time.Sleep(time.Minute + time.Second)
		trial := make(chan struct{})
		ended := make(chan error)
		go func() {
			ended <- r.Do(t.Context(), operation, func(context.Context) (int64, error) {
				<-trial
				return 0, nil
			})
		}()
		synctest.Wait()
		for range 3 {
			err := r.Do(t.Context(), operation, func(context.Context) (int64, error) {
				assert.Fail(t, "an attempt beside the trial")
				return 0, nil
			})
			require.ErrorIs(t, err, ErrCircuitOpen)
			require.True(t, IsTransient(err), "it may be tried again")
		}
		close(trial)
		require.NoError(t, <-ended)
		require.NoError(t, try(t, r, nil))
	})
}
