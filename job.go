package main

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/process"
)

// job is one run of streams.
type job struct {
	version string
	log     atomic.Pointer[service.Logger]
	started atomic.Pointer[time.Time] // nil: no stream has started
}

// options make Benthos tell the job its logger and when a stream starts.
func (j *job) options() []service.CLIOptFunc {
	return []service.CLIOptFunc{
		service.CLIOptOnLoggerInit(func(log *service.Logger) {
			j.log.Store(log)
			log.With("version", j.version, "cores", runtime.GOMAXPROCS(0)).Info("Starting " + name)
		}),
		service.CLIOptOnStreamStart(func(*service.RunningStreamSummary) error {
			j.started.Store(new(time.Now()))
			return nil
		}),
	}
}

// end logs a summary of the run, and returns the program's status: 1 if its work is not done.
func (j *job) end(signalled bool) int {
	started, log := j.started.Load(), j.log.Load()
	if started == nil || log == nil {
		return 0
	}
	if err := process.Sum(log, *started, signalled); err != nil {
		fmt.Fprintf(os.Stderr, "%v: the stream ended before its work was done: %v\n", name, err)
		return 1
	}
	return 0
}
