package input

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/dirwatch"
)

func TestTimeLimitOfAFileOperation(t *testing.T) {
	takes := func(d time.Duration) func() (int, error) {
		return func() (int, error) { time.Sleep(d); return 7, nil }
	}
	synctest.Test(t, func(t *testing.T) {
		for _, limit := range []time.Duration{0, 2 * time.Hour} {
			got, err := timed(t.Context(), limit, takes(time.Hour))
			require.NoError(t, err, limit)
			assert.Equal(t, 7, got, limit)
		}
		late := make(chan int, 1)
		_, err := timed(t.Context(), time.Minute, takes(time.Hour), func(v int) { late <- v })
		require.EqualError(t, err, "timed out after 1m0s")
		assert.Equal(t, 7, <-late, "what comes too late is discarded")

		ended, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		_, err = timed(ended, time.Minute, takes(time.Hour))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, errTimedOut, "it was not the limit that ended it")
		time.Sleep(time.Hour)
	})
}

func TestErrorsOfAPathAreInAUsersWords(t *testing.T) {
	dir, err := dirwatch.New(t.TempDir(), "*.json")
	require.NoError(t, err)
	for _, err := range []error{nil, context.Canceled, context.DeadlineExceeded} {
		assert.Equal(t, err, explainFile(dir, "a.json", err), "what ended it says nothing of the file")
	}
	err = explainFile(dir, "a.json", &fs.PathError{Op: "open", Path: "a.json", Err: errors.New("not known")})
	require.EqualError(t, err, dir.Join("a.json")+": not known")
}
