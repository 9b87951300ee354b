package tests

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// service is a run of serve.yaml.
type service struct {
	*program
	address, url, metrics string
}

// startService runs serve.yaml, and waits until it is ready.
func startService(t *testing.T, env []string, args ...string) *service {
	t.Helper()
	s := &service{address: freeAddress(t), metrics: "http://" + freeAddress(t)}
	s.url = "http://" + s.address
	env = append([]string{"ADDRESS=" + s.address, "METRICS_ADDRESS=" + strings.TrimPrefix(s.metrics, "http://")}, env...)
	s.program = start(t, t.TempDir(), env, append([]string{"-c", config(t, "serve.yaml")}, args...)...)
	await.Until(t, func() bool {
		status, _ := get(t, s.metrics+"/ready")
		return status == http.StatusOK
	}, "the service to be ready")
	return s
}

func TestServeAnswersRequests(t *testing.T) {
	p := startService(t, nil)
	url := p.url

	status, answer := post(t, url+"/simulate", `{"grid_size":64,"seed":42}`)
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, answer, `"growth_events":14`)
	status, again := post(t, url+"/simulate", `{"grid_size":64,"seed":42}`)
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, answer, again, "the same parameters give the same bytes")

	for body, says := range map[string]string{
		`{"grid_size":3}`:    "grid_size: 3 is not allowed, must be 4 … 512",
		`{"grid_size":1024}`: "must be 4 … 512",
		`grid_size=3`:        "JSON object",
		``:                   "JSON object",
		`{"seed":-1}`:        "seed: -1",
	} {
		status, answer := post(t, url+"/simulate", body)
		assert.Equal(t, http.StatusBadRequest, status, body)
		var refused struct{ Error string }
		require.NoError(t, json.Unmarshal([]byte(answer), &refused), answer)
		assert.Contains(t, refused.Error, says)
	}

	var clients sync.WaitGroup
	for k := range 40 {
		clients.Go(func() {
			body := fmt.Sprintf(`{"grid_size":16,"steps":8,"seed":%d}`, k)
			status, answer := post(t, url+"/simulate", body)
			assert.Equal(t, http.StatusOK, status)
			assert.Contains(t, answer, fmt.Sprintf(`"seed":%d,`, k))
		})
	}
	clients.Wait()

	_, text := get(t, p.metrics+"/metrics")
	assert.Regexp(t, `(?m)^mfn_simulations_total\{label="simulate",outcome="success",path="root\.pipeline\.processors\.0\.switch\.4\.processors\.0"\} 42$`, text)
	assert.Regexp(t, `(?m)^mfn_simulations_total\{label="simulate",outcome="error",path="root\.pipeline\.processors\.0\.switch\.4\.processors\.0"\} 5$`, text)
	assert.Regexp(t, `(?m)^processor_error\{label="simulate",path="root\.pipeline\.processors\.0\.switch\.4\.processors\.0"\} 5$`, text)
	assert.Regexp(t, `(?m)^mfn_simulation_duration_seconds_count\{label="simulate",path="root\.pipeline\.processors\.0\.switch\.4\.processors\.0"\} 42$`, text)
	assert.Regexp(t, `(?m)^mfn_cell_steps_total\{.*\} 606208$`, text)
	assert.Regexp(t, `(?m)^mfn_fractal_dimension\{.*\} 0$`, text)
	_, stats := get(t, p.metrics+"/stats")
	assert.Contains(t, stats, `"type":"mfn_http","role":"connector","status":"connected","metrics":{"total_requests":47,"successful_requests":47`)
	p.stop(t)
}

// answer is what a client gets; the error says that its connection was cut.
type answer struct {
	status int
	body   string
	err    error
}

// serveWithRequest runs serve.yaml with a request whose simulation has begun.
func serveWithRequest(t *testing.T, request string, args ...string) (*service, <-chan answer) {
	t.Helper()
	p := startService(t, []string{"MAX_GRID_SIZE=1024", "SIMULATION_TIMEOUT=10m", "REQUEST_TIMEOUT=10m"}, args...)
	answers := make(chan answer, 1)
	go func() {
		res, err := http.Post(p.url+"/simulate", "application/json", strings.NewReader(request))
		if err != nil {
			answers <- answer{err: err}
			return
		}
		body, err := io.ReadAll(res.Body)
		answers <- answer{res.StatusCode, string(body), errors.Join(err, res.Body.Close())}
	}()
	await.Until(t, func() bool {
		_, text := get(t, p.metrics+"/metrics")
		return strings.Contains(text, `processor_received{label="simulate",path="root.pipeline.processors.0.switch.4.processors.0"} 1`+"\n")
	}, "the simulation to begin")
	return p, answers
}

func TestSIGTERMWaitsForTheSimulationsUnderWay(t *testing.T) {
	p, answers := serveWithRequest(t, `{"grid_size":512,"steps":1000,"seed":1}`)
	p.stop(t)
	a := <-answers
	require.NoError(t, a.err)
	assert.Equal(t, http.StatusOK, a.status)
	assert.Contains(t, a.body, `"event":"simulation_complete"`)
	assert.True(t, json.Valid([]byte(a.body)), "the answer is whole")
}

