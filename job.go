package main

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	ucli "github.com/urfave/cli/v2"

	"github.com/mfn-connect/mfn-connect/internal/cli"
	"github.com/mfn-connect/mfn-connect/plugins/page"
	"github.com/mfn-connect/mfn-connect/plugins/process"
)

// job is one run of streams.
type job struct {
	version string
	log     atomic.Pointer[service.Logger]
	started atomic.Pointer[time.Time] // nil: no stream has started

	progressEvery time.Duration
	stopProgress  atomic.Pointer[func()] // nil: none is shown

	page *page.Server // nil: none is served
}

// options make Benthos tell the job its logger, its configuration and when a stream
// starts.
func (j *job) options() []service.CLIOptFunc {
	return []service.CLIOptFunc{
		service.CLIOptOnLoggerInit(func(log *service.Logger) {
			j.log.Store(log)
			log.With("version", j.version, "cores", runtime.GOMAXPROCS(0)).Info("Starting " + name)
		}),
		service.CLIOptOnConfigParse(func(conf *service.ParsedConfig) (err error) {
			j.page, err = page.Start(conf, j.version, j.log.Load())
			return err
		}),
		service.CLIOptOnStreamStart(func(*service.RunningStreamSummary) error {
			j.started.Store(new(time.Now()))
			j.stopProgress.Store(new(cli.ShowProgress(j.log.Load(), os.Stderr, j.progressEvery)))
			return nil
		}),
	}
}

// flags are those that this program adds to Benthos's for running streams.
func (j *job) flags() service.CLIOptFunc {
	return service.CLIOptCustomRunFlags([]ucli.Flag{addressFlag(), cli.ProgressFlag()}, func(c *ucli.Context) error {
		j.progressEvery = cli.ProgressOf(c)
		return nil
	})
}

// hideProgress ends what is shown of the progress, so that the terminal is as it
// was.
func (j *job) hideProgress() {
	if stop := j.stopProgress.Load(); stop != nil {
		(*stop)()
	}
}

// end logs a summary of the run, and returns the program's status: 1 if its work is not done.
func (j *job) end(signalled bool) int {
	j.hideProgress()
	started, log := j.started.Load(), j.log.Load()
	if started == nil || log == nil {
		return 0
	}
	err := process.Sum(log, *started, signalled)
	j.page.End(err)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%v: the stream ended before its work was done: %v\n", name, err)
		return 1
	}
	return 0
}
