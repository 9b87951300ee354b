package main

import (
	. "github.com/mmcloughlin/avo/build"   //nolint:revive // avo's own idiom
	. "github.com/mmcloughlin/avo/operand" //nolint:revive // avo's own idiom
	"github.com/mmcloughlin/avo/reg"
)

// avx2 computes eight cells at a time in two halves. There are sixteen
// registers: eight hold the sums of a row, and constants stay in memory.
func avx2() kernel {
	var (
		v, lap, a, i, x, y, mask = reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14

		// By half.
		absDiff = [2]reg.VecPhysical{reg.Y0, reg.Y4}
		sqDiff  = [2]reg.VecPhysical{reg.Y1, reg.Y5}
		energy  = [2]reg.VecPhysical{reg.Y2, reg.Y6}
		maxDiff = [2]reg.VecPhysical{reg.Y3, reg.Y7}
	)
	// In the order of laneSums.
	eachSum := func(do func(sum reg.VecPhysical, at Mem)) {
		for h := range 2 {
			for k, sum := range []reg.VecPhysical{absDiff[h], sqDiff[h], energy[h], maxDiff[h]} {
				do(sum, Mem{Base: scratch, Disp: 64*k + 32*h})
			}
		}
	}
	noises := 0

	half := func(h int, turing, tail bool) {
		at := 32 * h
		constant := func(offset int) Mem { return constant(offset + at) }
		laplacian := func(plane reg.Register, u reg.VecPhysical) {
			VMOVUPD(cell(plane, here, at), u)
			VMOVUPD(cell(plane, above, at), lap)
			VADDPD(cell(plane, below, at), lap, lap)
			VADDPD(cell(plane, here, at-8), lap, lap)
			VADDPD(cell(plane, here, at+8), lap, lap)
			VMULPD(constant(constFour), u, x)
			VSUBPD(x, lap, lap)
		}
		store := func(from reg.VecPhysical, plane reg.Register) {
			if tail {
				VMOVUPD(constant(constTail), x)
				VMASKMOVPD(from, x, cell(plane, here, at))
			} else {
				VMOVUPD(from, cell(plane, here, at))
			}
		}
		addCount := func(mask reg.VecPhysical, to int) {
			if tail {
				VANDPD(constant(constTail), mask, mask)
			}
			VMOVMSKPD(mask, scratch.As32())
			POPCNTL(scratch.As32(), scratch.As32())
			ADDQ(scratch, arg(to))
		}

		if turing {
			// da = dA·lap(a) + rA·(a·(1−a) − i), a += da
			laplacian(aSrc, a)
			VMULPD(constant(constDA), lap, y)
			laplacian(iSrc, i)
			VMULPD(constant(constDI), lap, lap)
			VMOVUPD(constant(constOne), x)
			VSUBPD(a, x, x)
			VMULPD(x, a, x)
			VSUBPD(i, x, x)
			VMULPD(constant(constRA), x, x)
			VADDPD(x, y, y)
			// di = dI·lap(i) + rI·(a − i), i += di
			VSUBPD(i, a, x)
			VMULPD(constant(constRI), x, x)
			VADDPD(x, lap, lap)
			VADDPD(lap, i, i)
			VADDPD(y, a, a)
			VCMPPD(U8(greater), constant(constThreshold), a, mask)
			VPXOR(lap, lap, lap)
			VMAXPD(lap, a, a)
			VMINPD(constant(constOne), a, a)
			store(a, aDst)
			VMAXPD(lap, i, i)
			VMINPD(constant(constOne), i, i)
			store(i, iDst)
		}
		laplacian(vSrc, v)
		VMULPD(constant(constAlpha), lap, lap)
		VADDPD(lap, v, y)
		if turing {
			addCount(mask, argActivations)
			VANDPD(constant(constLift), mask, mask)
			VADDPD(mask, y, y)
		}
		noises++
		silent := "avx2_silent" + string(rune('a'+noises))
		TESTQ(noise, noise)
		JZ(LabelRef(silent))
		VADDPD(Mem{Base: noise, Disp: at}, y, y)
		Label(silent)

		// A NaN must stay one: it has to be the second source.
		VMOVUPD(constant(constMin), i)
		VMAXPD(y, i, i)
		VMOVUPD(constant(constMax), a)
		VMINPD(i, a, a)
		VCMPPD(U8(notEqual), y, a, mask)
		addCount(mask, argClamps)
		store(a, vDst)

		VSUBPD(v, a, v)
		VANDPD(constant(constAbs), v, v)
		if tail {
			VANDPD(constant(constTail), v, v)
			VANDPD(constant(constTail), a, a)
		}
		VADDPD(v, absDiff[h], absDiff[h])
		VMAXPD(v, maxDiff[h], maxDiff[h])
		VMULPD(v, v, v)
		VADDPD(v, sqDiff[h], sqDiff[h])
		VMULPD(a, a, a)
		VADDPD(a, energy[h], energy[h])
	}

	return kernel{
		name:  "stepAVX2",
		doc:   "stepAVX2 computes a run of rows, four cells at a time.",
		begin: func() {},
		clearSums: func() {
			eachSum(func(sum reg.VecPhysical, _ Mem) { VPXOR(sum, sum, sum) })
		},
		column: func(turing, tail bool) {
			half(0, turing, tail)
			half(1, turing, tail)
		},
		addSums: func() {
			eachSum(func(sum reg.VecPhysical, at Mem) {
				if sum == maxDiff[0] || sum == maxDiff[1] {
					VMAXPD(at, sum, sum)
				} else {
					VADDPD(at, sum, sum)
				}
				VMOVUPD(sum, at)
			})
		},
		storeSums: func() {
			eachSum(func(sum reg.VecPhysical, at Mem) { VMOVUPD(sum, at) })
		},
		end: func() {},
	}
}
