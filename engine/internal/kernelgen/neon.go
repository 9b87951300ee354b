package main

import (
	"bytes"
	"fmt"
	"os"
)

// neon writes the kernel for arm64, which avo does not know. Go's assembler does
// not have the floating-point operations on vectors either: they are written as
// words, each with its mnemonic beside it. It computes eight cells at a time, in
// four vectors of two, with the sums of a row in registers.
type neon struct {
	text   bytes.Buffer
	labels int
}

// Vector registers. The sums of a row are absDiff+k for cells 2k and 2k+1, and
// so on, in the order of laneSums.
const (
	neonV = iota
	neonLap
	neonA
	neonI
	neonX
	neonY
	neonLoaded
	neonAlpha
	neonDA
	neonRA
	neonDI
	neonRI
	neonOne
	neonThreshold
	neonActivations
	neonClamps
	neonSums
)

// neonPlane is where a plane is, in general registers: three rows of the source
// and one of the destination.
type neonPlane struct{ above, here, below, to int }

var (
	neonPlaneV = neonPlane{0, 1, 2, 3}
	neonPlaneA = neonPlane{4, 5, 6, 7}
	neonPlaneI = neonPlane{8, 9, 10, 11}
)

// General registers, besides those of the planes.
const (
	neonNoise    = 12
	neonConsts   = 13
	neonCount    = 14
	neonArgs     = 15
	neonScratch  = 16
	neonTuring   = 17
	neonOffset   = 19
	neonStride   = 20
	neonRows     = 21
	neonNoiseRow = 22
	neonTail     = 23
	neonSumsRow  = 24
	neonSumsStep = 25
)

func (w *neon) line(format string, args ...any) { fmt.Fprintf(&w.text, "\t"+format+"\n", args...) }

func (w *neon) label(name string) { fmt.Fprintf(&w.text, "%v:\n", name) }

// unique returns a new label.
func (w *neon) unique(name string) string {
	w.labels++
	return fmt.Sprintf("%v%v", name, w.labels)
}

// op writes an operation of three vectors of two float64s.
func (w *neon) op(mnemonic string, to, n, m int) {
	code, found := map[string]uint32{
		"fadd":  0x4e60d400,
		"fsub":  0x4ee0d400,
		"fmul":  0x6e60dc00,
		"fdiv":  0x6e60fc00,
		"fmax":  0x4e60f400,
		"fmin":  0x4ee0f400,
		"fcmgt": 0x6ee0e400,
		"fcmeq": 0x4e60e400,
	}[mnemonic]
	if !found {
		panic("no operation " + mnemonic)
	}
	w.line("WORD $0x%08x // %v v%v.2d, v%v.2d, v%v.2d", code|uint32(m)<<16|uint32(n)<<5|uint32(to), mnemonic, to, n, m)
}

func (w *neon) abs(to, n int) {
	w.line("WORD $0x%08x // fabs v%v.2d, v%v.2d", 0x4ee0f800|uint32(n)<<5|uint32(to), to, n)
}

func (w *neon) not(to, n int) {
	w.line("WORD $0x%08x // mvn v%v.16b, v%v.16b", 0x6e205800|uint32(n)<<5|uint32(to), to, n)
}

func (w *neon) and(to, n, m int) { w.line("VAND V%v.B16, V%v.B16, V%v.B16", m, n, to) }

func (w *neon) clear(to int) { w.line("VEOR V%v.B16, V%v.B16, V%v.B16", to, to, to) }

func (w *neon) load(base, at, to int) { w.line("FMOVQ %v(R%v), F%v", at, base, to) }

func (w *neon) store(from, base, at int) { w.line("FMOVQ F%v, %v(R%v)", from, at, base) }

func (w *neon) arg(offset, to int) { w.line("MOVD %v(R%v), R%v", offset, neonArgs, to) }

// laplacian leaves the plane's cells in u and their Laplacian in lap. Four times
// u is exact by additions, too.
func (w *neon) laplacian(p neonPlane, at, u int) {
	w.load(p.here, at, u)
	w.load(p.above, at, neonLap)
	w.load(p.below, at, neonLoaded)
	w.op("fadd", neonLap, neonLap, neonLoaded)
	w.load(p.here, at-8, neonLoaded)
	w.op("fadd", neonLap, neonLap, neonLoaded)
	w.load(p.here, at+8, neonLoaded)
	w.op("fadd", neonLap, neonLap, neonLoaded)
	w.op("fadd", neonX, u, u)
	w.op("fadd", neonX, neonX, neonX)
	w.op("fsub", neonLap, neonLap, neonX)
}

// mask clears the lanes beyond a row's last column.
func (w *neon) mask(at int, tail bool, lanes ...int) {
	if !tail {
		return
	}
	w.load(neonConsts, constTail+at, neonX)
	for _, v := range lanes {
		w.and(v, v, neonX)
	}
}

