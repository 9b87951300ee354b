package engine

// kernels returns those of this machine, the fastest first. Every arm64 has the
// vectors that the first one takes.
func kernels() []kernel {
	return []kernel{{name: "neon", step: func(run *rowRun) { stepAssembly(run, false) }, draw: drawPortable, reaction: func(run *rowRun) { reactAssembly(run, false) }, combine: combineWith(false)}, portable}
}

//go:noescape
func combineNEON(args *combineArgs)

//go:noescape
func reactNEON(args *reactionArgs)

//go:noescape
func stepNEON(args *kernelArgs)

// step runs the only kernel there is.
func (args *kernelArgs) step(bool) { stepNEON(args) }

// react runs the only kernel there is.
func (args *reactionArgs) react(bool) { reactNEON(args) }

// combine runs the only kernel there is.
func (args *combineArgs) combine(bool) { combineNEON(args) }
