package main

import "go/token"

// Registers of the kernel of two species. The sums of a row are absDiff+k for
// cells 2k and 2k+1, and so on, in the order of laneSums.
const (
	neonU = iota
	neonW // v
	neonLapU
	neonLapV
	neonTemporary                     // and those up to the last but one before the sums
	neonSpare     = neonSumsOfTwo - 1 // the last one
	neonSumsOfTwo = 16
)

// General registers: those of two planes are as in the kernel of mfn, and the
// bases take the place of its third plane.
const (
	neonBaseU  = 8
	neonBaseV  = 9
	neonSummed = 10
	neonOld    = 11 // the plane before the step whose sums are taken
)

const reactionHead = `
// func reactNEON(args *reactionArgs)
TEXT ·reactNEON(SB), NOSPLIT, $0-8
`

// emitReaction writes the kernel of every model of two species. A call jumps to
// its model.
func (w *neon) emitReaction(models []kinetics) {
	w.text.WriteString(reactionHead)
	w.line("MOVD args+0(FP), R%v", neonArgs)
	for _, a := range [][2]int{
		{reactConstants, neonConsts}, {reactOffset, neonOffset}, {reactStride, neonStride}, {reactRows, neonRows},
		{reactTail, neonTail}, {reactSums, neonSumsRow}, {reactSumsStride, neonSumsStep}, {reactSummed, neonSummed},
		{reactModel, neonScratch},
	} {
		w.arg(a[0], a[1])
	}
	for k, model := range models[1:] {
		w.line("CMP $%v, R%v", k+1, neonScratch)
		w.line("BEQ %vRow", model.name)
	}
	for _, model := range models {
		w.reactionModel(model)
	}
}

func (w *neon) reactionModel(k kinetics) {
	w.label(k.name + "Row")
	for i, p := range []neonPlane{neonPlaneV, neonPlaneA} {
		w.arg(reactUSrc+8*i, p.here)
		w.line("ADD R%v, R%v, R%v", neonOffset, p.here, p.here)
		w.line("SUB R%v, R%v, R%v", neonStride, p.here, p.above)
		w.line("ADD R%v, R%v, R%v", neonStride, p.here, p.below)
		w.arg(reactUDst+8*i, p.to)
		w.line("ADD R%v, R%v, R%v", neonOffset, p.to, p.to)
		w.arg(reactUBase+8*i, neonBaseU+i)
		w.line("ADD R%v, R%v, R%v", neonOffset, neonBaseU+i, neonBaseU+i)
	}
	w.arg(reactOld, neonOld)
	w.line("ADD R%v, R%v, R%v", neonOffset, neonOld, neonOld)
	for v := range 16 {
		w.clear(neonSumsOfTwo + v)
	}
	w.arg(reactVectors, neonCount)
	w.line("CBZ R%v, %vTail", neonCount, k.name)
	w.label(k.name + "Eight")
	for two := range 4 {
		w.reactionVector(k, two, false)
	}
	for r := range neonBaseV + 1 {
		w.line("ADD $64, R%v, R%v", r, r)
	}
	w.line("ADD $64, R%v, R%v", neonOld, neonOld)
	w.line("SUB $1, R%v, R%v", neonCount, neonCount)
	w.line("CBNZ R%v, %vEight", neonCount, k.name)
	w.label(k.name + "Tail")
	for two := range 4 {
		w.line("LSR $%v, R%v, R%v", 2*two, neonTail, neonScratch)
		w.line("CBZ R%v, %vGhosts", neonScratch, k.name)
		w.reactionVector(k, two, true)
	}
	w.label(k.name + "Ghosts")
	w.arg(reactVectors, neonCount)
	planes := []neonPlane{neonPlaneV, neonPlaneA}
	for _, p := range planes { // back to the row's first cell
		w.line("SUB R%v<<6, R%v, R%v", neonCount, p.to, p.to)
	}
	for _, side := range []int{reactLeftFrom, reactRightFrom} {
		w.arg(side, neonScratch)
		w.arg(side+8, neonCount)
		for _, p := range planes {
			w.line("MOVD (R%v)(R%v), R%v", p.to, neonScratch, p.above)
			w.line("MOVD R%v, (R%v)(R%v)", p.above, p.to, neonCount)
		}
	}
	w.line("CBNZ R%v, %vOwn", neonSumsStep, k.name)
	for v := range 16 {
		w.load(neonSumsRow, 16*v, neonTemporary)
		op := "fadd"
		if v/4 == 3 {
			op = "fmax"
		}
		w.op(op, neonSumsOfTwo+v, neonSumsOfTwo+v, neonTemporary)
	}
	w.label(k.name + "Own")
	for v := range 16 {
		w.store(neonSumsOfTwo+v, neonSumsRow, 16*v)
	}
	w.line("ADD R%v, R%v, R%v", neonSumsStep, neonSumsRow, neonSumsRow)
	w.line("ADD R%v, R%v, R%v", neonStride, neonOffset, neonOffset)
	w.line("SUB $1, R%v, R%v", neonRows, neonRows)
	w.line("CBNZ R%v, %vRow", neonRows, k.name)
	w.line("RET")
}

