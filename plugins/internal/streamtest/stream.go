package streamtest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

// Logs collects log lines of every level.
type Logs struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write adds a line.
func (l *Logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

// String returns the lines so far.
func (l *Logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// Stream is a stream that runs.
type Stream struct {
	Logs   *Logs
	stream *service.Stream
	ended  chan struct{} // closed when Run has returned
	err    error         // of Run
}

// Run builds a stream of what prepare adds, and runs it until the test ends.
func Run(t *testing.T, prepare func(*service.StreamBuilder)) *Stream {
	t.Helper()
	VerifyNoLeak(t)
	s := &Stream{Logs: &Logs{}, ended: make(chan struct{})}
	b := service.NewStreamBuilder()
	prepare(b)
	b.SetLogger(slog.New(slog.NewTextHandler(s.Logs, &slog.HandlerOptions{Level: slog.Level(math.MinInt32)})))
	stream, err := b.Build()
	require.NoError(t, err)
	s.stream = stream
	go func() {
		defer close(s.ended)
		s.err = stream.Run(context.Background())
	}()
	t.Cleanup(func() { s.Stop(t) })
	return s
}

// Stop ends the stream, if it runs.
func (s *Stream) Stop(t *testing.T) {
	t.Helper()
	s.StopWithin(t, await.Patience)
}

// StopWithin ends the stream, if it runs, with so much time for the messages
// under way.
func (s *Stream) StopWithin(t *testing.T, timeout time.Duration) {
	t.Helper()
	await.Until(t, func() bool {
		select {
		case <-s.ended:
			return true
		default:
			return s.stream.StopWithin(timeout) == nil
		}
	}, "the stream stops")
	s.AwaitEnd(t)
}

// AwaitEnd waits until the stream has ended.
func (s *Stream) AwaitEnd(t *testing.T) {
	t.Helper()
	select {
	case <-s.ended:
		require.NoError(t, s.err)
	case <-time.After(await.Patience):
		require.Fail(t, "the stream has not ended", s.Logs.String())
	}
}

// Report returns what the registry reports of the newest component of a type.
func Report(t *testing.T, typ string) status.ComponentReport {
	t.Helper()
	var newest status.ComponentReport
	for _, c := range status.Snapshot().Components {
		if c.Type == typ {
			newest = c
		}
	}
	require.Equal(t, typ, newest.Type, "no such component")
	return newest
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func certificatePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// Echo returns what the echo command shows of a stream's configuration, given in
// JSON.
func Echo(t *testing.T, conf string) string {
	t.Helper()
	var parsed any
	require.NoError(t, json.Unmarshal([]byte(conf), &parsed))
	schema := service.GlobalEnvironment().FullConfigSchema("", "")
	shown, err := schema.NewStreamConfigMarshaller().SetScrubSecrets(true).AnyToYAML(parsed)
	require.NoError(t, err)
	return shown
}

// Build builds streams of a component's examples, which so are linted too.
func Build(t *testing.T, view *service.ConfigView) {
	t.Helper()
	data, err := view.TemplateData()
	require.NoError(t, err)
	require.NotEmpty(t, data.Examples)
	for _, example := range data.Examples {
		b := service.NewStreamBuilder()
		b.SetEnvVarLookupFunc(func(name string) (string, bool) { return base64.StdEncoding.EncodeToString([]byte(name)), true })
		require.NoError(t, b.SetYAML(example.Config), example.Title)
		_, err := b.Build()
		require.NoError(t, err, example.Title)
	}
}
