//go:build !amd64 && !arm64

package engine

// kernels are those of this machine, the fastest first.
func kernels() []kernel { return []kernel{portable} }