// laplacianOfTwo leaves the plane's cells in u and their Laplacian in lap.
func (w *neon) laplacianOfTwo(p neonPlane, at, u, lap int) {
	const x = neonTemporary
	w.load(p.here, at, u)
	w.load(p.above, at, lap)
	w.load(p.below, at, x)
	w.op("fadd", lap, lap, x)
	w.load(p.here, at-8, x)
	w.load(p.here, at+8, neonSpare)
	w.op("fadd", x, x, neonSpare)
	w.op("fadd", lap, lap, x)
	w.op("fadd", x, u, u)
	w.op("fadd", x, x, x)
	w.op("fsub", lap, lap, x)
}

// reactionVector computes cells 2k and 2k+1 of eight. What it stores beyond a
// row's last column is zero, until its ghost is set.
func (w *neon) reactionVector(k kinetics, two int, tail bool) {
	at := 16 * two
	times := func(to, offset int) {
		w.load(neonConsts, offset+at, neonSpare)
		w.op("fmul", to, to, neonSpare)
	}
	w.laplacianOfTwo(neonPlaneV, at, neonU, neonLapU)
	w.laplacianOfTwo(neonPlaneA, at, neonW, neonLapV)
	times(neonLapU, reactDu)
	times(neonLapV, reactDv)
	c := compiler{
		named:    map[string]any{"u": neonU, "v": neonW},
		constant: func(name string) any { return reactConstant(name) + at },
		load:     func(from, to any) { w.load(neonConsts, from.(int), to.(int)) },
		loads:    true,
		op: func(op token.Token, to, x, y any) {
			w.op(map[token.Token]string{token.ADD: "fadd", token.SUB: "fsub", token.MUL: "fmul", token.QUO: "fdiv"}[op], to.(int), x.(int), y.(int))
		},
	}
	for r := neonSpare; r >= neonTemporary; r-- {
		c.free = append(c.free, r)
	}
	f, g := c.compile(k)
	w.op("fadd", neonLapU, neonLapU, f.(int))
	w.op("fadd", neonLapV, neonLapV, g.(int))
	times(neonLapU, reactH)
	times(neonLapV, reactH)
	for i, lap := range []int{neonLapU, neonLapV} {
		w.load(neonBaseU+i, at, neonSpare)
		w.op("fadd", lap, lap, neonSpare)
	}
	if tail {
		w.load(neonConsts, reactTails+at, neonSpare)
		for _, r := range []int{neonLapU, neonLapV} {
			w.and(r, r, neonSpare)
		}
	}
	w.store(neonLapU, neonPlaneV.to, at)
	w.store(neonLapV, neonPlaneA.to, at)

	// The sums are those of u, unless they are to be those of v.
	label := w.unique("summedU")
	w.line("CBZ R%v, %v", neonSummed, label)
	w.line("VMOV V%v.B16, V%v.B16", neonLapV, neonLapU)
	w.label(label)
	w.load(neonOld, at, neonU)
	if tail {
		w.and(neonU, neonU, neonSpare)
	}
	w.op("fsub", neonU, neonLapU, neonU)
	w.abs(neonU, neonU)
	sum := func(k int) int { return neonSumsOfTwo + 4*k + two }
	w.op("fadd", sum(0), sum(0), neonU)
	w.op("fmax", sum(3), sum(3), neonU)
	w.op("fmul", neonU, neonU, neonU)
	w.op("fadd", sum(1), sum(1), neonU)
	w.op("fmul", neonLapU, neonLapU, neonLapU)
	w.op("fadd", sum(2), sum(2), neonLapU)
}

const combineHead = `
// func combineNEON(args *combineArgs)
TEXT ·combineNEON(SB), NOSPLIT, $0-8
`

// emitCombine writes combine.
func (w *neon) emitCombine() {
	w.text.WriteString(combineHead)
	w.line("MOVD args+0(FP), R%v", neonArgs)
	const y1, y, y2, y3 = 0, 1, 2, 3 // planes, and vectors of theirs
	for k := range 4 {
		w.arg(8*k, k)
	}
	w.arg(combineVectors, neonCount)
	w.arg(combineThird, neonScratch)
	w.load(neonScratch, 0, neonSpare)
	w.label("combineEight")
	for at := 0; at < 64; at += 16 {
		for k := range 4 {
			w.load(k, at, k)
		}
		for _, k := range []int{y1, y2, y3} {
			w.op("fsub", k, k, y)
		}
		w.op("fadd", y2, y2, y2)
		w.op("fadd", y1, y1, y2)
		w.op("fadd", y1, y1, y3)
		w.op("fmul", y1, y1, neonSpare)
		w.op("fadd", y1, y, y1)
		w.store(y1, y1, at)
	}
	for k := range 4 {
		w.line("ADD $64, R%v, R%v", k, k)
	}
	w.line("SUB $1, R%v, R%v", neonCount, neonCount)
	w.line("CBNZ R%v, combineEight", neonCount)
	w.line("RET")
}
