// Package await lets tests wait for conditions, never for the clock.
package await

import (
	"time"

	"github.com/stretchr/testify/require"
)

// Patience is longer than a slow machine needs for what must happen.
const Patience = time.Minute

const period = 5 * time.Millisecond

// Until waits until the condition holds. What says it in words.
func Until(t require.TestingT, condition func() bool, what ...any) {
	if h, ok := t.(interface{ Helper() }); ok {
		h.Helper()
	}
	require.Eventually(t, condition, Patience, period, what...)
}
