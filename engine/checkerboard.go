package engine

// CheckerboardWarning is the warning that the step of time was too long for the
// kinetics, though not for diffusion: the run stayed finite and is wrong.
const CheckerboardWarning = "checkerboard"

// checkerboardShare is the share of v's power in waves of less than four cells
// both ways above which a result carries the warning. A pattern that the grid
// resolves has some 1e-5.
const checkerboardShare = 1e-2

// hasCheckerboard says whether v shows the checkerboard.
func hasCheckerboard(v []float64, n int, std float64) bool {
	if !(std > 0) || checkerboardBound(v, n, std) < checkerboardShare {
		return false
	}
	p := newSpectralPower(v, n)
	var all, fine float64
	for i := range n {
		x := wave(i, n)
		for j := range n {
			y := wave(j, n)
			power := p.p[i*n+j]
			all += power
			if 4*max(x, -x) > n && 4*max(y, -y) > n {
				fine += power
			}
		}
	}
	return fine > float64(checkerboardShare*all)
}

// checkerboardBound returns a bound of that share which takes no transform: second
// differences along both ways multiply the power of such waves by more than 16.
func checkerboardBound(v []float64, n int, std float64) float64 {
	row := func(r int) []float64 { return v[(r+n)%n*n:][:n] }
	along := make([]float64, n) // second differences along the columns
	sum := 0.0
	for r := range n {
		above, here, below := row(r-1), row(r), row(r+1)
		for c := range n {
			along[c] = (above[c] - here[c]) + (below[c] - here[c])
		}
		left := along[n-1]
		for c, x := range along {
			d := (left - x) + (along[(c+1)%n] - x)
			sum += float64(d * d)
			left = x
		}
	}
	return sum / 16 / (float64(n*n) * float64(std*std))
}
