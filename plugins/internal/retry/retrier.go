package retry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/sony/gobreaker/v2"

	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/shutdown"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracing"
)

// ErrCircuitOpen is the error of an operation that was given up while the
// circuit breaker was open.
var ErrCircuitOpen = errors.New("circuit breaker is open")

// Transient marks the error of an attempt as one that may pass, so that the
// operation is tried again. Any other error ends the operation at once.
type Transient struct {
	Err error
	// After, if above 0, is the delay that the other side asked for. The longer of
	// it, up to the policy's longest, and the policy's own delay is waited for.
	// With an Operation.Host, all operations on that host wait.
	After time.Duration
}

// Error returns the marked error's text.
func (t *Transient) Error() string { return t.Err.Error() }

// Unwrap returns the marked error.
func (t *Transient) Unwrap() error { return t.Err }

// Operation names what is tried, for logs and errors. Nothing in it may hold a
// secret.
type Operation struct {
	Name string // such as "REST GET /parameters"
	// Subject is what it is done to: a key (url, path or topic) and its value.
	Subject, Value string
	// Messages, if set, returns the names of the messages that it is about. It is
	// called only for a line that names them.
	Messages func() []string
	// Host, if set, names the other side that a Transient.After holds for, such as
	// "https://example.com:443": until then, no operation of this process with the
	// same Host makes an attempt, and afterwards they come one by one for a while.
	Host string
	// Admit, if set, is waited for before each attempt, outside the attempt's
	// timeout, as for a rate limit. It returns an error only when ctx ends.
	Admit func(ctx context.Context) error
}

// Retrier runs the operations of one component. It may be used from any number
// of goroutines; one operation that waits holds up no other.
type Retrier struct {
	policy   Policy
	log      *service.Logger
	failures *logs.Digest
	status   *status.Component
	breaker  *gobreaker.CircuitBreaker[int64]
}

// linesInFull is how many failed attempts have a line of their own before they are
// summed up.
const linesInFull = 12

// New returns a retrier that logs to log and counts in component.
func New(p Policy, log *service.Logger, component *status.Component) *Retrier {
	r := &Retrier{policy: p, log: log, status: component, failures: logs.NewDigest(log, (*service.Logger).Warn, linesInFull, logs.DigestWords{
		More: "More operations failed",
		Over: "Operations succeed again",
	})}
	if !p.Breaker.Enabled {
		return r
	}
	r.breaker = gobreaker.NewCircuitBreaker[int64](gobreaker.Settings{
		Name:    component.Type(),
		Timeout: p.Breaker.RecoveryTimeout,
		ReadyToTrip: func(counts gobreaker.Counts) bool {
			return int64(counts.ConsecutiveFailures) >= int64(p.Breaker.FailureThreshold)
		},
		// A permanent error means that the server is up.
		IsSuccessful: func(err error) bool { return err == nil || !IsTransient(err) },
		IsExcluded:   func(err error) bool { return errors.Is(err, errInterrupted) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			component.SetCircuitState(int64(to))
			log.With("from", from.String(), "to", to.String()).Warn("Circuit breaker changed state")
		},
	})
	component.SetCircuitState(int64(gobreaker.StateClosed))
	return r
}

// errInterrupted marks an attempt that ended because its caller gave up, which
// says nothing about the other side.
var errInterrupted = errors.New("interrupted")

// IsTransient says whether err is of an attempt that may succeed later.
func IsTransient(err error) bool {
	_, ok := errors.AsType[*Transient](err)
	return ok
}

// Do runs attempt until it succeeds, returns an error that is not Transient, or
// the policy's retries are used up; the last error is then returned, wrapped.
// Each attempt gets a context that ends after the policy's timeout, which
// counts as a Transient error, and returns how many bytes it carried. When ctx
// ends, Do returns its error at once, and counts nothing as failed.
func (r *Retrier) Do(ctx context.Context, op Operation, attempt func(context.Context) (bytes int64, err error)) error {
	end := r.status.Begin()
	defer end()

	delays := r.policy.Delays()
	for retries := 0; ; retries++ {
		noted, err := r.admitted(ctx, op, retries, attempt)
		if ctx.Err() != nil && err != nil {
			return ctx.Err()
		}
		if errors.Is(err, shutdown.ErrBegun) {
			return err
		}
		log := r.logger(op, retries+1, noted)
		if err == nil {
			log.Debug("Operation succeeded")
			if retries > 0 && !r.failures.Failing() {
				log.Info("Operation succeeded after a retry")
			}
			r.failures.Succeeded()
			return nil
		}

		r.noteFailure(op, err)
		log = logs.With(log, "error", err.Error())
		delay := backoff.Stop
		if transient, ok := errors.AsType[*Transient](err); ok {
			if delay = delays.NextBackOff(); delay != backoff.Stop {
				delay = max(delay, min(transient.After, r.policy.MaxDelay))
			}
		}
		full := !errors.Is(err, ErrCircuitOpen) && r.failures.Failed(err, op.Messages, "operation", op.Name, op.Subject, op.Value)
		if delay == backoff.Stop {
			return r.giveUp(log, full, op, retries, err)
		}

		log = logs.With(log, "delay", delay.String())
		switch {
		case errors.Is(err, ErrCircuitOpen):
			log.Debug("Operation waits for the circuit breaker")
		case full:
			log.Warn("Operation failed, will be tried again")
		default:
			log.Debug("Operation failed, will be tried again")
		}
		if err := r.pause(ctx, delay); err != nil {
			return err
		}
	}
}

