package engine

import "math"

// fourier computes discrete Fourier transforms of one length. Its bits are the
// same on every architecture: it uses no function of package math whose are not.
type fourier struct {
	n        int
	cos, sin []float64 // of 2πk/n, for k below n

	chirp *chirp // if n is no power of two
}

func newFourier(n int) *fourier {
	f := &fourier{n: n, cos: make([]float64, n), sin: make([]float64, n)}
	for k := range n {
		f.cos[k], f.sin[k] = turn(k, n)
	}
	if n&(n-1) != 0 {
		f.chirp = newChirp(n)
	}
	return f
}

// turn returns the cosine and the sine of k/n of a full turn, 0 ≤ k < n.
func turn(k, n int) (cos, sin float64) {
	quarter, rest := 4*k/n, 4*k%n
	swap := 2*rest > n // beyond an eighth
	if swap {
		rest = n - rest
	}
	cos, sin = eighth(math.Pi / 2 * (float64(rest) / float64(n)))
	if swap {
		cos, sin = sin, cos
	}
	for range quarter {
		cos, sin = -sin, cos
	}
	return cos, sin
}

// eighth returns the cosine and the sine of 0 ≤ x ≤ π/4 by their series.
func eighth(x float64) (cos, sin float64) {
	xx := float64(x * x)
	c, s := 1.0, 1.0
	for k := 18; k > 0; k -= 2 {
		c = 1 - float64(xx*c)/float64(k*(k-1))
		s = 1 - float64(xx*s)/float64((k+1)*k)
	}
	return c, float64(x * s)
}

// transform replaces re and im, of length n, by their transform.
func (f *fourier) transform(re, im []float64) {
	if f.chirp != nil {
		f.chirp.transform(re, im)
		return
	}
	n := f.n
	for i, j := 0, 0; i < n; i++ { // in the order of reversed bits
		if i < j {
			re[i], re[j] = re[j], re[i]
			im[i], im[j] = im[j], im[i]
		}
		bit := n >> 1
		for ; bit > 0 && j&bit != 0; bit >>= 1 {
			j ^= bit
		}
		j |= bit
	}
	for half := 1; half < n; half *= 2 {
		step := n / (2 * half)
		for start := 0; start < n; start += 2 * half {
			ar, ai := re[start:][:half], im[start:][:half]
			br, bi := re[start+half:][:half], im[start+half:][:half]
			for k := range half {
				c, s := f.cos[k*step], f.sin[k*step]
				x := float64(br[k]*c) + float64(bi[k]*s)
				y := float64(bi[k]*c) - float64(br[k]*s)
				br[k], bi[k] = ar[k]-x, ai[k]-y
				ar[k], ai[k] = ar[k]+x, ai[k]+y
			}
		}
	}
}

// chirp transforms any length by a convolution of a power of two (Bluestein).
type chirp struct {
	n        int
	whole    *fourier
	cos, sin []float64 // of πk²/n
	re, im   []float64 // the transform of the chirp
	a, b     []float64
}

func newChirp(n int) *chirp {
	m := 1
	for m < 2*n-1 {
		m *= 2
	}
	c := &chirp{
		n: n, whole: newFourier(m), cos: make([]float64, n), sin: make([]float64, n),
		re: make([]float64, m), im: make([]float64, m), a: make([]float64, m), b: make([]float64, m),
	}
	for k := range n {
		c.cos[k], c.sin[k] = turn(k*k%(2*n), 2*n)
		c.re[k], c.im[k] = c.cos[k], c.sin[k]
		if k > 0 {
			c.re[m-k], c.im[m-k] = c.cos[k], c.sin[k]
		}
	}
	c.whole.transform(c.re, c.im)
	return c
}

func (c *chirp) transform(re, im []float64) {
	m := c.whole.n
	clear(c.a)
	clear(c.b)
	for k := range c.n {
		c.a[k] = float64(re[k]*c.cos[k]) + float64(im[k]*c.sin[k])
		c.b[k] = float64(im[k]*c.cos[k]) - float64(re[k]*c.sin[k])
	}
	c.whole.transform(c.a, c.b)
	for k := range m {
		// The conjugate, whose transform is that of the inverse, conjugated.
		x := float64(c.a[k]*c.re[k]) - float64(c.b[k]*c.im[k])
		y := float64(c.a[k]*c.im[k]) + float64(c.b[k]*c.re[k])
		c.a[k], c.b[k] = x, -y
	}
	c.whole.transform(c.a, c.b)
	scale := 1 / float64(m)
	for k := range c.n {
		x, y := float64(c.a[k]*scale), float64(-c.b[k]*scale)
		re[k] = float64(x*c.cos[k]) + float64(y*c.sin[k])
		im[k] = float64(y*c.cos[k]) - float64(x*c.sin[k])
	}
}

// transform2 replaces n × n cells by their transform, transposed.
func (f *fourier) transform2(re, im []float64) {
	n := f.n
	for range 2 {
		for r := range n {
			f.transform(re[r*n:][:n], im[r*n:][:n])
		}
		transpose(re, n)
		transpose(im, n)
	}
}

// transpose goes in blocks that fit into the first-level cache.
func transpose(x []float64, n int) {
	const block = 16
	for r0 := 0; r0 < n; r0 += block {
		for c0 := 0; c0 <= r0; c0 += block {
			for r := r0; r < min(r0+block, n); r++ {
				for c := c0; c < min(c0+block, r); c++ {
					x[r*n+c], x[c*n+r] = x[c*n+r], x[r*n+c]
				}
			}
		}
	}
}

// spectralPower is P = |FFT(f − mean)|²/N⁴ of a field of N × N cells: ΣP is its
// variance.
type spectralPower struct {
	n int
	p []float64 // row by row: waves along the rows' direction, then along the columns'
}

func newSpectralPower(field []float64, n int) *spectralPower {
	re, im := make([]float64, n*n), make([]float64, n*n)
	mean := meanOf(field)
	for k, x := range field {
		re[k] = x - mean
	}
	newFourier(n).transform2(re, im)
	n4 := float64(n*n) * float64(n*n)
	for k, x := range re {
		re[k] = (float64(x*x) + float64(im[k]*im[k])) / n4
	}
	return &spectralPower{n: n, p: re}
}

// meanOf returns the mean, which is exact for a flat field.
func meanOf(field []float64) float64 {
	sum := 0.0
	for _, x := range field {
		sum += x - field[0]
	}
	return field[0] + sum/float64(len(field))
}

// wave returns the signed wave number of index k, n/2 being the greatest.
func wave(k, n int) int {
	if 2*k > n {
		return k - n
	}
	return k
}
