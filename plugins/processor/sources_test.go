package processor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
)

// ordered is an object of a type that only encoding/json knows.
type ordered []struct {
	name  string
	value any
}

func (o ordered) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for k, member := range o {
		if k > 0 {
			b = append(b, ',')
		}
		value, err := json.Marshal(member.value)
		if err != nil {
			return nil, err
		}
		b = fmt.Appendf(b, "%q:%s", member.name, value)
	}
	return append(b, '}'), nil
}

// values are the forms that a message may hold a document in.
var values = map[string]func(t *testing.T, document string) any{
	"object":       decoded,
	"raw message":  func(_ *testing.T, document string) any { return json.RawMessage(document) },
	"raw pointer":  func(_ *testing.T, document string) any { return new(json.RawMessage(document)) },
	"json.Number":  func(t *testing.T, document string) any { return numbers(decoded(t, document), toNumber) },
	"any Go type":  func(t *testing.T, document string) any { return numbers(decoded(t, document), toGoType) },
	"pointers":     func(t *testing.T, document string) any { return new(decoded(t, document)) },
	"any as key":   func(t *testing.T, document string) any { return keyed(decoded(t, document)) },
	"raw members":  func(t *testing.T, document string) any { return into[map[string]json.RawMessage](t, document) },
	"ordered":      func(t *testing.T, document string) any { return orderedOf(decoded(t, document)) },
	"named object": func(t *testing.T, document string) any { return into[object](t, document) },
	"struct":       func(t *testing.T, document string) any { return into[record](t, document) },
}

type (
	object map[string]any
	record struct {
		ID    any `json:"id,omitempty"`
		Size  any `json:"grid_size,omitempty"`
		Steps any `json:"steps,omitempty"`
		Seed  any `json:"seed,omitempty"`
		Alpha any `json:"alpha,omitempty"`
		Edge  any `json:"boundary,omitempty"`
		Field any `json:"field,omitempty"`
	}
)

func into[T any](t *testing.T, document string) (v T) {
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&v))
	return v
}

func decoded(t *testing.T, document string) any { return into[any](t, document) }

// numbers replaces each number of a value.
func numbers(v any, by func(json.Number) any) any {
	switch v := v.(type) {
	case json.Number:
		return by(v)
	case []any:
		for k := range v {
			v[k] = numbers(v[k], by)
		}
	case map[string]any:
		for key := range v {
			v[key] = numbers(v[key], by)
		}
	}
	return v
}

func toNumber(n json.Number) any { return n }

// toGoType returns a number in a type that can hold it, each of them in turn.
func toGoType(n json.Number) any {
	whole, err := n.Int64()
	if err != nil {
		x, _ := n.Float64()
		if float32(x) == 0.5 {
			return float32(x)
		}
		return x
	}
	choices := []any{whole, uint64(whole), float64(whole), int(whole), uint(whole), int32(whole), uint32(whole), float32(whole), int16(whole), uint16(whole)}
	if 0 <= whole && whole < 128 {
		choices = append(choices, int8(whole), uint8(whole))
	}
	return choices[rand.IntN(len(choices))]
}

func keyed(v any) any {
	if s, ok := v.(map[string]any); ok {
		m := map[any]any{}
		for key, value := range s {
			m[key] = keyed(value)
		}
		return m
	}
	return v
}

func orderedOf(v any) any {
	var o ordered
	for key, value := range v.(map[string]any) {
		o = append(o, struct {
			name  string
			value any
		}{key, value})
	}
	return o
}

// The content of a message decides, not the Go type that holds it.
func TestAMessageMeansTheSameInEveryForm(t *testing.T) {
	for _, row := range []struct{ name, processor, document string }{
		{"parameters", "mfn_simulate: {}", `{"id":"a","grid_size":8,"steps":2,"seed":7,"alpha":0.125,"boundary":"neumann"}`},
		{"an id that is a number", "mfn_simulate: {}", `{"id":12,"grid_size":8,"steps":2,"seed":7}`},
		{"by a mapping", "mfn_simulate: { params: 'root = this' }", `{"id":"a","grid_size":8,"steps":2,"seed":7,"alpha":0.125}`},
		{"by the members of a mapping", "mfn_simulate: { params: 'root = {\"id\": this.id, \"grid_size\": this.grid_size, \"seed\": this.seed, \"steps\": 2}' }", `{"id":"a","grid_size":8,"seed":7}`},
		{"a field", "mfn_features: {}", `{"field":[[0.5,1,0,0],[0,0.25,0,1],[0,0,1,1],[1,2,0,3]]}`},
		{"a field by a mapping", "mfn_features: { field: root = this.field }", `{"field":[[0.5,1,0,0],[0,0.25,0,1],[0,0,1,1],[1,2,0,3]]}`},
		{"what cannot be simulated", "mfn_simulate: {}", `{"id":"a","grid_size":3}`},
	} {
		want := through(t, row.processor, row.document)[0]
		for form, value := range values {
			t.Run(row.name+"/"+form, func(t *testing.T) {
				p := newPipe(t, row.processor)
				m := service.NewMessage(nil)
				m.SetStructured(value(t, row.document))
				require.NoError(t, p.send(t.Context(), service.MessageBatch{m}))
				require.Len(t, p.outcomes, 1)
				got := p.outcomes[0]
				require.Equal(t, want.failure, got.failure)
				if want.failure == "" {
					require.Equal(t, want.content, got.content)
				} else {
					require.JSONEq(t, want.content, got.content)
				}
			})
		}
	}
}

