package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// tiny is the smallest simulation of the suite, larger ones are few.
func tiny(id string, seed int) []byte { return parameters(id, 8, 4, seed) }

// message is the id of the i-th message and its parameters, a simulation of its
// own, so that the answer to one is told from that to any other. Most are tiny,
// one of 20 is middling and one of 400 large.
func message(i int) (id string, content []byte) {
	id = messageID(i)
	switch {
	case i%400 == 399:
		return id, parameters(id, 256, 256, i)
	case i%20 == 19:
		return id, parameters(id, 64, 64, i)
	}
	return id, tiny(id, i)
}

func messageID(i int) string { return fmt.Sprintf("m%06d", i) }

func parameters(id string, size, steps, seed int) []byte {
	b, err := json.Marshal(map[string]any{"id": id, "grid_size": size, "steps": steps, "seed": seed})
	if err != nil {
		panic(err) // a map of strings and numbers always marshals
	}
	return b
}

// webhook takes results, in whatever mood it is set to.
type webhook struct {
	server *http.Server
	url    string
	book   book
	mood   atomic.Value // func(http.ResponseWriter, *http.Request, []byte) bool, which says whether to go on

	requests atomic.Int64
}

type mood func(http.ResponseWriter, *http.Request, []byte) (accept bool)

func content(http.ResponseWriter, *http.Request, []byte) bool { return true }

func newWebhook(ctx context.Context, b book) (*webhook, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &webhook{book: b, url: "http://" + listener.Addr().String() + "/results"}
	w.mood.Store(mood(content))
	w.server = &http.Server{Handler: http.HandlerFunc(w.serve), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = w.server.Serve(listener) }()
	return w, nil
}

func (w *webhook) addr() string {
	return strings.TrimSuffix(strings.TrimPrefix(w.url, "http://"), "/results")
}

func (w *webhook) set(m mood) { w.mood.Store(m) }

func (w *webhook) serve(rw http.ResponseWriter, r *http.Request) {
	w.requests.Add(1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone: nothing was accepted
	}
	if !w.mood.Load().(mood)(rw, r, body) {
		return
	}
	w.book.answer(body)
	rw.WriteHeader(http.StatusOK)
}

func (w *webhook) close() { _ = w.server.Close() }

// feed serves parameters as a JSON array.
type feed struct {
	server *http.Server
	url    string

	mu      sync.Mutex
	items   []json.RawMessage
	changes int
}

func newFeed(ctx context.Context) (*feed, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &feed{url: "http://" + listener.Addr().String()}
	f.server = &http.Server{Handler: http.HandlerFunc(f.serve), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = f.server.Serve(listener) }()
	return f, nil
}

func (f *feed) add(item []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items = append(f.items, item)
	f.changes++
}

// replace serves these items instead of those before.
func (f *feed) replace(items []json.RawMessage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items = items
	f.changes++
}

func (f *feed) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	etag := strconv.Quote(strconv.Itoa(f.changes))
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"items": f.items})
}

func (f *feed) close() { _ = f.server.Close() }

// drop puts a file where the program finds it whole or not at all.
func drop(dir, name string, content []byte) error {
	tmp := filepath.Join(dir, ".dropping-"+name)
	if err := os.WriteFile(tmp, content, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, name))
}

// shortly waits a random time up to d, which lets a fault strike anywhere.
func shortly(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(rand.Int64N(int64(d)))):
	}
}
