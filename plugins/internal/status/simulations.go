package status

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// longSimulation is how long a simulation runs before /stats shows it.
const longSimulation = time.Second

// Simulation is one that is under way. Its worker uses it again for the next.
type Simulation struct {
	// Done is how many of its steps are done.
	Done atomic.Int64

	id, model       string
	gridSize, steps int
	started         time.Time
}

// SimulationReport says how far a simulation is.
type SimulationReport struct {
	ID             string  `json:"simulation_id"`
	Model          string  `json:"model"`
	GridSize       int     `json:"grid_size"`
	Steps          int     `json:"steps"`
	StepsDone      int64   `json:"steps_done"`
	Share          float64 `json:"share"`
	ElapsedSeconds float64 `json:"elapsed_seconds"`
}

var simulations = struct {
	mu       sync.Mutex
	underWay map[*Simulation]struct{}
}{underWay: map[*Simulation]struct{}{}}

// Begin notes that the simulation begins. End must follow.
func (s *Simulation) Begin(id, model string, gridSize, steps int) {
	simulations.mu.Lock()
	defer simulations.mu.Unlock()
	s.Done.Store(0)
	s.id, s.model, s.gridSize, s.steps, s.started = id, model, gridSize, steps, time.Now()
	simulations.underWay[s] = struct{}{}
}

// End notes that the simulation has ended.
func (s *Simulation) End() {
	simulations.mu.Lock()
	defer simulations.mu.Unlock()
	delete(simulations.underWay, s)
}

// Simulations reports the simulations that have run for least or longer, the oldest
// first.
func Simulations(least time.Duration) []SimulationReport {
	simulations.mu.Lock()
	defer simulations.mu.Unlock()
	var reports []SimulationReport
	for s := range simulations.underWay {
		elapsed := time.Since(s.started)
		if elapsed < least {
			continue
		}
		done := s.Done.Load()
		reports = append(reports, SimulationReport{
			ID: s.id, Model: s.model, GridSize: s.gridSize, Steps: s.steps,
			StepsDone: done, Share: float64(done) / float64(s.steps), ElapsedSeconds: elapsed.Round(time.Millisecond).Seconds(),
		})
	}
	slices.SortFunc(reports, func(a, b SimulationReport) int { return cmp.Compare(b.ElapsedSeconds, a.ElapsedSeconds) })
	return reports
}
