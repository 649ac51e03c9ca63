package attacks_test

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// The listeners speak HTTP/2 to whoever begins with it, so its own attacks are
// tried on both. Frames are written by hand: no client would.

type h2 struct {
	net.Conn
	*http2.Framer
	settings map[http2.SettingID]uint32
	goAway   chan http2.ErrCode // what the server ended the connection with
	streams  chan http2.Frame   // what it said about single streams, as far as somebody listens
}

func dialH2(t *testing.T, url string, ours ...http2.Setting) *h2 {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &h2{Conn: conn, Framer: http2.NewFramer(conn, conn), settings: map[http2.SettingID]uint32{}, goAway: make(chan http2.ErrCode, 1), streams: make(chan http2.Frame, 10_000)}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteSettings(ours...); err != nil {
		t.Fatal(err)
	}
	known := make(chan struct{})
	go func() {
		ended := http2.ErrCodeNo
		for first := true; ; {
			f, err := c.ReadFrame()
			if err != nil {
				c.goAway <- ended
				return
			}
			switch f := f.(type) {
			case *http2.SettingsFrame:
				if first {
					_ = f.ForeachSetting(func(s http2.Setting) error { c.settings[s.ID] = s.Val; return nil })
					close(known)
					first = false
				}
			case *http2.GoAwayFrame:
				ended = f.ErrCode
			case *http2.RSTStreamFrame, *http2.HeadersFrame:
				select {
				case c.streams <- f:
				default:
				}
			}
		}
	}()
	select {
	case <-known:
	case <-time.After(10 * time.Second):
		t.Fatal("no settings")
	}
	return c
}

// block encodes a header block that needs no table.
func block(fields ...string) []byte {
	var out bytes.Buffer
	e := hpack.NewEncoder(&out)
	e.SetMaxDynamicTableSize(0)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return out.Bytes()
}

func requestBlock(path string, more ...string) []byte {
	return block(append([]string{":method", "GET", ":scheme", "http", ":authority", "h", ":path", path}, more...)...)
}

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// TestContinuationFlood: a header block that never ends, in frames that are each
// small enough (CVE-2023-45288 and its kin).
func TestContinuationFlood(t *testing.T) {
	w := the(t)
	p := w.person(t, "main", "user")
	for _, url := range []string{w.Gateway, w.Issuer} {
		// By the rules, a header may come in many frames.
		c := dialH2(t, url)
		all := requestBlock("/public", "x-a", strings.Repeat("a", 4000))
		_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: all[:10], EndStream: true})
		for rest := all[10:]; len(rest) > 0; {
			n := min(500, len(rest))
			_ = c.WriteContinuation(1, n == len(rest), rest[:n])
			rest = rest[n:]
		}
		select {
		case f := <-c.streams:
			if _, ok := f.(*http2.HeadersFrame); !ok {
				t.Errorf("by the rules: %v", f)
			}
		case <-time.After(10 * time.Second):
			t.Error("by the rules: no answer")
		}

		before := heap()
		c = dialH2(t, url)
		_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: requestBlock("/private"), EndStream: true})
		fragment := block("x-a", strings.Repeat("a~", 4000))
		sent, err := 0, error(nil)
		for ; err == nil && sent < 64<<20; sent += len(fragment) {
			err = c.WriteContinuation(1, false, fragment)
		}
		if err == nil {
			t.Errorf("%s: took %d MiB of one header", url, sent>>20)
		}
		if grown := int64(heap()) - int64(before); grown > 16<<20 {
			t.Errorf("%s: the header grew the heap by %d MiB", url, grown>>20)
		}
		select {
		case <-c.goAway:
		case <-time.After(10 * time.Second):
			t.Errorf("%s: the connection goes on", url)
		}
		// Empty frames cost no memory and have no end: the bound is time, see
		// TestSlowClients in package server, and others are served meanwhile.
	}
	call(t, "GET", w.Gateway+"/private", "bearer", p.key).want(t, "others", 200)
}

// TestRapidReset: requests that are taken back as soon as they were made, so that
// no bound on what is open at once counts them (CVE-2023-44487).
func TestRapidReset(t *testing.T) {
	w := the(t)
	p := w.person(t, "main", "user")
	for _, url := range []string{w.Gateway, w.Issuer} {
		c := dialH2(t, url)
		before := heap()
		slowest, served := time.Duration(0), make(chan struct{})
		go func() {
			defer close(served)
			for range 5 {
				a, err := send("GET", w.Gateway+"/private", "bearer", p.key)
				if err != nil || a.status != 200 {
					t.Errorf("another caller: %d %v", a.status, err)
				}
				slowest = max(slowest, a.took)
			}
		}()
		ask := requestBlock("/private", "authorization", "Bearer "+p.key)
		var err error
		n := 0
		for ; err == nil && n < 20_000; n++ { // the server may end it sooner: ENHANCE_YOUR_CALM
			id := uint32(2*n + 1)
			if err = c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: ask, EndHeaders: true, EndStream: true}); err == nil {
				err = c.WriteRSTStream(id, http2.ErrCodeCancel)
			}
		}
		<-served
		grown := max(0, int64(heap())-int64(before))
		if grown > 32<<20 {
			t.Errorf("%s: the heap grew by %d MiB", url, grown>>20)
		}
		if slowest > 3*time.Second {
			t.Errorf("%s: others waited %v", url, slowest)
		}
		t.Logf("%s: %d requests taken back, the heap grew by %d KiB, others waited %v at most", url, n, grown>>10, slowest.Round(time.Millisecond))
	}
	call(t, "GET", w.Gateway+"/private", "bearer", p.key).want(t, "others", 200)
}

