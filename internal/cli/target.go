package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// formats are the kinds of files, by their extensions.
var formats = map[string]func(context.Context, *result) ([]byte, error){
	animated: func(ctx context.Context, r *result) ([]byte, error) {
		return r.animation(ctx, scaleOf(r.Params.GridSize))
	},
	".json": func(_ context.Context, r *result) ([]byte, error) {
		text, err := r.withoutPlanes()
		return append(text, '\n'), err
	},
	".npy": func(_ context.Context, r *result) ([]byte, error) {
		cells, err := r.cells()
		if err != nil {
			return nil, err
		}
		return npy(cells, r.Params.GridSize), nil
	},
	".png": func(ctx context.Context, r *result) ([]byte, error) {
		return r.picture(ctx, scaleOf(r.Params.GridSize))
	},
}

// animated is the format of snapshots.
const animated = ".gif"

// scaleOf returns how many pixels wide a cell of a picture is.
func scaleOf(gridSize int) int { return max(1, 512/gridSize) }

func formatNames() string {
	var names []string
	for name := range formats {
		names = append(names, name)
	}
	slices.Sort(names)
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// target is a file that is to be written.
type target struct{ path, format string }

// targetOf looks whether a file can be written there, before anything is simulated.
// There is none without a path.
func targetOf(path string) (*target, error) {
	if path == "" {
		return nil, nil
	}
	format := strings.ToLower(filepath.Ext(path))
	if _, known := formats[format]; !known {
		return nil, fmt.Errorf("%v: %q is not allowed, must end in %v", flagOutput, path, formatNames())
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	switch info, err := os.Stat(path); {
	case err == nil && !info.Mode().IsRegular():
		return nil, fmt.Errorf("%v: %v is there, and is no regular file", flagOutput, path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%v: %w", flagOutput, err)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("%v: %w", flagOutput, err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%v: %v is no directory", flagOutput, filepath.Dir(path))
	}
	return &target{path, format}, nil
}

// write writes the result, in place of a file that is there.
func (t *target) write(ctx context.Context, r *result) error {
	content, err := formats[t.format](ctx, r)
	if err != nil {
		return err
	}
	if err := writeWhole(t.path, content); err != nil {
		return fmt.Errorf("%v: %w", flagOutput, err)
	}
	return nil
}

// writeWhole writes a file beside its place and gives it its name then, so that
// nobody ever sees a part of it.
func writeWhole(path string, content []byte) error {
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text()[:8])
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666) //nolint:gosec // a result is no secret; the umask decides
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return nil
}

// cells returns the cells of the plane, row by row: numbers of 64 bits in
// little-endian order.
func (r *result) cells() ([]byte, error) {
	var planes map[string]json.RawMessage
	if err := json.Unmarshal(r.text, &planes); err != nil {
		return nil, fmt.Errorf("reading the result: %w", err)
	}
	var packed struct {
		Data []byte `json:"data"`
	}
	if err := json.Unmarshal(planes[r.plane], &packed); err != nil {
		return nil, fmt.Errorf("reading the plane %v: %w", r.plane, err)
	}
	return packed.Data, nil
}
