package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// printf writes to the report. If nobody reads it, there is nothing to do about
// that.
func (b *bench) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(b.out, format, args...)
}

// describe says what is measured on what.
func (b *bench) describe() {
	b.printf("mfn-connect on %v, %v cores, %v %v/%v", processor(), runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if cc, err := compiler(); err == nil {
		if version, err := exec.Command(cc, "--version").Output(); err == nil {
			first, _, _ := strings.Cut(string(version), "\n")
			b.printf(", %v", first)
		}
	}
	b.printf("\n")
	for _, m := range b.missing {
		b.printf("not measured, %v\n", m)
	}
}

// processor is its name, as far as the system tells.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(info)) {
			if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return "an unnamed processor"
}

// table writes rows of cells, the first of each to the left.
func (b *bench) table(rows [][]string) {
	w := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	width := 0
	for _, row := range rows {
		width = max(width, len([]rune(row[0])))
	}
	for _, row := range rows {
		_, _ = fmt.Fprintf(w, "%-*s\t%v\t\n", width, row[0], strings.Join(row[1:], "\t")) // Flush has the error
	}
	_ = w.Flush() // as printf
}

func cell(format string, x float64) string {
	if x == 0 {
		return "–"
	}
	return fmt.Sprintf(format, x)
}

func (b *bench) printRates() {
	b.printf("\nMillion cell-steps a second on one core. Kernels: whole simulations, with drawing and features. C: the steps and their\nsums alone; C twice: two of them side by side. Program: from generated messages to dropped results, all of it on one core\nand one pipeline thread, or two of each, in batches of some 10 ms.\n")
	head := []string{"grid × steps"}
	columns := slices.DeleteFunc(slices.Clone(b.columns), func(c *column) bool { return c.name == singlyName || c.name == singlyTwo })
	for _, c := range columns {
		head = append(head, c.name)
	}
	rows := [][]string{head}
	for _, s := range shapes {
		row := []string{s.String()}
		for _, c := range columns {
			row = append(row, cell("%.4g", c.rate(s)/1e6))
		}
		rows = append(rows, row)
	}
	b.table(rows)
}

func (b *bench) printRatios() {
	b.printf("\nRatios\n")
	best := b.fastest()
	type quotient struct {
		name        string
		over, under *column
	}
	quotients := []quotient{{best.name + " ÷ C", best, b.column(cName)}}
	if best.name != "avx2" && b.column("avx2") != nil {
		quotients = append(quotients, quotient{"avx2 ÷ C avx2", b.column("avx2"), b.column(cAVX2Name)})
	}
	quotients = append(quotients, quotient{best.name + " ÷ NumPy", best, b.column(numPyName)})
	if b.program {
		one := b.column(programName)
		quotients = append(quotients,
			quotient{"program ÷ C", one, b.column(cName)},
			quotient{"program ÷ NumPy", one, b.column(numPyName)},
			quotient{"program ÷ " + best.name, one, best},
			quotient{"2 cores ÷ 1", b.column(twoName), one},
			quotient{"C twice ÷ C", b.column(twoCName), b.column(cName)})
	}
	head := []string{"grid × steps"}
	for _, p := range quotients {
		head = append(head, p.name)
	}
	rows := [][]string{head}
	for _, s := range shapes {
		row := []string{s.String()}
		for _, p := range quotients {
			row = append(row, cell("%.3g", ratio(s, p.over, p.under)))
		}
		rows = append(rows, row)
	}
	b.table(rows)
}

func (b *bench) printProgram() {
	if !b.program {
		return
	}
	b.printf("\nMessages a second, whole program. Singly: each message a batch of its own, with one and two pipeline threads; the rest of\nthe program uses what cores there are. Traced: as the first, with a tracer that sends each message's spans to a collector.\n")
	names := []string{programName, twoName, singlyName, singlyTwo, tracedName}
	rows := [][]string{append([]string{"grid × steps"}, names...)}
	for _, s := range shapes {
		row := []string{s.String()}
		for _, name := range names {
			row = append(row, cell("%.4g", b.column(name).rate(s)/s.cellSteps()))
		}
		rows = append(rows, row)
	}
	b.table(rows)
}

// What a cell-step takes at least: the floating-point operations of the model
// and of its sums, and the bytes of three planes read and three planes written.
const (
	additions       = 25 // and subtractions
	multiplications = 11
	comparisons     = 9 // minima and maxima included
	operations      = additions + multiplications + comparisons
	cellBytes       = 48
)

// printRoofline sets the best round of the fastest kernel beside the most that
// the machine did.
func (b *bench) printRoofline() {
	if b.byOperations == 0 {
		return
	}
	kernel := b.fastest()
	b.printf("\nRoofline, by the best rounds. A cell-step is %v operations (%v + and −, %v ×, %v comparisons) and %v bytes.\n",
		operations, additions, multiplications, comparisons, cellBytes)
	b.printf("This machine does at most %.3g G of these operations a second on one core, from registers and in this mix.\n",
		b.byOperations*operations/1e9)
	rows := [][]string{{"grid", "GB/s", "M cell-steps/s by operations", "by bytes", kernel.name, "reached"}}
	for _, s := range shapes {
		byBytes, reached := b.byBytes[s], kernel.best(s)
		share := 0.0
		if byBytes > 0 {
			share = 100 * reached / min(b.byOperations, byBytes)
		}
		rows = append(rows, []string{
			fmt.Sprintf("%v×%v", s.n, s.n), cell("%.3g", byBytes*cellBytes/1e9),
			cell("%.4g", b.byOperations/1e6), cell("%.4g", byBytes/1e6), cell("%.4g", reached/1e6), cell("%.0f %%", share),
		})
	}
	b.table(rows)
	b.printf("Bytes are those of one pass over memory a step; several steps a pass may go beyond that bound.\n")
}
