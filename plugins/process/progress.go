package process

import (
	"math"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

// Simulation says how far a simulation is.
type Simulation = status.SimulationReport

// Simulations returns the simulations that are under way, the oldest first.
func Simulations() []Simulation { return status.Simulations(0) }

// Progress says how far a source is that has an end.
type Progress = status.ProgressReport

// Sources returns how far the sources are that have an end.
func Sources() []Progress { return status.Progress() }

// Refused returns how many messages could not be processed.
func Refused() int64 { return ledger.Process.Refused.Load() }

// LogProgress writes a line that tells how far a source is.
func LogProgress(log *service.Logger, p Progress) {
	fields := []any{
		"done", p.Done, "of", p.Total, "unit", p.Unit, "refused", Refused(),
		"rate_per_second", math.Round(p.RatePerSecond*100) / 100,
	}
	if p.RemainingSeconds != nil {
		fields = append(fields, "remaining_seconds", math.Round(*p.RemainingSeconds))
	}
	logs.With(log, fields...).Info("Stream is under way")
}