// noteFailure has /stats tell of a failed attempt.
func (r *Retrier) noteFailure(op Operation, err error) {
	var messages []string
	if op.Messages != nil {
		messages = op.Messages()
	}
	r.status.NoteFailure(op.Name, messages, err)
}

// pause waits before a retry. It ends with an error once the process is shutting
// down, since a message then does better to go back to where it came from.
func (r *Retrier) pause(ctx context.Context, d time.Duration) error {
	ctx, cancel := shutdown.WithContext(ctx)
	defer cancel()
	if Sleep(ctx, d) != nil {
		return context.Cause(ctx)
	}
	return nil
}

// admitted makes an attempt as soon as the host and op.Admit let it.
func (r *Retrier) admitted(ctx context.Context, op Operation, retries int, attempt func(context.Context) (int64, error)) (*notes, error) {
	pass, err := hosts.acquire(ctx, op.Host)
	if err != nil {
		return nil, err
	}
	var pause time.Duration
	served := false
	defer func() { pass.release(served, pause) }()
	if op.Admit != nil {
		if err := op.Admit(ctx); err != nil {
			return nil, err
		}
	}
	noted := &notes{}
	begin := time.Now()
	pass.beganAt(begin)
	ctx, span := tracing.Start(ctx, op.Name)
	bytes, err := r.attempt(withNotes(ctx, noted), retries > 0, attempt)
	noted.add("milliseconds", float64(time.Since(begin).Microseconds())/1000)
	if err == nil {
		noted.add("bytes", bytes)
	}
	if span.IsRecording() {
		tracing.Describe(ctx, append(noted.fields(), "attempt", retries+1)...)
	}
	tracing.End(span, err)
	transient, failed := errors.AsType[*Transient](err)
	if failed {
		pause = min(transient.After, r.policy.MaxDelay)
	}
	served = !failed
	return noted, err
}

// logger returns the logger of one attempt.
func (r *Retrier) logger(op Operation, attempt int, noted *notes) *service.Logger {
	fields := []any{"operation", op.Name, op.Subject, op.Value, "attempt", attempt, "max_retries", r.policy.MaxRetries}
	if op.Messages != nil {
		fields = append(fields, "id", logs.Lazy(func() string { return identity.List(op.Messages()) }))
	}
	return logs.With(r.log, append(fields, noted.fields()...)...)
}

// giveUp counts an operation that has failed for good, and returns its error.
func (r *Retrier) giveUp(log *service.Logger, full bool, op Operation, retries int, err error) error {
	r.status.OperationFailed(err)
	write := log.Error
	if !full && !errors.Is(err, ErrCircuitOpen) {
		write = log.Debug // a summary tells of it
	}
	switch retries {
	case 0:
		write("Operation failed and is not tried again")
		return fmt.Errorf("%v failed: %w", op.Name, err)
	case 1:
		write("Operation failed after 1 retry")
		return fmt.Errorf("%v failed after 1 retry: %w", op.Name, err)
	default:
		write(fmt.Sprintf("Operation failed after %v retries", retries))
		return fmt.Errorf("%v failed after %v retries: %w", op.Name, retries, err)
	}
}

func (r *Retrier) attempt(ctx context.Context, again bool, attempt func(context.Context) (int64, error)) (int64, error) {
	counted := func() (int64, error) {
		if again {
			r.status.Retried()
		}
		return r.timed(ctx, attempt)
	}
	if r.breaker == nil {
		return counted()
	}
	bytes, err := r.breaker.Execute(counted)
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return 0, &Transient{Err: ErrCircuitOpen}
	}
	return bytes, err
}

// timed runs one attempt within the policy's timeout and counts it.
func (r *Retrier) timed(ctx context.Context, attempt func(context.Context) (int64, error)) (int64, error) {
	attemptCtx, cancel := ctx, context.CancelFunc(func() {})
	if r.policy.Timeout > 0 {
		attemptCtx, cancel = context.WithTimeout(ctx, r.policy.Timeout)
	}
	defer cancel()

	begin := time.Now()
	bytes, err := attempt(attemptCtx)
	r.status.Took(time.Since(begin))
	switch {
	case err == nil:
		r.status.AttemptSucceeded(bytes)
		return bytes, nil
	case ctx.Err() != nil:
		return 0, errInterrupted
	case attemptCtx.Err() != nil:
		err = &Transient{Err: fmt.Errorf("timed out after %v: %w", r.policy.Timeout, err)}
	}
	r.status.AttemptFailed(err)
	return 0, err
}

// Sleep waits for d, or until ctx ends, whose error it then returns.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
