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
	sumsAt         uintptr // the kernel's own: bytes from sums to this row's; a pointer must not end up behind them

	activations, clamps int64

	noiseRow  uintptr // bytes of a row of noise
	constants *broadcast

	// Bytes from a row's first cell to the columns that its ghosts are copies of,
	// and to the ghosts.
	leftFrom, leftTo, rightFrom, rightTo int
}

// stepAssembly runs the rows by an assembly kernel, the wider one if there are two.
func stepAssembly(run *rowRun, wide bool) {
	if run.first >= run.last {
		return
	}
	l := run.layout
	args := kernelArgs{
		vSrc: &run.src.cells[planeV][0], aSrc: &run.src.cells[planeA][0], iSrc: &run.src.cells[planeI][0],
		vDst: &run.dst.cells[planeV][0], aDst: &run.dst.cells[planeA][0], iDst: &run.dst.cells[planeI][0],
		offset: uintptr(l.at(run.first) * cellBytes), stride: uintptr(l.stride * cellBytes),
		rows:    uintptr(run.last - run.first),
		vectors: uintptr(l.n / lanes), tail: 1<<(l.n%lanes) - 1,
		sums:      &run.sums[0],
		noiseRow:  uintptr(l.n * cellBytes),
		constants: &run.coef.broadcast,
		leftFrom:  run.ghosts.left * cellBytes, leftTo: -1 * cellBytes,
		rightFrom: run.ghosts.right * cellBytes, rightTo: l.n * cellBytes,
	}
	if run.noise != nil {
		args.noise = &run.noise[0]
	}
	if run.coef.turing {
		args.turing = 1
	}
	if run.perRow {
		args.sums, args.sumsStride = &run.sums[run.first], unsafe.Sizeof(laneSums{})
	}
	args.step(wide)
	run.activations += args.activations
	run.clamps += args.clamps
	runtime.KeepAlive(run)
}