// TestStreamFlood: requests without number on one connection, to an API that does
// not answer.
func TestStreamFlood(t *testing.T) {
	w := the(t)
	p := w.person(t, "main", "user")
	const most = 250
	for _, url := range []string{w.Gateway, w.Issuer} {
		c := dialH2(t, url)
		if n, ok := c.settings[http2.SettingMaxConcurrentStreams]; !ok || n > most {
			t.Errorf("%s: %d requests at once on one connection", url, n)
		}
	}
	c, m := dialH2(t, w.Gateway), random()
	ask := requestBlock("/private", "authorization", "Bearer "+p.key, strings.ToLower(mark), m, "x-hang", "1")
	const asked = most + 50
	for n := range asked {
		if err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*n + 1), BlockFragment: ask, EndHeaders: true, EndStream: true}); err != nil {
			t.Fatal(err)
		}
	}
	refused := 0
	for deadline := time.After(20 * time.Second); refused < asked-most || len(w.api.marked(m)) < most; {
		select {
		case f := <-c.streams:
			if r, ok := f.(*http2.RSTStreamFrame); ok && r.ErrCode == http2.ErrCodeRefusedStream {
				refused++
			}
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatalf("%d of %d refused, %d reached the API", refused, asked, len(w.api.marked(m)))
		}
	}
	call(t, "GET", w.Gateway+"/private", "bearer", p.key).want(t, "others", 200)
	if n := len(w.api.marked(m)); n != most {
		t.Errorf("%d reached the API", n)
	}
}

// TestUnreadAnswers: clients who ask and then open no window for the answers (CVE-2019-9511 and its kin), or open one and
// read nothing of the connection (CVE-2019-9517). They need no credential for it. Each holds a goroutine for as long as a
// write may wait and no longer, no more memory than what was being written, and nobody else up. Followers of the
// revocations are among them.
func TestUnreadAnswers(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a limit; runs without -short")
	}
	t.Parallel() // it waits, beside TestSlowBody
	w := the(t)
	p := w.person(t, "main", "user")
	const bound, each = 30 * time.Second, 100
	key := []string{"authorization", "Bearer " + p.key}
	asks := map[string]struct {
		url   string
		block []byte
		n     int
	}{
		"forwarded":              {w.Gateway, requestBlock("/private", key...), each},
		"refused by the gateway": {w.Gateway, requestBlock("/private"), each},
		"key set":                {w.Issuer, requestBlock("/.well-known/jwks.json"), each},
		"document":               {w.Issuer, requestBlock("/admin/v1/openapi.json"), each},
		"followers":              {w.Issuer, requestBlock("/admin/v1/realms/main/revocations/events", "authorization", "Bearer "+w.AdminToken), 10},
	}
	before, began := heap(), time.Now()
	ask := func(c *h2, block []byte, n int) {
		for i := range n {
			if err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block, EndHeaders: true, EndStream: true}); err != nil {
				t.Error(err)
			}
		}
	}
	windowless := map[string]*h2{}
	for what, a := range asks {
		windowless[what] = dialH2(t, a.url, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		ask(windowless[what], a.block, a.n)
	}
	// Those who read nothing ask for more than sockets hold.
	deaf := map[string]*net.TCPConn{}
	for _, what := range []string{"document", "followers"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(asks[what].url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		deaf[what] = conn.(*net.TCPConn)
		_ = deaf[what].SetReadBuffer(4 << 10)
		c := &h2{Conn: conn, Framer: http2.NewFramer(conn, conn)}
		_, _ = io.WriteString(conn, http2.ClientPreface)
		_ = c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
		_ = c.WriteWindowUpdate(0, 1<<30)
		ask(c, asks[what].block, asks[what].n)
		for i := range 100 { // behind the followers, so that there is more than a little
			if what == "followers" {
				_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*(asks[what].n+i) + 1), BlockFragment: asks["document"].block, EndHeaders: true, EndStream: true})
			}
		}
	}
	for range 20 {
		if a := call(t, "GET", w.Gateway+"/private", "bearer", p.key).want(t, "meanwhile", 200); a.took > 3*time.Second {
			t.Errorf("others waited %v", a.took)
		}
		call(t, "GET", w.Issuer+"/.well-known/jwks.json").want(t, "meanwhile", 200)
	}
	if grown := int64(heap()) - int64(before); grown > 64<<20 {
		t.Errorf("unread answers take %d MiB", grown>>20)
	}
	for what, c := range windowless {
		for ended := 0; ended < asks[what].n; {
			select {
			case f := <-c.streams:
				if _, ok := f.(*http2.RSTStreamFrame); ok {
					ended++
				}
			case <-time.After(time.Until(began.Add(bound + 5*time.Second))):
				t.Errorf("%s, without a window: %d of %d ended within %v", what, ended, asks[what].n, time.Since(began).Round(time.Second))
				ended = asks[what].n
			}
		}
	}
	for what, conn := range deaf {
		if !testwait.For(time.Until(began.Add(bound+5*time.Second)), func() bool {
			return http2.NewFramer(conn, nil).WritePing(false, [8]byte{}) != nil
		}) {
			t.Errorf("%s, read by nobody: the connection goes on after %v", what, time.Since(began).Round(time.Second))
		}
	}
	call(t, "GET", w.Gateway+"/private", "bearer", p.key).want(t, "afterwards", 200)
}
