package counters

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"
)

// errSlow says that no connection was free, and none could be made, in time.
var errSlow = errors.New("counters: no connection was free in time")

// pool is the connections to a server that was there when the pool was made. Once it is
// closed it stays so: what was asked over one of its connections may still fail, and says
// nothing of the next pool.
type pool struct {
	dial func(ctx context.Context) (redis.Conn, error)
	idle chan free
	done chan struct{} // closed with the pool

	mu     sync.Mutex
	open   int // connections, those that are being made among them
	closed bool
}

type free struct {
	conn  redis.Conn
	since time.Time
}

func newPool(dial func(ctx context.Context) (redis.Conn, error)) *pool {
	return &pool{dial: dial, idle: make(chan free, maxConnections), done: make(chan struct{}), open: 1}
}

// get takes a connection, and waits for one until then. It makes none itself: that may take
// longer than who asks may wait.
func (p *pool) get(until time.Time) (redis.Conn, error) {
	for {
		select {
		case f := <-p.idle:
			if time.Since(f.since) < idleFor {
				return f.conn, nil
			}
			p.drop(f.conn)
			continue
		default:
		}
		break
	}
	p.grow()
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case f := <-p.idle:
		return f.conn, nil
	case <-p.done:
		return nil, errSlow
	case <-t.C:
		return nil, errSlow
	}
}

// grow has one more connection made, if there may be one.
func (p *pool) grow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.open >= maxConnections {
		return
	}
	p.open++
	go func() {
		conn, err := p.dial(context.Background())
		if err != nil { // who waits for it finds out
			p.mu.Lock()
			p.open--
			p.mu.Unlock()
			return
		}
		p.put(conn)
	}()
}

// put gives a connection that works to whoever asks next.
func (p *pool) put(conn redis.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		conn.Close()
		return
	}
	p.idle <- free{conn, time.Now()} // there is room for all that are open
}

// drop ends a connection that may not work any more.
func (p *pool) drop(conn redis.Conn) {
	conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
}

// close ends the connections, those that are in use when they come back.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	close(p.done)
	for {
		select {
		case f := <-p.idle:
			f.conn.Close()
		default:
			return
		}
	}
}
