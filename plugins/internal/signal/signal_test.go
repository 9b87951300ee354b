package signal

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSignalHoldsOneWakeUp(t *testing.T) {
	s := New()
	assert.Empty(t, s.C())
	s.Set()
	s.Set()
	assert.Len(t, s.C(), 1)
	<-s.C()
	assert.Empty(t, s.C())
	s.Set()
	assert.Len(t, s.C(), 1)
}
