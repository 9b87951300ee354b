package page

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

// moment is what is measured at a time, seconds after the start.
type moment struct {
	at      float64
	change  func(*ledger.Ledger)
	now     snapshot
	reports []status.ComponentReport
}

func TestSummary(t *testing.T) {
	begin := time.Date(2026, 12, 1, 3, 0, 0, 0, time.UTC)
	at := func(after float64) float64 { return seconds(begin) + after }
	has := func(l *ledger.Ledger) { l.HasInput() }
	takes := func(n int64) func(*ledger.Ledger) { return func(l *ledger.Ledger) { l.Taken.Add(n) } }
	settles := func(n int64) func(*ledger.Ledger) { return func(l *ledger.Ledger) { l.Settled.Add(n) } }
	refuses := func(n int64) func(*ledger.Ledger) { return func(l *ledger.Ledger) { l.Refused.Add(n) } }
	failed := func(label string, instance uint64, since float64, err string) status.ComponentReport {
		return status.ComponentReport{
			Type: "mfn_webhook", Label: label, Status: status.Error, FailingSince: new(at(since)), Instance: instance,
			Figures: status.ConnectorMetrics{LastError: new(err)},
		}
	}
	simulation := func(steps int64) snapshot {
		return snapshot{Simulations: []status.SimulationReport{{ID: "long", StepsDone: steps}}}
	}
	behind := snapshot{Components: []component{{LagTotal: 12}}}
	sweep := snapshot{Sources: []source{{ProgressReport: status.ProgressReport{Unit: "points", Done: 3, Total: 10}}}}
	for name, row := range map[string]struct {
		moments []moment
		want    summary
	}{
		"nothing has come": {[]moment{{change: has}, {at: 300}}, summary{State: starting, Unit: "messages"}},
		"a message is under way": {
			[]moment{{change: has}, {at: 1, change: takes(2)}},
			summary{State: running, Waiting: 2, Unit: "messages"},
		},
		"a result": {
			[]moment{{change: has}, {at: 1, change: takes(2)}, {at: 2, change: settles(1)}},
			summary{State: running, Waiting: 1, Unit: "messages", LastResult: new(at(2))},
		},
		"all is done": {
			[]moment{{change: has}, {at: 1, change: takes(2)}, {at: 2, change: settles(2)}, {at: 10}},
			summary{State: idle, Unit: "messages", LastResult: new(at(2))},
		},
		"nothing comes of what waits": {
			[]moment{{change: has}, {at: 1, change: takes(2)}, {at: 2, change: settles(1)}, {at: 100}},
			summary{State: stuck, Waiting: 1, Unit: "messages", LastResult: new(at(2)), Since: new(at(2))},
		},
		"nothing comes of what is to be read": {
			[]moment{{now: behind}, {at: 100, now: behind}},
			summary{State: stuck, Waiting: 12, Unit: "records", Since: new(at(0))},
		},
		"a long simulation is not stuck": {
			[]moment{{change: has}, {at: 1, change: takes(1), now: simulation(10)}, {at: 500, now: simulation(20)}},
			summary{State: running, Waiting: 1, Unit: "messages"},
		},
		"a simulation that does no steps is": {
			[]moment{{change: has}, {at: 1, change: takes(1), now: simulation(10)}, {at: 500, now: simulation(10)}},
			summary{State: stuck, Waiting: 1, Unit: "messages", Since: new(at(1))},
		},
		"a sweep": {
			[]moment{{change: has, now: sweep}},
			summary{State: running, Waiting: 7, Unit: "points"},
		},
		"no message could be processed": {
			[]moment{{change: has}, {at: 2, change: refuses(1), now: snapshot{Failures: []status.Failure{
				{Type: "mfn_simulate", Operation: "simulation", Error: "grid_size: 3 is not allowed", Messages: []string{"a"}, Since: at(1)},
			}}}},
			summary{
				State: refusing, Unit: "messages", Type: "mfn_simulate", Operation: "simulation",
				Error: "grid_size: 3 is not allowed", Messages: []string{"a"}, Since: new(at(1)),
			},
		},
		"what fails longest": {
			[]moment{{at: 9, reports: []status.ComponentReport{
				{Type: "mfn_rest", Status: status.Fetching}, failed("b", 2, 5, "503"), failed("a", 1, 4, "no route"),
			}, now: snapshot{Failures: []status.Failure{
				{Instance: 2, Operation: "POST /b", Messages: []string{"y"}}, {Instance: 1, Operation: "POST /a", Messages: []string{"x"}},
			}}}},
			summary{
				State: failing, Unit: "messages", Type: "mfn_webhook", Label: "a", Operation: "POST /a",
				Error: "no route", Messages: []string{"x"}, Since: new(at(4)), Others: 1,
			},
		},
		"what fails now and then": {
			[]moment{{at: 9, reports: []status.ComponentReport{{
				Type: "mfn_webhook", Status: status.Publishing, Instance: 1,
				Figures: status.ConnectorMetrics{LastError: new("503"), LastErrorTimestamp: new(at(1)), LastFetchTimestamp: new(at(8))},
			}}}},
			summary{State: partly, Unit: "messages", Type: "mfn_webhook", Error: "503", Since: new(at(1))},
		},
		"what has just begun to fail": {
			[]moment{{at: 9, reports: []status.ComponentReport{{
				Type: "mfn_webhook", Status: status.Error, FailingSince: new(at(5)), Instance: 1,
				Figures: status.ConnectorMetrics{LastError: new("503"), LastErrorTimestamp: new(at(8)), LastFetchTimestamp: new(at(4))},
			}}}},
			summary{State: partly, Unit: "messages", Type: "mfn_webhook", Error: "503", Since: new(at(8))},
		},
		"what failed a while ago": {
			[]moment{{at: 30, reports: []status.ComponentReport{{
				Type: "mfn_webhook", Status: status.Connected,
				Figures: status.ConnectorMetrics{LastError: new("503"), LastErrorTimestamp: new(at(1)), LastFetchTimestamp: new(at(8))},
			}}}},
			summary{State: starting, Unit: "messages"},
		},
		"what fails before any attempt": {
			[]moment{{at: 9, reports: []status.ComponentReport{failed("a", 1, 4, "no route")}}},
			summary{State: failing, Unit: "messages", Type: "mfn_webhook", Label: "a", Error: "no route", Since: new(at(4))},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var l ledger.Ledger
			s := newSampler("test", begin)
			var got summary
			for _, m := range row.moments {
				if m.change != nil {
					m.change(&l)
				}
				m.now.Time = at(m.at)
				s.activity.note(begin.Add(time.Duration(m.at*float64(time.Second))), &l, m.now.Simulations, m.now.Sources)
				got = s.summarize(&l, m.reports, &m.now)
			}
			assert.Equal(t, row.want, got)
		})
	}
}

