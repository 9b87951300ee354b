package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"
)

// book is where messages and answers are noted.
type book interface {
	// send notes that the message of this id is where the program should find
	// it.
	send(id string)
	// answer notes a result.
	answer(body []byte)
}

// simulated returns the id of a result, if it is a whole one.
func simulated(body []byte) (id string, whole bool) {
	var result struct {
		Event        string             `json:"event"`
		SimulationID string             `json:"simulation_id"`
		Features     map[string]float64 `json:"features"`
	}
	err := json.Unmarshal(body, &result)
	return result.SimulationID, err == nil && result.Event == "simulation_complete" && len(result.Features) == 18
}

// ledger accounts for every message of a scenario by its simulation id.
type ledger struct {
	mu       sync.Mutex
	sent     map[string]bool
	answers  map[string][]answer
	problems []string
}

type answer struct {
	digest [sha256.Size]byte
	at     time.Time
}

func newLedger() *ledger {
	return &ledger{sent: map[string]bool{}, answers: map[string][]answer{}}
}

func (l *ledger) send(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[id] = true
}

// answer takes one that is no whole result for a problem: nobody may ever see
// half of one.
func (l *ledger) answer(body []byte) {
	id, whole := simulated(body)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !whole {
		l.problem("an answer is no whole result: %.200q", body)
		return
	}
	if !l.sent[id] {
		l.problem("an answer to a message that was never sent: %v", id)
	}
	l.answers[id] = append(l.answers[id], answer{sha256.Sum256(body), time.Now()})
}

// problem is called with the lock held.
func (l *ledger) problem(format string, args ...any) {
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

// complain notes a broken promise.
func (l *ledger) complain(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problem(format, args...)
}

// count returns how many different messages have been answered.
func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.answers)
}

func (l *ledger) complete() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.sent {
		if len(l.answers[id]) == 0 {
			return false
		}
	}
	return true
}

// firstAfter returns when the first answer after t came.
func (l *ledger) firstAfter(t time.Time) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var first time.Time
	for _, answers := range l.answers {
		for _, a := range answers {
			if a.at.After(t) && (first.IsZero() || a.at.Before(first)) {
				first = a.at
			}
		}
	}
	return first, !first.IsZero()
}

// longestSilence returns the longest time without a first answer to a message,
// from t to the last of them.
func (l *ledger) longestSilence(t time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var times []time.Time
	for _, answers := range l.answers {
		if answers[0].at.After(t) {
			times = append(times, answers[0].at)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	var longest time.Duration
	for _, at := range times {
		longest = max(longest, at.Sub(t))
		t = at
	}
	return longest
}

// sentCount returns how many messages have been sent.
func (l *ledger) sentCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sent)
}

// balance is what became of a ledger's messages.
type balance struct {
	in, answered, lost, duplicated int
	problems                       []string
}

// result counts, and finds duplicates that differ, which no consumer could
// drop safely.
func (l *ledger) result() balance {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := balance{in: len(l.sent), problems: append([]string(nil), l.problems...)}
	for id := range l.sent {
		answers := l.answers[id]
		if len(answers) == 0 {
			t.lost++
			t.problems = append(t.problems, "lost: "+id)
			continue
		}
		t.answered++
		t.duplicated += len(answers) - 1
		for _, a := range answers[1:] {
			if a.digest != answers[0].digest {
				t.problems = append(t.problems, "answers differ: "+id)
			}
		}
	}
	sort.Strings(t.problems)
	return t
}
