// Package status counts what each connector and publisher does, reports it
// through Benthos's metrics API, and keeps a registry of the components from
// which the service answers /stats.
package status

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// Role says on which side of the stream a component stands.
type Role string

const (
	// Connector is a component that fetches, an input.
	Connector Role = "connector"
	// Publisher is a component that publishes, an output.
	Publisher Role = "publisher"
)

// State is what a component is doing.
type State string

// The states of a component, in the order of its life.
const (
	Idle         State = "idle"
	Connecting   State = "connecting"
	Connected    State = "connected"
	Fetching     State = "fetching"
	Publishing   State = "publishing"
	Error        State = "error"
	Disconnected State = "disconnected"
)

// InfoMetric is the gauge by which a component tells the metrics exporter its
// place in the stream: Benthos adds the labels path, label and stream, which a
// component cannot see, to the instance number, which the registry knows.
const InfoMetric = "mfn_component_info"

// InstanceLabel is the label of InfoMetric that holds the instance number.
const InstanceLabel = "instance"

// Component counts the operations of one connector or publisher. All methods
// may be called from any goroutine.
//
// A request is one attempt; an operation is all attempts for one purpose. A
// failed attempt that is followed by another counts as a retry, not as a
// failure; an operation that is given up counts as one failure.
type Component struct {
	instance uint64
	typ      string
	role     Role

	requests, successes, failures, retries, bytes atomic.Int64

	mu            sync.Mutex
	state         State // without operations and errors
	failing       bool  // the last attempt has failed
	failingSince  time.Time
	closed        bool
	label         string
	path          string
	stream        string
	busy          int
	lastSuccess   time.Time
	lastError     string
	lastErrorTime time.Time
	lags          map[topicPartition]int64 // of a component that reads from Kafka

	info                       *service.MetricGauge
	requestsTotal              *service.MetricCounter
	retriesTotal               *service.MetricCounter
	failedOperationsTotal      *service.MetricCounter
	bytesTotal                 *service.MetricCounter
	noSpaceErrorsTotal         *service.MetricCounter
	lastSuccessTime, lastErrTs *service.MetricGauge
	circuitState               *service.MetricGauge
	duration                   *service.MetricTimer

	progress                           progress
	sourceSize, sourceDone, sourceRest *service.MetricGauge
}

// New registers a component of the given type and role under
// the label and metrics of its resources. The caller closes it.
func New(res *service.Resources, typ string, role Role) *Component {
	m := res.Metrics()
	c := &Component{
		typ:   typ,
		role:  role,
		state: Idle,
		label: res.Label(),

		info:                  m.NewGauge(InfoMetric, "type", "role", InstanceLabel),
		requestsTotal:         m.NewCounter("mfn_requests_total", "type", "outcome"),
		retriesTotal:          m.NewCounter("mfn_retries_total", "type"),
		failedOperationsTotal: m.NewCounter("mfn_failed_operations_total", "type"),
		bytesTotal:            m.NewCounter("mfn_bytes_total", "type"),
		noSpaceErrorsTotal:    m.NewCounter("mfn_no_space_errors_total", "type"),
		lastSuccessTime:       m.NewGauge("mfn_last_success_timestamp_seconds", "type"),
		lastErrTs:             m.NewGauge("mfn_last_error_timestamp_seconds", "type"),
		circuitState:          m.NewGauge("mfn_circuit_state", "type"),
		duration:              m.NewTimer("mfn_request_duration_seconds", "type"),

		sourceSize: m.NewGauge("mfn_source_size", "type", "unit"),
		sourceDone: m.NewGauge("mfn_source_done", "type", "unit"),
		sourceRest: m.NewGauge("mfn_source_remaining_seconds", "type"),
	}
	registered.register(c)

	// A counter that starts at zero can be told from one that does not exist.
	c.requestsTotal.Incr(0, typ, "success")
	c.requestsTotal.Incr(0, typ, "error")
	c.retriesTotal.Incr(0, typ)
	c.failedOperationsTotal.Incr(0, typ)
	c.bytesTotal.Incr(0, typ)
	c.noSpaceErrorsTotal.Incr(0, typ)
	c.info.Set(1, typ, string(role), strconv.FormatUint(c.instance, 10))
	return c
}

// Type is the component's type name, such as mfn_rest.
func (c *Component) Type() string { return c.typ }

// Connecting records that the component connects. It stays in error if it is.
func (c *Component) Connecting() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = Connecting
}

// Connected records that the component is connected, and in no error.
func (c *Component) Connected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.failing = Connected, false
}

// Failed records an error outside of attempts, such as one of connecting, which
// must hold no secret. The component is in error until it is connected or an
// attempt succeeds.
func (c *Component) Failed(err error) {
	c.noteError(err)
}

// Begin marks the component as fetching or publishing until every function
// that Begin returned has been called, unless it is in error.
func (c *Component) Begin() (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy++
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.busy--
	})
}

// current returns the component's state. It is called with the lock held.
func (c *Component) current() State {
	switch {
	case c.closed:
		return Disconnected
	case c.failing:
		return Error
	case c.busy == 0:
		return c.state
	case c.role == Publisher:
		return Publishing
	}
	return Fetching
}

// AttemptSucceeded counts one attempt that went well and the bytes it carried.
func (c *Component) AttemptSucceeded(bytes int64) {
	now := time.Now()
	c.requests.Add(1)
	c.successes.Add(1)
	c.bytes.Add(bytes)
	c.requestsTotal.Incr(1, c.typ, "success")
	c.bytesTotal.Incr(bytes, c.typ)
	c.lastSuccessTime.SetFloat64(seconds(now), c.typ)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastSuccess = now
	c.state, c.failing = Connected, false
}

// AttemptFailed counts one attempt that failed, with its error, which must hold no
// secret.
func (c *Component) AttemptFailed(err error) {
	c.requests.Add(1)
	c.requestsTotal.Incr(1, c.typ, "error")
	c.noteError(err)
}

// Took tells how long one attempt took.
func (c *Component) Took(d time.Duration) {
	c.duration.Timing(d.Nanoseconds(), c.typ)
}

// Retried counts one retry, when its attempt begins.
func (c *Component) Retried() {
	c.retries.Add(1)
	c.retriesTotal.Incr(1, c.typ)
}

// OperationFailed counts one operation that was given up, with its error, which must
// hold no secret.
func (c *Component) OperationFailed(err error) {
	c.failures.Add(1)
	c.failedOperationsTotal.Incr(1, c.typ)
	c.noteError(err)
}

func (c *Component) noteError(err error) {
	now := time.Now()
	c.lastErrTs.SetFloat64(seconds(now), c.typ)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		c.noSpaceErrorsTotal.Incr(1, c.typ)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.failing {
		c.failingSince = now
	}
	c.lastError, c.lastErrorTime, c.failing = err.Error(), now, true
}

// SetCircuitState reports the state of the component's circuit breaker: 0 closed, 1
// half open, 2 open.
func (c *Component) SetCircuitState(state int64) {
	c.circuitState.Set(state, c.typ)
}

// Close marks the component as disconnected. It stays in the registry, among the
// last that ended, so that /stats can tell how a finished job went.
func (c *Component) Close() {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.mu.Unlock()
	if !closed {
		c.info.Set(0, c.typ, string(c.role), strconv.FormatUint(c.instance, 10))
		registered.unregister(c)
	}
}

func seconds(t time.Time) float64 {
	return float64(t.UnixMilli()) / 1000
}
