package main

import (
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/mfn-connect/mfn-connect/plugins/process"
)

// interrupted is the status of a program that a second signal has ended.
const interrupted = 130

// watchSignals starts the shutdown of our components at the first signal, at which
// Benthos closes the stream, and ends the program at the second. signalled becomes
// true at the first. last is called before the program ends at the second.
func watchSignals(last func()) (signalled *atomic.Bool) {
	signalled = new(atomic.Bool)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signalled.Store(true)
		process.ShutDown()
		again := <-signals
		last()
		fmt.Fprintf(os.Stderr, "%v: %v for the second time: ended at once; what was not delivered comes again at the next start\n", name, again)
		os.Exit(interrupted)
	}()
	return signalled
}
