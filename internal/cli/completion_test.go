package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// completedByBash returns what bash completes a line with.
func completedByBash(t *testing.T, words ...string) []string {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	script, err := runCommand(t, "completion", "bash")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "completion.bash")
	require.NoError(t, os.WriteFile(file, []byte(script), 0o600))
	run := exec.CommandContext(t.Context(), bash, append([]string{"--norc", "-c", `
set -u
source "$0"
COMP_WORDS=("$@")
COMP_CWORD=$(( $# - 1 ))
_mfn_connect
printf '%s\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"}`, file}, words...)...)
	run.Stderr = os.Stderr
	out, err := run.Output()
	require.NoError(t, err)
	return strings.Fields(string(out))
}

func TestBashCompletion(t *testing.T) {
	for _, row := range []struct {
		name  string
		words []string
		want  []string
	}{
		{"commands", []string{"mfn-connect", "mo"}, []string{"models"}},
		{"the shells", []string{"mfn-connect", "completion", ""}, shells},
		{"models", []string{"mfn-connect", "models", "g"}, []string{"gray_scott", "gierer_meinhardt"}},
		{"the values of a flag", []string{"mfn-connect", "simulate", "--integrator", ""}, []string{"euler", "rk4"}},
		{"the models of a flag", []string{"mfn-connect", "simulate", "--F", "1", "--model", "gr"}, []string{"gray_scott"}},
		{"flags", []string{"mfn-connect", "simulate", "--grid"}, []string{"--grid-size"}},
		{"files", []string{"mfn-connect", "simulate", "-o", ""}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.ElementsMatch(t, row.want, completedByBash(t, row.words...))
		})
	}
}

func TestCompletionOfOtherShells(t *testing.T) {
	zsh, err := runCommand(t, "completion", "zsh")
	require.NoError(t, err)
	assert.Contains(t, zsh, "compdef _mfn_connect mfn-connect\n")
	fish, err := runCommand(t, "completion", "fish")
	require.NoError(t, err)
	assert.Contains(t, fish, "complete -c mfn-connect")
	assert.Contains(t, fish, "grid-size")
	for shell, script := range map[string]string{"zsh": zsh, "fish": fish} {
		t.Run(shell, func(t *testing.T) {
			if path, err := exec.LookPath(shell); err == nil {
				check := exec.CommandContext(t.Context(), path, "-n")
				check.Stdin = strings.NewReader(script)
				out, err := check.CombinedOutput()
				assert.NoError(t, err, string(out))
			}
		})
	}
	_, err = runCommand(t, "completion", "tcsh")
	assert.EqualError(t, err, `completion: "tcsh" is not allowed, must be bash, zsh, fish`)
}
