// Command kernelgen writes the assembly of the engine's AVX-512, AVX2 and NEON
// kernels, twins of kernel_portable.go, and of the random draws on AVX-512. The
// order of every addition is that of the portable kernel, and no multiply is fused
// with an add.
//
// Registers hold what the loops over columns use: byte offsets into all planes
// (one row above, this row, one row below), the planes, and the sums of a row.
package main

import (
	"flag"
	"fmt"
	"log"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets into kernelArgs, and its constants.
const (
	argVSrc = 8 * iota
	argASrc
	argISrc
	argVDst
	argADst
	argIDst
	argNoise
	argOffset
	argStride
	argRows
	argVectors
	argTail
	argTuring
	argSums
	argSumsStride
	argSumsAt
	argActivations
	argClamps
	argNoiseRow
	argConstants
	argLeftFrom
	argLeftTo
	argRightFrom
	argRightTo
)

// Offsets into broadcast, each of eight float64s.
const (
	constAlpha = 64 * iota
	constFour
	constDA
	constRA
	constDI
	constRI
	constOne
	constThreshold
	constLift
	constMin
	constMax
	constAbs
	constTail // all ones for the columns of a row's last vector, else zeros
)

// Comparison predicates.
const (
	greater  = 0x1e // ordered, quiet
	notEqual = 0x04 // unordered, quiet
	less     = 0x01 // of whole numbers
)

// Registers that both kernels use alike.
var (
	args    = reg.RDI
	vSrc    = reg.R8
	aSrc    = reg.R9
	iSrc    = reg.R10
	vDst    = reg.R11
	aDst    = reg.R12
	iDst    = reg.R13
	above   = reg.RSI
	here    = reg.RAX
	below   = reg.RDX
	count   = reg.RCX
	noise   = reg.RBX
	consts  = reg.R14
	scratch = reg.R15
)

func arg(offset int) Mem { return Mem{Base: args, Disp: offset} }

func constant(offset int) Mem { return Mem{Base: consts, Disp: offset} }

// cell addresses a plane at a row's offset, some bytes to the side.
func cell(plane, row reg.Register, disp int) Mem {
	return Mem{Base: plane, Index: row, Scale: 1, Disp: disp}
}

// kernel emits what both kernels share: the loops over rows and columns. A kernel
// goes over a row in one pass or in several; each pass takes its part of every eight
// cells.
type kernel struct {
	name, doc string
	passes    int
	begin     func()
	clearSums func()
	column    func(pass int, turing, tail bool)
	addSums   func(pass int) // to where scratch points
	storeSums func(pass int)
	end       func()
}

func (k kernel) emit() {
	TEXT(k.name, NOSPLIT, "func(args uintptr)")
	Doc(k.doc)
	Load(Param("args"), args)
	MOVQ(arg(argVSrc), vSrc)
	MOVQ(arg(argASrc), aSrc)
	MOVQ(arg(argISrc), iSrc)
	MOVQ(arg(argVDst), vDst)
	MOVQ(arg(argADst), aDst)
	MOVQ(arg(argIDst), iDst)
	MOVQ(arg(argNoise), noise)
	MOVQ(arg(argOffset), here)
	MOVQ(arg(argConstants), consts)
	k.begin()

	Label("row")
	MOVQ(here, above)
	SUBQ(arg(argStride), above)
	MOVQ(here, below)
	ADDQ(arg(argStride), below)
	CMPQ(arg(argTuring), U8(0))
	JEQ(LabelRef("plain"))
	k.row("turing", true)
	setGhostsOf(argLeftFrom, vDst, aDst, iDst)
	JMP(LabelRef("next"))
	Label("plain")
	k.row("plain", false)
	setGhostsOf(argLeftFrom, vDst)

	Label("next")
	MOVQ(arg(argSumsStride), scratch)
	ADDQ(scratch, arg(argSumsAt))
	ADDQ(arg(argStride), here)
	TESTQ(noise, noise)
	JZ(LabelRef("silent"))
	ADDQ(arg(argNoiseRow), noise)
	Label("silent")
	DECQ(arg(argRows))
	JNZ(LabelRef("row"))

	k.end()
	VZEROUPPER()
	RET()
}

// row goes over a row, and leaves the offsets where they were.
func (k kernel) row(name string, turing bool) {
	for pass := range k.passes {
		at := func(place string) string { return fmt.Sprintf("%v%v_%v", name, pass, place) }
		k.clearSums()
		k.columns(at, pass, turing)

		MOVQ(arg(argVectors), count)
		SHLQ(U8(6), count)
		SUBQ(count, above)
		SUBQ(count, here)
		SUBQ(count, below)
		TESTQ(noise, noise)
		JZ(LabelRef(at("back")))
		SUBQ(count, noise)
		Label(at("back"))

		// The sums of a row have a place of their own, or are added to those of the
		// rows before.
		MOVQ(arg(argSums), scratch)
		ADDQ(arg(argSumsAt), scratch)
		CMPQ(arg(argSumsStride), U8(0))
		JEQ(LabelRef(at("common")))
		k.storeSums(pass)
		JMP(LabelRef(at("summed")))
		Label(at("common"))
		k.addSums(pass)
		Label(at("summed"))
	}
}

// columns goes over the row's whole vectors of eight cells, and its tail.
func (k kernel) columns(at func(place string) string, pass int, turing bool) {
	MOVQ(arg(argVectors), count)
	TESTQ(count, count)
	JZ(LabelRef(at("tail")))
	Label(at("vector"))
	k.column(pass, turing, false)
	ADDQ(U8(64), above)
	ADDQ(U8(64), here)
	ADDQ(U8(64), below)
	TESTQ(noise, noise)
	JZ(LabelRef(at("silent")))
	ADDQ(U8(64), noise)
	Label(at("silent"))
	DECQ(count)
	JNZ(LabelRef(at("vector")))
	Label(at("tail"))
	CMPQ(arg(argTail), U8(0))
	JEQ(LabelRef(at("done")))
	k.column(pass, turing, true)
	Label(at("done"))
}

// setGhostsOf copies a column to each ghost of the row. The arguments that say
// where from and where to, of the left one and the right one, begin at offset.
func setGhostsOf(offset int, planes ...reg.Register) {
	from, to := above, below // which the next row sets again
	for _, side := range []int{offset, offset + 16} {
		MOVQ(here, from)
		ADDQ(arg(side), from)
		MOVQ(here, to)
		ADDQ(arg(side+8), to)
		for _, plane := range planes {
			MOVQ(cell(plane, from, 0), scratch)
			MOVQ(scratch, cell(plane, to, 0))
		}
	}
}

func main() {
	neonPath := flag.String("neon", "", "output of the NEON kernels")
	directory := flag.String("models", ".", "where the models are")
	flag.Parse()
	models, err := readKinetics(*directory)
	if err != nil {
		log.Fatal(err)
	}
	if *neonPath != "" {
		if err := writeNEON(*neonPath, models); err != nil {
			log.Fatal(err)
		}
	}
	Package("github.com/mfn-connect/mfn-connect/engine")
	ConstraintExpr("amd64")
	avx512().emit()
	avx2().emit()
	reactionAVX512().emit(models)
	reactionAVX2().emit(models)
	combine("combineAVX512", []reg.VecPhysical{reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4}, 64)
	combine("combineAVX2", []reg.VecPhysical{reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4}, 32)
	drawAVX512()
	Generate()
}
