package main

import (
	"fmt"
	"go/token"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets into reactionArgs.
const (
	reactUSrc = 8 * iota
	reactVSrc
	reactUDst
	reactVDst
	reactUBase
	reactVBase
	reactOld
	reactOffset
	reactStride
	reactRows
	reactVectors
	reactTail
	reactSummed
	reactModel
	reactSums
	reactSumsStride
	reactSumsAt
	reactConstants
	reactLeftFrom
	reactLeftTo
	reactRightFrom
	reactRightTo
)

// Offsets into reactionBroadcast, each of eight float64s.
const (
	reactFour = 64 * iota
	reactOne
	reactDu
	reactDv
	reactH
	reactP // and those that follow
)

const (
	maxConstants = 6
	reactAbs     = reactP + 64*maxConstants
	reactTails   = reactAbs + 64
)

// reactConstant returns where a constant of kinetics is.
func reactConstant(name string) int {
	if name == nameOfOne {
		return reactOne
	}
	var k int
	if _, err := fmt.Sscanf(name, "p%d", &k); err != nil || k >= maxConstants {
		panic("no constant " + name)
	}
	return reactP + 64*k
}

// Registers of the kernels of two species.
var (
	uSrc, vRead  = reg.R8, reg.R9
	uDst, vWrite = reg.R10, reg.R11
	uBase, vBase = reg.R12, reg.R13
	old          = reg.RBX // the plane before the step whose sums are taken
)

// reactionKernel emits the kernel of every model of two species for one kind of
// vectors. A call jumps to its model.
type reactionKernel struct {
	name, doc string
	passes    int
	begin     func()
	clearSums func()
	column    func(k kinetics, pass int, tail bool, label string)
	addSums   func(pass int) // to where scratch points
	storeSums func(pass int)
}

func (r reactionKernel) emit(models []kinetics) {
	TEXT(r.name, NOSPLIT, "func(args uintptr)")
	Doc(r.doc)
	Load(Param("args"), args)
	for _, l := range []struct {
		offset int
		to     reg.GPPhysical
	}{
		{reactUSrc, uSrc}, {reactVSrc, vRead}, {reactUDst, uDst}, {reactVDst, vWrite}, {reactUBase, uBase}, {reactVBase, vBase},
		{reactOffset, here}, {reactConstants, consts}, {reactOld, old},
	} {
		MOVQ(arg(l.offset), l.to)
	}
	r.begin()
	MOVQ(arg(reactModel), scratch)
	for k, model := range models[1:] {
		CMPQ(scratch, U8(k+1))
		JEQ(LabelRef(model.name + "_row"))
	}
	for _, model := range models {
		r.model(model)
	}
	Label("end")
	VZEROUPPER()
	RET()
}

// model emits the loop over the rows.
func (r reactionKernel) model(k kinetics) {
	Label(k.name + "_row")
	MOVQ(here, above)
	SUBQ(arg(reactStride), above)
	MOVQ(here, below)
	ADDQ(arg(reactStride), below)
	for pass := range r.passes {
		r.columns(k, pass)
	}
	setGhostsOf(reactLeftFrom, uDst, vWrite)
	MOVQ(arg(reactSumsStride), scratch)
	ADDQ(scratch, arg(reactSumsAt))
	ADDQ(arg(reactStride), here)
	DECQ(arg(reactRows))
	JNZ(LabelRef(k.name + "_row"))
	JMP(LabelRef("end"))
}

// columns goes over the row's whole vectors of eight cells and its tail, and takes
// the offsets back to where they were.
func (r reactionKernel) columns(k kinetics, pass int) {
	at := func(place string) string { return fmt.Sprintf("%v%v_%v", k.name, pass, place) }
	r.clearSums()
	MOVQ(arg(reactVectors), count)
	TESTQ(count, count)
	JZ(LabelRef(at("tail")))
	Label(at("vector"))
	r.column(k, pass, false, at("whole"))
	ADDQ(U8(64), above)
	ADDQ(U8(64), here)
	ADDQ(U8(64), below)
	DECQ(count)
	JNZ(LabelRef(at("vector")))
	Label(at("tail"))
	CMPQ(arg(reactTail), U8(0))
	JEQ(LabelRef(at("done")))
	r.column(k, pass, true, at("part"))
	Label(at("done"))
	MOVQ(arg(reactVectors), count)
	SHLQ(U8(6), count)
	SUBQ(count, above)
	SUBQ(count, here)
	SUBQ(count, below)

	MOVQ(arg(reactSums), scratch)
	ADDQ(arg(reactSumsAt), scratch)
	CMPQ(arg(reactSumsStride), U8(0))
	JEQ(LabelRef(at("common")))
	r.storeSums(pass)
	JMP(LabelRef(at("summed")))
	Label(at("common"))
	r.addSums(pass)
	Label(at("summed"))
}

// vectorOp emits to = x op y.
func vectorOp(op token.Token, to, x, y any) {
	a, b, c := y.(Op), x.(Op), to.(Op)
	switch op {
	case token.ADD:
		VADDPD(a, b, c)
	case token.SUB:
		VSUBPD(a, b, c)
	case token.MUL:
		VMULPD(a, b, c)
	case token.QUO:
		VDIVPD(a, b, c)
	default:
		panic("no operation " + op.String())
	}
}

// registersOf returns registers as a compiler takes them.
func registersOf(registers ...reg.VecPhysical) []any {
	var free []any
	for _, r := range registers {
		free = append(free, r)
	}
	return free
}

// reactionAVX512 computes eight cells at a time.
func reactionAVX512() reactionKernel {
	var (
		u, v, lapU, lapV, x = reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4

		four, one, du, dv, h, abs        = reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15, reg.Z16
		absDiff, sqDiff, energy, maxDiff = reg.Z24, reg.Z25, reg.Z26, reg.Z27

		p       = []reg.VecPhysical{reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22}
		columns = reg.K1
	)
	sums := []reg.VecPhysical{absDiff, sqDiff, energy, maxDiff} // in the order of laneSums
	laplacian := func(plane reg.Register, u, lap reg.VecPhysical) {
		VMOVUPD(cell(plane, here, 0), u)
		VMOVUPD(cell(plane, above, 0), lap)
		VADDPD(cell(plane, below, 0), lap, lap)
		VMOVUPD(cell(plane, here, -8), x)
		VADDPD(cell(plane, here, 8), x, x)
		VADDPD(x, lap, lap)
		VMULPD(u, four, x)
		VSUBPD(x, lap, lap)
	}
	store := func(from reg.VecPhysical, plane reg.Register, tail bool) {
		if tail {
			VMOVUPD(from, columns, cell(plane, here, 0))
		} else {
			VMOVUPD(from, cell(plane, here, 0))
		}
	}
	return reactionKernel{
		name:   "reactAVX512",
		doc:    "reactAVX512 computes a run of rows of a model of two species, eight cells at a time.",
		passes: 1,
		begin: func() {
			for offset, to := range []reg.VecPhysical{four, one, du, dv, h, p[0], p[1], p[2], p[3], p[4], p[5], abs} {
				VMOVUPD(constant(64*offset), to)
			}
			MOVQ(arg(reactTail), scratch)
			KMOVB(scratch.As32(), columns)
		},
		clearSums: func() {
			for _, sum := range sums {
				VPXORQ(sum, sum, sum)
			}
		},
		column: func(k kinetics, _ int, tail bool, label string) {
			laplacian(uSrc, u, lapU)
			laplacian(vRead, v, lapV)
			VMULPD(lapU, du, lapU)
			VMULPD(lapV, dv, lapV)
			named := map[string]any{"u": u, "v": v, nameOfOne: one}
			for k, r := range p {
				named[constantName(k)] = r
			}
			c := compiler{
				free:  registersOf(reg.Z10, reg.Z9, reg.Z8, reg.Z7, reg.Z6, reg.Z5, reg.Z4),
				named: named, op: vectorOp,
			}
			f, g := c.compile(k)
			VADDPD(f.(Op), lapU, lapU)
			VADDPD(g.(Op), lapV, lapV)
			VMULPD(lapU, h, lapU)
			VMULPD(lapV, h, lapV)
			VADDPD(cell(uBase, here, 0), lapU, lapU)
			VADDPD(cell(vBase, here, 0), lapV, lapV)
			store(lapU, uDst, tail)
			store(lapV, vWrite, tail)

			// The sums are those of u, unless they are to be those of v.
			CMPQ(arg(reactSummed), U8(0))
			JEQ(LabelRef(label))
			VMOVAPD(lapV, lapU)
			Label(label)
			VSUBPD(cell(old, here, 0), lapU, u)
			VANDPD(abs, u, u)
			if tail {
				for _, r := range []reg.VecPhysical{u, lapU} {
					VMOVAPD_Z(r, columns, r)
				}
			}
			VADDPD(u, absDiff, absDiff)
			VPMAXUQ(u, maxDiff, maxDiff)
			VMULPD(u, u, u)
			VADDPD(u, sqDiff, sqDiff)
			VMULPD(lapU, lapU, lapU)
			VADDPD(lapU, energy, energy)
		},
		addSums: func(int) {
			for k, sum := range sums {
				at := Mem{Base: scratch, Disp: 64 * k}
				if sum == maxDiff {
					VMAXPD(at, sum, sum)
				} else {
					VADDPD(at, sum, sum)
				}
				VMOVUPD(sum, at)
			}
		},
		storeSums: func(int) {
			for k, sum := range sums {
				VMOVUPD(sum, Mem{Base: scratch, Disp: 64 * k})
			}
		},
	}
}

// reactionAVX2 computes four cells at a time: first the left half of every eight
// of a row, then the right one. The constants stay in memory.
func reactionAVX2() reactionKernel {
	var (
		u, v, lapU, lapV, x = reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4

		absDiff, sqDiff, energy, maxDiff = reg.Y12, reg.Y13, reg.Y14, reg.Y15
	)
	eachSum := func(half int, do func(sum reg.VecPhysical, at Mem)) {
		for k, sum := range []reg.VecPhysical{absDiff, sqDiff, energy, maxDiff} {
			do(sum, Mem{Base: scratch, Disp: 64*k + 32*half})
		}
	}
	return reactionKernel{
		name:   "reactAVX2",
		doc:    "reactAVX2 computes a run of rows of a model of two species, four cells at a time.",
		passes: 2,
		begin:  func() {},
		clearSums: func() {
			eachSum(0, func(sum reg.VecPhysical, _ Mem) { VPXOR(sum, sum, sum) })
		},
		column: func(k kinetics, half int, tail bool, label string) {
			at := 32 * half
			constant := func(offset int) Mem { return constant(offset + at) }
			laplacian := func(plane reg.Register, u, lap reg.VecPhysical) {
				VMOVUPD(cell(plane, here, at), u)
				VMOVUPD(cell(plane, above, at), lap)
				VADDPD(cell(plane, below, at), lap, lap)
				VMOVUPD(cell(plane, here, at-8), x)
				VADDPD(cell(plane, here, at+8), x, x)
				VADDPD(x, lap, lap)
				VMULPD(constant(reactFour), u, x)
				VSUBPD(x, lap, lap)
			}
			store := func(from reg.VecPhysical, plane reg.Register) {
				if tail {
					VMOVUPD(constant(reactTails), x)
					VMASKMOVPD(from, x, cell(plane, here, at))
				} else {
					VMOVUPD(from, cell(plane, here, at))
				}
			}
			laplacian(uSrc, u, lapU)
			laplacian(vRead, v, lapV)
			VMULPD(constant(reactDu), lapU, lapU)
			VMULPD(constant(reactDv), lapV, lapV)
			c := compiler{
				free:     registersOf(reg.Y10, reg.Y9, reg.Y8, reg.Y7, reg.Y6, reg.Y5, reg.Y4),
				named:    map[string]any{"u": u, "v": v},
				constant: func(name string) any { return constant(reactConstant(name)) },
				load:     func(from, to any) { VMOVUPD(from.(Op), to.(Op)) },
				op:       vectorOp,
			}
			f, g := c.compile(k)
			VADDPD(f.(Op), lapU, lapU)
			VADDPD(g.(Op), lapV, lapV)
			VMULPD(constant(reactH), lapU, lapU)
			VMULPD(constant(reactH), lapV, lapV)
			VADDPD(cell(uBase, here, at), lapU, lapU)
			VADDPD(cell(vBase, here, at), lapV, lapV)
			store(lapU, uDst)
			store(lapV, vWrite)

			CMPQ(arg(reactSummed), U8(0))
			JEQ(LabelRef(label))
			VMOVAPD(lapV, lapU)
			Label(label)
			VSUBPD(cell(old, here, at), lapU, u)
			VANDPD(constant(reactAbs), u, u)
			if tail {
				for _, r := range []reg.VecPhysical{u, lapU} {
					VANDPD(constant(reactTails), r, r)
				}
			}
			VADDPD(u, absDiff, absDiff)
			VMAXPD(u, maxDiff, maxDiff)
			VMULPD(u, u, u)
			VADDPD(u, sqDiff, sqDiff)
			VMULPD(lapU, lapU, lapU)
			VADDPD(lapU, energy, energy)
		},
		addSums: func(half int) {
			eachSum(half, func(sum reg.VecPhysical, at Mem) {
				if sum == maxDiff {
					VMAXPD(at, sum, sum)
				} else {
					VADDPD(at, sum, sum)
				}
				VMOVUPD(sum, at)
			})
		},
		storeSums: func(half int) {
			eachSum(half, func(sum reg.VecPhysical, at Mem) { VMOVUPD(sum, at) })
		},
	}
}

// combineArgs are the arguments of combine: four planes, the number of vectors of
// eight cells, and a third in each of eight lanes.
const (
	combineY1 = 8 * iota
	combineY
	combineY2
	combineY3
	combineVectors
	combineThird
)

// combine emits y1 = y + (((y1−y) + 2·(y2−y)) + (y3−y))/3 over whole planes, a
// vector or two halves of one at a time.
func combine(name string, registers []reg.VecPhysical, width int) {
	TEXT(name, NOSPLIT, "func(args uintptr)")
	Doc(name + " combines the stages of RK4.")
	Load(Param("args"), args)
	for k, to := range []reg.GPPhysical{uSrc, vRead, uDst, vWrite, count, scratch} {
		MOVQ(arg(8*k), to)
	}
	a, b, c, d, third := registers[0], registers[1], registers[2], registers[3], registers[4]
	VMOVUPD(Mem{Base: scratch}, third)
	Label("vector")
	for at := 0; at < 64; at += width {
		VMOVUPD(Mem{Base: vRead, Disp: at}, b)
		VMOVUPD(Mem{Base: uSrc, Disp: at}, a)
		VMOVUPD(Mem{Base: uDst, Disp: at}, c)
		VMOVUPD(Mem{Base: vWrite, Disp: at}, d)
		VSUBPD(b, a, a)
		VSUBPD(b, c, c)
		VSUBPD(b, d, d)
		VADDPD(c, c, c)
		VADDPD(c, a, a)
		VADDPD(d, a, a)
		VMULPD(third, a, a)
		VADDPD(a, b, b)
		VMOVUPD(b, Mem{Base: uSrc, Disp: at})
	}
	for _, r := range []reg.GPPhysical{uSrc, vRead, uDst, vWrite} {
		ADDQ(U8(64), r)
	}
	DECQ(count)
	JNZ(LabelRef("vector"))
	VZEROUPPER()
	RET()
}
