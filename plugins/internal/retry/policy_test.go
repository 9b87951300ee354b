package retry

import (
	"math"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func parse(t *testing.T, yaml string) (Policy, error) {
	t.Helper()
	conf, err := service.NewConfigSpec().Fields(Fields()...).ParseYAML(yaml, nil)
	require.NoError(t, err)
	return ParsePolicy(conf)
}

func TestPolicyDefaults(t *testing.T) {
	p, err := parse(t, `{}`)
	require.NoError(t, err)
	assert.Equal(t, Policy{
		Timeout:      30 * time.Second,
		Strategy:     ExponentialBackoff,
		MaxRetries:   3,
		InitialDelay: time.Second,
		MaxDelay:     time.Minute,
		Breaker:      Breaker{FailureThreshold: 5, RecoveryTimeout: time.Minute},
	}, p)
}

func TestPolicyRefusesWhatHasNoMeaning(t *testing.T) {
	for yaml, want := range map[string]string{
		`timeout: -1s`:                             "timeout: must be a duration with a unit, such as 500ms, 30s or 5m, of at least 0s, it is -1s",
		`timeout: 30`:                              "timeout: must be a duration with a unit, such as 500ms, 30s or 5m, of at least 0s, it is 30",
		`timeout: null`:                            "timeout: must be a duration with a unit, such as 500ms, 30s or 5m, of at least 0s, it is null (nothing, ~ or a comment; quote a value that begins with a special character)",
		`retry: { strategy: sometimes }`:           "retry.strategy: must be one of exponential_backoff, fixed_delay, linear_backoff, no_retry, it is sometimes",
		`retry: { max_retries: -1 }`:               "retry.max_retries: must be a whole number of 0 or more, it is -1",
		`retry: { max_retries: 1.5 }`:              "retry.max_retries: must be a whole number of 0 or more, it is 1.5",
		`retry: { initial_delay: -1s }`:            "retry.initial_delay: must be a duration with a unit, such as 500ms, 30s or 5m, of at least 0s, it is -1s",
		`retry: { max_delay: abc }`:                "retry.max_delay: must be a duration with a unit, such as 500ms, 30s or 5m, of at least 0s, it is abc",
		`retry: { jitter: 1.5 }`:                   "retry.jitter: must be a number, 0 … 1, it is 1.5",
		`retry: { jitter: .nan }`:                  "retry.jitter: must be a number, 0 … 1, it is NaN",
		`circuit_breaker: { enabled: maybe }`:      "circuit_breaker.enabled: must be true or false, it is maybe",
		`circuit_breaker: { failure_threshold: 0}`: "circuit_breaker.failure_threshold: must be a whole number of 1 or more, it is 0",
		`circuit_breaker: { recovery_timeout: 0s}`: "circuit_breaker.recovery_timeout: must be a duration with a unit, such as 500ms, 30s or 5m, above 0s, it is 0s",
	} {
		t.Run(yaml, func(t *testing.T) {
			_, err := parse(t, yaml)
			assert.EqualError(t, err, want, yaml)
		})
	}
}

func TestPauseIsNeverZero(t *testing.T) {
	for _, p := range []Policy{
		{Strategy: ExponentialBackoff}, {Strategy: FixedDelay, MaxDelay: time.Minute}, {Strategy: NoRetry, InitialDelay: time.Second},
		{Strategy: LinearBackoff, InitialDelay: time.Second, MaxDelay: time.Minute, Jitter: 1},
	} {
		for n := range 3000 {
			assert.Positive(t, p.Pause(n+1))
			assert.LessOrEqual(t, p.Pause(n+1), max(p.MaxDelay, 2*time.Second))
		}
	}
}

func delaysOf(p Policy) []time.Duration {
	var got []time.Duration
	delays := p.Delays()
	for d := delays.NextBackOff(); d != backoff.Stop; d = delays.NextBackOff() {
		got = append(got, d)
	}
	return got
}

func TestDelays(t *testing.T) {
	seconds := func(n ...float64) []time.Duration {
		var d []time.Duration
		for _, s := range n {
			d = append(d, time.Duration(s*float64(time.Second)))
		}
		return d
	}
	base := Policy{MaxRetries: 5, InitialDelay: 2 * time.Second, MaxDelay: 12 * time.Second}
	for strategy, want := range map[Strategy][]time.Duration{
		ExponentialBackoff: seconds(2, 4, 8, 12, 12),
		LinearBackoff:      seconds(2, 4, 6, 8, 10),
		FixedDelay:         seconds(2, 2, 2, 2, 2),
		NoRetry:            nil,
	} {
		t.Run(string(strategy), func(t *testing.T) {
			p := base
			p.Strategy = strategy
			assert.Equal(t, want, delaysOf(p), strategy)
		})
	}
}

func TestDelaysStayInRangeForAnyNumberOfRetries(t *testing.T) {
	for _, initial := range []time.Duration{0, 1, time.Second, math.MaxInt64} {
		p := Policy{Strategy: ExponentialBackoff, MaxRetries: 3000, InitialDelay: initial, MaxDelay: time.Minute}
		delays := delaysOf(p)
		require.Len(t, delays, p.MaxRetries)
		for i, d := range delays {
			assert.True(t, d >= min(initial, p.MaxDelay) && d <= p.MaxDelay, "delay %v from %v is %v", i, initial, d)
		}
		if initial == 0 {
			assert.Zero(t, delays[len(delays)-1])
		}
	}
}

func TestDelaysStartAgain(t *testing.T) {
	delays := Policy{Strategy: LinearBackoff, MaxRetries: 1, InitialDelay: time.Second, MaxDelay: time.Minute}.Delays()
	assert.Equal(t, time.Second, delays.NextBackOff())
	assert.Equal(t, backoff.Stop, delays.NextBackOff())
	delays.Reset()
	assert.Equal(t, time.Second, delays.NextBackOff())
}

func TestJitterShortensDelaysByItsShareAtMost(t *testing.T) {
	p := Policy{Strategy: FixedDelay, MaxRetries: 1000, InitialDelay: 4 * time.Second, MaxDelay: time.Minute, Jitter: 0.5}
	different := map[time.Duration]bool{}
	for _, d := range delaysOf(p) {
		assert.True(t, d >= 2*time.Second && d <= 4*time.Second, d)
		different[d] = true
	}
	assert.Greater(t, len(different), 500)
}
