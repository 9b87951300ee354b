package status

import (
	"slices"
	"sync"
	"time"
)

const (
	// maxFailures is how many failures are kept.
	maxFailures = 20
	// maxMessages is how many messages a failure names.
	maxMessages = 20
)

// Failure is what failed for the same messages in the same component, once or
// again and again.
type Failure struct {
	Type      string `json:"type"`
	Label     string `json:"label"`
	Path      string `json:"path,omitempty"`
	Stream    string `json:"stream,omitempty"`
	Operation string `json:"operation"`
	// Messages are the messages' ids or else where they came from. Of a long
	// batch, they are the first.
	Messages []string `json:"messages"`
	// Count is how often it failed, Since when the first time, in seconds since
	// 1970, as is Timestamp, the last time.
	Count     int64   `json:"count"`
	Since     float64 `json:"since"`
	Timestamp float64 `json:"timestamp"`
	Error     string  `json:"error"`

	// Instance is that of the component, 0 for a processor.
	Instance uint64 `json:"-"`

	component *Component // nil if the place is known
}

// recent are the last failures of this process.
var recent failures

type failures struct {
	mu   sync.Mutex
	kept []Failure // in order of their timestamps
}

// NoteFailure has /stats tell of a failed attempt of the component. messages are
// those that it was about; err must hold no secret.
func (c *Component) NoteFailure(operation string, messages []string, err error) {
	recent.note(Failure{Type: c.typ, Instance: c.instance, component: c, Operation: operation, Messages: messages, Error: err.Error()})
}

// NoteFailure has /stats tell of a message that a processor of the given type and
// label could not process. err must hold no secret.
func NoteFailure(typ, label, operation string, message string, err error) {
	recent.note(Failure{Type: typ, Label: label, Operation: operation, Messages: []string{message}, Error: err.Error()})
}

func (f *failures) note(failure Failure) {
	now := seconds(time.Now())
	failure.Count, failure.Since, failure.Timestamp = 1, now, now
	failure.Messages = slices.DeleteFunc(slices.Clone(failure.Messages), func(name string) bool { return name == "" })
	failure.Messages = failure.Messages[:min(len(failure.Messages), maxMessages)]

	f.mu.Lock()
	defer f.mu.Unlock()
	same := slices.IndexFunc(f.kept, func(kept Failure) bool {
		return kept.component == failure.component && kept.Type == failure.Type && kept.Label == failure.Label &&
			kept.Operation == failure.Operation && slices.Equal(kept.Messages, failure.Messages)
	})
	switch {
	case same >= 0:
		failure.Count += f.kept[same].Count
		failure.Since = f.kept[same].Since
		f.kept = slices.Delete(f.kept, same, same+1)
	case len(f.kept) == maxFailures:
		f.kept = slices.Delete(f.kept, 0, 1)
	}
	f.kept = append(f.kept, failure)
}

// list returns the failures, the last first.
func (f *failures) list() []Failure {
	f.mu.Lock()
	list := append([]Failure{}, f.kept...)
	f.mu.Unlock()
	slices.Reverse(list)
	for i := range list {
		if c := list[i].component; c != nil {
			c.mu.Lock()
			list[i].Label, list[i].Path, list[i].Stream = c.label, c.path, c.stream
			c.mu.Unlock()
		}
	}
	return list
}
