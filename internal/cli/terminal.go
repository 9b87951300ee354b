package cli

import (
	"fmt"
	"image"
	"image/color"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// colors says which colours a terminal shows.
type colors int

const (
	noColors   colors = iota
	someColors        // the 256 of xterm
	allColors         // of 24 bits
)

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" }

// colorsOf returns the colours of a terminal. NO_COLOR, if it is set, asks for none.
func colorsOf(f *os.File) colors {
	switch {
	case os.Getenv("NO_COLOR") != "" || !isTerminal(f):
		return noColors
	case os.Getenv("COLORTERM") == "truecolor" || os.Getenv("COLORTERM") == "24bit":
		return allColors
	}
	return someColors
}

// widthOf returns the width of a terminal in characters.
func widthOf(f *os.File) int {
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 1 {
		return 80
	}
	return width
}

// printPicture prints a picture that fits into so many columns. A character shows
// two cells, one above the other: its upper half is the ink, its lower the paper.
func printPicture(w io.Writer, picture image.Image, width int, show colors) error {
	size := picture.Bounds().Dx()
	skip := (size + width - 1) / width // of so many cells, one is shown
	cells := (size + skip - 1) / skip
	var b strings.Builder
	for y := 0; y < cells; y += 2 {
		for x := range cells {
			b.WriteString(show.code(picture.At(x*skip, y*skip), 38))
			if y+1 < cells {
				b.WriteString(show.code(picture.At(x*skip, (y+1)*skip), 48))
			}
			b.WriteString("▀")
		}
		b.WriteString("\x1b[0m\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// code returns the sequence that sets a colour: of the ink (38) or the paper (48).
func (show colors) code(c color.Color, what int) string {
	r, g, b, _ := c.RGBA()
	if show == allColors {
		return fmt.Sprintf("\x1b[%v;2;%v;%v;%vm", what, r>>8, g>>8, b>>8)
	}
	const levels = 6 // of each primary, in xterm's cube
	level := func(x uint32) uint32 { return (x*(levels-1) + 0x7fff) / 0xffff }
	return fmt.Sprintf("\x1b[%v;5;%vm", what, 16+levels*levels*level(r)+levels*level(g)+level(b))
}
