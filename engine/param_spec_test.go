package engine

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a spec says of a parameter is what Validate says when it refuses it.
func TestParamSpecsSayWhatIsRefused(t *testing.T) {
	for _, model := range ModelNames()[1:] {
		specs, err := ParamSpecs(model)
		require.NoError(t, err)
		for _, spec := range specs {
			t.Run(model+"/"+spec.Name, func(t *testing.T) {
				p, err := DefaultModelParams(model)
				require.NoError(t, err)
				if _, own := p.Values[spec.Name]; own {
					p.Values[spec.Name] = -1e9
				} else {
					switch spec.Name {
					case "grid_size":
						p.GridSize = 0
					case "steps":
						p.Steps = 0
					case "dx":
						p.Dx = 0
					case "integrator":
						p.Integrator = "no"
					case "boundary":
						p.Boundary = "no"
					case "start_amplitude":
						p.StartAmplitude = -1
					case "start_count":
						p.StartCount = 0
					default: // what is allowed depends on other parameters
						return
					}
				}
				var refused *ParamError
				require.ErrorAs(t, p.Validate(), &refused)
				assert.Equal(t, spec.Name, refused.Name)
				assert.Equal(t, spec.Allowed, refused.Allowed)
			})
		}
	}
}

func TestParamSpecsOfMFN(t *testing.T) {
	specs, err := ParamSpecs(MFN)
	require.NoError(t, err)
	assert.Len(t, specs, 14)
	byName := map[string]ParamSpec{}
	for _, s := range specs {
		byName[s.Name] = s
	}
	for _, r := range ranges {
		t.Run(r.name, func(t *testing.T) {
			p := DefaultParams()
			*r.of(&p) = 99
			var refused *ParamError
			require.ErrorAs(t, p.Validate(), &refused)
			assert.Equal(t, r.name, refused.Name)
			assert.Equal(t, byName[r.name].Allowed, refused.Allowed)
		})
	}
	_, err = ParamSpecs("nope")
	assert.ErrorContains(t, err, "model:")
}
