package kafka

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestOffsets(t *testing.T) {
	var o Checkpointer
	_, known := o.Position()
	assert.False(t, known)

	a, b, c := o.Add(9, 1, 10), o.Add(10, 1, 1), o.Add(14, 2, 4)
	assert.Equal(t, 15, o.InFlight())
	o.Confirm(b)
	_, known = o.Position()
	assert.False(t, known, "the first is not confirmed")
	o.Confirm(a)
	o.Confirm(a)
	at, known := o.Position()
	assert.True(t, known)
	assert.Equal(t, kgo.EpochOffset{Epoch: 1, Offset: 11}, at)
	assert.Equal(t, 4, o.InFlight())

	d := o.Add(15, 2, 1)
	o.Undo(c) // not the last
	assert.Equal(t, 5, o.InFlight())
	o.Undo(d)
	assert.Equal(t, 4, o.InFlight())
	o.Confirm(c)
	at, _ = o.Position()
	assert.Equal(t, kgo.EpochOffset{Epoch: 2, Offset: 15}, at)
	o.Undo(c) // confirmed already
	assert.Zero(t, o.InFlight())
}

// checkOffsets does what the bytes say and compares with an account that is
// kept the slow way: the position is that of the first record not confirmed.
func checkOffsets(t *testing.T, steps []byte) {
	t.Helper()
	type batch struct {
		handed    *InFlightBatch
		count     int
		end       int64
		confirmed bool
	}
	var o Checkpointer
	var all []*batch
	next := int64(0)
	for _, step := range steps {
		switch {
		case step < 100: // hand out, with a gap of offsets now and then
			count := int(step%7) + 1
			next += int64(count) + int64(step%3)
			all = append(all, &batch{handed: o.Add(next-1, 0, count), count: count, end: next})
		case step < 240: // confirm one, perhaps again
			if len(all) > 0 {
				b := all[int(step)*31%len(all)]
				o.Confirm(b.handed)
				b.confirmed = true
			}
		default: // take the last one back
			if n := len(all); n > 0 && !all[n-1].confirmed {
				o.Undo(all[n-1].handed)
				all = all[:n-1]
			}
		}

		inFlight, span, position, open := 0, 0, int64(-1), false
		for _, b := range all {
			if !b.confirmed {
				inFlight += b.count
				open = true
			} else if !open {
				position = b.end
			}
			if open {
				span += b.count
			}
		}
		require.Equal(t, inFlight, o.InFlight())
		require.Equal(t, span, o.Span())
		at, known := o.Position()
		require.Equal(t, position >= 0, known)
		if known {
			require.Equal(t, position, at.Offset)
		}
	}
}

func TestOffsetsProperty(t *testing.T) {
	for range 300 {
		steps := make([]byte, rand.IntN(400))
		for i := range steps {
			steps[i] = byte(rand.Uint32())
		}
		checkOffsets(t, steps)
	}
}

func FuzzOffsets(f *testing.F) {
	f.Add([]byte{1, 2, 3, 120, 121, 122, 250})
	f.Add([]byte{6, 6, 6, 239, 100, 4, 255, 255})
	f.Fuzz(checkOffsets)
}
