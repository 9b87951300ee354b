package main

import (
	"log"
	"strings"
	"sync/atomic"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// standardLog writes to the stream's log what libraries write to Go's own. Go's HTTP
// client does, with the beginning of what a server has sent.
type standardLog struct {
	to *atomic.Pointer[service.Logger]
}

// takeStandardLog has Go's log end in the stream's, once there is one.
func takeStandardLog(to *atomic.Pointer[service.Logger]) {
	log.SetFlags(0)
	log.SetOutput(standardLog{to})
}

// Write writes one line, without what came from a server.
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
