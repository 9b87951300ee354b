package httpclient

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"0":                              0,
		"120":                            2 * time.Minute,
		" 7 ":                            7 * time.Second,
		"9999999999":                     math.MaxInt64,
		"99999999999999999999999999999":  math.MaxInt64,
		"Sun, 01 Mar 2026 12:00:30 GMT":  30 * time.Second,
		"Sunday, 01-Mar-26 12:00:30 GMT": 30 * time.Second,
		"Sun Mar  1 12:00:30 2026":       30 * time.Second,
		"Sun, 01 Mar 2026 11:00:00 GMT":  0,
		"Fri, 01 Jan 9999 00:00:00 GMT":  math.MaxInt64,
		"Thu, 01 Jan 1970 00:00:00 GMT":  0,
	} {
		t.Run(value, func(t *testing.T) {
			got, ok := RetryAfter(http.Header{"Retry-After": {value}}, now)
			assert.True(t, ok, value)
			assert.Equal(t, want, got, value)
		})
	}
	for _, value := range []string{"", "soon", "-1", "1.5", "1e3", "+1", "12:00", "2026-03-01T12:00:30Z"} {
		_, ok := RetryAfter(http.Header{"Retry-After": {value}}, now)
		assert.False(t, ok, value)
	}
}

func TestRetryAfterDateIsMeasuredByTheServersClock(t *testing.T) {
	h := http.Header{"Retry-After": {"Sun, 01 Mar 2026 12:00:30 GMT"}, "Date": {"Sun, 01 Mar 2026 12:00:00 GMT"}}
	got, ok := RetryAfter(h, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
	assert.True(t, ok)
	assert.Equal(t, 30*time.Second, got)
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"0", "120", "99999999999999999999", "Sun, 01 Mar 2026 12:00:30 GMT", "", "-1"} {
		f.Add(s, "")
		f.Add(s, "Sun, 01 Mar 2026 12:00:00 GMT")
	}
	f.Fuzz(func(t *testing.T, after, date string) {
		d, ok := RetryAfter(http.Header{"Retry-After": {after}, "Date": {date}}, time.Now())
		assert.False(t, d < 0 || (!ok && d != 0), "%q, %q: %v, %v", after, date, d, ok)
	})
}
