package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// minHeapGrowth is how many bytes may be allocated, at least, before garbage is collected
// again. Little is live in most streams, and a collection for each few megabytes
// would take a tenth of a core.
const minHeapGrowth = 64 << 20

// tuneGC lets the heap grow to twice what is live, as is usual, but by at least
// minHeapGrowth: it sets the percentage again after each collection.
func tuneGC() {
	debug.SetGCPercent(400) // until the first collection
	type cycle struct{ _ [16]byte }
	var onCollection func(*cycle)
	onCollection = func(c *cycle) {
		debug.SetGCPercent(percentFor(liveBytes()))
		runtime.SetFinalizer(c, onCollection) // runs after the next collection
	}
	runtime.SetFinalizer(&cycle{}, onCollection)
}

// percentFor returns by how many per cent the heap may grow above what is live.
// The runtime works with a heap of at least 4 MiB for each 100 per cent, so
// maxPercent is enough when nothing is live.
func percentFor(live uint64) int {
	const maxPercent = minHeapGrowth / (4 << 20) * 100
	return int(max(100, min(maxPercent, minHeapGrowth*100/max(live, 1))))
}

// liveBytes returns what the last collection left.
func liveBytes() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
