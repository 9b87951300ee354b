package engine

import "golang.org/x/sys/cpu"

// kernels returns those that this machine can run, the fastest first.
func kernels() []kernel {
	var k []kernel
	avx2 := cpu.X86.HasAVX2 && cpu.X86.HasPOPCNT
	if avx2 && cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL {
		k = append(k, kernel{name: "avx512", step: func(run *rowRun) { stepAssembly(run, true) }, draw: drawAVX512, reaction: func(run *rowRun) { reactAssembly(run, true) }, combine: combineWith(true)})
	}
	if avx2 {
		k = append(k, kernel{name: "avx2", step: func(run *rowRun) { stepAssembly(run, false) }, draw: drawPortable, reaction: func(run *rowRun) { reactAssembly(run, false) }, combine: combineWith(false)})
	}
	return append(k, portable)
}

//go:noescape
func stepAVX512(args *kernelArgs)

//go:noescape
func drawAVX512(generator *pcg, raw *rawDraws)

//go:noescape
func reactAVX512(args *reactionArgs)

//go:noescape
func combineAVX512(args *combineArgs)

//go:noescape
func combineAVX2(args *combineArgs)

//go:noescape
func reactAVX2(args *reactionArgs)

//go:noescape
func stepAVX2(args *kernelArgs)

// step runs the wide kernel or the other. Calling them by name keeps the
// arguments on the stack.
func (args *kernelArgs) step(wide bool) {
	if wide {
		stepAVX512(args)
	} else {
		stepAVX2(args)
	}
}

// react is step for a model of two species.
func (args *reactionArgs) react(wide bool) {
	if wide {
		reactAVX512(args)
	} else {
		reactAVX2(args)
	}
}

// combine is step for the stages of RK4.
func (args *combineArgs) combine(wide bool) {
	if wide {
		combineAVX512(args)
	} else {
		combineAVX2(args)
	}
}
