package engine

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDefaultsAreValid(t *testing.T) {
	p := DefaultParams()
	require.NoError(t, p.Validate())
	assert.Nil(t, p.Seed)
}

func TestEachParameterHasItsRange(t *testing.T) {
	below := func(x float64) float64 { return math.Nextafter(x, math.Inf(-1)) }
	above := func(x float64) float64 { return math.Nextafter(x, math.Inf(1)) }
	number := func(field func(*Params) *float64, x float64) func(*Params) {
		return func(p *Params) { *field(p) = x }
	}
	size := func(n int) func(*Params) { return func(p *Params) { p.GridSize = n } }
	steps := func(n int) func(*Params) { return func(p *Params) { p.Steps = n } }
	boundary := func(b Boundary) func(*Params) { return func(p *Params) { p.Boundary = b } }

	type row struct {
		name      string
		set       func(*Params)
		wantError string // empty if it is valid
	}
	rows := []row{
		{"the smallest grid", size(4), ""},
		{"the largest grid", size(1024), ""},
		{"a smaller grid", size(3), "grid_size: 3 is not allowed, must be 4 … 1024"},
		{"a larger grid", size(1025), "grid_size: 1025 is not allowed, must be 4 … 1024"},
		{"a negative grid", size(math.MinInt), "grid_size: -9223372036854775808 is not allowed, must be 4 … 1024"},
		{"one step", steps(1), ""},
		{"most steps", steps(10_000), ""},
		{"no step", steps(0), "steps: 0 is not allowed, must be 1 … 10000"},
		{"too many steps", steps(10_001), "steps: 10001 is not allowed, must be 1 … 10000"},
		{"neumann", boundary(Neumann), ""},
		{"dirichlet", boundary(Dirichlet), ""},
		{"another boundary", boundary("mirror"), `boundary: "mirror" is not allowed, must be periodic, neumann or dirichlet`},
		{"no boundary", boundary(""), `boundary: "" is not allowed, must be periodic, neumann or dirichlet`},
	}
	for _, f := range []struct {
		name   string
		field  func(*Params) *float64
		lo, hi float64
		open   bool
	}{
		{"alpha", func(p *Params) *float64 { return &p.Alpha }, 0.05, 0.25, true},
		{"spike_probability", func(p *Params) *float64 { return &p.SpikeProbability }, 0, 1, false},
		{"turing_threshold", func(p *Params) *float64 { return &p.TuringThreshold }, 0.5, 0.95, false},
		{"jitter_var", func(p *Params) *float64 { return &p.JitterVar }, 0, 0.01, false},
		{"d_activator", func(p *Params) *float64 { return &p.DActivator }, 0.01, 0.25, true},
		{"d_inhibitor", func(p *Params) *float64 { return &p.DInhibitor }, 0.01, 0.25, true},
		{"r_activator", func(p *Params) *float64 { return &p.RActivator }, 0.001, 0.1, false},
		{"r_inhibitor", func(p *Params) *float64 { return &p.RInhibitor }, 0.001, 0.1, false},
	} {
		highest, first := f.hi, above(f.hi)
		if f.open {
			highest, first = below(f.hi), f.hi
		}
		rows = append(rows,
			row{f.name + " lowest", number(f.field, f.lo), ""},
			row{f.name + " highest", number(f.field, highest), ""},
			row{f.name + " below", number(f.field, below(f.lo)), f.name + ": "},
			row{f.name + " above", number(f.field, first), f.name + ": "},
			row{f.name + " NaN", number(f.field, math.NaN()), f.name + ": NaN is not allowed"},
			row{f.name + " infinite", number(f.field, math.Inf(1)), f.name + ": +Inf is not allowed"},
		)
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			p := DefaultParams()
			r.set(&p)
			err := p.Validate()
			if r.wantError == "" {
				require.NoError(t, err)
				return
			}
			var bad *ParamError
			require.ErrorAs(t, err, &bad)
			assert.Contains(t, err.Error(), r.wantError)
			_, err = Simulate(t.Context(), p, Options{Features: DefaultFeatureConfig()})
			assert.Equal(t, bad.Error(), err.Error(), "a run says the same")
		})
	}
}

func TestDiffusionBeyondTheLimitSaysWhy(t *testing.T) {
	for _, set := range []func(*Params){
		func(p *Params) { p.Alpha = 0.25 },
		func(p *Params) { p.DActivator = 0.3 },
		func(p *Params) { p.DInhibitor = math.Inf(1) },
	} {
		p := DefaultParams()
		set(&p)
		assert.ErrorContains(t, p.Validate(), "CFL")
	}
}

func TestInitialFieldIsChecked(t *testing.T) {
	p := DefaultParams()
	p.GridSize = 4
	p.InitialField = make([]float64, 16)
	require.NoError(t, p.Validate())

	p.InitialField[7] = math.Inf(-1)
	require.EqualError(t, p.Validate(), "initial_field[1][3]: -Inf is not allowed, must be a finite number of volts")
	p.InitialField[7] = math.NaN()
	require.EqualError(t, p.Validate(), "initial_field[1][3]: NaN is not allowed, must be a finite number of volts")

	for _, cells := range []int{0, 15, 17} {
		p.InitialField = make([]float64, cells)
		require.ErrorContains(t, p.Validate(), "must be 4 × 4 cells for a grid_size of 4")
	}
}

func TestDrawnSeedsHave53Bits(t *testing.T) {
	seen := map[uint64]bool{}
	for range 100 {
		seed, err := RandomSeed()
		require.NoError(t, err)
		assert.Less(t, seed, uint64(1)<<53)
		seen[seed] = true
	}
	assert.Len(t, seen, 100)
}
