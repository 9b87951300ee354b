package dirwatch

import (
	"container/heap"
	"time"
)

// Queue holds files until they are ready, and gives those that are in the order
// of their paths. It costs the logarithm of its length to use.
type Queue struct {
	minAge  time.Duration
	items   map[string]*item
	waiting itemHeap // by the time when they are ready
	ready   itemHeap // by path
	bytes   int64    // of all files
}

type item struct {
	file    File
	readyAt time.Time
	tries   int
	heap    *itemHeap
	index   int // in heap
}

// NewQueue returns a queue. A file is ready when it has not changed for minAge.
func NewQueue(minAge time.Duration) *Queue {
	return &Queue{
		minAge:  minAge,
		items:   map[string]*item{},
		waiting: itemHeap{less: func(a, b *item) bool { return a.readyAt.Before(b.readyAt) }},
		ready:   itemHeap{less: func(a, b *item) bool { return a.file.Path < b.file.Path }},
	}
}

// Len returns the number of files.
func (q *Queue) Len() int { return len(q.items) }

// Bytes returns the size of the files together.
func (q *Queue) Bytes() int64 { return q.bytes }

// Offer adds a file that has not changed since then, as far as is known. A file
// that is there already, unchanged, keeps its place.
func (q *Queue) Offer(f File, since time.Time) {
	if it, ok := q.items[f.Path]; ok && it.file.Version == f.Version {
		return
	}
	q.put(&item{file: f, readyAt: since.Add(q.minAge)})
}

// Requeue adds a file that has failed tries times, to be ready at a time.
func (q *Queue) Requeue(f File, tries int, at time.Time) {
	q.put(&item{file: f, readyAt: at, tries: tries})
}

func (q *Queue) put(it *item) {
	q.Remove(it.file.Path)
	q.items[it.file.Path] = it
	q.bytes += it.file.Size
	q.waiting.push(it)
}

// Remove removes a file, if it is there.
func (q *Queue) Remove(path string) {
	if it, ok := q.items[path]; ok {
		delete(q.items, path)
		q.bytes -= it.file.Size
		heap.Remove(it.heap, it.index)
	}
}

// Retain removes the files that keep says no to.
func (q *Queue) Retain(keep func(path string) bool) {
	for path := range q.items {
		if !keep(path) {
			q.Remove(path)
		}
	}
}

// Pop takes the first file that is ready now, with the number of times that it
// was taken before.
func (q *Queue) Pop(now time.Time) (f File, tries int, ok bool) {
	for q.waiting.Len() > 0 && !q.waiting.items[0].readyAt.After(now) {
		q.ready.push(heap.Pop(&q.waiting).(*item))
	}
	if q.ready.Len() == 0 {
		return File{}, 0, false
	}
	it := q.ready.items[0]
	q.Remove(it.file.Path)
	return it.file, it.tries, true
}

// Next returns the time when a file will be ready; false if none waits.
func (q *Queue) Next() (time.Time, bool) {
	if q.ready.Len() > 0 {
		return time.Time{}, true
	}
	if q.waiting.Len() == 0 {
		return time.Time{}, false
	}
	return q.waiting.items[0].readyAt, true
}

// itemHeap is a heap whose items know their places.
type itemHeap struct {
	items []*item
	less  func(a, b *item) bool
}

func (h *itemHeap) push(it *item) {
	it.heap = h
	heap.Push(h, it)
}

func (h *itemHeap) Len() int           { return len(h.items) }
func (h *itemHeap) Less(i, j int) bool { return h.less(h.items[i], h.items[j]) }
func (h *itemHeap) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.items[i].index, h.items[j].index = i, j
}

// Push is for container/heap.
func (h *itemHeap) Push(x any) {
	it := x.(*item)
	it.index = len(h.items)
	h.items = append(h.items, it)
}

// Pop is for container/heap.
func (h *itemHeap) Pop() any {
	last := len(h.items) - 1
	it := h.items[last]
	h.items[last] = nil
	h.items = h.items[:last]
	return it
}
