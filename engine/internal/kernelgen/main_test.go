package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAssemblyIsCurrent(t *testing.T) {
	fresh := t.TempDir()
	amd64, arm64 := filepath.Join(fresh, "kernel_amd64.s"), filepath.Join(fresh, "kernel_arm64.s")
	output, err := exec.CommandContext(t.Context(), "go", "run", ".", "-models", "../..", "-out", amd64, "-neon", arm64).CombinedOutput()
	require.NoError(t, err, string(output))
	for _, path := range []string{amd64, arm64} {
		name := filepath.Base(path)
		assert.Equal(t, string(instructions(t, "../../"+name)), string(instructions(t, path)), "%v: run go generate in engine", name)
	}
}

// instructions returns what follows the line that names the command.
func instructions(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	_, rest, found := bytes.Cut(text, []byte("\n"))
	require.True(t, found)
	return rest
}
