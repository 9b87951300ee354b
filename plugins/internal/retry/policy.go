// Package retry tries an operation again, by one of four strategies, behind an
// optional circuit breaker, and logs and counts what it does.
package retry

import (
	"cmp"
	"math"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
)

// Strategy says how the delay grows from retry to retry.
type Strategy string

// The four strategies.
const (
	ExponentialBackoff Strategy = "exponential_backoff" // initial · 1, 2, 4, 8 …
	LinearBackoff      Strategy = "linear_backoff"      // initial · 1, 2, 3, 4 …
	FixedDelay         Strategy = "fixed_delay"         // initial · 1, 1, 1, 1 …
	NoRetry            Strategy = "no_retry"
)

// Policy says how often, how long and after which delays an operation is tried.
type Policy struct {
	Timeout      time.Duration // of each attempt; 0 for none
	Strategy     Strategy
	MaxRetries   int // after the first attempt
	InitialDelay time.Duration
	MaxDelay     time.Duration
	Jitter       float64 // share of each delay that is drawn at random, 0 … 1
	Breaker      Breaker
}

// Breaker holds the settings of a circuit breaker.
type Breaker struct {
	Enabled          bool
	FailureThreshold int           // failures in a row that open it
	RecoveryTimeout  time.Duration // until it lets one attempt through again
}

const (
	fieldTimeout          = "timeout"
	fieldRetry            = "retry"
	fieldStrategy         = "strategy"
	fieldMaxRetries       = "max_retries"
	fieldInitialDelay     = "initial_delay"
	fieldMaxDelay         = "max_delay"
	fieldJitter           = "jitter"
	fieldBreaker          = "circuit_breaker"
	fieldEnabled          = "enabled"
	fieldFailureThreshold = "failure_threshold"
	fieldRecoveryTimeout  = "recovery_timeout"
)

var (
	timeout  = fields.NotNegative(fieldTimeout)
	strategy = fields.Enum(fieldStrategy, map[string]string{
		string(ExponentialBackoff): "The delay doubles: 1s, 2s, 4s, 8s …",
		string(LinearBackoff):      "The delay grows by its first value: 1s, 2s, 3s, 4s …",
		string(FixedDelay):         "The delay stays the same: 1s, 1s, 1s, 1s …",
		string(NoRetry):            "An operation that fails is given up at once.",
	})
	maxRetries       = fields.Count(fieldMaxRetries, 0)
	initialDelay     = fields.NotNegative(fieldInitialDelay)
	maxDelay         = fields.NotNegative(fieldMaxDelay)
	jitter           = fields.Float(fieldJitter, 0, 1)
	breakerEnabled   = fields.Bool(fieldEnabled)
	failureThreshold = fields.Count(fieldFailureThreshold, 1)
	recoveryTimeout  = fields.Positive(fieldRecoveryTimeout)
)

// Fields returns the configuration fields timeout, retry and circuit_breaker,
// the same for all connectors and publishers.
func Fields() []*service.ConfigField {
	return []*service.ConfigField{
		timeout.Field().
			Description("How long each attempt may take.").
			Default("30s"),
		service.NewObjectField(fieldRetry,
			strategy.Field().
				Description("How the delay grows from retry to retry.").
				Default(string(ExponentialBackoff)),
			maxRetries.Field().
				Description("How often an operation is tried again after its first attempt.").
				Default(3),
			initialDelay.Field().
				Description("The delay before the first retry.").
				Default("1s"),
			maxDelay.Field().
				Description("The longest delay, also for one that a server asks for.").
				Default("60s"),
			jitter.Field().
				Description("The share of each delay that is drawn at random, from 0 to 1, so that many clients do not return at the same moment. With 0.5 a delay of 4s becomes one from 2s to 4s.").
				Default(0.0).
				Advanced(),
		).Description("What happens when an attempt fails for a reason that may pass."),
		service.NewObjectField(fieldBreaker,
			breakerEnabled.Field().
				Description("Whether the breaker is in use.").
				Default(false),
			failureThreshold.Field().
				Description("How many failures in a row open the breaker.").
				Default(5),
			recoveryTimeout.Field().
				Description("How long the breaker stays open before it lets one attempt through to see whether the other side has recovered.").
				Default("60s"),
		).
			Description("Stops attempts for a while after too many failures in a row, to spare a struggling server. While it is open, an operation waits its delays and uses up its retries without an attempt.").
			Advanced(),
	}
}

// ParsePolicy reads the policy from a configuration that holds Fields.
func ParsePolicy(conf *service.ParsedConfig) (p Policy, err error) {
	retry, breaker := conf.Namespace(fieldRetry), conf.Namespace(fieldBreaker)
	var name string
	err = cmp.Or(
		fields.Into(&p.Timeout, timeout, conf),
		fields.Within(fieldRetry, cmp.Or(
			fields.Into(&name, strategy, retry),
			fields.Into(&p.MaxRetries, maxRetries, retry),
			fields.Into(&p.InitialDelay, initialDelay, retry),
			fields.Into(&p.MaxDelay, maxDelay, retry),
			fields.Into(&p.Jitter, jitter, retry),
		)),
		fields.Within(fieldBreaker, cmp.Or(
			fields.Into(&p.Breaker.Enabled, breakerEnabled, breaker),
			fields.Into(&p.Breaker.FailureThreshold, failureThreshold, breaker),
			fields.Into(&p.Breaker.RecoveryTimeout, recoveryTimeout, breaker),
		)),
	)
	p.Strategy = Strategy(name)
	return p, err
}

// Delays returns the delays of one operation, in order, and backoff.Stop when
// its retries are used up.
func (p Policy) Delays() backoff.BackOff {
	return &delays{policy: p}
}

type delays struct {
	policy Policy
	count  int // delays given so far
}

// Reset starts again with the first delay.
func (d *delays) Reset() { d.count = 0 }

// NextBackOff returns the next delay, or backoff.Stop.
func (d *delays) NextBackOff() time.Duration {
	p := d.policy
	if p.Strategy == NoRetry || d.count >= p.MaxRetries {
		return backoff.Stop
	}
	d.count++
	return p.delay(d.count)
}

// Pause returns the delay before something is done again for the nth time, which
// grows as that before a retry does, however many retries there are. It is never 0,
// since what is repeated without an end and without a pause takes a core.
func (p Policy) Pause(n int) time.Duration {
	if pause := p.delay(n); pause > 0 {
		return pause
	}
	return time.Millisecond << min(n-1, 10)
}

// delay returns the delay before the nth retry. Without retries it doubles, too.
func (p Policy) delay(n int) time.Duration {
	factor := 1.0
	switch p.Strategy {
	case ExponentialBackoff, NoRetry:
		// More doublings than fit a duration would end in an infinite factor.
		factor = math.Exp2(float64(min(n-1, 62)))
	case LinearBackoff:
		factor = float64(n)
	case FixedDelay:
	}

	delay := p.MaxDelay
	// Compared as floats, since a duration overflows after some sixty doublings.
	if scaled := float64(p.InitialDelay) * factor; scaled < float64(p.MaxDelay) {
		delay = time.Duration(scaled)
	}
	return delay - time.Duration(p.Jitter*rand.Float64()*float64(delay))
}
