package engine

// A kernel computes one time step of a run of rows. It is one model's
// arithmetic and nothing else: ghosts hold the boundary, those at the ends of a row
// are copies of columns that the caller names, and which rows come when is the
// caller's affair. All kernels give the same bits.
type kernel struct {
	name string
	step func(*rowRun)
	draw func(*pcg, *rawDraws) // the random draws of any model

	reaction func(*rowRun)                 // step for any model of two species
	combine  func(y1, y, y2, y3 []float64) // of the stages of RK4
}

// rowRun is the work of a kernel: rows first … last−1 of dst from src.
type rowRun struct {
	layout      layout
	src, dst    *planes
	first, last int
	coef        *coefficients // of mfn
	reaction    *reaction     // of a model of two species
	base, old   *planes       // that the change is added to, and that sums are the difference from; or nil: src
	kinetics    *kinetics     // room that a kernel may keep, or nil
	ghosts      ghostColumns  // of the rows of dst

	// noise is added to V before it is clamped: n values for each row, or none.
	noise []float64

	// The sums of the rows are added to sums[0], or with perRow sums[r] becomes
	// those of row r.
	sums   []laneSums
	perRow bool

	activations, clamps int64 // cells above the threshold, cells clamped; added to
}

// coefficients are the model's constants in the form that kernels use.
type coefficients struct {
	alpha, dA, dI, rA, rI float64
	threshold             float64 // activator level above which V is lifted
	lift                  float64 // volts
	vMin, vMax            float64 // volts
	turing                bool
	broadcast             broadcast
}

// broadcast holds what the vector kernels multiply and compare by, in every
// lane. internal/kernelgen knows its layout.
type broadcast struct {
	alpha, four, dA, rA, dI, rI, one, threshold, lift, vMin, vMax [lanes]float64

	abs  [lanes]uint64 // all bits but the sign
	tail [lanes]uint64 // all ones in the lanes of a row's last columns, if they fill no vector
}

// Limits of the potential and the lift of an activation, in volts.
const (
	potentialMin   = -0.095
	potentialMax   = 0.040
	activationLift = 0.005
)

func newCoefficients(p *Params) coefficients {
	k := coefficients{
		alpha: p.Alpha,
		dA:    p.DActivator, dI: p.DInhibitor, rA: p.RActivator, rI: p.RInhibitor,
		threshold: p.TuringThreshold,
		lift:      activationLift,
		vMin:      potentialMin, vMax: potentialMax,
		turing: p.TuringEnabled,
	}
	b := &k.broadcast
	for lane := range lanes {
		b.alpha[lane], b.four[lane], b.one[lane] = k.alpha, 4, 1
		b.dA[lane], b.rA[lane], b.dI[lane], b.rI[lane] = k.dA, k.rA, k.dI, k.rI
		b.threshold[lane], b.lift[lane], b.vMin[lane], b.vMax[lane] = k.threshold, k.lift, k.vMin, k.vMax
		b.abs[lane] = 1<<63 - 1
		if lane < p.GridSize%lanes {
			b.tail[lane] = 1<<64 - 1
		}
	}
	return k
}
