// Package identity says which message a log line, a span or a status entry is
// about. Every component takes the answer from here.
package identity

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
	"github.com/mfn-connect/mfn-connect/plugins/internal/text"
)

// MaxID is how many bytes an id may have. Senders choose ids, which become keys,
// names of files and parts of log lines.
const MaxID = 1 << 10

// Members names the members that hold an id, the one that counts first.
var Members = []string{"id", "simulation_id"}

// ID returns the id of a message: the member id or simulation_id of its JSON
// object, or else what WithID has put into its context. It is empty if there is
// none, and cut where it is longer than an id may be.
func ID(m *service.Message) string {
	if id, ok := structuredID(m); ok {
		return text.Shorten(id, MaxID)
	}
	if body, err := m.AsBytes(); err == nil {
		for _, raw := range read(body, Members...) {
			if id, ok := rawjson.Text(raw); ok && id != "" {
				return text.Shorten(id, MaxID)
			}
		}
	}
	id, _ := m.Context().Value(idKey{}).(string)
	return id
}

// structuredID returns the id of a message that is an object with a text for it, and
// has no bytes yet: they would be written for the sake of the id alone.
func structuredID(m *service.Message) (string, bool) {
	if !m.HasStructured() || m.HasBytes() {
		return "", false
	}
	value, err := m.AsStructured()
	if err != nil {
		return "", false
	}
	object, ok := value.(map[string]any)
	if !ok {
		return "", false
	}
	for _, name := range Members {
		if id := object[name]; id != nil && id != "" {
			text, ok := id.(string)
			return text, ok && utf8.ValidString(text) // what is not valid changes as it is written
		}
	}
	return "", false
}

// SimulationID returns the member simulation_id of a JSON object, a text or a
// number as it is written. It is empty if there is none that is an id.
func SimulationID(body []byte) string {
	text, ok := rawjson.Text(read(body, "simulation_id")[0])
	if !ok || len(text) > MaxID {
		return ""
	}
	return text
}

// read returns the raw values of the members of these names, nil where there is
// none. As in all JSON that this program reads, the last of a name counts.
func read(body []byte, names ...string) [][]byte {
	raws := make([][]byte, len(names))
	if rawjson.Members(body, names, raws) != nil {
		return make([][]byte, len(names)) // what is no JSON object has no id
	}
	return raws
}

// Source returns where a message came from: what WithSource has put into its
// context, or else what its metadata tell: a path, topic/partition/offset, or a
// URL. It is empty if that is not known.
func Source(m *service.Message) string {
	if source, ok := m.Context().Value(sourceKey{}).(string); ok {
		return source
	}
	if topic, ok := m.MetaGet("kafka_topic"); ok {
		partition, _ := m.MetaGet("kafka_partition")
		offset, _ := m.MetaGet("kafka_offset")
		return fmt.Sprintf("%v/%v/%v", topic, partition, offset)
	}
	for _, name := range []string{"path", "http_url"} {
		if value, ok := m.MetaGet(name); ok {
			return value
		}
	}
	return ""
}

// Name returns the id of a message or, without one, its source.
func Name(m *service.Message) string {
	if id := ID(m); id != "" {
		return id
	}
	return Source(m)
}

// Full returns the id of a message and its source, as far as they are known.
func Full(m *service.Message) string {
	id, source := ID(m), Source(m)
	switch {
	case id == "":
		return source
	case source == "":
		return id
	}
	return id + " (" + source + ")"
}

// Names returns the names of the messages of a batch.
func Names(batch service.MessageBatch) []string {
	names := make([]string, len(batch))
	for i, m := range batch {
		names[i] = Name(m)
	}
	return names
}

// maxListed is how many names List lists.
const maxListed = 5

// List returns names as a log line shows them: the first few, and how many more
// there are. Names that are empty are left out.
func List(names []string) string { return ListUpTo(maxListed, names) }

// ListUpTo is List with so many names.
func ListUpTo(maxNames int, names []string) string {
	known := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "" })
	list := strings.Join(known[:min(len(known), maxNames)], ", ")
	if more := len(known) - maxNames; more > 0 {
		list += fmt.Sprintf(" and %v more", more)
	}
	return list
}

type idKey struct{}

type sourceKey struct{}

// WithID returns a context that carries a message's id, for content that does
// not hold it.
func WithID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, idKey{}, id)
}

// WithSource returns a context that carries where a message came from. It must
// hold no secret.
func WithSource(ctx context.Context, source string) context.Context {
	return context.WithValue(ctx, sourceKey{}, source)
}
