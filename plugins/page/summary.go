package page

import (
	"slices"
	"time"

	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

// stuckAfter is how long nothing may come of what waits before the page calls it
// stuck.
const stuckAfter = time.Minute

// surelyAfter is how long the attempts of a component that succeeded before must fail
// before the page calls it failing. Until then, and for recentFailure after its last
// failure, it fails in part.
const (
	surelyAfter   = 5 * time.Second
	recentFailure = 10 * time.Second
)

// state is how the streams fare, in a word.
type state string

const (
	starting state = "starting" // nothing has come yet
	running  state = "running"
	idle     state = "idle"    // all that came is done
	stuck    state = "stuck"   // something waits, and nothing comes of it
	failing  state = "failing" // each attempt of a component fails
	partly   state = "partly_failing"
	refusing state = "refusing" // no message could be processed
	ended    state = "ended"
)

// summary is the line at the top of the page. The page puts it into words.
type summary struct {
	State state `json:"state"`
	// LastResult is when a result was delivered last, null if none was.
	LastResult *float64 `json:"last_result"`
	// Waiting is what is not delivered yet, in Unit: records, messages, or what the
	// source counts.
	Waiting int64  `json:"waiting"`
	Unit    string `json:"unit"`
	// Since is when the state began, as far as it is known.
	Since *float64 `json:"since,omitempty"`

	// Of what fails.
	Type      string   `json:"type,omitempty"`
	Label     string   `json:"label,omitempty"`
	Operation string   `json:"operation,omitempty"`
	Error     string   `json:"error,omitempty"`
	Messages  []string `json:"messages,omitempty"`
	Others    int      `json:"others,omitempty"` // components that fail, too
}

// activity is when something came of messages.
type activity struct {
	result time.Time // when one was delivered; zero: never
	last   time.Time // when anything was done, a step of a simulation too

	delivered, done int64
}

// note compares the counts with those of the last time.
func (a *activity) note(now time.Time, l *ledger.Ledger, simulations []status.SimulationReport, sources []source) {
	delivered := l.Settled.Load() + l.Published.Load()
	if !l.CountsDeliveries() {
		delivered = l.Simulated.Load()
	}
	if delivered > a.delivered {
		a.result = now
	}
	done := delivered + l.Simulated.Load() + l.Refused.Load()
	for _, s := range simulations {
		done += s.StepsDone
	}
	for _, s := range sources {
		done += s.Done
	}
	if done != a.done || a.last.IsZero() {
		a.last = now
	}
	a.delivered, a.done = delivered, done
}

// summarize says how the streams fare.
func (s *sampler) summarize(l *ledger.Ledger, components []status.ComponentReport, now *snapshot) summary {
	out := summary{State: running}
	if !s.activity.result.IsZero() {
		out.LastResult = new(seconds(s.activity.result))
	}
	out.Waiting, out.Unit = waiting(l, now)
	switch {
	case out.fails(now.Time, components, now.Failures):
	case l.Refused.Load() > 0 && l.Simulated.Load() == 0 && len(now.Failures) > 0:
		out.State = refusing
		out.describe(&now.Failures[0])
	case out.Waiting > 0 && now.Time-seconds(s.activity.last) >= stuckAfter.Seconds():
		out.State, out.Since = stuck, new(seconds(s.activity.last))
	case out.Waiting == 0 && len(now.Simulations) == 0 && out.LastResult == nil:
		out.State = starting
	case out.Waiting == 0 && len(now.Simulations) == 0 && now.Time-*out.LastResult >= period.Seconds()*window:
		out.State = idle
	}
	return out
}

// waiting returns what is not delivered yet.
func waiting(l *ledger.Ledger, now *snapshot) (n int64, unit string) {
	for _, c := range now.Components {
		n += c.LagTotal
	}
	if n > 0 {
		return n, "records"
	}
	for _, source := range now.Sources {
		if source.Done < source.Total {
			return source.Total - source.Done, source.Unit
		}
	}
	return l.Taken.Load() - l.Settled.Load(), "messages"
}

// fails tells of the component that has been failing for the longest time, else of
// the first that fails in part, if there is one.
func (out *summary) fails(now float64, components []status.ComponentReport, failures []status.Failure) bool {
	var worst *status.ComponentReport
	how := running
	for k, c := range components {
		state := stateOf(now, &c)
		switch {
		case state == running:
			continue
		case worst != nil:
			out.Others++
		}
		if worst == nil || state == failing && (how == partly || *c.FailingSince < *worst.FailingSince) {
			worst, how = &components[k], state
		}
	}
	if worst == nil {
		return false
	}
	if k := slices.IndexFunc(failures, func(f status.Failure) bool { return f.Instance == worst.Instance }); k >= 0 {
		out.describe(&failures[k])
	}
	out.State, out.Type, out.Label, out.Since = how, worst.Type, worst.Label, worst.FailingSince
	if how == partly {
		out.Since = worst.Figures.LastErrorTimestamp
	}
	if worst.Figures.LastError != nil {
		out.Error = *worst.Figures.LastError
	}
	return true
}

// stateOf says whether a component fails: failing, partly or running.
func stateOf(now float64, c *status.ComponentReport) state {
	m := &c.Figures
	switch {
	case c.Status == status.Disconnected:
		return running
	case c.Status == status.Error && (m.LastFetchTimestamp == nil || now-*c.FailingSince >= surelyAfter.Seconds()):
		return failing
	case m.LastErrorTimestamp != nil && now-*m.LastErrorTimestamp < recentFailure.Seconds():
		return partly
	}
	return running
}

func (out *summary) describe(f *status.Failure) {
	out.Type, out.Label, out.Operation, out.Error, out.Messages = f.Type, f.Label, f.Operation, f.Error, f.Messages
	out.Since = new(f.Since)
}

// end says that the streams have ended. err says why their work is not done.
func (out *summary) end(err error) {
	*out = summary{State: ended, LastResult: out.LastResult, Waiting: out.Waiting, Unit: out.Unit}
	if err != nil {
		out.Error = err.Error()
	}
}
