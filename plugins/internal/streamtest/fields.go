package streamtest

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// Spellings are values of every type as users write them in YAML, for tests of what
// a field takes.
var Spellings = []string{
	"", "~", "null", "# comment", "!tag", "!tag x", `""`, "text", "'two words'", "0123456", "12", "-1", "0", "1e3", "1.5", ".inf", ".nan",
	"99999999999999999999", "true", "yes", "off", "False", "2026-11-25", "5s", "0s", "-5s", "1h30m", "256MiB", "0B",
	"[]", "[a]", "[~]", "{}", "{a: b}", "{a: ~}", "'*.json'", "'**/*.{a,b}'", "'['", "'[!]'", "'[]a]'", `'[a\]]'`, `'a\'`, "'{a'", "'a}'", "'{a,{b,[}]}}'",
	"../x", "/x", "a/./b", "a/../b", "..", ".", "a/", "./", "a.mfn-tmp", "'{{{{{}}}}}'", "'${! 1 }'", "'${! bad( }'", "'${! json(\"a\") }/../b'", "'${{! x }}'",
	"'{timestamp}/a'", "exponential_backoff", `"a\0b"`,
}

// Nulls are those of Spellings that mean nothing.
var Nulls = []string{"", "~", "null", "# comment"}

// Start builds a stream of what prepare adds, without lint, and runs it for a
// moment. It returns what keeps it from starting.
func Start(t *testing.T, prepare func(*service.StreamBuilder) error) error {
	t.Helper()
	b := service.NewStreamBuilder()
	b.DisableLinting()
	b.SetLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err := prepare(b); err != nil {
		return err
	}
	stream, err := b.Build()
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(context.Background()) }()
	for {
		_ = stream.StopWithin(await.Patience) // fails until the stream runs
		select {
		case err := <-ended:
			return err
		case <-time.After(time.Millisecond):
		}
	}
}
