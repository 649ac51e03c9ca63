package testpg

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Hold is a way to a database on which what the server says to some connections can be
// held back, as a slow or broken network does.
type Hold struct {
	only string // in the first message of the connections that are held

	mu   sync.Mutex
	held chan struct{} // closed to let everything through; nil while nothing is held
}

// Held leads to the database of dsn, and returns how to connect that way. Held can be
// those connections whose first message has the text only in it, such as an application name.
func (s *Server) Held(t testing.TB, dsn, only string) (*Hold, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatehouse-hold-") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	const socket = ".s.PGSQL.5432"
	l, err := net.Listen("unix", filepath.Join(dir, socket))
	if err != nil {
		t.Fatal(err)
	}
	h := &Hold{only: only}
	t.Cleanup(func() {
		h.Release()
		_ = l.Close()
		_ = os.RemoveAll(dir)
	})
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go h.lead(client, filepath.Join(s.dir, socket))
		}
	}()
	return h, strings.Replace(dsn, "host="+s.dir, "host="+dir, 1)
}

// Hold holds back what the server says from now on, until Release.
func (h *Hold) Hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil {
		h.held = make(chan struct{})
	}
}

// Release lets through what was held.
func (h *Hold) Release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held != nil {
		close(h.held)
		h.held = nil
	}
}

func (h *Hold) lead(client net.Conn, socket string) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var size [4]byte
	if _, err := io.ReadFull(client, size[:]); err != nil {
		return
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 4 || n > 1<<16 {
		return
	}
	first := make([]byte, n)
	copy(first, size[:])
	if _, err := io.ReadFull(client, first[4:]); err != nil {
		return
	}
	if _, err := server.Write(first); err != nil {
		return
	}
	can := strings.Contains(string(first), h.only)
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	buffer := make([]byte, 1<<16)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		h.mu.Lock()
		held := h.held
		h.mu.Unlock()
		if can && held != nil {
			<-held
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}
