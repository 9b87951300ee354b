package page

import (
	"cmp"
	"slices"
	"time"

	"github.com/mfn-connect/mfn-connect/plugins/internal/gallery"
	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

// What a snapshot lists at most, so that it stays small whatever the process runs.
const (
	maxComponents  = 100
	maxPartitions  = 50
	maxSimulations = 20
)

// snapshot is all that the page shows.
type snapshot struct {
	Time    float64 `json:"time"`
	Started float64 `json:"started"`
	Version string  `json:"version"`
	Summary summary `json:"summary"`

	Messages    []messageCount            `json:"messages"`
	Sources     []source                  `json:"sources"`
	Components  []component               `json:"components"`
	LeftOut     int                       `json:"components_left_out"`
	Simulations []status.SimulationReport `json:"simulations"`
	Failures    []status.Failure          `json:"failures"`
	Fields      []gallery.Field           `json:"fields"`
}

// messageCount counts what became of messages.
type messageCount struct {
	Name  string  `json:"name"`
	Count *series `json:"count"`
}

// source says how far a component is that has an end.
type source struct {
	Label string `json:"label"`
	Type  string `json:"type"`
	status.ProgressReport
}

// component says how a connector or publisher fares.
type component struct {
	Label        string       `json:"label"`
	Path         string       `json:"path"`
	Stream       string       `json:"stream"`
	Type         string       `json:"type"`
	Role         status.Role  `json:"role"`
	Status       status.State `json:"status"`
	FailingSince *float64     `json:"failing_since"`
	Succeeded    *series      `json:"succeeded"` // attempts
	Failed       int64        `json:"failed"`    // operations that were given up
	Retries      int64        `json:"retries"`
	Bytes        *series      `json:"bytes"`
	LastSuccess  *float64     `json:"last_success"`
	LastError    *string      `json:"last_error"`
	LastErrorAt  *float64     `json:"last_error_time"`

	// Lag lists the partitions with the most records to read, LagTotal counts the
	// records of all.
	Lag        []status.PartitionLag `json:"lag"`
	LagTotal   int64                 `json:"lag_total"`
	Partitions int                   `json:"partitions"`
}

// sampler measures what the page shows.
type sampler struct {
	version string
	started time.Time

	messages   []messageCount
	components map[uint64]*componentSeries // by instance
	activity   activity
}

type componentSeries struct {
	succeeded, bytes series
	seen             time.Time
}

func newSampler(version string, started time.Time) *sampler {
	s := &sampler{version: version, started: started, components: map[uint64]*componentSeries{}}
	for _, name := range []string{"taken", "simulated", "refused", "delivered"} {
		s.messages = append(s.messages, messageCount{name, &series{}})
	}
	return s
}

// sample measures, and returns what there is to show.
func (s *sampler) sample(now time.Time) *snapshot {
	l := &ledger.Process
	report := status.Snapshot()
	running := status.Simulations(0)
	for k, n := range []int64{l.Taken.Load(), l.Simulated.Load(), l.Refused.Load(), l.Published.Load()} {
		s.messages[k].Count.add(now, n)
	}
	out := &snapshot{
		Time: seconds(now), Started: seconds(s.started), Version: s.version,
		Messages: s.messages, Failures: report.Failures, Fields: gallery.Process.List(),
		Simulations: running[:min(len(running), maxSimulations)],
	}
	for _, r := range report.Components {
		out.Components = append(out.Components, s.component(now, &r))
		if r.Progress != nil {
			out.Sources = append(out.Sources, source{r.Label, r.Type, *r.Progress})
		}
	}
	for instance, of := range s.components {
		if of.seen != now {
			delete(s.components, instance)
		}
	}
	s.activity.note(now, l, running, out.Sources)
	out.Summary = s.summarize(l, report.Components, out)
	out.shorten()
	return out
}

func (s *sampler) component(now time.Time, r *status.ComponentReport) component {
	of := s.components[r.Instance]
	if of == nil {
		of = &componentSeries{}
		s.components[r.Instance] = of
	}
	of.seen = now
	m := &r.Figures
	of.succeeded.add(now, m.SuccessfulRequests)
	of.bytes.add(now, m.TotalBytesFetched)
	c := component{
		Label: r.Label, Path: r.Path, Stream: r.Stream, Type: r.Type, Role: r.Role, Status: r.Status,
		FailingSince: r.FailingSince, Succeeded: &of.succeeded, Bytes: &of.bytes,
		Failed: m.FailedRequests, Retries: m.TotalRetries,
		LastSuccess: m.LastFetchTimestamp, LastError: m.LastError, LastErrorAt: m.LastErrorTimestamp,
		Lag: r.Lag, Partitions: len(r.Lag),
	}
	for _, p := range r.Lag {
		c.LagTotal += p.Records
	}
	return c
}

// shorten leaves out what is too much: of components, those that have ended first.
func (out *snapshot) shorten() {
	if len(out.Components) > maxComponents {
		slices.SortStableFunc(out.Components, func(a, b component) int { return cmp.Compare(rank(a), rank(b)) })
		out.LeftOut = len(out.Components) - maxComponents
		out.Components = out.Components[:maxComponents]
	}
	for k := range out.Components {
		c := &out.Components[k]
		if len(c.Lag) > maxPartitions {
			slices.SortStableFunc(c.Lag, func(a, b status.PartitionLag) int { return cmp.Compare(b.Records, a.Records) })
			c.Lag = c.Lag[:maxPartitions]
		}
	}
}

// rank orders components by how much they matter to who looks for a fault.
func rank(c component) int {
	switch c.Status {
	case status.Error:
		return 0
	case status.Disconnected:
		return 2
	default:
		return 1
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
