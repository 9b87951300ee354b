package engine

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// KernelVariable is the environment variable that forces a kernel: portable,
// avx2, avx512 or neon.
const KernelVariable = "MFN_KERNEL"

// Kernels returns the names of the kernels that this machine can run, the
// fastest first.
func Kernels() []string {
	var names []string
	for _, k := range kernels() {
		names = append(names, k.name)
	}
	return names
}

// SelectedKernel returns the name of the kernel that simulators use: the fastest
// one, or the one that the environment names. It returns an error if this machine
// cannot run that one.
func SelectedKernel() (string, error) {
	k, err := selectedKernel()
	return k.name, err
}

var selectedKernel = sync.OnceValues(func() (kernel, error) {
	return chooseKernel(os.Getenv(KernelVariable))
})

func chooseKernel(name string) (kernel, error) {
	all := kernels()
	if name == "" {
		return all[0], nil
	}
	for _, k := range all {
		if k.name == name {
			return k, nil
		}
	}
	return kernel{}, fmt.Errorf("%v: %q is not a kernel of this machine, which has %v", KernelVariable, name, strings.Join(Kernels(), ", "))
}
