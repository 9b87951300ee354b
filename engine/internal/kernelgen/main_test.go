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
	fresh := filepath.Join(t.TempDir(), "kernel_amd64.s")
	output, err := exec.CommandContext(t.Context(), "go", "run", ".", "-out", fresh).CombinedOutput()
	require.NoError(t, err, string(output))
	assert.Equal(t, string(instructions(t, "../../kernel_amd64.s")), string(instructions(t, fresh)), "run go generate in engine")
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
