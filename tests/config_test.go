package tests

import (
	"encoding/csv"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// A job whose file is not there says so, and ends with a status that is not 0.
func TestAJobWithoutItsFileFails(t *testing.T) {
	for _, row := range []struct{ stream, file string }{{"batch.yaml", "parameters.jsonl"}, {"table.yaml", "parameters.csv"}} {
		t.Run(row.stream, func(t *testing.T) {
			dir := t.TempDir()
			p := run(t, dir, nil, "-c", config(t, row.stream))
			require.Error(t, p.err)
			assert.Contains(t, p.stderr.String()+p.stdout.String(), "there is no file "+row.file)

			p = run(t, dir, []string{"INPUT=" + filepath.Join(dir, "no", "such.file")}, "-c", config(t, row.stream))
			require.Error(t, p.err)
			assert.Contains(t, p.stderr.String()+p.stdout.String(), "there is no file "+filepath.Join(dir, "no", "such.file"))
		})
	}
}

// A job that is run again does all of it again.
func TestAJobCanBeRepeated(t *testing.T) {
	dir := t.TempDir()
	input := filepath.Join(dir, "some", "parameters.jsonl")
	require.NoError(t, os.Mkdir(filepath.Dir(input), 0o755))
	require.NoError(t, os.WriteFile(input, []byte(parametersOf("a", 1)+"\n"), 0o600))
	for range 2 {
		p := run(t, dir, []string{"INPUT=" + input}, "-c", config(t, "batch.yaml"))
		require.NoError(t, p.err)
	}
	assert.Len(t, readLines(t, filepath.Join(dir, "results.jsonl")), 2)
}

func TestATableBecomesATable(t *testing.T) {
	dir := t.TempDir()
	const table = "\ufeffid, grid_size ,steps,seed,note\n" +
		"a,8,2,1,\n" +
		"\"b, \"\"quoted\"\"\", 9 ,2,18446744073709551615,x\n" +
		"bad,3,2,1,\n" +
		"drawn,8,2,,\n" +
		"ragged,8\n" +
		"last,8,2,7,\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "parameters.csv"), []byte(table), 0o600))
	for _, repeated := range []int{1, 2} {
		p := run(t, dir, nil, "-c", config(t, "table.yaml"))
		require.NoError(t, p.err)
		for _, named := range []string{"id=bad", "Row cannot be read", "row=5"} {
			assert.Contains(t, p.stdout.String()+p.stderr.String(), named)
		}

		f, err := os.Open(filepath.Join(dir, "results.csv"))
		require.NoError(t, err)
		rows, err := csv.NewReader(f).ReadAll()
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.Len(t, rows, 1+4*repeated, "the header is written once")
		require.Len(t, rows[0], 43)
		var ids []string
		for _, row := range rows[1:5] {
			result := map[string]string{}
			for k, name := range rows[0] {
				result[name] = row[k]
			}
			ids = append(ids, result["simulation_id"])
			for name, value := range result {
				assert.NotEmpty(t, value, name)
				assert.NotEqual(t, "null", value, name)
			}
			if result["simulation_id"] == `b, "quoted"` {
				assert.Equal(t, "9", result["grid_size"])
				assert.Equal(t, "18446744073709551615", result["seed"])
			}
		}
		assert.Equal(t, []string{"a", `b, "quoted"`, "drawn", "last"}, ids, "rows stay in their order")
	}
	refused := readLines(t, filepath.Join(dir, "refused.jsonl"))
	require.Len(t, refused, 4)
	assert.Contains(t, refused[0], `"row":3`)
	assert.Contains(t, refused[1], `"row":5`)
	assert.Contains(t, refused[1], "wrong number of fields")
}

// An answer from the cache is that of the same request: another id is another
// request, whatever its parameters, and an error stays one.
func TestCacheAnswersEachRequestAsItWasAsked(t *testing.T) {
	address, metricsAddress := freeAddress(t), freeAddress(t)
	p := start(t, t.TempDir(), []string{"ADDRESS=" + address, "METRICS_ADDRESS=" + metricsAddress}, "-c", config(t, "cache.yaml"))
	await.Until(t, func() bool {
		status, _ := get(t, "http://"+metricsAddress+"/ready")
		return status == http.StatusOK
	}, "the service to be ready")
	ask := func(request string) (int, string) { return post(t, "http://"+address+"/simulate", request) }
	for k := range 200 {
		id := string(rune('a' + k%4))
		status, answer := ask(`{"id":"` + id + `","grid_size":8,"steps":2,"seed":1}`)
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, answer, `"simulation_id":"`+id+`"`)
	}
	_, first := ask(`{"grid_size":8,"steps":2}`)
	_, again := ask(`{"grid_size":8,"steps":2}`)
	assert.Equal(t, first, again, "the seed was drawn once")
	for range 2 {
		status, answer := ask(`{"grid_size":3}`)
		assert.Equal(t, http.StatusBadRequest, status)
		assert.JSONEq(t, `{"error":"grid_size: 3 is not allowed, must be 4 … 512"}`, answer)
	}
	_, metrics := get(t, "http://"+metricsAddress+"/metrics")
	assert.Regexp(t, `(?m)^mfn_simulations_total\{label="simulate",outcome="success",[^}]*\} 5$`, metrics)
	p.stop(t)
}

