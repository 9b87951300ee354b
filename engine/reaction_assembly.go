//go:build amd64 || arm64

package engine

import (
	"runtime"
	"unsafe"
)

// reactionArgs is a rowRun of a model of two species as the assembly takes it.
// internal/kernelgen knows its layout.
type reactionArgs struct {
	uSrc, vSrc, uDst, vDst, uBase, vBase *float64 // the planes
	old                                  *float64 // before the step, of the species whose sums are taken

	offset, stride uintptr // bytes from a plane's start to the first row, and from row to row
	rows           uintptr
	vectors        uintptr // of eight cells, in a row
	tail           uintptr // a bit for each column that is left
	summed         uintptr // 0 for u, 1 for v
	model          uintptr // in the order of names
	sums           *laneSums
	sumsStride     uintptr // bytes from one row's sums to the next's
	sumsAt         uintptr // the kernel's own: bytes from sums to this row's
	constants      *reactionBroadcast

	// Bytes from a row's first cell to the columns that its ghosts are copies of,
	// and to the ghosts.
	leftFrom, leftTo, rightFrom, rightTo int
}

// reactAssembly runs the rows, one or more, by an assembly kernel, the wider one if
// there are two.
func reactAssembly(run *rowRun, wide bool) {
	l, base, old := run.layout, run.base, run.old
	if base == nil {
		base, old = run.src, run.src
	}
	args := reactionArgs{
		uSrc: &run.src.cells[speciesU][0], vSrc: &run.src.cells[speciesV][0],
		uDst: &run.dst.cells[speciesU][0], vDst: &run.dst.cells[speciesV][0],
		uBase: &base.cells[speciesU][0], vBase: &base.cells[speciesV][0],
		old:    &old.cells[run.reaction.summed][0],
		offset: uintptr(l.at(run.first) * cellBytes), stride: uintptr(l.stride * cellBytes),
		rows:    uintptr(run.last - run.first),
		vectors: uintptr(l.n / lanes), tail: 1<<(l.n%lanes) - 1,
		summed: uintptr(run.reaction.summed), model: uintptr(run.reaction.model),
		sums:      &run.sums[0],
		constants: &run.reaction.broadcast,
		leftFrom:  run.ghosts.left * cellBytes, leftTo: -1 * cellBytes,
		rightFrom: run.ghosts.right * cellBytes, rightTo: l.n * cellBytes,
	}
	if run.perRow {
		args.sums, args.sumsStride = &run.sums[run.first], unsafe.Sizeof(laneSums{})
	}
	args.react(wide)
	runtime.KeepAlive(run)
}

// combineArgs are the planes of combine as the assembly takes them.
// internal/kernelgen knows its layout.
type combineArgs struct {
	y1, y, y2, y3 *float64
	vectors       uintptr // of eight cells
	third         *[lanes]float64
}

// combineAssembly combines by an assembly kernel, the wider one if there are two.
// The planes are whole vectors.
func combineAssembly(y1, y, y2, y3 []float64, wide bool) {
	args := combineArgs{&y1[0], &y[0], &y2[0], &y3[0], uintptr(len(y1) / lanes), &thirds}
	args.combine(wide)
}

var thirds = func() (x [lanes]float64) {
	for lane := range x {
		x[lane] = third
	}
	return x
}()

// combineWith returns combine for a kernel.
func combineWith(wide bool) func(y1, y, y2, y3 []float64) {
	return func(y1, y, y2, y3 []float64) { combineAssembly(y1, y, y2, y3, wide) }
}
