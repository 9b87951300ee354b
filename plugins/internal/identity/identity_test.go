package identity

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
)

func TestIDs(t *testing.T) {
	longest := strings.Repeat("x", MaxID)
	for _, row := range []struct{ name, content, id, simulationID string }{
		{"an id", `{"id":"a"}`, "a", ""},
		{"a simulation's", `{"simulation_id":"a"}`, "a", "a"},
		{"both", `{"simulation_id":"b","id":"a"}`, "a", "b"},
		{"an empty one", `{"id":"","simulation_id":"b"}`, "b", "b"},
		{"twice: the last counts", `{"simulation_id":"a","simulation_id":"b"}`, "b", "b"},
		{"twice, escaped", `{"simulation_id":"a","simulation\u005fid":"b"}`, "b", "b"},
		{"twice, the last being none", `{"simulation_id":"a","simulation_id":null}`, "", ""},
		{"a number as it is written", `{"simulation_id":1.50}`, "1.50", "1.50"},
		{"the longest", `{"simulation_id":"` + longest + `"}`, longest, longest},
		{"too long", `{"simulation_id":"` + longest + `x"}`, longest + "…", ""},
		{"too long, cut at a rune", `{"simulation_id":"` + longest[1:] + `é"}`, longest[1:] + "…", ""},
		{"no object", `[1]`, "", ""},
		{"no JSON", `{"simulation_id":"a"`, "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.Equal(t, row.id, ID(service.NewMessage([]byte(row.content))))
			require.Equal(t, row.simulationID, SimulationID([]byte(row.content)))
		})
	}
}

// What a message that is not written yet has for an id is what it has once it is.
func TestIDsOfStructuredMessages(t *testing.T) {
	for name, value := range map[string]any{
		"a text":            map[string]any{"id": "a", "simulation_id": "b"},
		"an empty one":      map[string]any{"id": "", "simulation_id": "b"},
		"null":              map[string]any{"id": nil, "simulation_id": "b"},
		"a number":          map[string]any{"id": json.Number("1.50")},
		"an integer":        map[string]any{"id": 7},
		"a list":            map[string]any{"id": []any{}, "simulation_id": "b"},
		"none":              map[string]any{"x": 1},
		"too long":          map[string]any{"id": strings.Repeat("x", MaxID+1)},
		"what is not UTF-8": map[string]any{"id": "a\xff"},
		"no object":         []any{"a"},
	} {
		t.Run(name, func(t *testing.T) {
			m := service.NewMessage(nil)
			m.SetStructured(value)
			structured := ID(m)
			body, err := m.AsBytes()
			require.NoError(t, err)
			require.Equal(t, ID(service.NewMessage(body)), structured)
		})
	}
	m := service.NewMessage(nil)
	m.SetStructured(map[string]any{"id": "a"})
	require.Equal(t, "a", ID(m))
	require.False(t, m.HasBytes(), "it was written for its id")
}

func TestList(t *testing.T) {
	for _, row := range []struct {
		name  string
		names []string
		want  string
	}{
		{"none", nil, ""},
		{"one", []string{"a"}, "a"},
		{"as many as are listed", []string{"a", "b", "c", "d", "e"}, "a, b, c, d, e"},
		{"one more", []string{"a", "b", "c", "d", "e", "f"}, "a, b, c, d, e and 1 more"},
		{"empty ones", []string{"", "a", "", "b", "c", "d", "", "e"}, "a, b, c, d, e"},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.Equal(t, row.want, List(row.names))
		})
	}
	require.Equal(t, "a and 2 more", ListUpTo(1, []string{"a", "b", "c"}))
}
