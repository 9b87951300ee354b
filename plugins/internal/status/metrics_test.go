package status_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

func TestMetricsOfAComponent(t *testing.T) {
	conf, counts := streamtest.NoteMetrics(t)
	builder := service.NewResourceBuilder()
	require.NoError(t, builder.SetMetricsYAML(conf))
	res, end, err := builder.Build()
	require.NoError(t, err)
	begin := time.Now()
	c := status.New(res, t.Name(), status.Publisher)
	want := map[string]float64{
		status.InfoMetric: 1, "mfn_requests_total success": 0, "mfn_requests_total error": 0, "mfn_retries_total": 0,
		"mfn_failed_operations_total": 0, "mfn_bytes_total": 0, "mfn_no_space_errors_total": 0,
	}
	assert.Equal(t, want, counts(), "what will be counted is there from the beginning")

	c.AttemptSucceeded(100)
	c.AttemptSucceeded(20)
	c.AttemptFailed(errors.New("refused"))
	for range 3 {
		c.Retried()
	}
	for range 4 {
		c.OperationFailed(fmt.Errorf("writing: %w", syscall.ENOSPC))
	}
	c.Failed(syscall.EDQUOT)
	c.Took(time.Second)
	c.SetCircuitState(2)
	c.Expect("points", 30)
	c.Progressed(6)
	got := counts()
	for _, name := range []string{"mfn_last_success_timestamp_seconds", "mfn_last_error_timestamp_seconds", "mfn_source_remaining_seconds"} {
		assert.Positive(t, got[name], name)
		if name != "mfn_source_remaining_seconds" {
			assert.GreaterOrEqual(t, got[name], float64(begin.UnixMilli())/1000, name)
		}
		delete(got, name)
	}
	assert.Equal(t, map[string]float64{
		status.InfoMetric: 1, "mfn_requests_total success": 2, "mfn_requests_total error": 1, "mfn_retries_total": 3,
		"mfn_failed_operations_total": 4, "mfn_bytes_total": 120, "mfn_no_space_errors_total": 5,
		"mfn_request_duration_seconds": 1, "mfn_circuit_state": 2, "mfn_source_size": 30, "mfn_source_done": 6,
	}, got)

	c.Close()
	assert.Zero(t, counts()[status.InfoMetric])
	require.NoError(t, end(t.Context()))
}
