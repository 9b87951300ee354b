package tests

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

const (
	streamsKey = "MFN_CONNECT_API_KEY=the key"
	aStream    = `
input: { mfn_rest: { base_url: 'http://127.0.0.1:9', auth: { bearer_token: a-secret-of-the-stream } } }
output: { drop: {} }
`
)

// Nobody can send streams unless it is asked for.
func TestStreamsModeHasNoAPIByDefault(t *testing.T) {
	dir, address := t.TempDir(), freeAddress(t)
	p := start(t, dir, nil, "streams", "--set", "http.address="+address, writeFile(t, dir, "a.yaml", aStream))
	await.Until(t, func() bool { return ready(t, address) }, "the service to answer")
	for _, path := range []string{"/streams", "/streams/a", "/streams/b", "/resources/cache/c"} {
		status, _ := post(t, "http://"+address+path, aStream)
		assert.Equal(t, http.StatusNotFound, status, path)
	}
	p.stop(t)
}

func TestStreamsAPIRefusesToStart(t *testing.T) {
	for _, test := range []struct {
		name string
		env  []string
		args []string
		says string
	}{
		{"without a key", nil, []string{"--api", "127.0.0.1:0"}, "MFN_CONNECT_API_KEY"},
		{"without a port", []string{streamsKey}, []string{"--api=127.0.0.1"}, "host:port"},
		{"as Benthos serves it", []string{streamsKey}, []string{"--no-api=false"}, "--api"},
		{"with settings of the server behind it", []string{streamsKey}, []string{"--api", "127.0.0.1:0", "--set", "http.address=0.0.0.0:1"}, "--set http"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := run(t, t.TempDir(), test.env, append([]string{"streams"}, test.args...)...)
			assert.Equal(t, 1, p.cmd.ProcessState.ExitCode())
			assert.Contains(t, p.stderr.String(), test.says)
		})
	}
}

func TestStreamsAPIIsForItsCallersAlone(t *testing.T) {
	dir, address := t.TempDir(), freeAddress(t)
	p := start(t, dir, []string{streamsKey}, "streams", "--api", address)
	url := "http://" + address
	await.Until(t, func() bool { status, _ := get(t, url+"/ready"); return status == http.StatusOK }, "the API to answer")
	send := func(method, path, body string, headers ...string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		require.NoError(t, err)
		for k := 0; k < len(headers); k += 2 {
			req.Header.Set(headers[k], headers[k+1])
		}
		if host := req.Header.Get("Host"); host != "" {
			req.Host = host
		}
		return exchange(t, req)
	}
	const key = "X-API-Key"
	mark := filepath.Join(dir, "executed")
	command := `
input: { generate: { count: 1, interval: "", mapping: 'root = "x"' } }
pipeline: { processors: [ command: { name: touch, args_mapping: '["` + mark + `"]' } ] }
output: { drop: {} }
`
	for _, test := range []struct {
		name    string
		headers []string
		status  int
	}{
		{"without a key", nil, 401},
		{"with a wrong key", []string{key, "wrong"}, 401},
		{"from a foreign page", []string{key, "the key", "Origin", "http://attacker.example", "Content-Type", "text/plain"}, 403},
		{"for a name that points here", []string{key, "the key", "Host", "attacker.example"}, 421},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, _ := send("POST", "/streams/evil", command, test.headers...)
			assert.Equal(t, test.status, status)
		})
	}

	status, answer := send("POST", "/streams/good", aStream, key, "the key")
	require.Equal(t, http.StatusOK, status, answer)
	status, answer = send("GET", "/streams/good", "", key, "the key")
	require.Equal(t, http.StatusOK, status, answer)
	assert.Contains(t, answer, "http://127.0.0.1:9")
	assert.NotContains(t, answer, "a-secret")
	status, answer = send("GET", "/streams", "", key, "the key")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, answer, `"good"`)
	assert.NoFileExists(t, mark)

	_, metrics := get(t, url+"/metrics")
	assert.Contains(t, metrics, `stream="good"`)
	status, _ = send("DELETE", "/streams/good", "", key, "the key")
	assert.Equal(t, http.StatusOK, status)
	_, metrics = get(t, url+"/metrics")
	assert.NotContains(t, metrics, `stream="good"`, "its series go with it")
	p.stop(t)
	assert.NotContains(t, p.log(), "a-secret")
}