func TestSIGTERMStopsASimulationThatTakesTooLong(t *testing.T) {
	p, answers := serveWithRequest(t, `{"grid_size":1024,"steps":10000,"seed":1}`, "--set", "shutdown_timeout=2s")
	p.stop(t)
	a := <-answers
	if a.err == nil {
		assert.Equal(t, http.StatusServiceUnavailable, a.status)
	}
}

func TestServeIsNotHeldUpBySlowClients(t *testing.T) {
	p := startService(t, nil)

	for k := range 200 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.address)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() }) // the service may have closed it
		request := "POST /simulate HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"grid"
		_, err = conn.Write([]byte(request[:1+k%len(request)]))
		require.NoError(t, err)
	}
	for range 20 {
		status, _ := post(t, p.url+"/simulate", `{"grid_size":8,"steps":2}`)
		assert.Equal(t, http.StatusOK, status)
	}
	p.stop(t)
}

// resident is the most memory that the program has occupied, in bytes; 0 if it has
// ended.
func (p *program) resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%v/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(t, err)
			return kib << 10
		}
	}
	return 0
}

// endless is a body without an end, until its reader stops.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	e.left -= n
	return copy(p[:n], bytes.Repeat([]byte{' '}, n)), nil
}

func TestServiceBoundsWhatACallerSends(t *testing.T) {
	s := startService(t, []string{"API_KEY=p #s \"k\\\\ey ${! 1 }", "REQUEST_TIMEOUT=10m", "MAX_GRID_SIZE=1024", "SIMULATION_TIMEOUT=10m"})
	send := func(method, path, body string, headers ...string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("X-API-Key", "p #s \"k\\\\ey ${! 1 }")
		for k := 0; k < len(headers); k += 2 {
			req.Header.Set(headers[k], headers[k+1])
		}
		if host := req.Header.Get("Host"); host != "" {
			req.Host = host
		}
		return exchange(t, req)
	}
	for _, test := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		says                     string
	}{
		{"a good one", "POST", "/simulate", tiny, nil, 200, "simulation_complete"},
		{"another method", "GET", "/simulate", "", nil, 405, "method"},
		{"another method of a list", "POST", "/models", "", nil, 405, "method"},
		{"the models", "GET", "/models", "", nil, 200, "gray_scott"},
		{"the description", "GET", "/openapi.json", "", nil, 200, "/simulate"},
		{"the description, without a key", "GET", "/openapi.json", "", []string{"X-API-Key", ""}, 401, "API key"},
		{"features", "POST", "/features", `{"field":[[-0.07,-0.05],[-0.03,-0.07]]}`, nil, 200, "fractal_dimension"},
		{"features of what is no field", "POST", "/features", `{"field":[[1,2]]}`, nil, 400, "not square"},
		{"a type that no answer has", "POST", "/simulate", tiny, []string{"Accept", "text/html"}, 406, "application/json or image/png"},
		{"a picture of a list", "GET", "/models", "", []string{"Accept", "image/png"}, 406, "application/json"},
		{"a picture that cannot be simulated", "POST", "/simulate", `{"grid_size":3}`, []string{"Accept", "image/png"}, 400, "grid_size: 3"},
		{"another path", "POST", "/elsewhere", tiny, nil, 404, "nothing at this path"},
		{"a wrong key", "POST", "/simulate", tiny, []string{"X-API-Key", "wrong"}, 401, "API key"},
		{"a bearer", "POST", "/simulate", tiny, []string{"X-API-Key", "", "Authorization", "bearer p #s \"k\\\\ey ${! 1 }"}, 200, "simulation_complete"},
		{"no key", "POST", "/simulate", tiny, []string{"X-API-Key", ""}, 401, "API key"},
		{"a large body", "POST", "/simulate", strings.Repeat(" ", 1<<20) + tiny, nil, 413, "max_body_bytes, which is 1048576"},
		{"an encoded body", "POST", "/simulate", tiny, []string{"Content-Encoding", "gzip"}, 415, "Content-Encoding"},
		{"another host", "POST", "/simulate", tiny, []string{"Host", "attacker.example"}, 421, "Host"},
		{"a page of another origin", "POST", "/simulate", tiny, []string{"Origin", "http://attacker.example", "Content-Type", "text/plain"}, 403, "origin"},
		{"metadata that decides", "POST", "/simulate?status=999", tiny, []string{"Cookie", "status=201", "Status", "202"}, 200, "simulation_complete"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, answer := send(test.method, test.path, test.body, test.headers...)
			assert.Equal(t, test.status, status, answer)
			assert.Contains(t, answer, test.says)
			assert.True(t, json.Valid([]byte(answer)))
		})
	}

	t.Run("bodies without an end", func(t *testing.T) {
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/simulate", io.NopCloser(&endless{left: 600 << 20}))
				if assert.NoError(t, err) {
					req.Header.Set("X-API-Key", "p #s \"k\\\\ey ${! 1 }")
					exchange(t, req) // which may be cut before it is answered
				}
			})
		}
		callers.Wait()
		assert.Less(t, s.resident(t), 256<<20)
	})
	assert.NotContains(t, s.log(), "p #s")

	t.Run("a picture", func(t *testing.T) {
		status, answer := send("POST", "/simulate", `{"grid_size":8,"steps":2}`, "Accept", "image/png, application/json;q=0.5")
		assert.Equal(t, http.StatusOK, status)
		picture, err := png.DecodeConfig(strings.NewReader(answer))
		require.NoError(t, err)
		assert.Equal(t, 32, picture.Width)
	})

	t.Run("a thousand wrong keys", func(t *testing.T) {
		_, before := get(t, s.metrics+"/metrics")
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
		defer client.CloseIdleConnections()
		var callers sync.WaitGroup
		for caller := range 8 {
			callers.Go(func() {
				for k := range 125 {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/simulate", strings.NewReader(tiny))
					if !assert.NoError(t, err) {
						return
					}
					req.Header.Set("X-API-Key", fmt.Sprintf("guess %v %v", caller, k))
					res, err := client.Do(req)
					if !assert.NoError(t, err) {
						return
					}
					_, err = io.Copy(io.Discard, res.Body)
					assert.NoError(t, errors.Join(err, res.Body.Close()))
					assert.Equal(t, http.StatusUnauthorized, res.StatusCode)
				}
			})
		}
		callers.Wait()
		status, answer := send("POST", "/simulate", tiny)
		assert.Equal(t, http.StatusOK, status, answer)
		_, after := get(t, s.metrics+"/metrics")
		received := regexp.MustCompile(`input_received\{[^}]*\} (\d+)`)
		count := func(metrics string) int {
			n, err := strconv.Atoi(received.FindStringSubmatch(metrics)[1])
			require.NoError(t, err)
			return n
		}
		assert.Equal(t, count(before)+1, count(after), "no guess gets into the stream")
		assert.Less(t, strings.Count(s.log(), "API key"), 50, "each guess does not get a line of its own")
		assert.NotContains(t, s.log(), "guess")
	})

	t.Run("a client that leaves", func(t *testing.T) {
		cancelled, leave := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		for range 8 { // more than there are cores
			callers.Go(func() {
				req, err := http.NewRequestWithContext(cancelled, http.MethodPost, s.url+"/simulate", strings.NewReader(slow))
				if assert.NoError(t, err) {
					req.Header.Set("X-API-Key", "p #s \"k\\\\ey ${! 1 }")
					exchange(t, req)
				}
			})
		}
		await.Until(t, func() bool {
			_, text := get(t, s.metrics+"/metrics")
			return regexp.MustCompile(`input_received\{[^}]*\} ([5-9]|1\d)\n`).MatchString(text)
		}, "the simulations to begin")
		leave()
		callers.Wait()
		status, answer := send("POST", "/simulate", tiny)
		assert.Equal(t, 200, status, answer) // would wait for minutes
		_, text := get(t, s.metrics+"/metrics")
		assert.Contains(t, text, `mfn_simulations_total{label="simulate",outcome="error",path="root.pipeline.processors.0.switch.4.processors.0"} 0`, "nothing was wrong with them")
	})
	s.stop(t)
}

