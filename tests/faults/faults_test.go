package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The short form: a few faults, a few times. `make test-faults` runs them all.
func TestShortForm(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	ok, err := run(ctx, true, "")
	require.NoError(t, err)
	require.True(t, ok, "a fault breaks the promise")
}

func TestTheLedgerFindsWhatIsWrong(t *testing.T) {
	l := newLedger()
	whole := func(id string, dim string) []byte {
		features := `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"n":1,"o":1,"p":1,"q":1,"r":` + dim + `}`
		return []byte(`{"event":"simulation_complete","simulation_id":"` + id + `","features":` + features + `}`)
	}
	for _, id := range []string{"once", "twice", "differs", "lost"} {
		l.send(id)
	}
	l.answer(whole("once", "1"))
	l.answer(whole("twice", "1"))
	l.answer(whole("twice", "1"))
	l.answer(whole("differs", "1"))
	l.answer(whole("differs", "2"))
	l.answer(whole("unknown", "1"))
	l.answer(whole("once", "1")[:50])

	got := l.balance()
	require.Equal(t, 4, got.in)
	require.Equal(t, 3, got.answered)
	require.Equal(t, 1, got.lost)
	require.Equal(t, 2, got.duplicated)
	require.Len(t, got.problems, 4)
	require.False(t, l.complete())
}
