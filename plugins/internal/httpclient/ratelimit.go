package httpclient

import (
	"context"
	"fmt"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/ratelimit"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/shutdown"
)

var rateLimit = fields.Text("rate_limit")

// inaccessiblePause is the pause after a rate limit that could not be asked.
const inaccessiblePause = time.Second

// RateLimitField returns the field that names a rate limit.
func RateLimitField() *service.ConfigField {
	return rateLimit.Field().
		Description("The label of a rate limit resource that each request waits for, those of retries included. Components that name the same one share it.").
		Default("").
		Advanced()
}

// RateLimit is a rate limit resource. A nil one grants every request.
type RateLimit struct {
	*ratelimit.Limit
	log      *service.Logger
	failures *logs.Digest
}

// ParseRateLimit reads the field. It returns nil if no rate limit is named.
func ParseRateLimit(conf *service.ParsedConfig, res *service.Resources) (*RateLimit, error) {
	label, err := rateLimit.Parse(conf)
	if err != nil || label == "" {
		return nil, err
	}
	limit, err := ratelimit.Find(res, label)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", rateLimit.Name(), err)
	}
	return &RateLimit{limit, res.Logger(), logs.NewDigest(res.Logger(), (*service.Logger).Error, 1, logs.DigestWords{
		More: "Rate limit still cannot be accessed",
		Over: "Rate limit can be accessed again",
	})}, nil
}

// Admit waits until the rate limit grants a request. It returns an error only when
// ctx ends or the process is shutting down.
func (l *RateLimit) Admit(ctx context.Context) error {
	if l == nil {
		return ctx.Err()
	}
	ctx, cancel := shutdown.WithContext(ctx)
	defer cancel()
	for {
		wait := l.access(ctx)
		if wait <= 0 {
			return context.Cause(ctx)
		}
		if retry.Sleep(ctx, wait) != nil {
			return context.Cause(ctx)
		}
	}
}

// access asks for a request, and returns how long to wait before asking again.
func (l *RateLimit) access(ctx context.Context) time.Duration {
	wait, err := l.Ask(ctx)
	switch {
	case err == nil:
		l.failures.Succeeded()
		return wait
	case ctx.Err() != nil:
		return 0
	}
	if l.failures.Failed(err, nil, "rate_limit", l.Label) {
		logs.With(l.log, "rate_limit", l.Label, "error", err.Error()).Error("Rate limit cannot be accessed")
	}
	return inaccessiblePause
}