// vector computes cells 2k and 2k+1. What it stores beyond a row's last column
// is zero, until its ghost is set.
func (w *neon) vector(k int, turing, tail bool) {
	at := 16 * k
	if turing {
		// da = dA·lap(a) + rA·(a·(1−a) − i), a += da
		w.laplacian(neonPlaneA, at, neonA)
		w.op("fmul", neonY, neonLap, neonDA)
		w.laplacian(neonPlaneI, at, neonI)
		w.op("fmul", neonLap, neonLap, neonDI)
		w.op("fsub", neonX, neonOne, neonA)
		w.op("fmul", neonX, neonA, neonX)
		w.op("fsub", neonX, neonX, neonI)
		w.op("fmul", neonX, neonX, neonRA)
		w.op("fadd", neonY, neonY, neonX)
		// di = dI·lap(i) + rI·(a − i), i += di
		w.op("fsub", neonX, neonA, neonI)
		w.op("fmul", neonX, neonX, neonRI)
		w.op("fadd", neonLap, neonLap, neonX)
		w.op("fadd", neonI, neonI, neonLap)
		w.op("fadd", neonA, neonA, neonY)
		w.op("fcmgt", neonY, neonA, neonThreshold)
		w.clear(neonLoaded)
		for _, u := range []int{neonA, neonI} {
			w.op("fmax", u, u, neonLoaded)
			w.op("fmin", u, u, neonOne)
		}
		w.mask(at, tail, neonA, neonI, neonY)
		w.store(neonA, neonPlaneA.to, at)
		w.store(neonI, neonPlaneI.to, at)
	}
	w.laplacian(neonPlaneV, at, neonV)
	w.op("fmul", neonLap, neonLap, neonAlpha)
	w.op("fadd", neonLap, neonV, neonLap)
	if turing {
		w.line("VSUB V%v.D2, V%v.D2, V%v.D2", neonY, neonActivations, neonActivations)
		w.load(neonConsts, constLift+at, neonLoaded)
		w.and(neonY, neonY, neonLoaded)
		w.op("fadd", neonLap, neonLap, neonY)
	}
	silent := w.unique("silent")
	w.line("CBZ R%v, %v", neonNoise, silent)
	w.load(neonNoise, at, neonLoaded)
	w.op("fadd", neonLap, neonLap, neonLoaded)
	w.label(silent)

	// Both keep a NaN.
	w.load(neonConsts, constMin+at, neonLoaded)
	w.op("fmax", neonA, neonLap, neonLoaded)
	w.load(neonConsts, constMax+at, neonLoaded)
	w.op("fmin", neonA, neonA, neonLoaded)
	w.op("fcmeq", neonI, neonA, neonLap)
	w.not(neonI, neonI)
	w.op("fsub", neonV, neonA, neonV)
	w.abs(neonV, neonV)
	w.mask(at, tail, neonI, neonA, neonV)
	w.line("VSUB V%v.D2, V%v.D2, V%v.D2", neonI, neonClamps, neonClamps)
	w.store(neonA, neonPlaneV.to, at)

	absDiff, sqDiff, energy, maxDiff := neonSums+k, neonSums+4+k, neonSums+8+k, neonSums+12+k
	w.op("fadd", absDiff, absDiff, neonV)
	w.op("fmax", maxDiff, maxDiff, neonV)
	w.op("fmul", neonV, neonV, neonV)
	w.op("fadd", sqDiff, sqDiff, neonV)
	w.op("fmul", neonA, neonA, neonA)
	w.op("fadd", energy, energy, neonA)
}

// columns goes over the row's whole eights of cells, and its tail, and copies a
// column to each of its ghosts.
func (w *neon) columns(name string, planes []neonPlane, turing bool) {
	w.arg(argVectors, neonCount)
	w.line("CBZ R%v, %vTail", neonCount, name)
	w.label(name + "Eight")
	for k := range 4 {
		w.vector(k, turing, false)
	}
	for _, p := range planes {
		for _, r := range []int{p.above, p.here, p.below, p.to} {
			w.line("ADD $64, R%v, R%v", r, r)
		}
	}
	silent := w.unique("silent")
	w.line("CBZ R%v, %v", neonNoise, silent)
	w.line("ADD $64, R%v, R%v", neonNoise, neonNoise)
	w.label(silent)
	w.line("SUB $1, R%v, R%v", neonCount, neonCount)
	w.line("CBNZ R%v, %vEight", neonCount, name)
	w.label(name + "Tail")
	for k := range 4 {
		w.line("LSR $%v, R%v, R%v", 2*k, neonTail, neonScratch)
		w.line("CBZ R%v, %vGhosts", neonScratch, name)
		w.vector(k, turing, true)
	}
	w.label(name + "Ghosts")
	w.arg(argVectors, neonCount)
	for _, p := range planes { // back to the row's first cell
		w.line("SUB R%v<<6, R%v, R%v", neonCount, p.to, p.to)
	}
	for _, side := range []struct{ from, to int }{{argLeftFrom, argLeftTo}, {argRightFrom, argRightTo}} {
		w.arg(side.from, neonScratch)
		w.arg(side.to, neonCount)
		for _, p := range planes {
			w.line("MOVD (R%v)(R%v), R%v", p.to, neonScratch, p.above)
			w.line("MOVD R%v, (R%v)(R%v)", p.above, p.to, neonCount)
		}
	}
	w.line("B summed")
}

