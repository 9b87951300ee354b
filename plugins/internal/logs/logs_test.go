package logs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
)

// logged is a line with a field of each type.
func logged(t *testing.T, line []byte) {
	t.Helper()
	var fields map[string]any
	require.NoError(t, json.Unmarshal(line, &fields), "%s", line)
	assert.InDelta(t, 3.0, fields["max_retries"], 0)
	assert.InDelta(t, 1.5, fields["milliseconds"], 0)
	assert.Equal(t, "7", fields["id"])
	assert.Equal(t, true, fields["last"])
	assert.Equal(t, "x", fields["before"])
	assert.Equal(t, "late", fields["lazy"])
	assert.Equal(t, "NaN", fields["nan"])
	assert.Equal(t, "broken", fields["error"])
}

// write writes a line, and returns whether it has computed the lazy field before.
func write(log *service.Logger) (early bool) {
	computed := false
	log = With(log.With("before", "x"), "max_retries", 3, "milliseconds", 1.5, "id", "7", "last", true, "nan", math.NaN(), "error", errors.New("broken"),
		"lazy", Lazy(func() string { computed = true; return "late" }))
	log.Trace("a line below the level")
	early = computed
	log.Info("line")
	return early
}

func TestNumbersStayNumbersInTheLoggerOfAStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	env := service.NewEnvironment()
	require.NoError(t, env.RegisterProcessor("test_log", service.NewConfigSpec(),
		func(_ *service.ParsedConfig, res *service.Resources) (service.Processor, error) {
			assert.False(t, write(res.Logger()))
			return nil, errors.New("done")
		}))
	builder := env.NewStreamBuilder()
	builder.SetHTTPMux(http.NewServeMux())
	require.NoError(t, builder.SetLoggerYAML(fmt.Sprintf("format: json\nfile: { path: %q }", path)))
	require.NoError(t, builder.AddInputYAML("generate: { mapping: \"root = {}\" }"))
	require.NoError(t, builder.AddOutputYAML("drop: {}"))
	require.NoError(t, builder.AddProcessorYAML("test_log: {}"))
	stream, err := builder.Build()
	require.NoError(t, err)
	require.ErrorContains(t, stream.Run(context.Background()), "done")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range bytes.Lines(content) { // the stream logs lines of its own, too
		if bytes.Contains(line, []byte(`"before"`)) {
			logged(t, line)
			return
		}
	}
	t.Errorf("the line is missing: %s", content)
}

func TestNumbersStayNumbersInALoggerOfSlog(t *testing.T) {
	var out bytes.Buffer
	write(service.NewLoggerFromSlog(slog.New(slog.NewJSONHandler(&out, nil))))
	logged(t, out.Bytes())
}

func TestALoggerThatIsBuiltInAnotherWay(t *testing.T) {
	assert.False(t, wrapped(&struct{ n any }{}).IsValid())
	assert.False(t, wrapped(&struct{ m int }{}).IsValid())
	assert.True(t, wrapped(&struct{ m any }{}).IsValid())
}

func TestNoLogger(t *testing.T) {
	assert.Nil(t, With(nil, "key", 1))
}
