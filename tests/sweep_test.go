package tests

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A sweep that is killed again and again gives the result of each point, and
// simulates again no more than what was under way.
func TestSweepThatIsKilled(t *testing.T) {
	const points, kills, underWay = 1500, 50, 8
	dir := t.TempDir()
	stream := writeFile(t, dir, "stream.yaml", withoutService+fmt.Sprintf(`
input:
  mfn_sweep:
    name: s
    sampling: random
    count: %v
    parameters: { alpha: { min: 0.1, max: 0.2 } }
    fixed: { grid_size: 32, steps: 30, seed: 1 }
    resume: sweep.state
pipeline: { threads: 2, processors: [ mfn_simulate: {} ] }
output: { mfn_file: { directory: out, filename_pattern: results.jsonl, append_mode: true, max_in_flight: 4 } }
`, points))
	results := filepath.Join(dir, "out", "results.jsonl")
	killOften(t, dir, stream, results, kills)

	counts := map[string]int{}
	lines := readLines(t, results)
	for _, line := range lines {
		var r struct {
			SimulationID string `json:"simulation_id"`
		}
		if json.Unmarshal([]byte(line), &r) == nil { // a kill may cut a line off
			counts[r.SimulationID]++
		}
	}
	assert.Len(t, counts, points)
	assert.LessOrEqual(t, len(lines)-points, kills*underWay)
}
