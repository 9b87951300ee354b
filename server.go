package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// flushDelay is how long the program waits for its HTTP server, which Benthos ends
// without waiting for the answers that it has just written.
const flushDelay = 100 * time.Millisecond

// serverLog reads Benthos's log for what its HTTP server does. Benthos goes on when
// the server cannot listen, and says so only in its log.
type serverLog struct{ serves *atomic.Bool }

// watchServer returns the option that ends the program if the HTTP server cannot
// listen. serves tells whether there is a server.
func watchServer() (opt service.CLIOptFunc, serves *atomic.Bool) {
	serves = new(atomic.Bool)
	return service.CLIOptAddTeeLogger(slog.New(serverLog{serves})), serves
}

// Enabled skips debug lines: none is about the server.
func (serverLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle reads one line.
func (l serverLog) Handle(_ context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "Listening for HTTP requests") {
		l.serves.Store(true)
	}
	if reason, failed := strings.CutPrefix(r.Message, "HTTP Server error: "); failed {
		fmt.Fprintf(os.Stderr, "%v: the HTTP server cannot listen: %v; set another http.address, or http.enabled: false\n", name, strings.TrimSpace(reason))
		os.Exit(1)
	}
	return nil
}

// WithAttrs returns the same handler: no attribute matters.
func (l serverLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup returns the same handler.
func (l serverLog) WithGroup(string) slog.Handler { return l }
