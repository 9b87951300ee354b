package processor

import "github.com/mfn-connect/mfn-connect/engine"

// begin has the status tell how far the worker's simulation is, until its end.
func (w *worker) begin(id, model string, gridSize, steps int, o engine.Options) (_ engine.Options, end func()) {
	w.underWay.Begin(id, model, gridSize, steps)
	o.Done = &w.underWay.Done
	return o, w.underWay.End
}
