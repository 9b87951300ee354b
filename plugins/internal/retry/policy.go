// Package retry tries an operation again, by one of four strategies, behind an
// optional circuit breaker, and logs and counts what it does.
package retry

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/redpanda-data/benthos/v4/public/service"
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

// Fields returns the configuration fields timeout, retry and circuit_breaker,
// the same for all connectors and publishers.
func Fields() []*service.ConfigField {
	return []*service.ConfigField{
		service.NewDurationField(fieldTimeout).
			Description("How long each attempt may take.").
			Default("30s"),
		service.NewObjectField(fieldRetry,
			service.NewStringAnnotatedEnumField(fieldStrategy, map[string]string{
				string(ExponentialBackoff): "The delay doubles: 1s, 2s, 4s, 8s …",
				string(LinearBackoff):      "The delay grows by its first value: 1s, 2s, 3s, 4s …",
				string(FixedDelay):         "The delay stays the same: 1s, 1s, 1s, 1s …",
				string(NoRetry):            "An operation that fails is given up at once.",
			}).
				Description("How the delay grows from retry to retry.").
				Default(string(ExponentialBackoff)),
			service.NewIntField(fieldMaxRetries).
				Description("How often an operation is tried again after its first attempt.").
				Default(3).
				LintRule(`root = if this < 0 { [ "max_retries must be 0 or more, got %v".format(this) ] }`),
			service.NewDurationField(fieldInitialDelay).
				Description("The delay before the first retry.").
				Default("1s"),
			service.NewDurationField(fieldMaxDelay).
				Description("The longest delay, also for one that a server asks for.").
				Default("60s"),
			service.NewFloatField(fieldJitter).
				Description("The share of each delay that is drawn at random, from 0 to 1, so that many clients do not return at the same moment. With 0.5 a delay of 4s becomes one from 2s to 4s.").
				Default(0.0).
				Advanced().
				LintRule(`root = if this < 0 || this > 1 { [ "jitter must be from 0 to 1, got %v".format(this) ] }`),
		).Description("What happens when an attempt fails for a reason that may pass."),
		service.NewObjectField(fieldBreaker,
			service.NewBoolField(fieldEnabled).
				Description("Whether the breaker is in use.").
				Default(false),
			service.NewIntField(fieldFailureThreshold).
				Description("How many failures in a row open the breaker.").
				Default(5).
				LintRule(`root = if this < 1 { [ "failure_threshold must be 1 or more, got %v".format(this) ] }`),
			service.NewDurationField(fieldRecoveryTimeout).
				Description("How long the breaker stays open before it lets one attempt through to see whether the other side has recovered.").
				Default("60s"),
		).
			Description("Stops attempts for a while after too many failures in a row, to spare a struggling server. While it is open, an operation waits its delays and uses up its retries without an attempt.").
			Advanced(),
	}
}

// ParsePolicy reads the policy from a configuration that holds Fields.
func ParsePolicy(conf *service.ParsedConfig) (p Policy, err error) {
	if p.Timeout, err = conf.FieldDuration(fieldTimeout); err != nil {
		return p, err
	}
	if err = notNegative(p.Timeout, fieldTimeout); err != nil {
		return p, err
	}

	retry := conf.Namespace(fieldRetry)
	strategy, err := retry.FieldString(fieldStrategy)
	if err != nil {
		return p, err
	}
	switch p.Strategy = Strategy(strategy); p.Strategy {
	case ExponentialBackoff, LinearBackoff, FixedDelay, NoRetry:
	default:
		return p, fmt.Errorf("%v.%v: %q is not one of %v, %v, %v, %v", fieldRetry, fieldStrategy,
			strategy, ExponentialBackoff, LinearBackoff, FixedDelay, NoRetry)
	}
	if p.MaxRetries, err = retry.FieldInt(fieldMaxRetries); err != nil {
		return p, err
	}
	if p.MaxRetries < 0 {
		return p, fmt.Errorf("%v.%v: %v is below 0", fieldRetry, fieldMaxRetries, p.MaxRetries)
	}
	if p.InitialDelay, err = retry.FieldDuration(fieldInitialDelay); err != nil {
		return p, err
	}
	if err = notNegative(p.InitialDelay, fieldRetry+"."+fieldInitialDelay); err != nil {
		return p, err
	}
	if p.MaxDelay, err = retry.FieldDuration(fieldMaxDelay); err != nil {
		return p, err
	}
	if err = notNegative(p.MaxDelay, fieldRetry+"."+fieldMaxDelay); err != nil {
		return p, err
	}
	if p.Jitter, err = retry.FieldFloat(fieldJitter); err != nil {
		return p, err
	}
	if !(p.Jitter >= 0 && p.Jitter <= 1) {
		return p, fmt.Errorf("%v.%v: %v is outside 0 … 1", fieldRetry, fieldJitter, p.Jitter)
	}

	breaker := conf.Namespace(fieldBreaker)
	if p.Breaker.Enabled, err = breaker.FieldBool(fieldEnabled); err != nil {
		return p, err
	}
	if p.Breaker.FailureThreshold, err = breaker.FieldInt(fieldFailureThreshold); err != nil {
		return p, err
	}
	if p.Breaker.FailureThreshold < 1 {
		return p, fmt.Errorf("%v.%v: %v is below 1", fieldBreaker, fieldFailureThreshold, p.Breaker.FailureThreshold)
	}
	if p.Breaker.RecoveryTimeout, err = breaker.FieldDuration(fieldRecoveryTimeout); err != nil {
		return p, err
	}
	if p.Breaker.RecoveryTimeout <= 0 {
		return p, fmt.Errorf("%v.%v: %v is not above 0s", fieldBreaker, fieldRecoveryTimeout, p.Breaker.RecoveryTimeout)
	}
	return p, nil
}

func notNegative(d time.Duration, field string) error {
	if d < 0 {
		return fmt.Errorf("%v: %v is below 0s", field, d)
	}
	return nil
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
// grows as that before a retry does, however many retries there are.
func (p Policy) Pause(n int) time.Duration { return p.delay(n) }

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
