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

// tuneGC has the heap grow to twice what is live, as is usual, but by no less
// than room: after each collection the percentage is set anew.
func tuneGC() {
	debug.SetGCPercent(400) // until the first collection
	type cycle struct{ _ [16]byte }
	var again func(*cycle)
	again = func(c *cycle) {
		debug.SetGCPercent(percentFor(liveBytes()))
		runtime.SetFinalizer(c, again) // runs after the next collection
	}
	runtime.SetFinalizer(&cycle{}, again)
}

// percentFor returns by how much the heap may grow above what is live. The
// smallest heap that the runtime works with is 4 MiB for each 100 per cent, so that
// no more than mostPercent are needed.
func percentFor(live uint64) int {
	const mostPercent = minHeapGrowth / (4 << 20) * 100
	return int(max(100, min(mostPercent, minHeapGrowth*100/max(live, 1))))
}

// liveBytes returns what the last collection left.
func liveBytes() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