func TestTheLastSummary(t *testing.T) {
	s := summary{State: failing, Error: "503", Type: "mfn_webhook", LastResult: new(1.0), Waiting: 3, Unit: "points"}
	s.end(errors.New("it was interrupted"))
	assert.Equal(t, summary{State: ended, Error: "it was interrupted", LastResult: new(1.0), Waiting: 3, Unit: "points"}, s)
	s.end(nil)
	assert.Empty(t, s.Error)
}

func TestRates(t *testing.T) {
	var s series
	begin := time.Unix(0, 0)
	for k := range 4 * window * maxRates {
		require.Len(t, s.Rates, min(max(k-1, 0)/window, maxRates), "one rate is kept for each window")
		s.add(begin.Add(time.Duration(k)*period), int64(7*k))
		require.LessOrEqual(t, len(s.Rates), maxRates)
		require.LessOrEqual(t, cap(s.counts), 2*(window+1), "it does not grow")
		if k > 0 {
			require.Equal(t, 7.0, s.RatePerSecond)
		}
	}
	assert.Len(t, s.Rates, maxRates)
	for k := range window {
		s.add(begin.Add(time.Hour+time.Duration(k)*period), s.Total)
	}
	assert.Less(t, s.RatePerSecond, 7.0, "nothing comes any more")
	for rate, want := range map[float64]float64{0: 0, 12345: 12300, 0.012345: 0.0123, 7: 7} {
		assert.InEpsilon(t, want+1, rounded(rate)+1, 1e-12)
	}
}

func TestASnapshotStaysSmall(t *testing.T) {
	var out snapshot
	for k := range 3 * maxComponents {
		c := component{Status: status.Disconnected, Lag: make([]status.PartitionLag, 2*maxPartitions)}
		switch {
		case k == 2*maxComponents:
			c.Status = status.Error
		case k > 2*maxComponents:
			c.Status = status.Publishing
		}
		c.Lag[7].Records = 1
		out.Components = append(out.Components, c)
	}
	out.shorten()
	assert.Len(t, out.Components, maxComponents)
	assert.Equal(t, 2*maxComponents, out.LeftOut)
	assert.Equal(t, status.Error, out.Components[0].Status, "what fails comes first")
	assert.Equal(t, status.Publishing, out.Components[maxComponents-1].Status)
	assert.Len(t, out.Components[0].Lag, maxPartitions)
	assert.EqualValues(t, 1, out.Components[0].Lag[0].Records, "the largest lag comes first")
}
