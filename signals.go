package main

import (
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mfn-connect/mfn-connect/plugins/process"
)

const (
	// interrupted is the status of a program that a second signal has ended.
	interrupted = 130
	// listenDelay is how long Benthos may take from the start of the streams until it
	// listens for signals.
	listenDelay = time.Second
)

// watchSignals starts the shutdown of our components at the first signal, at which
// Benthos closes the stream, and ends the program at the second. signalled becomes
// true at the first. started is when the streams have started, nil before. last is
// called before the program ends at the second signal.
func watchSignals(started *atomic.Pointer[time.Time], last func()) (signalled *atomic.Bool) {
	signalled = new(atomic.Bool)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		first := <-signals
		came := time.Now()
		signalled.Store(true)
		process.ShutDown()
		ticks := time.NewTicker(listenDelay / 10)
		defer ticks.Stop()
		repeated := false
		for {
			select {
			case again := <-signals:
				if repeated {
					repeated = false
					continue
				}
				last()
				fmt.Fprintf(os.Stderr, "%v: %v for the second time: ended at once; what was not delivered comes again at the next start\n", name, again)
				os.Exit(interrupted)
			case now := <-ticks.C:
				at := started.Load()
				if at == nil || now.Sub(*at) < listenDelay {
					continue
				}
				ticks.Stop()
				// A signal that comes before Benthos listens for it is lost to Benthos.
				repeated = came.Sub(*at) < listenDelay && raise(first)
			}
		}
	}()
	return signalled
}

// raise sends this process a signal, and reports whether the system can do that.
func raise(s os.Signal) bool {
	self, err := os.FindProcess(os.Getpid())
	return err == nil && self.Signal(s) == nil
}
