package tests

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stream writes a stream to a file in dir and returns its path.
func stream(t *testing.T, dir, yaml string) string {
	t.Helper()
	path := filepath.Join(dir, "stream.yaml")
	require.NoError(t, os.WriteFile(path, []byte(yaml), 0o600))
	return path
}

func TestElementsOfAnArrayAreMessagesWithMembers(t *testing.T) {
	f := newFolders(t)
	const g = `"grid_size":8,"steps":2,"seed":1`
	f.drop(t, "in.json", `[{"id":"a",`+g+`},{"id":"b",`+g+`},{"id":"bad","grid_size":3}]`)
	p := run(t, f.base, nil, "-c", stream(t, f.base, `
http: { enabled: false }
input:
  mfn_file:
    directory: in
    exit_when_empty: true
    min_age: 0s
    scanner: { json_array: {} }
pipeline:
  processors:
    - mapping: meta id = this.id
    - mfn_simulate: {}
    - catch:
        - mapping: meta id = "refused-" + this.id
output:
  mfn_file:
    directory: out
    filename_pattern: ${! @id }.json
`))
	require.NoError(t, p.err)
	results := listing(t, f.out)
	require.Len(t, results, 3)
	assert.Contains(t, results["a.json"], `"simulation_id":"a"`)
	assert.Contains(t, results["b.json"], `"simulation_id":"b"`)
	assert.JSONEq(t, `{"id":"bad","grid_size":3}`, results["refused-bad.json"])
}
