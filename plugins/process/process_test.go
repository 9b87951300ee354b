package process

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
)

func TestUndone(t *testing.T) {
	finite := func(l *ledger.Ledger) { l.SetFinite() }
	failed := func(l *ledger.Ledger) { l.Fail(errors.New("page 2 is missing")) }
	left := func(l *ledger.Ledger) { l.Leave("a", errors.New("refused")) }
	for _, test := range []struct {
		name      string
		happened  []func(*ledger.Ledger)
		signalled bool
		want      string // empty: done
	}{
		{"a job that is done", []func(*ledger.Ledger){finite}, false, ""},
		{"a stream that was ended", nil, true, ""},
		{"a stream that was ended while it had rejected messages", []func(*ledger.Ledger){left}, true, ""},
		{"a job that was interrupted", []func(*ledger.Ledger){finite}, true, "it was interrupted"},
		{"a message left", []func(*ledger.Ledger){finite, left}, false, "1 message is left undelivered: a: refused"},
		{"two messages left", []func(*ledger.Ledger){left, left}, false, "2 messages are left undelivered, the first of them a: refused"},
		{"a failure", []func(*ledger.Ledger){failed}, true, "page 2 is missing"},
		{"a failure and a message left", []func(*ledger.Ledger){failed, left}, false, "page 2 is missing; 1 message is left undelivered: a: refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var l ledger.Ledger
			for _, happen := range test.happened {
				happen(&l)
			}
			err := undone(&l, test.signalled)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			assert.EqualError(t, err, test.want)
		})
	}
}

func TestProgressIsALineOfRoundNumbers(t *testing.T) {
	line := func(p Progress) string {
		var out bytes.Buffer
		LogProgress(service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(&out, nil))), p)
		return out.String()
	}
	got := line(Progress{Unit: "points", Done: 3, Total: 9, RatePerSecond: 1.23456, RemainingSeconds: new(4.86)})
	for _, want := range []string{"done=3", "of=9", "unit=points", "rate_per_second=1.23 ", "remaining_seconds=5", `msg="Stream is under way"`} {
		assert.Contains(t, got, want)
	}
	assert.NotContains(t, line(Progress{Unit: "points", Total: 9}), "remaining_seconds", "there is no rate yet")
}
