package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets into pcg, and the bytes of rawDraws.
const (
	pcgHi       = 0
	pcgLo       = 64
	pcgFactorHi = 128
	pcgFactorLo = 136
	pcgAddHi    = 144
	pcgAddLo    = 152
	rawBytes    = 128 * 8
)

// drawAVX512 emits the generator's draws, eight at a time. The product of two
// words is made of those of their halves.
func drawAVX512() {
	var (
		generator, raw, end = reg.RDI, reg.RSI, reg.RDX

		hi, lo                         = reg.Z0, reg.Z1
		factorHi, factorLo, factorLo32 = reg.Z2, reg.Z3, reg.Z4 // the last: its upper half
		addHi, addLo                   = reg.Z5, reg.Z6
		low32, ones                    = reg.Z7, reg.Z8
		loUpper, ll, lu, ul, uu, x     = reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14
		carry                          = reg.K1
	)
	TEXT("drawAVX512", NOSPLIT, "func(generator, raw uintptr)")
	Doc("drawAVX512 makes the next draws, eight at a time.")
	Load(Param("generator"), generator)
	Load(Param("raw"), raw)
	VMOVDQU64(Mem{Base: generator, Disp: pcgHi}, hi)
	VMOVDQU64(Mem{Base: generator, Disp: pcgLo}, lo)
	VPBROADCASTQ(Mem{Base: generator, Disp: pcgFactorHi}, factorHi)
	VPBROADCASTQ(Mem{Base: generator, Disp: pcgFactorLo}, factorLo)
	VPBROADCASTQ(Mem{Base: generator, Disp: pcgAddHi}, addHi)
	VPBROADCASTQ(Mem{Base: generator, Disp: pcgAddLo}, addLo)
	VPSRLQ(U8(32), factorLo, factorLo32)
	VPTERNLOGQ(U8(0xff), ones, ones, ones)
	VPSRLQ(U8(32), ones, low32)
	MOVQ(raw, end)
	ADDQ(U32(rawBytes), end)

	Label("eight")
	VPXORQ(hi, lo, x)
	VPSRLQ(U8(58), hi, ll)
	VPRORVQ(ll, x, x)
	VMOVDQU64(x, Mem{Base: raw})

	// The upper word of lo · factorLo.
	VPSRLQ(U8(32), lo, loUpper)
	VPMULUDQ(factorLo, lo, ll)
	VPMULUDQ(factorLo32, lo, lu)
	VPMULUDQ(factorLo, loUpper, ul)
	VPMULUDQ(factorLo32, loUpper, uu)
	VPSRLQ(U8(32), ll, ll)
	VPADDQ(ll, ul, ul)
	VPANDQ(low32, ul, x)
	VPADDQ(x, lu, lu)
	VPSRLQ(U8(32), ul, ul)
	VPSRLQ(U8(32), lu, lu)
	VPADDQ(ul, uu, uu)
	VPADDQ(lu, uu, uu)
	// hi = that + hi · factorLo + lo · factorHi + addHi, and the carry of lo.
	VPMULLQ(factorLo, hi, hi)
	VPMULLQ(factorHi, lo, x)
	VPMULLQ(factorLo, lo, lo)
	VPADDQ(addHi, uu, uu)
	VPADDQ(uu, x, x)
	VPADDQ(x, hi, hi)
	VPADDQ(addLo, lo, lo)
	VPCMPUQ(U8(less), addLo, lo, carry)
	VPSUBQ(ones, hi, carry, hi)
	ADDQ(U8(64), raw)
	CMPQ(raw, end)
	JNE(LabelRef("eight"))

	VMOVDQU64(hi, Mem{Base: generator, Disp: pcgHi})
	VMOVDQU64(lo, Mem{Base: generator, Disp: pcgLo})
	VZEROUPPER()
	RET()
}
