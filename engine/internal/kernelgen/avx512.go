package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// avx512 computes eight cells at a time.
func avx512() kernel {
	var (
		v, lap, a, i, x, y = reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5

		alpha, four, dA, rA, dI, rI = reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15
		one, threshold, lift        = reg.Z16, reg.Z17, reg.Z18
		vMin, vMax, abs, zero       = reg.Z19, reg.Z20, reg.Z21, reg.Z22
		unit                        = reg.Z23 // the whole number one in each lane

		absDiff, sqDiff, energy  = reg.Z24, reg.Z25, reg.Z26 // of this row
		maxDiff                  = reg.Z27
		activations, clamps      = reg.Z28, reg.Z29
		above8, changed, columns = reg.K2, reg.K3, reg.K1
	)
	sums := []reg.VecPhysical{absDiff, sqDiff, energy, maxDiff} // in the order of laneSums
	noises := 0

	laplacian := func(plane reg.Register, u reg.VecPhysical) {
		VMOVUPD(cell(plane, here, 0), u)
		VMOVUPD(cell(plane, above, 0), lap)
		VADDPD(cell(plane, below, 0), lap, lap)
		VADDPD(cell(plane, here, -8), lap, lap)
		VADDPD(cell(plane, here, 8), lap, lap)
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

	// clampUnit compares as whole numbers: what is not negative is ordered alike,
	// and a negative number is less than zero. Zen 4 does that where it multiplies;
	// where it adds, and would compare, it is busy.
	clampUnit := func(u reg.VecPhysical) {
		VPMAXSQ(zero, u, u)
		VPMINSQ(one, u, u)
	}

	return kernel{
		name:   "stepAVX512",
		passes: 1,
		doc:    "stepAVX512 computes a run of rows, eight cells at a time.",
		begin: func() {
			for _, c := range []struct {
				offset int
				to     reg.VecPhysical
			}{
				{constAlpha, alpha}, {constFour, four}, {constDA, dA}, {constRA, rA}, {constDI, dI}, {constRI, rI},
				{constOne, one}, {constThreshold, threshold}, {constLift, lift}, {constMin, vMin}, {constMax, vMax}, {constAbs, abs},
			} {
				VMOVUPD(constant(c.offset), c.to)
			}
			VPXORQ(zero, zero, zero)
			VPXORQ(activations, activations, activations)
			VPXORQ(clamps, clamps, clamps)
			VPTERNLOGQ(U8(0xff), unit, unit, unit)
			VPSRLQ(U8(63), unit, unit)
			MOVQ(arg(argTail), scratch)
			KMOVB(scratch.As32(), columns)
		},
		clearSums: func() {
			for _, sum := range sums {
				VPXORQ(sum, sum, sum)
			}
		},
		column: func(_ int, turing, tail bool) {
			if turing {
				// da = dA·lap(a) + rA·(a·(1−a) − i), a += da
				laplacian(aSrc, a)
				VMULPD(lap, dA, y)
				laplacian(iSrc, i)
				VMULPD(lap, dI, lap)
				VSUBPD(a, one, x)
				VMULPD(x, a, x)
				VSUBPD(i, x, x)
				VMULPD(x, rA, x)
				VADDPD(x, y, y)
				// di = dI·lap(i) + rI·(a − i), i += di
				VSUBPD(i, a, x)
				VMULPD(x, rI, x)
				VADDPD(x, lap, lap)
				VADDPD(lap, i, i)
				VADDPD(y, a, a)
				VCMPPD(U8(greater), threshold, a, above8)
				clampUnit(a)
				store(a, aDst, tail)
				clampUnit(i)
				store(i, iDst, tail)
			}
			laplacian(vSrc, v)
			VMULPD(lap, alpha, lap)
			VADDPD(lap, v, y)
			if turing {
				if tail {
					KANDB(columns, above8, above8)
				}
				VADDPD(lift, y, above8, y)
				VPADDQ(unit, activations, above8, activations)
			}
			noises++
			silent := "avx512_silent" + string(rune('a'+noises))
			TESTQ(noise, noise)
			JZ(LabelRef(silent))
			VADDPD(Mem{Base: noise}, y, y)
			Label(silent)

			// A NaN must stay one: it has to be the second source.
			VMAXPD(y, vMin, x)
			VMINPD(x, vMax, x)
			VCMPPD(U8(notEqual), y, x, changed)
			if tail {
				KANDB(columns, changed, changed)
			}
			VPADDQ(unit, clamps, changed, clamps)
			store(x, vDst, tail)

			VSUBPD(v, x, v)
			VANDPD(abs, v, v)
			if tail {
				VMOVAPD_Z(v, columns, v)
				VMOVAPD_Z(x, columns, x)
			}
			VADDPD(v, absDiff, absDiff)
			VPMAXUQ(v, maxDiff, maxDiff)
			VMULPD(v, v, v)
			VADDPD(v, sqDiff, sqDiff)
			VMULPD(x, x, x)
			VADDPD(x, energy, energy)
		},
		addSums: func(int) {
			for k, sum := range sums {
				if sum == maxDiff {
					VMAXPD(Mem{Base: scratch, Disp: 64 * k}, sum, sum)
				} else {
					VADDPD(Mem{Base: scratch, Disp: 64 * k}, sum, sum)
				}
				VMOVUPD(sum, Mem{Base: scratch, Disp: 64 * k})
			}
		},
		storeSums: func(int) {
			for k, sum := range sums {
				VMOVUPD(sum, Mem{Base: scratch, Disp: 64 * k})
			}
		},
		end: func() {
			for _, c := range []struct {
				lanes reg.VecPhysical
				to    int
			}{{activations, argActivations}, {clamps, argClamps}} {
				fold(c.lanes)
				ADDQ(scratch, arg(c.to))
			}
		},
	}
}

// fold leaves the sum of the eight whole numbers in scratch.
func fold(z reg.VecPhysical) {
	VEXTRACTI64X4(U8(1), z, reg.Y1)
	VPADDQ(z.AsY(), reg.Y1, reg.Y1)
	VEXTRACTI128(U8(1), reg.Y1, reg.X2)
	VPADDQ(reg.X1, reg.X2, reg.X1)
	VPSHUFD(U8(0xee), reg.X1, reg.X2)
	VPADDQ(reg.X1, reg.X2, reg.X1)
	VMOVQ(reg.X1, scratch)
}
