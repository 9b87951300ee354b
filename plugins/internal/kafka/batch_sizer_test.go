package kafka

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestBatchSizer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBatchSizer(10 * time.Millisecond)
		assert.Equal(t, 1, p.batchSize())
		confirm := func(n int, every time.Duration) {
			for range 1000 {
				time.Sleep(every)
				p.confirmed(n)
			}
		}
		confirm(5, time.Millisecond) // 5000 a second
		assert.Equal(t, 50, p.batchSize())
		confirm(1, 5*time.Millisecond)
		assert.Equal(t, 2, p.batchSize())
		confirm(1, time.Second)
		assert.Equal(t, 1, p.batchSize())

		// What was idle for long does not begin with large batches.
		confirm(5, time.Millisecond)
		time.Sleep(time.Hour)
		p.confirmed(1)
		assert.Equal(t, 1, p.batchSize())
	})
}

func TestBatchSizerOfOneRecord(t *testing.T) {
	p := newBatchSizer(0)
	for range 1000 {
		p.confirmed(1000)
	}
	assert.Equal(t, 1, p.batchSize())
}
