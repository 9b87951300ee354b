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
	listener net.Listener
	target   string

	delay     atomic.Int64 // nanoseconds before each chunk
	blackHole atomic.Bool  // chunks are read and never passed on
	refuse    atomic.Bool  // new connections are reset
	halve     atomic.Bool  // half of the next chunk is passed on, then the connection is reset

	mu    sync.Mutex
	conns map[*net.TCPConn]bool
	wg    sync.WaitGroup
}

func newProxy(ctx context.Context, target string) (*proxy, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, target: target, conns: map[*net.TCPConn]bool{}}
	p.wg.Go(p.accept)
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		client := c.(*net.TCPConn)
		if p.refuse.Load() {
			reset(client)
			continue
		}
		upstream, err := net.DialTimeout("tcp", p.target, time.Second)
		if err != nil {
			reset(client)
			continue
		}
		server := upstream.(*net.TCPConn)
		p.track(client)
		p.track(server)
		p.wg.Go(func() { p.pass(client, server) })
		p.wg.Go(func() { p.pass(server, client) })
	}
}

func (p *proxy) track(c *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
}

// pass copies one direction until it ends, and ends the other with it.
func (p *proxy) pass(from, to *net.TCPConn) {
	defer func() {
		p.mu.Lock()
		delete(p.conns, from)
		p.mu.Unlock()
		_ = from.Close()
		_ = to.Close()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if d := p.delay.Load(); d > 0 {
				time.Sleep(time.Duration(rand.Int64N(d)))
			}
			switch {
			case p.blackHole.Load():
				continue
			case p.halve.CompareAndSwap(true, false):
				_, _ = to.Write(buf[:n/2])
				reset(to)
				reset(from)
				return
			}
			if _, werr := to.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				_ = to.CloseWrite()
			}
			return
		}
	}
}

// cut resets every connection that is open.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		reset(c)
	}
}

func (p *proxy) heal() {
	p.delay.Store(0)
	p.blackHole.Store(false)
	p.refuse.Store(false)
	p.halve.Store(false)
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.cut()
	p.wg.Wait()
}

// reset closes with a TCP reset instead of a proper end.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
