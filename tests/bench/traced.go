package main

import (
	"fmt"
	"io"
	"net/http"
)

// tracerTo returns the section of a stream that sends traces to a collector.
func tracerTo(address string) string {
	return fmt.Sprintf("tracer: { open_telemetry_collector: { http: [ { address: '%v' } ] } }", address)
}

// takeTraces is a collector that keeps nothing.
func takeTraces(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // the program may have gone
}

// sitsOut says whether the column has no part in the shape: tracing costs the same for
// every shape, which shows in the smallest.
func (c *column) sitsOut(s shape) bool { return c.name == tracedName && s != shapes[0] }
