package cli

import (
	"os"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/urfave/cli/v2"

	"github.com/mfn-connect/mfn-connect/plugins/process"
)

const (
	flagProgress  = "progress"
	progressEvery = 30 * time.Second
)

// ProgressFlag is the flag that says how often the progress of a stream is shown.
func ProgressFlag() cli.Flag {
	return &cli.DurationFlag{
		Name: flagProgress, Value: progressEvery,
		Usage: "of a stream that ends by itself, how often the log tells how far it is; 0s for never. On a terminal there is a bar instead",
	}
}

// ProgressOf returns what the flag says.
func ProgressOf(c *cli.Context) time.Duration { return c.Duration(flagProgress) }

// ShowProgress shows how far the sources of the process are that have an end: with a
// bar if f is a terminal, else in the log. Nothing is shown once stop has returned,
// which may be called again.
func ShowProgress(log *service.Logger, f *os.File, every time.Duration) (stop func()) {
	if every <= 0 {
		return func() {}
	}
	show, end := func(p process.Progress) { process.LogProgress(log, p) }, func() {}
	if bar := newBottomBar(f); bar != nil {
		every, show, end = barPeriod, bar.show, bar.end
	}
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer end()
		ticks := time.NewTicker(every)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
			case <-ending:
				return
			}
			if p, ok := current(process.Sources()); ok {
				show(p)
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(ending)
		<-ended
	})
}

// current returns the progress of the first source that is not done.
func current(sources []process.Progress) (process.Progress, bool) {
	for _, p := range sources {
		if p.Done < p.Total {
			return p, true
		}
	}
	return process.Progress{}, false
}