func TestServiceEndsSlowCallersAndLongRequests(t *testing.T) {
	s := startService(t, []string{"REQUEST_TIMEOUT=300ms", "MAX_GRID_SIZE=1024", "RATE_LIMIT=20", "MAX_IN_FLIGHT=2"},
		"--set", "input.mfn_http.read_timeout=300ms", "--set", "input.mfn_http.idle_timeout=300ms")
	for name, sent := range map[string]string{
		"half a header":     "POST /simulate HTTP/1.1\r\nHost: loc",
		"half a body":       "POST /simulate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
		"nothing":           "",
		"nothing after one": "POST /simulate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.address)
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			_, err = io.WriteString(conn, sent)
			require.NoError(t, err)
			require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
			_, err = io.ReadAll(conn)
			assert.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection stays open")
		})
	}
	status, answer := post(t, s.url+"/simulate", slow)
	assert.Equal(t, http.StatusGatewayTimeout, status, answer)
	assert.Contains(t, answer, "timeout")

	seen := map[int]int{}
	var mu sync.Mutex
	var callers sync.WaitGroup
	for range 60 {
		callers.Go(func() {
			res, err := http.Post(s.url+"/simulate", "application/json", strings.NewReader(`{"grid_size":512,"steps":500}`))
			if !assert.NoError(t, err) {
				return
			}
			defer func() { assert.NoError(t, res.Body.Close()) }()
			mu.Lock()
			defer mu.Unlock()
			seen[res.StatusCode]++
			if res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusServiceUnavailable {
				assert.Equal(t, "1", res.Header.Get("Retry-After"))
			}
		})
	}
	callers.Wait()
	assert.NotZero(t, seen[http.StatusTooManyRequests], "above the rate")
	assert.NotZero(t, seen[http.StatusServiceUnavailable], "above max_in_flight")
	s.stop(t)
}
