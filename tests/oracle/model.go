// Package oracle holds the model in NumPy, which was written from the model's
// definition alone, and compares the engine with it.
package oracle

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
)

// Model is the model in NumPy, a program that answers JSON lines.
//
//go:embed mfn_numpy.py
var Model []byte

// Python returns a Python that has NumPy: that which MFN_PYTHON names, or
// python3.
func Python() (string, error) {
	python := os.Getenv("MFN_PYTHON")
	if python == "" {
		python = "python3"
	}
	path, err := exec.LookPath(python)
	if err != nil {
		return "", fmt.Errorf("no Python, named by MFN_PYTHON or python3 on the path: %w", err)
	}
	if err := exec.Command(path, "-c", "import numpy").Run(); err != nil {
		return "", fmt.Errorf("%v has no NumPy: %w", path, err)
	}
	return path, nil
}
