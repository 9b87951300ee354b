package cli

import (
	"os"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/mfn-connect/mfn-connect/plugins/process"
)

const (
	barPeriod = 100 * time.Millisecond
	barDelay  = 3 // periods; a simulation that is shorter has no bar
)

// showSteps shows how many steps of the simulation are done, if f is a terminal,
// until stop is called, which leaves nothing of it.
func showSteps(f *os.File, title string) (stop func()) {
	if !isTerminal(f) {
		return func() {}
	}
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticks := time.NewTicker(barPeriod)
		defer ticks.Stop()
		var bar *progressbar.ProgressBar
		for tick := 0; ; tick++ {
			select {
			case <-ticks.C:
			case <-ending:
				if bar != nil {
					_ = bar.Clear() // there is nowhere to report that it cannot
				}
				return
			}
			running := process.Simulations()
			if len(running) == 0 || tick < barDelay {
				continue
			}
			if bar == nil {
				bar = progressbar.NewOptions(running[0].Steps, progressbar.OptionSetWriter(f),
					progressbar.OptionSetDescription(title), progressbar.OptionUseANSICodes(true),
					progressbar.OptionSetWidth(20), progressbar.OptionShowCount())
			}
			_ = bar.Set64(running[0].StepsDone) // as above
		}
	}()
	return func() {
		close(ending)
		<-ended
	}
}
