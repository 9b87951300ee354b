// Package sweep places points in a space of parameters. Point i is a function of the
// sweep and of i alone: no order and no state, so that a sweep can be resumed,
// divided and extended.
package sweep

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// Sampling says how points are placed.
type Sampling string

// The samplings.
const (
	Grid           Sampling = "grid"            // every combination
	Random         Sampling = "random"          // independent and uniform
	LatinHypercube Sampling = "latin_hypercube" // each parameter's range in as many strata as there are points, one point in each
	Halton         Sampling = "halton"          // radical inverses in the first primes (Halton 1960)
	Sobol          Sampling = "sobol"           // digital sequence with the direction numbers of Joe & Kuo (2008)
)

// Scale says how a parameter's range is divided.
type Scale string

// The scales.
const (
	Linear Scale = "linear"
	Log    Scale = "log"
)

// Parameter is one dimension of a sweep: a range, or a list of values.
type Parameter struct {
	Name     string  `json:"name"`
	Min      float64 `json:"min"`
	Max      float64 `json:"max"`
	Scale    Scale   `json:"scale,omitempty"`
	Steps    int     `json:"steps,omitempty"` // of a grid; the ends are included
	Integer  bool    `json:"integer,omitempty"`
	Values   []any   `json:"values,omitempty"` // replaces the range
	logRatio precise // of Max and Min
}

// Sweep is a set of points.
type Sweep struct {
	Sampling   Sampling
	Parameters []Parameter // sorted by name
	Count      int64       // of points; of a grid, the product
	Seed       uint64      // of the sampling; 0 leaves Halton's and Sobol's points where they are

	strides []int64 // of a grid
	sobol   [][sobolBits]uint32
}

// Error is what is wrong with a field of a sweep.
type Error struct {
	Field, Problem string
}

// Error names the field and the problem.
func (e *Error) Error() string { return e.Field + ": " + e.Problem }

// maxCount bounds a sweep, as Sobol's points have 32 bits.
const maxCount = 1 << 32

