//go:build amd64 || arm64

package engine

import (
	"runtime"
	"unsafe"
)

//go:generate go run ./internal/kernelgen -out kernel_amd64.s -neon kernel_arm64.s

// kernelArgs is a rowRun as the assembly takes it. internal/kernelgen knows its
// layout.
type kernelArgs struct {
	vSrc, aSrc, iSrc, vDst, aDst, iDst *float64 // the planes

	noise          *float64 // of the first row, or nil
	offset, stride uintptr  // bytes from a plane's start to the first row, and from row to row
	rows           uintptr
	vectors        uintptr // of eight cells, in a row
	tail           uintptr // a bit for each column that is left
	turing         uint64  // 0 or 1
	sums           *laneSums
	sumsStride     uintptr // bytes from one row's sums to the next's
	sumsAt         uintptr // bytes from sums to this row's; a pointer must not end up behind them

	activations, clamps int64

	noiseRow  uintptr // bytes of a row of noise
	constants *broadcast

	// Whether the rows end with these columns and their ghosts are to be set, and
	// the bytes from behind the last whole vector of a row to what they are set
	// from, and to them.
	ends                                 uint64 // 0 or 1
	leftFrom, leftTo, rightFrom, rightTo uintptr
}

// stepAssembly runs the rows by an assembly kernel, the wider one if there are two.
func stepAssembly(run *rowRun, wide bool) {
	if run.first >= run.last {
		return
	}
	const cell = 8
	l := run.layout
	args := kernelArgs{
		vSrc: &run.src.v[0], aSrc: &run.src.a[0], iSrc: &run.src.i[0],
		vDst: &run.dst.v[0], aDst: &run.dst.a[0], iDst: &run.dst.i[0],
		offset: uintptr(l.at(run.first) * cell), stride: uintptr(l.stride * cell),
		rows:    uintptr(run.last - run.first),
		vectors: uintptr(l.n / lanes), tail: 1<<(l.n%lanes) - 1,
		sums:      &run.sums[0],
		noiseRow:  uintptr(l.n * cell),
		constants: &run.coef.broadcast,
		ends:      1,
	}
	behind := l.n / lanes * lanes
	args.leftFrom, args.leftTo = uintptr((run.ghosts.left-behind)*cell), uintptr((-1-behind)*cell)
	args.rightFrom, args.rightTo = uintptr((run.ghosts.right-behind)*cell), uintptr((l.n-behind)*cell)
	if run.noise != nil {
		args.noise = &run.noise[0]
	}
	if run.coef.turing {
		args.turing = 1
	}
	if run.perRow {
		args.sums, args.sumsStride = &run.sums[run.first], unsafe.Sizeof(laneSums{})
	}
	if run.perRow {
		args.strips(wide)
	} else {
		args.step(wide)
	}
	run.activations += args.activations
	run.clamps += args.clamps
	runtime.KeepAlive(run)
}

// stripVectors is how many vectors of columns are computed for all rows of a run
// before the next ones, so that the row above is still in the first-level cache:
// nine rows are read and three written.
const stripVectors = 32

// strips computes the rows strip by strip.
func (args *kernelArgs) strips(wide bool) {
	const cell = 8
	vectors, tail, rows, offset, noise := args.vectors, args.tail, args.rows, args.offset, args.noise
	for first := uintptr(0); ; first += stripVectors {
		args.vectors, args.tail, args.ends = min(vectors-first, stripVectors), 0, 0
		last := first+args.vectors == vectors
		if last {
			args.tail, args.ends = tail, 1
		}
		args.offset = offset + first*lanes*cell
		if noise != nil {
			args.noise = (*float64)(unsafe.Add(unsafe.Pointer(noise), first*lanes*cell))
		}
		args.rows, args.sumsAt = rows, 0
		args.step(wide)
		if last {
			return
		}
	}
}
