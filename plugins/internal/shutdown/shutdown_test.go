package shutdown

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBeginEndsWhatWaits(t *testing.T) {
	t.Cleanup(func() { state.begun = false })
	waiting, cancelWaiting := WithContext(t.Context())
	defer cancelWaiting()
	over, cancelOver := WithContext(t.Context())
	cancelOver()
	require.NoError(t, waiting.Err())

	assert.False(t, Begun())
	Begin()
	assert.True(t, Begun())
	<-waiting.Done()
	require.ErrorIs(t, context.Cause(waiting), ErrBegun)
	assert.Equal(t, context.Canceled, context.Cause(over), "what is over is not told")

	later, cancelLater := WithContext(t.Context())
	defer cancelLater()
	require.ErrorIs(t, context.Cause(later), ErrBegun, "a wait that begins after it ends at once")
	cancelWaiting()
	cancelLater()
	assert.Empty(t, state.waiting, "nothing is kept")
}

func TestContextEndsWithItsParent(t *testing.T) {
	parent, cancelParent := context.WithCancel(t.Context())
	ctx, cancel := WithContext(parent)
	defer cancel()
	cancelParent()
	<-ctx.Done()
	require.NotErrorIs(t, context.Cause(ctx), ErrBegun)
}
