package processor_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/engine"
)

// parameterSchema is the part of a JSON Schema that says what a parameter may be.
type parameterSchema struct {
	Type                               any
	Minimum, Maximum                   *json.Number
	ExclusiveMinimum, ExclusiveMaximum *json.Number
	Default                            any
	Description                        string
	Enum                               []string
	Items                              json.RawMessage
}

// describedModels returns the parameters of each model.
func describedModels(t *testing.T, limits string) map[string]map[string]parameterSchema {
	t.Helper()
	var document struct {
		Models []struct {
			Name, Title string
			Parameters  map[string]parameterSchema
		}
	}
	o := through(t, "mfn_describe: { document: models, limits: "+limits+" }", "")[0]
	require.Empty(t, o.failure)
	decoder := json.NewDecoder(strings.NewReader(o.content))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&document))
	models := map[string]map[string]parameterSchema{}
	for _, m := range document.Models {
		assert.NotEmpty(t, m.Title)
		models[m.Name] = m.Parameters
	}
	return models
}

// valuesOf returns what a parameter may be at its ends, and what it may not be beside them.
func valuesOf(t *testing.T, p parameterSchema) (good, bad []string) {
	t.Helper()
	whole := strings.Contains(fmt.Sprint(p.Type), "integer")
	next := func(n json.Number, towards float64) string {
		if n == "18446744073709551615" {
			return "18446744073709551616"
		}
		x, err := n.Float64()
		require.NoError(t, err)
		if whole {
			return strconv.Itoa(int(x) + int(towards))
		}
		return fmt.Sprint(math.Nextafter(x, math.Inf(int(towards))))
	}
	if p.Minimum != nil {
		good, bad = append(good, p.Minimum.String()), append(bad, next(*p.Minimum, -1))
	}
	if p.Maximum != nil {
		good, bad = append(good, p.Maximum.String()), append(bad, next(*p.Maximum, 1))
	}
	if p.ExclusiveMinimum != nil {
		good, bad = append(good, next(*p.ExclusiveMinimum, 1)), append(bad, p.ExclusiveMinimum.String())
	}
	if p.ExclusiveMaximum != nil {
		good, bad = append(good, next(*p.ExclusiveMaximum, -1)), append(bad, p.ExclusiveMaximum.String())
	}
	for _, word := range p.Enum {
		good = append(good, fmt.Sprintf("%q", word))
		bad = append(bad, fmt.Sprintf("%q", word+"s"))
	}
	if strings.Contains(fmt.Sprint(p.Type), "boolean") {
		good, bad = []string{"true", `"false"`}, []string{"0", `"yes"`}
	}
	return good, bad
}

func TestWhatIsDescribedIsWhatIsTaken(t *testing.T) {
	const limits = "{ max_grid_size: 80, max_steps: 12000 }"
	models := describedModels(t, limits)
	assert.ElementsMatch(t, engine.ModelNames(), slices.Collect(maps.Keys(models)))
	p := newPipe(t, "mfn_simulate: { strict: true, limits: "+limits+" }")
	for model, parameters := range models {
		for name, schema := range parameters {
			t.Run(model+"/"+name, func(t *testing.T) {
				assert.NotEmpty(t, schema.Description)
				if schema.Items != nil {
					return // a field, whose size is that of the grid
				}
				good, bad := valuesOf(t, schema)
				require.NotEmpty(t, good)
				require.NotEmpty(t, bad)
				message := func(value string) string {
					members := map[string]string{"grid_size": "4", "steps": "1", "seed": "1"}
					if model != engine.MFN {
						members["model"], members["Du"], members["Dv"] = fmt.Sprintf("%q", model), "0", "0"
					}
					members[name] = value
					var parts []string
					for member, raw := range members {
						parts = append(parts, fmt.Sprintf("%q:%v", member, raw))
					}
					return "{" + strings.Join(parts, ",") + "}"
				}
				for _, value := range good {
					failure := p.through(t, message(value))[0].failure
					dependent := name != "dt" && strings.HasPrefix(failure, "dt: ") || value == `"holes"`
					assert.True(t, failure == "" || dependent || !strings.HasPrefix(failure, name+":"), "%v: %v", value, failure)
				}
				for _, value := range bad {
					assert.Regexp(t, "^("+name+":|model: )", p.through(t, message(value))[0].failure, value)
				}
			})
		}
	}
}

func TestDescribedDefaultsAreThoseOfResults(t *testing.T) {
	for model, parameters := range describedModels(t, "{}") {
		params := resultOf(t, through(t, "mfn_simulate: {}", fmt.Sprintf(`{"model":%q,"grid_size":64,"seed":1}`, model))[0]).Params
		for name, schema := range parameters {
			if schema.Default == nil || name == "model" && model == engine.MFN {
				continue
			}
			assert.Equal(t, schema.Default, params[name], "%v of %v", name, model)
		}
	}
}

func TestAParameterWhoseDefaultIsAboveTheLimitIsRequired(t *testing.T) {
	o := through(t, "mfn_describe: { document: openapi, limits: { max_grid_size: 32, max_steps: 100 } }", "")[0]
	var document struct {
		Components struct {
			Schemas struct {
				SimulationRequest struct {
					AnyOf []struct {
						Title    string
						Required []string
					}
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(o.content), &document))
	for _, request := range document.Components.Schemas.SimulationRequest.AnyOf {
		want := []string{"model", "grid_size", "steps"}
		if request.Title == engine.MFN {
			want = []string{"grid_size"}
		}
		assert.Equal(t, want, request.Required, request.Title)
	}
}

func TestDescriptionsAreTheSameEachTime(t *testing.T) {
	for _, document := range []string{"models", "openapi"} {
		first := through(t, "mfn_describe: { document: "+document+" }", "", "x")
		assert.Equal(t, first[0].content, first[1].content)
		assert.Equal(t, first, through(t, "mfn_describe: { document: "+document+" }", "", "x"))
	}
}
