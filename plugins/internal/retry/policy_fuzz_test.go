package retry

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzPolicy reads policies: what is accepted is within bounds and nothing else
// is, and the delays are those of the strategy, up to the longest.
func FuzzPolicy(f *testing.F) {
	f.Add("30s", "exponential_backoff", 3, "1s", "60s", 0.0, 5, "60s")
	f.Add("0s", "linear_backoff", 100, "1ns", "1h", 1.0, 1, "1ns")
	f.Add("-1s", "fixed_delay", -1, "0s", "0s", 0.5, 0, "0s")
	f.Add("1h1m1.5s", "no_retry", math.MaxInt, "2562047h47m16.854775807s", "2562047h47m16.854775807s", -0.1, math.MinInt, "1s")
	f.Add("", "Exponential_Backoff", 200, "1.5h", "2562047h47m16.854775807s", math.NaN(), 7, "1")
	f.Add("1s", "exponential_backoff", 80, "3ns", "2562047h", math.Inf(1), 7, "1m")
	f.Add("9999999999999h", "linear_backoff", 1, "1 s", "1µs", 1e-300, 7, ".5m")
	spec := service.NewConfigSpec().Fields(Fields()...)
	f.Fuzz(func(t *testing.T, timeout, strategy string, maxRetries int, initial, longest string, jitter float64, threshold int, recovery string) {
		quoted := func(text *string) string {
			*text = strings.ToValidUTF8(*text, "?") // YAML has no bytes that are no text
			return strconv.QuoteToASCII(*text)
		}
		number := strconv.FormatFloat(jitter, 'g', -1, 64)
		switch {
		case math.IsNaN(jitter):
			number = ".nan"
		case math.IsInf(jitter, 0):
			number = map[bool]string{false: ".inf", true: "-.inf"}[jitter < 0]
		}
		conf, err := spec.ParseYAML(fmt.Sprintf(`
timeout: %v
retry: { strategy: %v, max_retries: %v, initial_delay: %v, max_delay: %v, jitter: %v }
circuit_breaker: { failure_threshold: %v, recovery_timeout: %v }
`, quoted(&timeout), quoted(&strategy), maxRetries, quoted(&initial), quoted(&longest), number, threshold, quoted(&recovery)), nil)
		require.NoError(t, err)
		p, err := ParsePolicy(conf)

		// A number of more digits than these is not read exactly.
		wrong := maxRetries < 0 || len(strconv.Itoa(maxRetries)) > 18 || len(strconv.Itoa(threshold)) > 18 || !(jitter >= 0 && jitter <= 1) || threshold < 1
		for text, least := range map[*string]time.Duration{&timeout: 0, &initial: 0, &longest: 0, &recovery: 1} {
			d, parseErr := time.ParseDuration(*text)
			wrong = wrong || parseErr != nil || d < least
		}
		switch Strategy(strategy) {
		case ExponentialBackoff, LinearBackoff, FixedDelay, NoRetry:
		default:
			wrong = true
		}
		require.Equal(t, wrong, err != nil, "%v", err)
		if wrong {
			return
		}

		delays := p.Delays()
		for k := range min(maxRetries, 300) {
			got := delays.NextBackOff()
			if p.Strategy == NoRetry {
				assert.Equal(t, backoff.Stop, got)
				return
			}
			factor := big.NewInt(1)
			switch p.Strategy {
			case ExponentialBackoff:
				factor.Lsh(factor, uint(k))
			case LinearBackoff:
				factor.SetInt64(int64(k) + 1)
			case FixedDelay, NoRetry:
			}
			exact := factor.Mul(factor, big.NewInt(int64(p.InitialDelay)))
			want := p.MaxDelay
			if exact.IsInt64() {
				want = min(want, time.Duration(exact.Int64()))
			}
			least := float64(want) * (1 - p.Jitter)
			// Durations of years are rounded to microseconds, as floats are.
			assert.InDelta(t, float64(want)-(float64(want)-least)/2, float64(got), (float64(want)-least)/2+2048, "delay %v", k)
			assert.False(t, got < 0 || got > p.MaxDelay, "delay %v is %v", k, got)
		}
		if maxRetries <= 300 {
			assert.Equal(t, backoff.Stop, delays.NextBackOff())
		}
	})
}