// awkward are values of environment variables that mean something to YAML or to
// Benthos where they are not quoted.
var awkward = []string{"abc #def", `p\tq`, `p"q`, "p${! 1 }q", "~", "null", "!x", "&a", "*a", "0123456", "1e3", "- a", "a: b", "{a", "@x", "%x"}

var (
	variable = regexp.MustCompile(`\$\{[A-Z_]+[:}]`)
	// bare are Benthos's own numbers and booleans, which it does not take as text.
	// What is no such value is an error there, and never taken for another.
	bare = regexp.MustCompile(`^\s*(threads|max_buffer_size|enabled|cap|count|checkpoint_limit|size|max_messages|max_in_flight): \$\{[A-Z_]+:[a-z0-9-]+\}$`)
	// quotedLine is a line whose variables stand in single quotes.
	quotedLine = regexp.MustCompile(`^\s*(- )?([A-Za-z_-]+: )?(\[ )?'[^']*'( \])?( # .*)?$`)
)

func TestVariablesOfStreamsAreQuoted(t *testing.T) {
	streams, err := filepath.Glob("../config/*.yaml")
	require.NoError(t, err)
	for _, stream := range streams {
		content, err := os.ReadFile(stream)
		require.NoError(t, err)
		checkQuotes(t, stream, string(content))
	}
	reference, err := os.ReadFile("../docs/components.md")
	require.NoError(t, err)
	for _, example := range fence.FindAllStringSubmatch(string(reference), -1) {
		checkQuotes(t, "components.md", example[1])
	}
	for _, page := range pages(t) {
		for _, example := range page.examples {
			checkQuotes(t, page.name, example)
		}
	}
}

func checkQuotes(t *testing.T, name, yaml string) {
	t.Helper()
	for line := range strings.Lines(yaml) {
		line = strings.TrimRight(line, "\n")
		if !variable.MatchString(line) || strings.HasPrefix(strings.TrimSpace(line), "#") || bare.MatchString(line) {
			continue
		}
		assert.Regexp(t, quotedLine, line, "%v: put variables in single quotes", name)
	}
}

// A value of the environment is what it is, up to the other side.
func TestValuesOfTheEnvironmentStayWhatTheyAre(t *testing.T) {
	for _, value := range awkward {
		t.Run(value, func(t *testing.T) {
			p := run(t, t.TempDir(), []string{"API_TOKEN=" + value, "WEBHOOK_TOKEN=" + value, "SASL_PASSWORD=" + value, "WEBHOOK_SECRET="},
				"lint", config(t, "pipeline.yaml"), config(t, "kafka.yaml"), config(t, "fanout.yaml"))
			require.NoError(t, p.err, p.stderr.String()+p.stdout.String())
		})
	}
	for _, value := range []string{"abc #def", `p\tq`, `p"q`, "p${! 1 }q", "0123456"} {
		t.Run("sent/"+value, func(t *testing.T) {
			server := newSite(t, 0)
			p := run(t, t.TempDir(), []string{
				"ADDRESS=" + freeAddress(t), "BASE_URL=" + server.URL, "WEBHOOK_URL=" + server.URL + "/webhook", "POLL_INTERVAL=0s",
				"API_TOKEN=" + value, "WEBHOOK_TOKEN=" + value,
			}, "-c", config(t, "pipeline.yaml"))
			require.NoError(t, p.err)
			tokens := server.seenTokens()
			require.Len(t, tokens, 3, "a request for parameters and two results")
			for _, token := range tokens {
				assert.Equal(t, "Bearer "+value, token)
			}
			assert.NotContains(t, p.stdout.String()+p.stderr.String(), value)
		})
	}
}
