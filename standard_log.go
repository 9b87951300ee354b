package main

import (
	"log"
	"strings"
	"sync/atomic"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// standardLog passes on to the stream's log what libraries write to Go's standard
// logger. Go's HTTP client writes there, and quotes what a server has sent.
type standardLog struct {
	to *atomic.Pointer[service.Logger]
}

// redirectStandardLog redirects Go's standard logger to the stream's, once there is one.
func redirectStandardLog(to *atomic.Pointer[service.Logger]) {
	log.SetFlags(0)
	log.SetOutput(standardLog{to})
}

// Write passes on one line, without what a server has sent.
func (s standardLog) Write(line []byte) (int, error) {
	text, _, unsolicited := strings.Cut(strings.TrimSpace(string(line)), "Unsolicited response received on idle HTTP channel")
	if unsolicited {
		text = "A server has sent more than its response; its connection is closed"
	}
	if to := s.to.Load(); to != nil {
		to.Warn(text)
	}
	return len(line), nil
}
