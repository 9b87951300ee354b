package cli

import (
	"bytes"
	"image/color"
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
		{"all colours, by another name", 80, map[string]string{"COLORTERM": "24bit"}, `\x1b\[38;2;\d+;\d+;\d+m\x1b\[48;2;\d+;\d+;\d+m▀`, 32, 64},
		{"just wide enough", 64, nil, `\x1b\[38;5;\d+m`, 32, 64},
		{"of unknown width", 0, nil, `\x1b\[38;5;\d+m`, 32, 64},
		{"of one column", 1, nil, `\x1b\[38;5;\d+m`, 1, 1},
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

// A colour becomes the nearest that the terminal shows.
func TestColorCodes(t *testing.T) {
	for _, row := range []struct {
		name string
		show colors
		what int
		c    color.Color
		want string
	}{
		{"of 24 bits", allColors, 48, color.RGBA{255, 128, 1, 255}, "\x1b[48;2;255;128;1m"},
		{"black", someColors, 38, color.Black, "\x1b[38;5;16m"},
		{"white", someColors, 38, color.White, "\x1b[38;5;231m"},
		{"each primary counts", someColors, 48, color.RGBA{255, 128, 51, 255}, "\x1b[48;5;215m"},
		{"rounded to the nearest", someColors, 38, color.RGBA{26, 25, 76, 255}, "\x1b[38;5;53m"},
	} {
		t.Run(row.name, func(t *testing.T) { assert.Equal(t, row.want, row.show.code(row.c, row.what)) })
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
