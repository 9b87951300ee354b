package tracer

import (
	"context"
	"sync"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// running are the tracers of this process.
var running providers

type providers struct {
	mu   sync.Mutex
	list []*sdktrace.TracerProvider
}

func (p *providers) add(provider *sdktrace.TracerProvider) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, provider)
}

// Flush sends the last spans. Benthos does so itself at the end of a stream, but not
// of one that took longer than its shutdown_timeout.
func Flush() {
	running.mu.Lock()
	list := running.list
	running.list = nil
	running.mu.Unlock()
	for _, provider := range list {
		_ = provider.Shutdown(context.Background()) // its queues have told of errors
	}
}
