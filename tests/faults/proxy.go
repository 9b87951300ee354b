package main

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// proxy passes TCP connections on to a target on this machine, and harms them
// on request.
type proxy struct {
	target  string
	address string

	delay     atomic.Int64 // nanoseconds before each chunk, at most
	blackHole atomic.Bool  // chunks are read and never passed on
	halve     atomic.Bool  // half of the next chunk is passed on, then the connection is reset

	mu       sync.Mutex
	listener net.Listener // nil while connections are refused
	links    map[*link]bool
	wg       sync.WaitGroup
}

// link is a connection of a client and the one to the target that belongs to it.
type link struct{ client, server *net.TCPConn }

// newProxy listens on a loopback address of its own, so that nobody else is
// given its port while it refuses connections.
func newProxy(ctx context.Context, target string) (*proxy, error) {
	p := &proxy{target: target, address: "127.0.0.2:0", links: map[*link]bool{}}
	return p, p.listen(ctx)
}

// listen takes connections, if they are refused.
func (p *proxy) listen(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		return nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", p.address)
	if err != nil {
		return err
	}
	p.listener, p.address = l, l.Addr().String()
	p.wg.Go(func() { p.accept(l) })
	return nil
}

func (p *proxy) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		client := c.(*net.TCPConn)
		upstream, err := net.DialTimeout("tcp", p.target, time.Second)
		if err != nil {
			reset(client)
			continue
		}
		p.take(l, &link{client: client, server: upstream.(*net.TCPConn)})
	}
}

// take serves a link, unless connections are refused by now.
func (p *proxy) take(l net.Listener, k *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != l {
		k.reset()
		return
	}
	p.links[k] = true
	p.wg.Go(func() { p.serve(k) })
}

// serve passes on what either side sends until both have ended.
func (p *proxy) serve(k *link) {
	var ways sync.WaitGroup
	ways.Go(func() { p.pass(k, k.client, k.server) })
	ways.Go(func() { p.pass(k, k.server, k.client) })
	ways.Wait()
	p.mu.Lock()
	delete(p.links, k)
	p.mu.Unlock()
	_ = k.client.Close()
	_ = k.server.Close()
}

// pass copies one direction until it ends. Its proper end is passed on, and
// leaves the other direction as it is.
func (p *proxy) pass(k *link, from, to *net.TCPConn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !p.passOn(to, buf[:n]) {
			k.reset()
			return
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = to.CloseWrite()
			return
		case err != nil:
			k.reset()
			return
		}
	}
}

// passOn says whether the connection lives on.
func (p *proxy) passOn(to *net.TCPConn, chunk []byte) bool {
	if d := p.delay.Load(); d > 0 {
		time.Sleep(time.Duration(rand.Int64N(d)))
	}
	if p.blackHole.Load() {
		return true
	}
	if p.halve.CompareAndSwap(true, false) {
		_, _ = to.Write(chunk[:len(chunk)/2])
		return false
	}
	_, err := to.Write(chunk)
	return err == nil
}

// cut ends every connection that is open, whatever is in the middle of it, as a
// peer does that goes away in order.
func (p *proxy) cut() {
	p.each(func(k *link) {
		_ = k.client.CloseRead() // which pass takes for the end
		_ = k.server.CloseRead()
	})
}

// halfClose ends one direction of every connection that is open: either the
// target hears no more, or the client.
func (p *proxy) halfClose() {
	p.each(func(k *link) {
		if rand.IntN(2) == 0 {
			_ = k.client.CloseRead()
		} else {
			_ = k.server.CloseRead()
		}
	})
}

// reset resets every connection that is open.
func (p *proxy) reset() { p.each((*link).reset) }

// refuse resets every connection that is open, and lets nobody connect.
func (p *proxy) refuse() {
	p.mu.Lock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	p.mu.Unlock()
	p.reset()
}

// heal ends what harms connections.
func (p *proxy) heal(ctx context.Context) error {
	p.delay.Store(0)
	p.blackHole.Store(false)
	p.halve.Store(false)
	return p.listen(ctx)
}

func (p *proxy) close() {
	p.refuse()
	p.wg.Wait()
}

func (p *proxy) each(harm func(*link)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.links {
		harm(k)
	}
}

func (k *link) reset() {
	reset(k.client)
	reset(k.server)
}

// reset closes with a TCP reset instead of a proper end.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
