package kafka

import (
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
)

// clientLog passes on what the Kafka client logs, one level lower below
// warnings, since it tells of its own inner life. It never holds credentials.
type clientLog struct{ log *service.Logger }

// Level is the most the client may log; Benthos's logger does the filtering.
func (clientLog) Level() kgo.LogLevel { return kgo.LogLevelDebug }

// Log passes on one line.
func (l clientLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	log := logs.With(l.log, keyvals...)
	switch level {
	case kgo.LogLevelError:
		log.Error(msg)
	case kgo.LogLevelWarn:
		log.Warn(msg)
	case kgo.LogLevelInfo:
		log.Debug(msg)
	case kgo.LogLevelDebug, kgo.LogLevelNone:
		log.Trace(msg)
	}
}
