package logs

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
)

const (
	// firstSummary is when the first summary follows; the time doubles up to
	// maxSummary while failures go on.
	firstSummary = 10 * time.Second
	maxSummary   = time.Minute
	// quietPeriod is how long nothing has failed when a success ends the failures.
	quietPeriod = 5 * time.Second
	// maxCauses is how many different errors are told in full between summaries.
	maxCauses = 4
	// maxNames is how many messages a summary names.
	maxNames = 10
)

// Digest sums up failures that repeat: the first ones are for the caller to write
// in full, then a summary comes at intervals that says how many there were, since
// when, the last error, and which messages are concerned. Its methods may be
// called from any goroutine.
type Digest struct {
	log   *service.Logger
	words DigestWords
	write func(*service.Logger, string)
	full  int

	mu       sync.Mutex
	timer    *time.Timer // nil while nothing fails
	interval time.Duration
	since    time.Time // the first failure
	last     time.Time
	total    int
	causes   map[string]bool
	inFull   int // since the last summary

	// What follows is what the next summary tells.
	count  int
	err    error
	fields []any
	names  []string
}

// DigestWords are the messages of a digest's lines.
type DigestWords struct {
	More string // of a summary, such as "More operations failed"
	Over string // of the line at the end, such as "Operations succeed again"
}

// NewDigest returns a digest that writes its summaries by write, such as
// (*service.Logger).Warn. So many failures between summaries are for the caller to
// write, besides those with an error that is new.
func NewDigest(log *service.Logger, write func(*service.Logger, string), full int, words DigestWords) *Digest {
	return &Digest{log: log, write: write, full: full, words: words}
}

// Failed takes note of a failure, and returns whether the caller is to write it in
// full. The fields and the names are those of a summary; names may be nil.
func (d *Digest) Failed(err error, names func() []string, fields ...any) (full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = time.Now()
	if d.timer == nil {
		d.begin()
	}
	d.total++
	cause := causeOf(err)
	if d.inFull < d.full || !d.causes[cause] && len(d.causes) < maxCauses {
		d.inFull++
		d.causes[cause] = true
		return true
	}
	d.count++
	d.err, d.fields = err, fields
	if names != nil && len(d.names) <= maxNames {
		d.names = append(d.names, names()...)
	}
	return false
}

// Failing says whether there are so many failures that they are summed up.
func (d *Digest) Failing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.timer != nil && d.total > d.full
}

// Succeeded takes note of a success, which ends the failures unless one came
// lately.
func (d *Digest) Succeeded() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && time.Since(d.last) >= quietPeriod {
		d.end()
	}
}

// Close writes what is left to tell.
func (d *Digest) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.summarize()
		d.timer.Stop()
		d.timer = nil
	}
}

func (d *Digest) begin() {
	d.since, d.total, d.inFull = d.last, 0, 0
	d.causes = map[string]bool{}
	d.interval = firstSummary
	d.timer = time.AfterFunc(d.interval, d.tick)
}

// tick writes a summary, or finds that the failures have ended.
func (d *Digest) tick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer == nil {
		return
	}
	if time.Since(d.last) >= d.interval {
		d.end()
		return
	}
	d.summarize()
	d.inFull = 0
	clear(d.causes)
	d.interval = min(2*d.interval, maxSummary)
	d.timer.Reset(d.interval)
}

func (d *Digest) summarize() {
	if d.count == 0 {
		return
	}
	fields := append(slices.Clone(d.fields), "failures", d.count, "since", d.since.UTC().Format(time.RFC3339), "error", d.err.Error())
	if id := identity.ListUpTo(maxNames, d.names); id != "" {
		fields = append(fields, "id", id)
	}
	d.write(With(d.log, fields...), d.words.More)
	d.count, d.err, d.fields, d.names = 0, nil, nil, nil
}

func (d *Digest) end() {
	d.summarize()
	if d.total > d.full && d.words.Over != "" {
		With(d.log, "failures", d.total, "lasted", d.last.Sub(d.since).Round(time.Millisecond).String()).Info(d.words.Over)
	}
	d.timer.Stop()
	d.timer = nil
}

// causeOf returns the text of an error without its digits, which differ from
// failure to failure.
func causeOf(err error) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return -1
		}
		return c
	}, err.Error())
}
