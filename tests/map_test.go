package tests

import (
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mapStream is map.yaml with fewer steps, which takes a second.
func mapStream(t *testing.T, changes ...string) string {
	t.Helper()
	raw, err := os.ReadFile("../config/map.yaml")
	require.NoError(t, err)
	content := string(raw)
	changes = append(changes, "steps: 10000", "steps: 100")
	for k := 0; k < len(changes); k += 2 {
		require.Contains(t, content, changes[k])
		content = strings.ReplaceAll(content, changes[k], changes[k+1])
	}
	return writeFile(t, t.TempDir(), "map.yaml", content)
}

func TestMapEndsWithAGroupATableAndAPicture(t *testing.T) {
	dir := t.TempDir()
	p := run(t, dir, nil, "-c", mapStream(t))
	require.NoError(t, p.err)
	assert.Empty(t, p.stderr.String())

	picture := readPNG(t, filepath.Join(dir, "results", "map.png"))
	assert.Equal(t, readPNG(t, "../docs/pictures/map.png").Bounds(), picture.Bounds(), "the README shows another picture: run make pictures")
	assert.Equal(t, image.Pt(16*(96+8)+8, 2088), picture.Bounds().Size())
	table, err := os.ReadFile(filepath.Join(dir, "results", "map.parquet"))
	require.NoError(t, err)
	assert.Equal(t, "PAR1", string(table[:4]))
	chunks, err := os.ReadDir(filepath.Join(dir, "results", "map.zarr", "v", "c"))
	require.NoError(t, err)
	assert.Len(t, chunks, 256)
}

// A file has the name of a picture or of a table only when it is one.
func TestMapWithoutAPictureEndsWithTheReason(t *testing.T) {
	dir := t.TempDir()
	p := run(t, dir, nil, "-c", mapStream(t, "scale: 1 }", "scale: 1, limits: { max_pixels: 100000 } }"))
	require.Error(t, p.err)
	assert.Contains(t, p.stderr.String(), "limits.max_pixels")
	assert.NoFileExists(t, filepath.Join(dir, "results", "map.png"))
}
