package status

import (
	"slices"
	"strconv"
	"sync"
)

// keptClosed is how many components that have ended stay in the registry.
const keptClosed = 32

// registry lists the components of this process. One for the process is right:
// the service answers /stats for all of its streams.
type registry struct {
	mu         sync.Mutex
	next       uint64
	components []*Component // in order of registration
	closed     []*Component // in order of closing
}

var registered registry

func (b *registry) register(c *Component) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	c.instance = b.next
	b.components = append(b.components, c)
}

func (b *registry) unregister(c *Component) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = append(b.closed, c)
	if len(b.closed) <= keptClosed {
		return
	}
	oldest := b.closed[0]
	b.closed = slices.Delete(b.closed, 0, 1)
	b.components = slices.DeleteFunc(b.components, func(x *Component) bool { return x == oldest })
}

func (b *registry) list() []*Component {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.components)
}

// SetLocation tells the registry the stream, the path and the label of the component
// that has the instance number. Numbers that it does not know are ignored.
func SetLocation(instance, path, label, stream string) {
	n, err := strconv.ParseUint(instance, 10, 64)
	if err != nil {
		return
	}
	registered.mu.Lock()
	defer registered.mu.Unlock()
	for _, c := range registered.components {
		if c.instance == n {
			c.mu.Lock()
			c.path, c.label, c.stream = path, label, stream
			c.mu.Unlock()
			return
		}
	}
}

// Report is the answer to /stats.
type Report struct {
	Components []ComponentReport `json:"components"`
	// Simulations are those that have been under way for a second or longer.
	Simulations []SimulationReport `json:"simulations,omitempty"`
	// Failures are the last failures, the newest first.
	Failures []Failure `json:"failures"`
}

// ComponentReport says how one component fares.
type ComponentReport struct {
	Label  string `json:"label"`
	Path   string `json:"path"`
	Stream string `json:"stream,omitempty"`
	Type   string `json:"type"`
	Role   Role   `json:"role"`
	Status State  `json:"status"`
	// FailingSince is when the first attempt failed since the last that succeeded,
	// in seconds since 1970. It is null unless the component is in error.
	FailingSince *float64 `json:"failing_since,omitempty"`
	// Lag is that of the partitions that the component reads.
	Lag []PartitionLag `json:"lag,omitempty"`
	// Progress is that of a source that has an end.
	Progress *ProgressReport `json:"progress,omitempty"`
	// Metrics is a ConnectorMetrics or a PublisherMetrics, after Role.
	Metrics any `json:"metrics"`

	// Figures are those of Metrics, for either role.
	Figures ConnectorMetrics `json:"-"`
	// Instance tells components of one type apart.
	Instance uint64 `json:"-"`
}

// ConnectorMetrics are the figures of a connector. Timestamps are in seconds
// since 1970, null if there was no such moment; SuccessRate is
// SuccessfulRequests by TotalRequests, 0 before the first request.
type ConnectorMetrics struct {
	TotalRequests      int64    `json:"total_requests"`
	SuccessfulRequests int64    `json:"successful_requests"`
	FailedRequests     int64    `json:"failed_requests"`
	TotalRetries       int64    `json:"total_retries"`
	TotalBytesFetched  int64    `json:"total_bytes_fetched"`
	LastFetchTimestamp *float64 `json:"last_fetch_timestamp"`
	LastError          *string  `json:"last_error"`
	LastErrorTimestamp *float64 `json:"last_error_timestamp"`
	SuccessRate        float64  `json:"success_rate"`
}

// PublisherMetrics are the figures of a publisher, as ConnectorMetrics.
type PublisherMetrics struct {
	TotalPublishes       int64    `json:"total_publishes"`
	SuccessfulPublishes  int64    `json:"successful_publishes"`
	FailedPublishes      int64    `json:"failed_publishes"`
	TotalRetries         int64    `json:"total_retries"`
	TotalBytesPublished  int64    `json:"total_bytes_published"`
	LastPublishTimestamp *float64 `json:"last_publish_timestamp"`
	LastError            *string  `json:"last_error"`
	LastErrorTimestamp   *float64 `json:"last_error_timestamp"`
	SuccessRate          float64  `json:"success_rate"`
}

// Snapshot reports every component of the registry, the oldest first.
func Snapshot() Report {
	components := registered.list()

	r := Report{Components: make([]ComponentReport, 0, len(components)), Simulations: Simulations(longSimulation), Failures: recent.list()}
	for _, c := range components {
		r.Components = append(r.Components, c.report())
	}
	return r
}

func (c *Component) report() ComponentReport {
	c.mu.Lock()
	defer c.mu.Unlock()

	m := ConnectorMetrics{
		TotalRequests:      c.requests.Load(),
		SuccessfulRequests: c.successes.Load(),
		FailedRequests:     c.failures.Load(),
		TotalRetries:       c.retries.Load(),
		TotalBytesFetched:  c.bytes.Load(),
	}
	if m.TotalRequests > 0 {
		m.SuccessRate = float64(m.SuccessfulRequests) / float64(m.TotalRequests)
	}
	if !c.lastSuccess.IsZero() {
		m.LastFetchTimestamp = new(seconds(c.lastSuccess))
	}
	if !c.lastErrorTime.IsZero() {
		m.LastError = new(c.lastError)
		m.LastErrorTimestamp = new(seconds(c.lastErrorTime))
	}

	r := ComponentReport{
		Label: c.label, Path: c.path, Stream: c.stream,
		Type: c.typ, Role: c.role, Status: c.current(), Metrics: m, Figures: m, Lag: c.lag(), Instance: c.instance,
	}
	if r.Status == Error {
		r.FailingSince = new(seconds(c.failingSince))
	}
	c.progress.mu.Lock()
	r.Progress = c.progress.report()
	c.progress.mu.Unlock()
	if c.role == Publisher {
		r.Metrics = PublisherMetrics{
			TotalPublishes:       m.TotalRequests,
			SuccessfulPublishes:  m.SuccessfulRequests,
			FailedPublishes:      m.FailedRequests,
			TotalRetries:         m.TotalRetries,
			TotalBytesPublished:  m.TotalBytesFetched,
			LastPublishTimestamp: m.LastFetchTimestamp,
			LastError:            m.LastError,
			LastErrorTimestamp:   m.LastErrorTimestamp,
			SuccessRate:          m.SuccessRate,
		}
	}
	return r
}
