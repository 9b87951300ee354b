package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// test is what the scenarios share.
type test struct {
	hub          *hub
	topics       *topics
	program, dir string
	brokers      []string
	running      []*worker
}

// worker is one run of the program in a namespace of its own.
type worker struct {
	name      string
	link      link
	cmd       *exec.Cmd
	log       bytes.Buffer
	done      chan struct{}
	err       error
	simulated atomic.Int64 // as far as its metrics told
	end       string       // how it ended
}

// start runs a stream in a new namespace.
func (t *test) start(ctx context.Context, name, stream string, env []string, args ...string) (*worker, error) {
	l, err := t.hub.connect(ctx)
	if err != nil {
		return nil, err
	}
	w := &worker{name: name, link: l, done: make(chan struct{}), end: "-"}
	arguments := append([]string{"netns", "exec", l.namespace, t.program, "-c", stream}, args...)
	w.cmd = exec.Command("ip", arguments...)
	w.cmd.Dir = t.dir
	w.cmd.Env = append(os.Environ(), append([]string{
		"ADDRESS=" + l.address + ":4195", "SEED_BROKERS=" + strings.Join(t.brokers, ","),
		"XDG_STATE_HOME=" + filepath.Join(t.dir, l.namespace),
	}, env...)...)
	w.cmd.Stdout, w.cmd.Stderr = &w.log, &w.log
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := w.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %v: %w", name, err), l.remove())
	}
	go func() {
		w.err = w.cmd.Wait()
		close(w.done)
	}()
	t.running = append(t.running, w)
	return w, nil
}

var simulations = regexp.MustCompile(`(?m)^mfn_simulations_total\{label="simulate",outcome="success".*\} (\d+)$`)

// observe asks a worker how many simulations it has done. One that is cut off or
// has ended keeps its count. It says whether the worker has answered.
func (w *worker) observe(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.link.address+":4195/metrics", http.NoBody)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = res.Body.Close() }() // it was read
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return false
	}
	if found := simulations.FindSubmatch(text); found != nil {
		if n, err := strconv.ParseInt(string(found[1]), 10, 64); err == nil {
			w.simulated.Store(n)
		}
	}
	return true
}

// answers waits until a worker answers, or has ended.
func (w *worker) answers(ctx context.Context) error {
	for !w.observe(ctx) {
		select {
		case <-w.done:
			return fmt.Errorf("%v has ended: %w:\n%v", w.name, w.err, tail(w.log.String()))
		default:
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
	return nil
}

// finish waits for the end of the program and removes its namespace.
func (w *worker) finish(signal syscall.Signal, end string) error {
	w.end = end
	_ = syscall.Kill(w.cmd.Process.Pid, signal) // it may have ended
	select {
	case <-w.done:
	case <-time.After(2 * time.Minute):
		_ = w.cmd.Process.Kill()
		<-w.done
		return fmt.Errorf("%v has not ended:\n%v", w.name, tail(w.log.String()))
	}
	if signal == syscall.SIGTERM && w.err != nil {
		return fmt.Errorf("%v: %w:\n%v", w.name, w.err, tail(w.log.String()))
	}
	return nil
}

func tail(text string) string { return text[max(0, len(text)-4000):] }

// close kills what still runs, and removes all namespaces.
func (t *test) close() {
	for _, w := range t.running {
		_ = w.cmd.Process.Kill() // it may have ended
		<-w.done
		if err := w.link.remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	t.running = nil
}
