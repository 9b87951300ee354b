package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// avx2 computes four cells at a time: first the left half of every eight of a
// row, then the right one, since sixteen registers hold the sums of one half and
// the constants that are used most. The other constants stay in memory.
func avx2() kernel {
	var (
		v, lap, a, i, x, y, mask = reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6

		absDiff, sqDiff, energy, maxDiff = reg.Y7, reg.Y8, reg.Y9, reg.Y10 // of this row
		four, one, vMin, vMax            = reg.Y11, reg.Y12, reg.Y13, reg.Y14

		// Activations in the lower halves of its four whole numbers, clamps in the
		// upper ones.
		counts = reg.Y15
	)
	// In the order of laneSums.
	eachSum := func(half int, do func(sum reg.VecPhysical, at Mem)) {
		for k, sum := range []reg.VecPhysical{absDiff, sqDiff, energy, maxDiff} {
			do(sum, Mem{Base: scratch, Disp: 64*k + 32*half})
		}
	}
	noises := 0

	column := func(half int, turing, tail bool) {
		at := 32 * half
		constant := func(offset int) Mem { return constant(offset + at) }
		laplacian := func(plane reg.Register, u reg.VecPhysical) {
			VMOVUPD(cell(plane, here, at), u)
			VMOVUPD(cell(plane, above, at), lap)
			VADDPD(cell(plane, below, at), lap, lap)
			VADDPD(cell(plane, here, at-8), lap, lap)
			VADDPD(cell(plane, here, at+8), lap, lap)
			VMULPD(four, u, x)
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
		inRow := func(lanes reg.VecPhysical) {
			if tail {
				VANDPD(constant(constTail), lanes, lanes)
			}
		}

		if turing {
			// da = dA·lap(a) + rA·(a·(1−a) − i), a += da
			laplacian(aSrc, a)
			VMULPD(constant(constDA), lap, y)
			laplacian(iSrc, i)
			VMULPD(constant(constDI), lap, lap)
			VSUBPD(a, one, x)
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
			VMINPD(one, a, a)
			store(a, aDst)
			VMAXPD(lap, i, i)
			VMINPD(one, i, i)
			store(i, iDst)
		}
		laplacian(vSrc, v)
		VMULPD(constant(constAlpha), lap, lap)
		VADDPD(lap, v, y)
		if turing {
			inRow(mask)
			VPSUBQ(mask, counts, counts)
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
		VMAXPD(y, vMin, a)
		VMINPD(a, vMax, a)
		VCMPPD(U8(notEqual), y, a, mask)
		inRow(mask)
		VPSLLQ(U8(32), mask, mask)
		VPSUBQ(mask, counts, counts)
		store(a, vDst)

		VSUBPD(v, a, v)
		VANDPD(constant(constAbs), v, v)
		inRow(v)
		inRow(a)
		VADDPD(v, absDiff, absDiff)
		VMAXPD(v, maxDiff, maxDiff)
		VMULPD(v, v, v)
		VADDPD(v, sqDiff, sqDiff)
		VMULPD(a, a, a)
		VADDPD(a, energy, energy)
	}

	return kernel{
		name:   "stepAVX2",
		doc:    "stepAVX2 computes a run of rows, four cells at a time.",
		passes: 2,
		begin: func() {
			VMOVUPD(constant(constFour), four)
			VMOVUPD(constant(constOne), one)
			VMOVUPD(constant(constMin), vMin)
			VMOVUPD(constant(constMax), vMax)
			VPXOR(counts, counts, counts)
		},
		clearSums: func() {
			eachSum(0, func(sum reg.VecPhysical, _ Mem) { VPXOR(sum, sum, sum) })
		},
		column: column,
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
		end: func() {
			VEXTRACTI128(U8(1), counts, reg.X0)
			VPADDQ(counts.AsX(), reg.X0, reg.X0)
			VPSHUFD(U8(0xee), reg.X0, reg.X1)
			VPADDQ(reg.X1, reg.X0, reg.X0)
			VMOVQ(reg.X0, scratch)
			MOVL(scratch.As32(), count.As32())
			ADDQ(count, arg(argActivations))
			SHRQ(U8(32), scratch)
			ADDQ(scratch, arg(argClamps))
		},
	}
}
