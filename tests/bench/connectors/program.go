package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

type bench struct {
	binary, dir string
	profiles    string // a directory, or empty
	row         string // that is being measured
	turns       int
	cpu         time.Duration // that the last turn took
}

func parameters(i int) []byte {
	return fmt.Appendf(nil, `{"id":"m%07d","grid_size":4,"steps":1,"seed":%d}`, i, i)
}

// turn makes a directory for one turn.
func (b *bench) turn() (string, error) {
	b.turns++
	dir := filepath.Join(b.dir, fmt.Sprint("turn-", b.turns))
	return dir, os.MkdirAll(dir, 0o750)
}

// start runs a stream.
func (b *bench) start(ctx context.Context, dir, stream string) (*exec.Cmd, error) {
	path := filepath.Join(dir, "stream.yaml")
	service := "{ enabled: false }"
	address := ""
	if b.profiles != "" {
		var err error
		if address, err = freeAddress(ctx); err != nil {
			return nil, err
		}
		service = fmt.Sprintf("{ address: %q, debug_endpoints: true }", address)
	}
	if err := os.WriteFile(path, []byte("http: "+service+"\nlogger: { level: WARN }\n"+stream), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, b.binary, "-c", path)
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+dir)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if address != "" {
		go b.profile(ctx, address, b.profilePath(b.row))
	}
	return cmd, nil
}

func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// profile keeps a CPU profile of the program, of a second after the first half.
// There is none of a program that ends before.
func (b *bench) profile(ctx context.Context, address, path string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for range 2 { // it may not listen yet
		time.Sleep(time.Second / 2)
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/debug/pprof/profile?seconds=1", http.NoBody)
		if err != nil {
			return
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			continue
		}
		content, err := io.ReadAll(response.Body)
		_ = response.Body.Close() // it has been read
		if err == nil && response.StatusCode == http.StatusOK {
			err = os.WriteFile(path, content, 0o600)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
		}
		return
	}
}

// toTheEnd runs a stream that ends by itself, and says how long it ran.
func (b *bench) toTheEnd(ctx context.Context, dir, stream string) (time.Duration, error) {
	started := time.Now()
	cmd, err := b.start(ctx, dir, stream)
	if err != nil {
		return 0, err
	}
	err = cmd.Wait()
	took := time.Since(started)
	b.cpu = cpuOf(cmd)
	return took, err
}

func cpuOf(cmd *exec.Cmd) time.Duration {
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

const pipeline = "pipeline: { processors: [ { mfn_simulate: {} } ] }\n"

// generated returns a row of simulations of generated parameters, whose results
// are dropped: the program without connectors. There are so many that they take
// some seconds.
func (b *bench) generated(grid, steps int) func(ctx context.Context, messages int) (time.Duration, error) {
	return func(ctx context.Context, messages int) (time.Duration, error) {
		dir, err := b.turn()
		if err != nil {
			return 0, err
		}
		return b.toTheEnd(ctx, dir, fmt.Sprintf(`
input:
  generate:
    count: %v
    interval: ""
    batch_size: %v
    mapping: 'root = {"grid_size": %v, "steps": %v, "seed": counter()}'
%v
output: { drop: {} }
`, messages, max(1, min(messages/300, 100)), grid, steps, pipeline))
	}
}

func (b *bench) filesToFiles(ctx context.Context, messages int) (time.Duration, error) {
	return b.files(ctx, messages, "filename_pattern: '${! json(\"simulation_id\") }.json'")
}

func (b *bench) filesToLines(ctx context.Context, messages int) (time.Duration, error) {
	return b.files(ctx, messages, "filename_pattern: results.jsonl, append_mode: true")
}

func (b *bench) files(ctx context.Context, messages int, how string) (time.Duration, error) {
	dir, err := b.turn()
	if err != nil {
		return 0, err
	}
	in := filepath.Join(dir, "in")
	if err := os.Mkdir(in, 0o750); err != nil {
		return 0, err
	}
	for i := range messages {
		if err := os.WriteFile(filepath.Join(in, fmt.Sprintf("%07d.json", i)), parameters(i), 0o600); err != nil {
			return 0, err
		}
	}
	took, err := b.toTheEnd(ctx, dir, fmt.Sprintf(`
input: { mfn_file: { directory: %v, min_age: 0s, exit_when_empty: true } }
%v
output: { mfn_file: { directory: %v, fsync: false, %v } }
`, in, pipeline, filepath.Join(dir, "out"), how))
	if err != nil {
		return 0, err
	}
	return took, os.RemoveAll(dir)
}

func (b *bench) restToWebhook(ctx context.Context, messages int) (time.Duration, error) {
	dir, err := b.turn()
	if err != nil {
		return 0, err
	}
	items := make([]json.RawMessage, messages)
	for i := range items {
		items[i] = parameters(i)
	}
	body, err := json.Marshal(items)
	if err != nil {
		return 0, err
	}
	var received atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /parameters", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(body) // the client may be gone
	})
	mux.HandleFunc("POST /results", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			received.Add(1)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()

	took, err := b.toTheEnd(ctx, dir, fmt.Sprintf(`
input:
  mfn_rest: { base_url: "http://%[1]v", endpoint: /parameters, poll_interval: 0s, split: root = this }
%[2]v
output: { mfn_webhook: { url: "http://%[1]v/results" } }
`, listener.Addr(), pipeline))
	if err != nil {
		return 0, err
	}
	if n := int(received.Load()); n != messages {
		return 0, fmt.Errorf("%v of %v messages arrived", n, messages)
	}
	return took, os.RemoveAll(dir)
}

// stop ends a stream that goes on by itself.
func (b *bench) stop(cmd *exec.Cmd) error {
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := cmd.Wait()
	b.cpu = cpuOf(cmd)
	return err
}

// ownCPU is what this process has taken.
func ownCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
