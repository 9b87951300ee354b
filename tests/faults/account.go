package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// account is a book that may be kept for any length of time: what is answered
// is forgotten but for being counted. Its messages are those of message, in
// order.
type account struct {
	freeSlot chan struct{} // holds what may still be sent before an answer comes

	mu        sync.Mutex
	waiting   map[string]time.Time // since when
	sent      int
	again     int
	latencies latencies
	problems  []string
}

// newAccount allows so many messages to wait for their answer.
func newAccount(maxWaiting int) *account {
	a := &account{freeSlot: make(chan struct{}, maxWaiting), waiting: map[string]time.Time{}}
	for range maxWaiting {
		a.freeSlot <- struct{}{}
	}
	return a
}

// reserve waits until there is room for this many messages, at least, and takes
// what there is. When ctx ends it returns 0.
func (a *account) reserve(ctx context.Context, minimum int) (n int) {
	for ; n < minimum; n++ {
		select {
		case <-a.freeSlot:
		case <-ctx.Done():
			return 0
		}
	}
	for ; ; n++ {
		select {
		case <-a.freeSlot:
		default:
			return n
		}
	}
}

func (a *account) send(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting[id] = time.Now()
	a.sent++
}

func (a *account) answer(body []byte) {
	id, whole := simulated(body)
	a.mu.Lock()
	defer a.mu.Unlock()
	if !whole {
		a.problem("an answer is no whole result: %.200q", body)
		return
	}
	if since, ok := a.waiting[id]; ok {
		delete(a.waiting, id)
		a.latencies.add(time.Since(since))
		a.freeSlot <- struct{}{}
		return
	}
	var i int
	if _, err := fmt.Sscanf(id, "m%d", &i); err != nil || id != messageID(i) || i >= a.sent {
		a.problem("an answer to a message that was never sent: %v", id)
		return
	}
	a.again++
}

const maxProblems = 100

// problem is called with the lock held.
func (a *account) problem(format string, args ...any) {
	if len(a.problems) < maxProblems {
		a.problems = append(a.problems, fmt.Sprintf(format, args...))
	}
}

func (a *account) complain(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.problem(format, args...)
}

func (a *account) complete() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.waiting) == 0
}

func (a *account) result() balance {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id := range a.waiting {
		a.problem("lost: %v", id)
	}
	return balance{
		in: a.sent, answered: a.sent - len(a.waiting), lost: len(a.waiting), duplicated: a.again,
		problems: append([]string(nil), a.problems...),
	}
}
