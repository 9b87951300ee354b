package main

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

func TestTheHeapMayGrowByRoomOrDouble(t *testing.T) {
	assert.Equal(t, 800, percentFor(8<<20))
	assert.Equal(t, 100, percentFor(minHeapGrowth))
	assert.Equal(t, 100, percentFor(10*minHeapGrowth), "a large heap doubles, no more")
	assert.Equal(t, 1600, percentFor(0))
}

func TestRoomIsSetAfterEachCollection(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	tuneGC()
	held := make([][]byte, 0, 64)
	for range cap(held) {
		held = append(held, make([]byte, 4<<20))
		runtime.GC()
	}
	current := func() int {
		percent := debug.SetGCPercent(100)
		debug.SetGCPercent(percent)
		return percent
	}
	await.Until(t, func() bool { return current() == 100 }, "as %v MiB are live", len(held)*4)
	runtime.KeepAlive(held)
	await.Until(t, func() bool { runtime.GC(); return current() > 100 })
}
