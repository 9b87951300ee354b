package zarr

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Row is what a simulation has for each array of a layout, in their order: elements
// in little-endian order, or a text.
type Row struct {
	Index  int64
	Values [][]byte
}

// Write writes rows that are laid out like the group, which it makes if it is
// missing, and gives room for layout.Count simulations. Fields come first, so that
// a simulation whose single values are there has its fields, too.
func (g *Group) Write(ctx context.Context, layout *Layout, rows []Row) error {
	rows = newest(rows)
	if layout.hasFields() {
		if err := g.locked(ctx, func(root *os.Root) error { return g.ensure(root, layout) }); err != nil {
			return err
		}
		if err := g.writeFields(layout, rows); err != nil {
			return err
		}
	}
	return g.locked(ctx, func(root *os.Root) error {
		if err := g.ensure(root, layout); err != nil {
			return err
		}
		return g.merge(root, layout, rows)
	})
}

// newest returns the last row of each simulation.
func newest(rows []Row) []Row {
	last := make(map[int64]int, len(rows))
	for k, row := range rows {
		last[row.Index] = k
	}
	if len(last) == len(rows) {
		return rows
	}
	var kept []Row
	for k, row := range rows {
		if last[row.Index] == k {
			kept = append(kept, row)
		}
	}
	return kept
}

func (l *Layout) hasFields() bool {
	for k := range l.Arrays {
		if l.Arrays[k].whole() {
			return true
		}
	}
	return false
}

// writeFields writes what has chunks of its own, for which nobody has to wait.
func (g *Group) writeFields(layout *Layout, rows []Row) error {
	root, err := os.OpenRoot(g.Path)
	if err != nil {
		return err
	}
	defer root.Close()
	w := newWriter(root, g.Fsync)
	defer w.close()
	var fields []int
	for i := range layout.Arrays {
		if layout.Arrays[i].whole() {
			fields = append(fields, i)
		}
	}
	err = w.writeAll(len(rows)*len(fields), func(k int) (*file, error) {
		row, at := rows[k/len(fields)], fields[k%len(fields)]
		a := &layout.Arrays[at]
		return &file{a.chunks(), a.chunk(row.Index), compress(row.Values[at])}, nil
	})
	if err != nil {
		return err
	}
	return w.sync()
}

// merge writes single values into the chunks that hold them.
func (g *Group) merge(root *os.Root, layout *Layout, rows []Row) error {
	blocks := map[int64][]Row{}
	for _, row := range rows {
		blocks[row.Index/Block] = append(blocks[row.Index/Block], row)
	}
	type chunk struct{ array, block int64 }
	var chunks []chunk
	for block := range blocks {
		for k := range layout.Arrays {
			if !layout.Arrays[k].whole() {
				chunks = append(chunks, chunk{int64(k), block})
			}
		}
	}
	w := newWriter(root, g.Fsync)
	defer w.close()
	err := w.writeAll(len(chunks), func(k int) (*file, error) {
		c := chunks[k]
		a := &layout.Arrays[c.array]
		v, err := w.read(a, c.block)
		if err != nil {
			return nil, err
		}
		for _, row := range blocks[c.block] {
			v.set(row.Index%Block, row.Values[c.array])
		}
		return &file{a.chunks(), a.chunk(c.block), v.encode()}, nil
	})
	if err != nil {
		return err
	}
	return w.sync()
}

// read returns the values of a chunk, which may be missing.
func (w *writer) read(a *Array, block int64) (*values, error) {
	dir, err := w.dir(a.chunks())
	if err != nil {
		return nil, err
	}
	file, err := dir.ReadFile(a.chunk(block))
	if errors.Is(err, fs.ErrNotExist) {
		return a.newValues(), nil
	}
	if err != nil {
		return nil, err
	}
	v, err := a.decode(file)
	if err != nil {
		return nil, fmt.Errorf("%v/%v is not a chunk of this array: %w", a.chunks(), a.chunk(block), err)
	}
	return v, nil
}
