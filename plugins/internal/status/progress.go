package status

import (
	"sync"
	"sync/atomic"
	"time"
)

// progress tells how far a source is that has an end. Its zero value is that of a
// source without.
type progress struct {
	mu      sync.Mutex
	unit    string
	total   int64
	resumed int64 // of done, before this run
	started time.Time

	done   atomic.Int64
	untold atomic.Int64 // calls of Progressed that the metrics may not show yet
}

// ProgressReport says how far a source is. Done and Total count its unit; the rate
// is that of this run, and the rest is estimated by it.
type ProgressReport struct {
	Unit             string   `json:"unit"`
	Done             int64    `json:"done"`
	Total            int64    `json:"total"`
	RatePerSecond    float64  `json:"rate_per_second"`
	RemainingSeconds *float64 `json:"remaining_seconds"` // null while there is no rate
}

// Expect says how much the source has in all, with what is done. It may find more
// later.
func (c *Component) Expect(unit string, total int64) {
	p := &c.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started.IsZero() {
		p.started = time.Now()
	}
	p.unit, p.total = unit, total
	c.setProgress(p)
}

// Resume says how much was done before this run.
func (c *Component) Resume(done int64) {
	p := &c.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resumed = done
	p.done.Add(done)
	c.setProgress(p)
}

// Progressed says that so much more is done, which means delivered. A batch that is
// delivered brings thousands of calls at once: one of them sets the metrics for all.
func (c *Component) Progressed(n int64) {
	p := &c.progress
	p.done.Add(n)
	if p.untold.Add(1) > 1 {
		return // another call sets the metrics, and does so again
	}
	for {
		seen := p.untold.Load()
		p.mu.Lock()
		c.setProgress(p)
		p.mu.Unlock()
		if p.untold.CompareAndSwap(seen, 0) {
			return
		}
	}
}

// setProgress sets the metrics. It is called with the lock held.
func (c *Component) setProgress(p *progress) {
	if p.unit == "" {
		return
	}
	c.sourceSize.Set(p.total, c.typ, p.unit)
	c.sourceDone.Set(p.done.Load(), c.typ, p.unit)
	if rest := p.report().RemainingSeconds; rest != nil {
		c.sourceRest.SetFloat64(*rest, c.typ)
	}
}

// report is called with the lock held.
func (p *progress) report() *ProgressReport {
	if p.unit == "" {
		return nil
	}
	done := p.done.Load()
	r := &ProgressReport{Unit: p.unit, Done: done, Total: max(p.total, done)}
	if elapsed := time.Since(p.started).Seconds(); elapsed > 0 {
		r.RatePerSecond = float64(done-p.resumed) / elapsed
	}
	if r.RatePerSecond > 0 {
		r.RemainingSeconds = new(float64(r.Total-r.Done) / r.RatePerSecond)
	}
	return r
}

// Progress reports how far the sources that have an end are, the oldest first.
func Progress() (reports []ProgressReport) {
	for _, c := range registered.list() {
		c.progress.mu.Lock()
		if r := c.progress.report(); r != nil {
			reports = append(reports, *r)
		}
		c.progress.mu.Unlock()
	}
	return reports
}
