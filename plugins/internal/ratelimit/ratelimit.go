// Package ratelimit asks the rate limits that a configuration names as resources.
package ratelimit

import (
	"context"
	"fmt"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// Limit is a rate limit resource.
type Limit struct {
	Label string
	res   *service.Resources
}

// Find returns the rate limit of the label. It fails if there is none, or if it
// cannot be made.
func Find(res *service.Resources, label string) (*Limit, error) {
	if !res.HasRateLimit(label) {
		return nil, fmt.Errorf("there is no rate limit resource %q", label)
	}
	// Benthos makes a resource at the first access, and makes several if the first
	// ones come at once.
	if err := res.AccessRateLimit(context.Background(), label, func(service.RateLimit) {}); err != nil {
		return nil, fmt.Errorf("making the rate limit %q: %w", label, err)
	}
	return &Limit{label, res}, nil
}

// Ask asks for one request. It returns how long to wait before asking again, 0 if
// the request is granted.
func (l *Limit) Ask(ctx context.Context) (wait time.Duration, err error) {
	if accessErr := l.res.AccessRateLimit(ctx, l.Label, func(limit service.RateLimit) {
		wait, err = limit.Access(ctx)
	}); accessErr != nil {
		err = accessErr
	}
	return wait, err
}
