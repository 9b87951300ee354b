package retry

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/mfn-connect/mfn-connect/plugins/internal/shutdown"
)

// hosts holds the operations of this process back from hosts that asked for a
// pause. One for the process is right: a host counts the requests of the process,
// whichever component sends them.
var hosts = gates{byHost: map[string]*gate{}}

const (
	// widenAfter is how many answers in a row, for each operation that may go at a
	// time, double that number.
	widenAfter = 16
	// maxWidth is the number of operations at a time above which a gate is removed.
	maxWidth = 256
)

// gates are the gates of the hosts that asked for a pause lately.
type gates struct {
	mu     sync.Mutex
	byHost map[string]*gate
}

// gate lets operations through to one host. After a pause it lets one through at a
// time, and then doubles that number for as long as the host asks for no other
// pause. A host that allows a number of requests a second thus gets few that it
// must refuse, and one that has recovered gets all of them soon.
type gate struct {
	pause    time.Duration // the last that the host asked for
	pausedAt time.Time     // when that was
	until    time.Time     // its end
	width    int           // operations at a time
	inFlight int
	answers  int           // served without a pause, since width changed
	widen    time.Time     // when width doubles, however few the answers
	changed  chan struct{} // closed at each change
}

// pass is the right of one operation to make an attempt. The caller returns it.
type pass struct {
	gates *gates
	host  string
	gate  *gate // nil if there was none
	begin time.Time
}

// acquire waits until an operation may turn to the host, or until ctx ends. An
// empty host is nobody's.
func (g *gates) acquire(ctx context.Context, host string) (*pass, error) {
	if host == "" {
		return nil, ctx.Err()
	}
	ctx, cancel := shutdown.WithContext(ctx)
	defer cancel()
	for {
		p, wait, changed := g.tryAcquire(host)
		if p != nil {
			return p, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// tryAcquire returns a pass, or how long to wait before the next try, at most.
func (g *gates) tryAcquire(host string) (*pass, time.Duration, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	p := &pass{gates: g, host: host, gate: g.byHost[host], begin: now}
	if p.gate == nil {
		return p, 0, nil
	}
	if wait := p.gate.until.Sub(now); wait > 0 {
		return nil, wait, p.gate.changed
	}
	for !now.Before(p.gate.widen) && p.gate.width <= maxWidth {
		p.gate.double()
	}
	switch {
	case p.gate.width > maxWidth:
		delete(g.byHost, host)
		p.gate.notify()
		p.gate = nil
	case p.gate.inFlight < p.gate.width:
		p.gate.inFlight++
	default:
		return nil, p.gate.widen.Sub(now), p.gate.changed
	}
	return p, 0, nil
}

// beganAt says when the attempt began, if it had to wait for something else first.
func (p *pass) beganAt(at time.Time) {
	if p != nil {
		p.begin = at
	}
}

// release returns the pass. served says that the host did what it was asked to, or
// refused it for good; pause is what it asked for, 0 for none.
func (p *pass) release(served bool, pause time.Duration) {
	if p == nil {
		return
	}
	p.gates.mu.Lock()
	defer p.gates.mu.Unlock()
	if p.gate != nil {
		p.gate.inFlight--
		if served {
			p.gate.answers++
		}
		if p.gate.answers >= widenAfter*p.gate.width {
			p.gate.double()
		}
		p.gate.notify()
	}
	if pause <= 0 {
		return
	}
	current := p.gates.byHost[p.host]
	if current == nil {
		p.gates.dropUnused()
		current = &gate{changed: make(chan struct{})}
		p.gates.byHost[p.host] = current
	}
	current.startPause(pause, p.begin)
}

// startPause begins a pause that was asked for by the answer to an attempt that began
// at the given time.
func (t *gate) startPause(pause time.Duration, begin time.Time) {
	now := time.Now()
	if begin.After(t.pausedAt) { // otherwise it says what another has said already
		t.width = max(1, t.width/2)
		t.pausedAt = now
	}
	t.pause, t.answers = pause, 0
	if until := now.Add(pause); until.After(t.until) {
		t.until = until
	}
	t.widen = t.until.Add(pause)
	t.notify()
}

func (t *gate) double() {
	t.width *= 2
	t.answers = 0
	t.widen = t.widen.Add(t.pause)
}

// notify has those who wait try again.
func (t *gate) notify() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// dropUnused removes the gates of hosts that nothing has turned to for long.
func (g *gates) dropUnused() {
	now := time.Now()
	maps.DeleteFunc(g.byHost, func(_ string, t *gate) bool {
		return t.inFlight == 0 && now.After(t.widen.Add(10*t.pause))
	})
}
