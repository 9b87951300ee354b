package ratelimit

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// counting grants every request.
type counting struct{}

func (counting) Access(context.Context) (time.Duration, error) { return 0, nil }
func (counting) Close(context.Context) error                   { return nil }

// A rate limit that several ask for at once is one.
func TestARateLimitIsMadeOnce(t *testing.T) {
	var made atomic.Int64
	require.NoError(t, service.RegisterRateLimit("counting", service.NewConfigSpec(), func(*service.ParsedConfig, *service.Resources) (service.RateLimit, error) {
		made.Add(1)
		return counting{}, nil
	}))
	resources := service.NewResourceBuilder()
	require.NoError(t, resources.AddRateLimitYAML("label: shared\ncounting: {}"))
	res, stop, err := resources.Build()
	require.NoError(t, err)
	defer func() { require.NoError(t, stop(context.Background())) }()

	_, err = Find(res, "missing")
	require.EqualError(t, err, `there is no rate limit resource "missing"`)
	limit, err := Find(res, "shared")
	require.NoError(t, err)
	var asking sync.WaitGroup
	for range 50 {
		asking.Go(func() {
			wait, err := limit.Ask(t.Context())
			assert.NoError(t, err)
			assert.Zero(t, wait)
		})
	}
	asking.Wait()
	assert.EqualValues(t, 1, made.Load())
}