// eachSum does for each sum of a row, and its place in laneSums.
func eachSum(do func(v, at int)) {
	for v := range 16 {
		do(neonSums+v, 16*v)
	}
}

const neonHead = `// Code generated by kernelgen. DO NOT EDIT.

#include "textflag.h"

// func stepNEON(args *kernelArgs)
TEXT ·stepNEON(SB), NOSPLIT, $0-8
`

func (w *neon) emit() {
	planes := []neonPlane{neonPlaneV, neonPlaneA, neonPlaneI}
	fmt.Fprint(&w.text, neonHead)
	w.line("MOVD args+0(FP), R%v", neonArgs)
	for _, a := range [][2]int{
		{argConstants, neonConsts}, {argOffset, neonOffset}, {argStride, neonStride}, {argRows, neonRows},
		{argTail, neonTail}, {argTuring, neonTuring}, {argNoise, neonNoiseRow}, {argSums, neonSumsRow}, {argSumsStride, neonSumsStep},
	} {
		w.arg(a[0], a[1])
	}
	for _, c := range [][2]int{
		{constAlpha, neonAlpha}, {constDA, neonDA}, {constRA, neonRA}, {constDI, neonDI}, {constRI, neonRI},
		{constOne, neonOne}, {constThreshold, neonThreshold},
	} {
		w.load(neonConsts, c[0], c[1])
	}
	w.clear(neonActivations)
	w.clear(neonClamps)

	w.label("row")
	for k, p := range planes {
		w.arg(argVSrc+8*k, p.here)
		w.line("ADD R%v, R%v, R%v", neonOffset, p.here, p.here)
		w.line("SUB R%v, R%v, R%v", neonStride, p.here, p.above)
		w.line("ADD R%v, R%v, R%v", neonStride, p.here, p.below)
		w.arg(argVDst+8*k, p.to)
		w.line("ADD R%v, R%v, R%v", neonOffset, p.to, p.to)
	}
	w.line("MOVD R%v, R%v", neonNoiseRow, neonNoise)
	eachSum(func(v, _ int) { w.clear(v) })
	w.line("CBZ R%v, plain", neonTuring)
	w.columns("turing", planes, true)
	w.label("plain")
	w.columns("plain", planes[:1], false)

	w.label("summed")
	w.line("CBNZ R%v, own", neonSumsStep)
	eachSum(func(v, at int) {
		w.load(neonSumsRow, at, neonLoaded)
		if v < neonSums+12 {
			w.op("fadd", v, v, neonLoaded)
		} else {
			w.op("fmax", v, v, neonLoaded)
		}
	})
	w.label("own")
	eachSum(func(v, at int) { w.store(v, neonSumsRow, at) })
	w.line("ADD R%v, R%v, R%v", neonSumsStep, neonSumsRow, neonSumsRow)

	w.line("ADD R%v, R%v, R%v", neonStride, neonOffset, neonOffset)
	w.line("CBZ R%v, quiet", neonNoiseRow)
	w.arg(argNoiseRow, neonScratch)
	w.line("ADD R%v, R%v, R%v", neonScratch, neonNoiseRow, neonNoiseRow)
	w.label("quiet")
	w.line("SUB $1, R%v, R%v", neonRows, neonRows)
	w.line("CBNZ R%v, row", neonRows)

	for _, c := range [][2]int{{neonActivations, argActivations}, {neonClamps, argClamps}} {
		w.arg(c[1], neonScratch)
		for lane := range 2 {
			w.line("VMOV V%v.D[%v], R%v", c[0], lane, neonCount)
			w.line("ADD R%v, R%v, R%v", neonCount, neonScratch, neonScratch)
		}
		w.line("MOVD R%v, %v(R%v)", neonScratch, c[1], neonArgs)
	}
	w.line("RET")
}

func writeNEON(path string, models []kinetics) error {
	var w neon
	w.emit()
	w.emitReaction(models)
	w.emitCombine()
	return os.WriteFile(path, w.text.Bytes(), 0o644) //nolint:gosec // source for everyone to read
}
