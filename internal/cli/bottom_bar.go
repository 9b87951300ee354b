package cli

import (
	"bytes"
	"fmt"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/mfn-connect/mfn-connect/plugins/process"
)

// minRows is how many rows a terminal needs to give one away.
const minRows = 4

// bottomBar is a bar in the last row of a terminal. What the program prints scrolls
// in the rows above, so that neither disturbs the other, whoever prints.
type bottomBar struct {
	file *os.File
	rows int // 0: the last row is not taken
	bar  *progressbar.ProgressBar
	unit string
}

// newBottomBar returns the bar, nil if f is no terminal, or a very low one.
func newBottomBar(f *os.File) *bottomBar {
	if !isTerminal(f) {
		return nil
	}
	if _, rows, err := term.GetSize(int(f.Fd())); err != nil || rows < minRows {
		return nil
	}
	return &bottomBar{file: f}
}

// show draws the bar.
func (b *bottomBar) show(p process.Progress) {
	if b.bar == nil || b.unit != p.Unit {
		b.unit = p.Unit
		b.bar = progressbar.NewOptions64(p.Total, progressbar.OptionSetWriter(b), progressbar.OptionSetWidth(20),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(p.Unit),
			progressbar.OptionShowBytes(p.Unit == "bytes"))
	}
	if p.Total != b.bar.GetMax64() {
		b.bar.ChangeMax64(p.Total)
	}
	b.bar.Describe(fmt.Sprintf("%v refused", process.Refused()))
	_ = b.bar.Set64(p.Done) // there is nowhere to report that it cannot be drawn
}

// Write draws a line of the library's in the last row, in one piece, with the
// cursor back where it was.
func (b *bottomBar) Write(line []byte) (int, error) {
	columns, rows, err := term.GetSize(int(b.file.Fd()))
	if err != nil || rows < minRows {
		return len(line), err
	}
	text := []rune(string(bytes.Trim(line, "\r")))
	if len(bytes.TrimSpace(line)) == 0 {
		return len(line), nil // which would blank the row first
	}
	text = text[:min(len(text), columns-1)]
	var out []byte
	if rows != b.rows {
		out = b.takeRow(out, rows)
	}
	out = fmt.Appendf(out, "\x1b7\x1b[%v;1H%s\x1b[K\x1b8", rows, string(text))
	_, err = b.file.Write(out)
	return len(line), err
}

// takeRow has all but the last of the rows scroll. The cursor, which may be in the
// last one, is moved out of it first.
func (b *bottomBar) takeRow(out []byte, rows int) []byte {
	if b.rows == 0 {
		out = append(out, "\n\x1b[1A"...)
	}
	b.rows = rows
	return fmt.Appendf(out, "\x1b7\x1b[1;%vr\x1b8", rows-1)
}

// end clears the bar and gives the row back.
func (b *bottomBar) end() {
	if b.rows == 0 {
		return
	}
	_, _ = fmt.Fprintf(b.file, "\x1b7\x1b[r\x1b[%v;1H\x1b[K\x1b8", b.rows) // as in show
	b.rows = 0
}
