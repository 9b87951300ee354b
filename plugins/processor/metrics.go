package processor

import (
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
)

// outcome is what one message adds to the metrics: a failure, a simulation, or
// nothing if it was not looked at.
type outcome struct {
	failed  bool
	elapsed time.Duration // above 0 for a simulation

	cellSteps, growth, activations, clampings int64
	dimension                                 float64
}

func outcomeOfModel(r *engine.ModelResult, elapsed time.Duration) outcome {
	return outcome{
		elapsed:   max(elapsed, 1),
		cellSteps: int64(r.Params.GridSize) * int64(r.Params.GridSize) * int64(r.Params.Steps),
		dimension: r.Features.FractalDimension(),
	}
}

func outcomeOf(r *engine.Result, elapsed time.Duration) outcome {
	return outcome{
		elapsed:     max(elapsed, 1),
		cellSteps:   int64(r.Params.GridSize) * int64(r.Params.GridSize) * int64(r.Params.Steps),
		growth:      r.GrowthEvents,
		activations: r.TuringActivations,
		clampings:   r.ClampingEvents,
		dimension:   r.Features.FractalDimension(),
	}
}

// simulationMetrics report through Benthos's metrics.
type simulationMetrics struct {
	simulations                    *service.MetricCounter
	duration                       *service.MetricTimer
	cellSteps                      *service.MetricCounter
	growth, activations, clampings *service.MetricCounter
	dimension                      *service.MetricGauge
}

func newSimulationMetrics(m *service.Metrics) simulationMetrics {
	s := simulationMetrics{
		simulations: m.NewCounter("mfn_simulations_total", "outcome"),
		duration:    m.NewTimer("mfn_simulation_duration_seconds"),
		cellSteps:   m.NewCounter("mfn_cell_steps_total"),
		growth:      m.NewCounter("mfn_growth_events_total"),
		activations: m.NewCounter("mfn_turing_activations_total"),
		clampings:   m.NewCounter("mfn_clamping_events_total"),
		dimension:   m.NewGauge("mfn_fractal_dimension"),
	}
	s.simulations.Incr(0, "success")
	s.simulations.Incr(0, "error")
	return s
}

// add adds those of a batch, together: to look up a counter costs as much as a
// tiny simulation.
func (m *simulationMetrics) add(outcomes []outcome) {
	var succeeded, failed int64
	var total outcome
	for k := range outcomes {
		t := &outcomes[k]
		switch {
		case t.failed:
			failed++
		case t.elapsed > 0:
			succeeded++
			m.duration.Timing(t.elapsed.Nanoseconds())
			total.cellSteps += t.cellSteps
			total.growth += t.growth
			total.activations += t.activations
			total.clampings += t.clampings
			total.dimension = t.dimension
		}
	}
	ledger.Process.Refused.Add(failed)
	ledger.Process.Simulated.Add(succeeded)
	if failed > 0 {
		m.simulations.Incr(failed, "error")
	}
	if succeeded == 0 {
		return
	}
	m.simulations.Incr(succeeded, "success")
	m.cellSteps.Incr(total.cellSteps)
	m.growth.Incr(total.growth)
	m.activations.Incr(total.activations)
	m.clampings.Incr(total.clampings)
	m.dimension.SetFloat64(total.dimension)
}
