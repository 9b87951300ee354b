package retry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

var (
	errBroken = errors.New("broken")
	operation = Operation{Name: "REST GET /data", Subject: "url", Value: "http://example.com/data"}
)

// retrier returns a retrier of p, what it logs, and what it counts.
func retrier(t *testing.T, p Policy) (*Retrier, *bytes.Buffer, func() status.ConnectorMetrics) {
	t.Helper()
	var logs bytes.Buffer
	log := service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	component := status.New(service.MockResources(), "test_"+t.Name(), status.Connector)
	t.Cleanup(component.Close)
	return New(p, log, component), &logs, func() (newest status.ConnectorMetrics) {
		for _, c := range status.Snapshot().Components {
			if c.Type == component.Type() {
				newest = c.Metrics.(status.ConnectorMetrics)
			}
		}
		return newest
	}
}

// timesOf runs an operation that fails each time, and returns when its attempts
// were made, after its beginning.
func timesOf(ctx context.Context, r *Retrier, fail error) (times []time.Duration, err error) {
	begin := time.Now()
	err = r.Do(ctx, operation, func(context.Context) (int64, error) {
		times = append(times, time.Since(begin))
		return 0, fail
	})
	return times, err
}

func TestAttemptsComeAfterTheStrategysDelays(t *testing.T) {
	s := time.Second
	for strategy, want := range map[Strategy][]time.Duration{
		ExponentialBackoff: {0, 1 * s, 3 * s, 7 * s, 15 * s},
		LinearBackoff:      {0, 1 * s, 3 * s, 6 * s, 10 * s},
		FixedDelay:         {0, 1 * s, 2 * s, 3 * s, 4 * s},
		NoRetry:            {0},
	} {
		t.Run(string(strategy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _, metrics := retrier(t, Policy{Strategy: strategy, MaxRetries: 4, InitialDelay: s, MaxDelay: time.Minute})
				times, err := timesOf(t.Context(), r, &Transient{Err: errBroken})
				require.ErrorIs(t, err, errBroken)
				assert.Equal(t, want, times, strategy)

				m := metrics()
				assert.EqualValues(t, len(want), m.TotalRequests)
				assert.EqualValues(t, 0, m.SuccessfulRequests)
				assert.EqualValues(t, len(want)-1, m.TotalRetries)
				assert.EqualValues(t, 1, m.FailedRequests)
			})
		})
	}
}

func TestTheLongerOfThePolicysDelayAndThatOfTheOtherSideIsWaitedForUpToTheLongest(t *testing.T) {
	for name, row := range map[string]struct{ after, want time.Duration }{
		"none":                  {0, 10 * time.Second},
		"shorter":               {time.Millisecond, 10 * time.Second},
		"longer":                {30 * time.Second, 30 * time.Second},
		"longer than max_delay": {time.Hour, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _, _ := retrier(t, Policy{Strategy: ExponentialBackoff, MaxRetries: 1, InitialDelay: 10 * time.Second, MaxDelay: time.Minute})
				times, _ := timesOf(t.Context(), r, &Transient{Err: errBroken, After: row.after})
				assert.Equal(t, []time.Duration{0, row.want}, times)
			})
		})
	}
}

func TestErrorThatWillNotPassEndsTheOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, logs, metrics := retrier(t, Policy{Strategy: FixedDelay, MaxRetries: 3, InitialDelay: time.Second, MaxDelay: time.Minute})
		times, err := timesOf(t.Context(), r, errBroken)
		require.EqualError(t, err, "REST GET /data failed: broken")
		assert.Len(t, times, 1)
		assert.EqualValues(t, 1, metrics().FailedRequests)
		assert.Contains(t, logs.String(), `level=ERROR msg="Operation failed and is not tried again"`)
	})
}

func TestManyFailuresAreSummedUpAndSeenOneByOneOnlyAtDebug(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, logs, _ := retrier(t, Policy{Strategy: NoRetry})
		for range 30 {
			_, err := timesOf(t.Context(), r, errBroken)
			require.ErrorIs(t, err, errBroken)
		}
		seen := strings.Count(logs.String(), `level=ERROR msg="Operation failed and is not tried again"`)
		assert.Positive(t, seen)
		assert.Less(t, seen, 30)
		assert.Equal(t, 30-seen, strings.Count(logs.String(), `level=DEBUG msg="Operation failed and is not tried again"`))
	})
}

func TestOperationThatSucceedsAfterARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, logs, metrics := retrier(t, Policy{Strategy: FixedDelay, MaxRetries: 3, InitialDelay: 2 * time.Second, MaxDelay: time.Minute})
		attempts := 0
		err := r.Do(t.Context(), operation, func(context.Context) (int64, error) {
			if attempts++; attempts < 3 {
				return 0, fmt.Errorf("asking: %w", &Transient{Err: errBroken})
			}
			return 42, nil
		})
		require.NoError(t, err)

		m := metrics()
		assert.EqualValues(t, 3, m.TotalRequests)
		assert.EqualValues(t, 1, m.SuccessfulRequests)
		assert.EqualValues(t, 0, m.FailedRequests)
		assert.EqualValues(t, 2, m.TotalRetries)
		assert.EqualValues(t, 42, m.TotalBytesFetched)
		assert.InDelta(t, 1.0/3, m.SuccessRate, 1e-12)
		require.NotNil(t, m.LastError)
		assert.Equal(t, "asking: broken", *m.LastError)

		for _, want := range []string{
			`msg="Operation failed, will be tried again"`, `operation="REST GET /data"`, "url=http://example.com/data",
			"attempt=1", "attempt=2", "max_retries=3", "delay=2s", `error="asking: broken"`,
			`msg="Operation succeeded after a retry"`, "attempt=3",
		} {
			assert.Contains(t, logs.String(), want)
		}
	})
}

func TestAttemptThatTakesTooLongIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, metrics := retrier(t, Policy{Timeout: 5 * time.Second, Strategy: FixedDelay, MaxRetries: 1, InitialDelay: time.Second, MaxDelay: time.Minute})
		begin := time.Now()
		err := r.Do(t.Context(), operation, func(ctx context.Context) (int64, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "REST GET /data failed after 1 retry: timed out after 5s")
		assert.Equal(t, 11*time.Second, time.Since(begin))
		assert.EqualValues(t, 2, metrics().TotalRequests)
	})
}

func TestEndOfTheContextInterruptsAWaitAndAnAttempt(t *testing.T) {
	for name, attempt := range map[string]func(context.Context) (int64, error){
		"wait":    func(context.Context) (int64, error) { return 0, &Transient{Err: errBroken} },
		"attempt": func(ctx context.Context) (int64, error) { <-ctx.Done(); return 0, ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _, metrics := retrier(t, Policy{Strategy: FixedDelay, MaxRetries: 9, InitialDelay: time.Hour, MaxDelay: time.Hour})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				begin := time.Now()
				require.ErrorIs(t, r.Do(ctx, operation, attempt), context.DeadlineExceeded)
				assert.Equal(t, time.Second, time.Since(begin), name)
				assert.EqualValues(t, 0, metrics().FailedRequests, name)
			})
		})
	}
}

func TestAdmissionIsWaitedForOutsideTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, metrics := retrier(t, Policy{Timeout: time.Second, Strategy: FixedDelay, MaxRetries: 1, MaxDelay: time.Minute})
		op := operation
		op.Admit = func(ctx context.Context) error { return Sleep(ctx, 10*time.Second) }
		begin, attempts := time.Now(), 0
		require.NoError(t, r.Do(t.Context(), op, func(context.Context) (int64, error) {
			if attempts++; attempts == 1 {
				return 0, &Transient{Err: errBroken}
			}
			return 0, nil
		}))
		assert.Equal(t, 20*time.Second, time.Since(begin))
		assert.EqualValues(t, 2, metrics().TotalRequests)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		assert.ErrorIs(t, r.Do(ctx, op, nil), context.Canceled)
	})
}

func TestOneOperationsWaitHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := retrier(t, Policy{Strategy: FixedDelay, MaxRetries: 1, InitialDelay: time.Minute, MaxDelay: time.Minute})
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = timesOf(t.Context(), r, &Transient{Err: errBroken}) })
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, r.Do(t.Context(), operation, func(context.Context) (int64, error) { return 0, nil }))
		assert.Zero(t, time.Since(begin))
		wg.Wait()
	})
}

func TestBreakerOpensSparesTheOtherSideAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, logs, metrics := retrier(t, Policy{
			Strategy: NoRetry,
			Breaker:  Breaker{Enabled: true, FailureThreshold: 3, RecoveryTimeout: time.Minute},
		})
		fail := func() error {
			_, err := timesOf(t.Context(), r, &Transient{Err: errBroken})
			return err
		}
		for range 3 {
			require.ErrorIs(t, fail(), errBroken)
		}
		require.ErrorIs(t, fail(), ErrCircuitOpen)
		assert.EqualValues(t, 3, metrics().TotalRequests, "no attempt is made while it is open")
		assert.Regexp(t, `msg="Circuit breaker changed state".* to=open`, logs.String())

		time.Sleep(time.Minute + 1)
		require.ErrorIs(t, fail(), errBroken, "one attempt is let through")
		require.ErrorIs(t, fail(), ErrCircuitOpen, "and its failure opens it again")

		time.Sleep(time.Minute + 1)
		require.NoError(t, r.Do(t.Context(), operation, func(context.Context) (int64, error) { return 0, nil }))
		require.ErrorIs(t, fail(), errBroken, "a success closes it")
	})
}

func TestBreakerCountsOnlyWhatSpeaksAgainstTheOtherSide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := retrier(t, Policy{
			Strategy: NoRetry,
			Breaker:  Breaker{Enabled: true, FailureThreshold: 1, RecoveryTimeout: time.Minute},
		})
		_, err := timesOf(t.Context(), r, errBroken) // a permanent error means that the server is up
		require.ErrorIs(t, err, errBroken)

		ctx, cancel := context.WithCancel(t.Context())
		err = r.Do(ctx, operation, func(context.Context) (int64, error) { cancel(); return 0, &Transient{Err: errBroken} })
		require.ErrorIs(t, err, context.Canceled)

		require.NoError(t, r.Do(t.Context(), operation, func(context.Context) (int64, error) { return 0, nil }))
	})
}

func TestRetriesWithoutAnAttemptAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, metrics := retrier(t, Policy{
			Strategy: FixedDelay, MaxRetries: 4, InitialDelay: time.Second, MaxDelay: time.Minute,
			Breaker: Breaker{Enabled: true, FailureThreshold: 2, RecoveryTimeout: time.Minute},
		})
		times, err := timesOf(t.Context(), r, &Transient{Err: errBroken})
		require.ErrorIs(t, err, ErrCircuitOpen)
		assert.Len(t, times, 2)
		m := metrics()
		assert.EqualValues(t, 2, m.TotalRequests)
		assert.EqualValues(t, 1, m.TotalRetries)
		assert.EqualValues(t, 1, m.FailedRequests)
	})
}

func TestLinesOfAnOperationNameItsMessagesAndWhatItsAttemptsNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, logs, _ := retrier(t, Policy{Strategy: FixedDelay, MaxRetries: 1, InitialDelay: time.Second, MaxDelay: time.Minute})
		op := operation
		op.Messages = func() []string { return []string{"a", "b", "", "c", "d", "e", "f", "g"} }
		attempts := 0
		require.NoError(t, r.Do(t.Context(), op, func(ctx context.Context) (int64, error) {
			Note(ctx, "status", 200+attempts)
			if attempts++; attempts == 1 {
				return 0, &Transient{Err: errBroken}
			}
			time.Sleep(1500 * time.Microsecond)
			return 42, nil
		}))
		lines := logs.String()
		for _, want := range []string{
			`msg="Operation failed, will be tried again"`, "status=200", `id="a, b, c, d, e and 2 more"`,
			`msg="Operation succeeded"`, "status=201", "bytes=42", "milliseconds=1.5", "attempt=2",
		} {
			assert.Contains(t, lines, want)
		}
		assert.NotPanics(t, func() { Note(t.Context(), "status", 200) })
	})
}