// New returns a sweep, or an *Error that names what is wrong. count is that of the
// points; it must be 0 for a grid.
func New(sampling Sampling, parameters []Parameter, count int64, seed uint64) (*Sweep, error) {
	s := &Sweep{Sampling: sampling, Parameters: slices.Clone(parameters), Count: count, Seed: seed}
	slices.SortFunc(s.Parameters, func(a, b Parameter) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	if len(s.Parameters) == 0 {
		return nil, &Error{"parameters", "must hold at least one parameter"}
	}
	for k := range s.Parameters {
		if err := s.Parameters[k].prepare(sampling); err != nil {
			return nil, err
		}
	}
	switch sampling {
	case Grid:
		if count != 0 {
			return nil, &Error{"count", "a grid's is the product of its steps and values: leave it out"}
		}
		return s, s.prepareGrid()
	case Random, LatinHypercube:
	case Halton:
		if len(s.Parameters) > len(primes) {
			return nil, &Error{"parameters", fmt.Sprintf("halton takes up to %v of them, not %v", len(primes), len(s.Parameters))}
		}
	case Sobol:
		if len(s.Parameters) > MaxSobol {
			return nil, &Error{"parameters", fmt.Sprintf("sobol takes up to %v of them, not %v", MaxSobol, len(s.Parameters))}
		}
		for d := range s.Parameters {
			s.sobol = append(s.sobol, directions(d))
		}
	default:
		return nil, &Error{"sampling", fmt.Sprintf("%q is none of grid, random, latin_hypercube, halton, sobol", sampling)}
	}
	if count < 1 || count > maxCount {
		return nil, &Error{"count", fmt.Sprintf("%v is not allowed, must be 1 … 2³²", count)}
	}
	return s, nil
}

func (s *Sweep) prepareGrid() error {
	s.strides = make([]int64, len(s.Parameters))
	s.Count = 1
	for k := len(s.Parameters) - 1; k >= 0; k-- {
		s.strides[k] = s.Count
		n := int64(s.Parameters[k].levels())
		if s.Count > maxCount/n {
			return &Error{"parameters", "the grid has more than 2³² points"}
		}
		s.Count *= n
	}
	return nil
}

// prepare checks a parameter.
func (p *Parameter) prepare(sampling Sampling) error {
	wrong := func(field, format string, args ...any) error {
		return &Error{"parameters." + p.Name + field, fmt.Sprintf(format, args...)}
	}
	if p.Values != nil {
		switch {
		case len(p.Values) == 0:
			return wrong(".values", "must hold at least one value")
		case p.Min != 0 || p.Max != 0 || p.Scale != "" || p.Steps != 0 || p.Integer:
			return wrong("", "has values, and cannot have a range beside them")
		}
		return nil
	}
	if p.Scale == "" {
		p.Scale = Linear
	}
	switch {
	case math.IsNaN(p.Min) || math.IsInf(p.Min, 0) || math.IsNaN(p.Max) || math.IsInf(p.Max, 0):
		return wrong("", "min and max must be finite")
	case p.Min > p.Max:
		return wrong("", "min is %v, above max, which is %v", p.Min, p.Max)
	case math.IsInf(p.Max-p.Min, 0):
		return wrong("", "min and max are too far apart: their difference must be at most %v", math.MaxFloat64)
	case p.Scale != Linear && p.Scale != Log:
		return wrong(".scale", "%q is neither linear nor log", p.Scale)
	case p.Scale == Log && p.Min <= 0:
		return wrong("", "min is %v, and a logarithmic scale has only what is above 0", p.Min)
	case sampling == Grid && p.Steps < 1:
		return wrong(".steps", "a grid needs how many steps the range has, at least 1, or a list of values")
	case sampling != Grid && p.Steps != 0:
		return wrong(".steps", "only a grid has steps")
	case p.Integer && (p.Min != math.Trunc(p.Min) || p.Max != math.Trunc(p.Max) || math.Abs(p.Min) > 1<<53 || math.Abs(p.Max) > 1<<53):
		return wrong("", "min and max must be whole numbers, as integer asks for them")
	}
	if p.Scale == Log {
		p.logRatio = logOfRatio(p.Max, p.Min)
	}
	return nil
}

// levels returns how many values a parameter of a grid has.
func (p *Parameter) levels() int {
	if p.Values != nil {
		return len(p.Values)
	}
	return p.Steps
}

// Point returns the values of point i, 0 ≤ i < Count, in the order of Parameters.
// Those of a range are float64, or int64 where Integer asks for it.
func (s *Sweep) Point(i int64) []any {
	values := make([]any, len(s.Parameters))
	for d := range s.Parameters {
		p := &s.Parameters[d]
		if s.Sampling == Grid {
			values[d] = p.level(int(i / s.strides[d] % int64(p.levels())))
			continue
		}
		values[d] = p.at(s.unit(i, d))
	}
	return values
}

// level returns the k-th value of a parameter of a grid.
func (p *Parameter) level(k int) any {
	switch {
	case p.Values != nil:
		return p.Values[k]
	case p.Steps == 1:
		return p.number(p.Min)
	case k == p.Steps-1:
		return p.number(p.Max)
	}
	return p.number(p.between(float64(k), float64(p.Steps-1)))
}

// at returns the value at u, 0 ≤ u < 1.
func (p *Parameter) at(u float64) any {
	switch {
	case p.Values != nil:
		return p.Values[int(u*float64(len(p.Values)))]
	case p.Integer && p.Scale == Linear:
		return int64(p.Min) + int64(u*(p.Max-p.Min+1)) // each as often as the others
	}
	return p.number(p.between(u, 1))
}

// between returns what is at a/b of the way from Min to Max. Conversions keep
// compilers from fusing a product with a sum, which rounds otherwise.
func (p *Parameter) between(a, b float64) float64 {
	x := p.Min + float64(a*(p.Max-p.Min)/b)
	if p.Scale == Log {
		x = p.logRatio.power(p.Min, a, b)
	}
	return min(max(x, p.Min), p.Max)
}

func (p *Parameter) number(x float64) any {
	if p.Integer {
		return int64(math.Round(x))
	}
	return x
}

// Name returns a name that is the same for the same sweep, and for one that is
// longer.
func (s *Sweep) Name(fixed map[string]any) (string, error) {
	description := map[string]any{"sampling": s.Sampling, "parameters": s.Parameters, "seed": s.Seed, "fixed": fixed}
	if s.Sampling == LatinHypercube {
		description["count"] = s.Count // whose points are others for another count
	}
	text, err := json.Marshal(description)
	if err != nil {
		return "", fmt.Errorf("naming the sweep: %w", err)
	}
	sum := sha256.Sum256(text)
	return "sweep-" + hex.EncodeToString(sum[:4]), nil
}
