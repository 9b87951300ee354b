package tests

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// pageState is what these tests read of the page's events.
type pageState struct {
	Summary struct {
		State     string   `json:"state"`
		Error     string   `json:"error"`
		Messages  []string `json:"messages"`
		Operation string   `json:"operation"`
	} `json:"summary"`
	Fields []struct {
		ID string `json:"simulation_id"`
	} `json:"fields"`
}

// pageEvents calls ok with each event of the page, as text too, until it returns
// true or there are no more.
func pageEvents(t *testing.T, address string, ok func(state pageState, text string) bool) {
	t.Helper()
	var events *http.Response
	await.Until(t, func() (connected bool) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/events", http.NoBody)
		require.NoError(t, err)
		events, err = http.DefaultClient.Do(r) //nolint:bodyclose // below
		return err == nil
	}, "the page")
	defer func() { _ = events.Body.Close() }() // it was read as far as it matters
	lines := bufio.NewScanner(events.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if text, isData := strings.CutPrefix(lines.Text(), "data: "); isData {
			var state pageState
			require.NoError(t, json.Unmarshal([]byte(text), &state))
			if ok(state, text) {
				return
			}
		}
	}
	require.Fail(t, "the events have ended")
}

func TestPageShowsWhatFails(t *testing.T) {
	dir, address := t.TempDir(), freeAddress(t)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the disk is full", http.StatusInsufficientStorage)
	}))
	t.Cleanup(refusing.Close)
	p := start(t, dir, nil, "-c", writeFile(t, dir, "stream.yaml", withoutService+fmt.Sprintf(`
page: { enabled: true, address: '%v' }
input: { generate: { interval: 100ms, mapping: 'root = {"id": "run-%%v".format(counter()), "grid_size": 8, "steps": 1}' } }
pipeline: { processors: [ mfn_simulate: {} ] }
output: { label: results, mfn_webhook: { url: '%v/hooks/t0p-s3cret?token=0ther-s3cret', mask_path: true, headers: { Authorization: Bearer th1rd-s3cret } } }
`, address, refusing.URL)))
	pageEvents(t, address, func(state pageState, text string) bool {
		for _, secret := range []string{"t0p-s3cret", "0ther-s3cret", "th1rd-s3cret"} {
			require.NotContains(t, text, secret)
		}
		return state.Summary.State == "failing" && len(state.Summary.Messages) == 1 && strings.HasPrefix(state.Summary.Messages[0], "run-") &&
			strings.Contains(state.Summary.Error, "507") && len(state.Fields) > 0
	})
	p.kill()
}

// The page tells of the end, and neither it nor who reads it holds it up.
func TestPageTellsOfTheEnd(t *testing.T) {
	dir, address := t.TempDir(), freeAddress(t)
	p := start(t, dir, nil, "-c", writeFile(t, dir, "stream.yaml", sweepOf(2000, 500)+fmt.Sprintf("page: { enabled: true, address: '%v' }\n", address)))
	pageEvents(t, address, func(state pageState, _ string) bool {
		return state.Summary.State == "ended" && state.Summary.Error == ""
	})
	<-p.done
	require.NoError(t, p.err)
}

func TestPageCannotBeServed(t *testing.T) {
	dir := t.TempDir()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	taken := l.Addr().String()
	for name, row := range map[string]struct{ page, want string }{
		"its port is taken":    {fmt.Sprintf("enabled: true, address: '%v'", taken), "page.address: the page cannot be served at " + taken},
		"a port in no address": {"enabled: true, address: '127.0.0.1'", "address: must be host:port, it is 127.0.0.1"},
		"enabled is no switch": {"enabled: 3", "enabled: must be true or false, it is 3"},
		"an unknown field":     {"port: 1", "field port not recognised"},
	} {
		t.Run(name, func(t *testing.T) {
			p := run(t, dir, nil, "-c", writeFile(t, dir, "stream.yaml", sweepOf(1, 1)+"page: { "+row.page+" }\n"))
			require.Error(t, p.err)
			assert.Contains(t, p.stderr.String()+p.stdout.String(), row.want)
		})
	}
}

func TestNoPageUnlessAskedFor(t *testing.T) {
	dir, address := t.TempDir(), freeAddress(t)
	p := start(t, dir, nil, "-c", writeFile(t, dir, "stream.yaml", withoutService+fmt.Sprintf(`
page: { address: '%v' }
input: { generate: { interval: 10ms, mapping: 'root = {"grid_size": 8, "steps": 1}' } }
pipeline: { processors: [ mfn_simulate: {} ] }
output: { stdout: {} }
`, address)))
	await.Until(t, func() bool { return strings.Contains(p.stdout.String(), "simulation_complete") }, "results")
	_, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	require.Error(t, err)
	p.stop(t)
}
