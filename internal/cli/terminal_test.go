package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A result is shown as the terminal and the environment ask for.
func TestResultOnTerminal(t *testing.T) {
	text, err := through(t.Context(), simulation("field", 0), []byte(`{"grid_size":64,"steps":5,"seed":1}`))
	require.NoError(t, err)
	for _, row := range []struct {
		name         string
		columns      uint16
		env          map[string]string
		color        string // a regular expression; empty: no picture
		lines, width int    // of the picture
	}{
		{"256 colours", 80, nil, `\x1b\[38;5;\d+m\x1b\[48;5;\d+m▀`, 32, 64},
		{"all colours", 80, map[string]string{"COLORTERM": "truecolor"}, `\x1b\[38;2;\d+;\d+;\d+m\x1b\[48;2;\d+;\d+;\d+m▀`, 32, 64},
		{"narrow", 40, nil, `\x1b\[38;5;\d+m`, 16, 32},
		{"an odd number of rows", 22, nil, `\x1b\[38;5;\d+m`, 11, 22},
		{"NO_COLOR", 80, map[string]string{"NO_COLOR": "1"}, "", 0, 0},
		{"dumb", 80, map[string]string{"TERM": "dumb"}, "", 0, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("TERM", "xterm-256color")
			t.Setenv("COLORTERM", "")
			t.Setenv("NO_COLOR", "")
			for name, value := range row.env {
				t.Setenv(name, value)
			}
			r := result{text: text, plane: "field"}
			var screen bytes.Buffer
			require.NoError(t, r.print(t.Context(), &screen, openTerminal(t, row.columns), false))
			assert.Contains(t, screen.String(), "V_mean")
			assert.Equal(t, row.lines, strings.Count(screen.String(), "\x1b[0m\n"))
			assert.Equal(t, row.lines*row.width, strings.Count(screen.String(), "▀"))
			if row.color == "" {
				assert.NotContains(t, screen.String(), "\x1b")
			} else {
				assert.Regexp(t, row.color, screen.String())
			}
		})
	}
}

// openTerminal returns a terminal of so many columns.
func openTerminal(t *testing.T, columns uint16) *os.File {
	t.Helper()
	master, slave, err := pty.Open()
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, slave.Close())
		require.NoError(t, master.Close())
	})
	require.NoError(t, pty.Setsize(slave, &pty.Winsize{Rows: 24, Cols: columns}))
	return slave
}
