package tests

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// folders are the directories of a run of directory.yaml.
type folders struct{ base, in, out, refused string }

func newFolders(t *testing.T) folders {
	t.Helper()
	base := t.TempDir()
	return folders{base, filepath.Join(base, "in"), filepath.Join(base, "out"), filepath.Join(base, "refused")}
}

// start runs directory.yaml in the folders.
func (f folders) start(t *testing.T, env ...string) *program {
	t.Helper()
	return start(t, f.base, append([]string{
		"ADDRESS=" + freeAddress(t), "INPUT_DIRECTORY=in", "OUTPUT_DIRECTORY=out", "REFUSED_DIRECTORY=refused",
		"POLL_INTERVAL=50ms", "MIN_AGE=0s",
	}, env...), "-c", config(t, "directory.yaml"))
}

// drop puts a file into the input, complete when it can be seen.
func (f folders) drop(t *testing.T, name, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(f.in, 0o755))
	temp := filepath.Join(f.in, ".dropping")
	require.NoError(t, os.WriteFile(temp, []byte(content), 0o600))
	require.NoError(t, os.Rename(temp, filepath.Join(f.in, name)))
}

func parametersOf(id string, seed int) string {
	return fmt.Sprintf(`{"id":%q,"grid_size":16,"steps":8,"seed":%v}`, id, seed)
}

// listing returns the files of a directory that can be seen, with their contents.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	entries, err := os.ReadDir(dir)
	require.True(t, err == nil || os.IsNotExist(err), "%v", err)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if !os.IsNotExist(err) { // it may be gone by now
			require.NoError(t, err)
			found[e.Name()] = string(content)
		}
	}
	return found
}

func TestDirectoryTakesFilesAsTheyCome(t *testing.T) {
	f := newFolders(t)
	p := f.start(t)
	await.Until(t, func() bool {
		return strings.Contains(p.stdout.String()+p.stderr.String(), "Directory does not exist yet")
	}, "the program to look")
	f.drop(t, "a.json", parametersOf("sim a/..", 1))
	f.drop(t, "bad.json", `{"id":"bad","grid_size":3}`)
	f.drop(t, "worse.json", "no JSON")
	f.drop(t, "ignored.txt", parametersOf("ignored", 1))
	await.Until(t, func() bool { return len(listing(t, f.out)) == 1 && len(listing(t, f.refused)) == 2 }, "all answers")

	var result struct {
		SimulationID string `json:"simulation_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(listing(t, f.out)["sim+a%2F...json"]), &result))
	assert.Equal(t, "sim a/..", result.SimulationID)
	assert.JSONEq(t, `{"file":"in/bad.json","error":"grid_size: 3 is not allowed, must be 4 … 1024","content":"{\"id\":\"bad\",\"grid_size\":3}"}`, listing(t, f.refused)["bad.json"])
	assert.Contains(t, listing(t, f.refused)["worse.json"], `"content":"no JSON"`)
	assert.Len(t, listing(t, f.in), 4)
	p.stop(t)

	// What is done is not done again; what is new is.
	for _, name := range []string{"out", "refused"} {
		require.NoError(t, os.RemoveAll(filepath.Join(f.base, name)))
	}
	f.drop(t, "b.json", parametersOf("b", 2))
	f.drop(t, "bad.json", parametersOf("mended", 3))
	second := f.start(t, "EXIT_WHEN_EMPTY=true")
	second.wait(t, time.Minute)
	require.NoError(t, second.err)
	answers := listing(t, f.out)
	assert.Len(t, answers, 2)
	assert.Contains(t, answers, "b.json")
	assert.Contains(t, answers, "mended.json")
	assert.Empty(t, listing(t, f.refused))
}

func TestDirectoryMovesWhatIsDone(t *testing.T) {
	f := newFolders(t)
	for k := range 20 {
		f.drop(t, fmt.Sprintf("%02d.json", k), parametersOf(fmt.Sprintf("s%02d", k), k))
	}
	p := f.start(t, "EXIT_WHEN_EMPTY=true", "MOVE_TO=done")
	p.wait(t, time.Minute)
	require.NoError(t, p.err)
	assert.Len(t, listing(t, f.out), 20)
	assert.Empty(t, listing(t, f.in))
	assert.Len(t, listing(t, filepath.Join(f.base, "done")), 20)
}

func TestDirectoryLosesNothingWhenItIsKilled(t *testing.T) {
	f := newFolders(t)
	random := rand.New(rand.NewPCG(5, 5))
	sent := 0
	answers := map[string]string{}
	// noted compares answers with those that were there before: they may come
	// twice, and are the same.
	noted := func() {
		for name, content := range listing(t, f.out) {
			require.True(t, json.Valid([]byte(content)), "%v is half there", name)
			if before, ok := answers[name]; ok {
				require.Equal(t, before, content)
			}
			answers[name] = content
		}
	}
	for range 5 {
		p := f.start(t, "AUTO_DELETE=true")
		before := len(listing(t, f.out))
		for range 30 {
			f.drop(t, fmt.Sprintf("%03d.json", sent), parametersOf(fmt.Sprintf("s%03d", sent), sent))
			sent++
		}
		enough := before + random.IntN(30)
		await.Until(t, func() bool { return len(listing(t, f.out)) > enough }, "some answers")
		p.kill()
		noted()
		waiting := listing(t, f.in)
		for k := range sent {
			if _, ok := waiting[fmt.Sprintf("%03d.json", k)]; !ok {
				require.Contains(t, answers, fmt.Sprintf("s%03d.json", k), "a file is gone without an answer")
			}
		}
	}
	p := f.start(t, "AUTO_DELETE=true", "EXIT_WHEN_EMPTY=true")
	p.wait(t, time.Minute)
	require.NoError(t, p.err)
	noted()
	assert.Len(t, answers, sent)
	assert.Empty(t, listing(t, f.in))
	assert.Empty(t, listing(t, f.refused))
}