// Every scanner and every processor that makes messages hands over the same.
func TestAMessageMeansTheSameFromEverySource(t *testing.T) {
	documents := []string{
		`{"id":"a","grid_size":8,"steps":2,"seed":7,"alpha":0.125}`,
		`{"id":"b","grid_size":9,"steps":3,"seed":9007199254740991,"boundary":"neumann"}`,
	}
	const safe, large = "9007199254740991", "18446744073709551615"
	wanted := func(documents ...string) (want []string) {
		for _, o := range through(t, "mfn_simulate: {}", documents...) {
			require.Empty(t, o.failure)
			want = append(want, o.content)
		}
		return want
	}
	rounded := wanted(documents...)
	exact := wanted(documents[0], strings.Replace(documents[1], safe, large, 1))
	lines, list := strings.Join(documents, "\n"), "["+strings.Join(documents, ",")+"]"
	table := "id,grid_size,steps,seed,alpha,boundary\na,8,2,7,0.125,periodic\nb,9,3,9007199254740991,0.18,neumann\n"
	for _, row := range []struct{ name, content, scanner, processors string }{
		{"lines", lines, "lines: {}", ""},
		{"json_array", list, "json_array: {}", ""},
		{"json_documents", lines, "json_documents: {}", ""},
		{"to_the_end", list, "to_the_end: {}", "- unarchive: { format: json_array }"},
		{"re_match", lines, "re_match: { pattern: '(?m)^' }", ""},
		{"skip_bom", "\xef\xbb\xbf" + lines, "skip_bom: { into: { lines: {} } }", ""},
		{"csv", table, "csv: {}", ""},
		{"unarchive lines", lines, "to_the_end: {}", "- unarchive: { format: lines }"},
		{"unarchive json_documents", lines, "to_the_end: {}", "- unarchive: { format: json_documents }"},
		{"unarchive csv", table, "to_the_end: {}", "- unarchive: { format: csv }"},
		{"unarchive json_map", `{"1":` + documents[0] + `,"2":` + documents[1] + `}`, "to_the_end: {}", "- unarchive: { format: json_map }"},
		{"mapping", lines, "lines: {}", "- mapping: root = this"},
		{"mapping of the text", lines, "lines: {}", "- mapping: root = content().parse_json()"},
		{"mutation", lines, "lines: {}", "- mutation: root.more = 1"},
		{"mapping after json_array", list, "json_array: {}", "- mutation: meta x = 1"},
		{"jmespath", lines, "lines: {}", "- jmespath: { query: '@' }"},
		{"archive and back", lines, "lines: {}", "- archive: { format: json_array }\n- unarchive: { format: json_array }"},
	} {
		t.Run(row.name, func(t *testing.T) {
			want, content := exact, strings.ReplaceAll(row.content, safe, large)
			if strings.Contains(row.name, "json_documents") || row.name == "mapping of the text" || row.name == "jmespath" { // numbers are floats
				want, content = rounded, row.content
			}
			path := filepath.Join(t.TempDir(), "in")
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			builder := service.NewStreamBuilder()
			require.NoError(t, builder.SetLoggerYAML(`level: "OFF"`))
			require.NoError(t, builder.AddInputYAML(fmt.Sprintf("file: { paths: [ %q ], scanner: { %v } }", path, row.scanner)))
			if row.processors != "" {
				require.NoError(t, builder.AddProcessorYAML("processors:\n"+row.processors))
			}
			require.NoError(t, builder.AddProcessorYAML("mfn_simulate: {}"))
			var got []string
			require.NoError(t, builder.AddConsumerFunc(consume(&got)))
			stream, err := builder.Build()
			require.NoError(t, err)
			require.NoError(t, stream.Run(t.Context()))
			require.ElementsMatch(t, want, got)
		})
	}
}

func consume(into *[]string) service.MessageHandlerFunc {
	return func(_ context.Context, m *service.Message) error {
		content, err := m.AsBytes()
		if failure := m.GetError(); failure != nil {
			content = []byte("failed: " + failure.Error())
		}
		*into = append(*into, string(bytes.TrimSpace(content)))
		return err
	}
}

func TestAValueThatJSONCannotHoldIsNamed(t *testing.T) {
	for _, row := range []struct {
		name  string
		value any
		says  string
	}{
		{"a function", map[string]any{"alpha": func() {}}, "alpha: a value of type func() is not allowed, must be a value that JSON can hold"},
		{"no number", map[string]any{"alpha": json.Number("")}, "alpha:  is not allowed, must be a number"},
		{"text as a number", map[string]any{"alpha": json.Number(`"x"`)}, `alpha: "x" is not allowed, must be a number`},
		{"no JSON", json.RawMessage(`{"alpha"`), `the message: {"alpha" is not allowed, must be valid JSON`},
		{"digits that may be lost", map[string]any{"seed": float64(1 << 53)}, "seed: 9.007199254740992e+15 is not allowed, must be a whole number below 2⁵³, or one that is not decoded as a float: the last digits of a float of this size may be lost; the scanners lines and json_array keep them"},
		{"not finite", map[string]any{"alpha": float32(math.Inf(1))}, "alpha: +Inf is not allowed, must be a finite number"},
		{"deep", map[any]any{"x": []float64{1, math.NaN()}}, "the message.x[1]: NaN is not allowed, must be a finite number"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newPipe(t, "mfn_simulate: {}")
			m := service.NewMessage(nil)
			m.SetStructured(row.value)
			require.NoError(t, p.send(t.Context(), service.MessageBatch{m}))
			require.Equal(t, row.says, p.outcomes[0].failure)
		})
	}
}
