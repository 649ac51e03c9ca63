package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// loudly makes problems that log into a buffer.
func loudly() (*Problems, *bytes.Buffer) {
	var log bytes.Buffer
	return &Problems{Logger: slog.New(slog.NewTextHandler(&log, nil))}, &log
}

// served runs a handler, and says whether it cut the connection or panicked otherwise.
func served(h http.Handler) (w *httptest.ResponseRecorder, panicked any) {
	w = httptest.NewRecorder()
	defer func() { panicked = recover() }()
	h.ServeHTTP(w, request("", nil))
	return w, nil
}

// Without a log, and without anything to write with, errors and panics are still answered.
func TestProblemsWithoutALog(t *testing.T) {
	fails := func(http.ResponseWriter, *http.Request) error { return errors.New("secret") }
	late := func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(200)
		return errors.New("secret")
	}
	panics := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret") })
	for name, p := range map[string]*Problems{"none": nil, "no log": {}} {
		if w, panicked := served(p.Handler(fails)); panicked != nil || w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s, an error: %v %d %s", name, panicked, w.Code, w.Body)
		}
		if _, panicked := served(p.Handler(late)); panicked != http.ErrAbortHandler {
			t.Errorf("%s, an error after the answer began: %v", name, panicked)
		}
		if w, panicked := served(p.Recover(panics, nil)); panicked != nil || w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s, a panic: %v %d %s", name, panicked, w.Code, w.Body)
		}
	}
}

// The operator gets what the caller does not: the error, the value of a panic and where it
// came from.
func TestWhatIsLogged(t *testing.T) {
	p, log := loudly()
	for _, c := range []struct {
		name    string
		h       http.Handler
		want    []string
		nothing bool
	}{
		{"an internal error", p.Handler(func(http.ResponseWriter, *http.Request) error { return errors.New("disk on fire") }),
			[]string{"internal error", "disk on fire"}, false},
		{"an error of the caller", p.Handler(func(http.ResponseWriter, *http.Request) error { return gatehouse.ErrNotFound }), nil, true},
		{"an error after the answer began", p.Handler(func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(200)
			return errors.New("disk on fire")
		}), []string{"error after the response began", "disk on fire"}, false},
		{"a panic", p.Recover(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("disk on fire") }), nil),
			[]string{"panic", "disk on fire", "handler_test.go"}, false},
		{"a connection cut on purpose", p.Recover(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), nil), nil, true},
	} {
		log.Reset()
		_, _ = served(c.h)
		for _, text := range c.want {
			if !strings.Contains(log.String(), text) {
				t.Errorf("%s: %q is not in the log: %s", c.name, text, log)
			}
		}
		if c.nothing != (log.Len() == 0) {
			t.Errorf("%s: logged %s", c.name, log)
		}
	}
}

// A cut on purpose passes through whole, and every other panic is answered, also one
// whose value is an error.
func TestRecover(t *testing.T) {
	wrapped := errors.Join(errors.New("because"), http.ErrAbortHandler)
	for _, c := range []struct {
		name    string
		value   any
		through bool
	}{
		{"a text", "boom", false},
		{"an error", errors.New("boom"), false},
		{"an error of the run-time", (&http.MaxBytesError{}), false},
		{"a cut", http.ErrAbortHandler, true},
		{"a cut with a reason", wrapped, true},
	} {
		var told []any
		h := (&Problems{}).Recover(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(c.value) }),
			func(_ *http.Request, value any) { told = append(told, value) })
		w, panicked := served(h)
		if c.through {
			if panicked != c.value || len(told) != 0 {
				t.Errorf("%s: %v, told of %v", c.name, panicked, told)
			}
			continue
		}
		if panicked != nil || w.Code != 500 || len(told) != 1 || told[0] != c.value {
			t.Errorf("%s: %v %d, told of %v", c.name, panicked, w.Code, told)
		}
	}
	// What has begun cannot be answered any more.
	_, panicked := served((&Problems{}).Recover(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic("boom")
	}), nil))
	if panicked != http.ErrAbortHandler {
		t.Errorf("half an answer: %v", panicked)
	}
	w, panicked := served((*Problems)(nil).Recover(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }), nil))
	if panicked != nil || w.Code != 204 {
		t.Errorf("no panic: %v %d", panicked, w.Code)
	}
}

// The status is the one that the caller saw: the first that is final.
func TestTrackedStatus(t *testing.T) {
	write := func(w *Tracked) { _, _ = w.Write([]byte("abc")) }
	readFrom := func(w *Tracked) { _, _ = w.ReadFrom(strings.NewReader("abcd")) }
	status := func(s int) func(*Tracked) { return func(w *Tracked) { w.WriteHeader(s) } }
	for _, c := range []struct {
		name   string
		steps  []func(*Tracked)
		status int
		bytes  int64
	}{
		{"nothing", nil, 0, 0},
		{"200", []func(*Tracked){status(200)}, 200, 0},
		{"a body", []func(*Tracked){write}, 200, 3},
		{"a copied body", []func(*Tracked){readFrom}, 200, 4},
		{"a body after a status", []func(*Tracked){status(404), write, write}, 404, 6},
		{"a copied body after a status", []func(*Tracked){status(404), readFrom, readFrom}, 404, 8},
		{"hints first", []func(*Tracked){status(100), status(103), status(199), status(404)}, 404, 0},
		{"hints and a body", []func(*Tracked){status(103), write}, 200, 3},
		{"another protocol", []func(*Tracked){status(101)}, 101, 0},
		{"twice", []func(*Tracked){status(204), status(500)}, 204, 0},
		{"500 after another protocol", []func(*Tracked){status(101), status(500)}, 101, 0},
		{"both ways to write", []func(*Tracked){write, readFrom, write, readFrom}, 200, 14},
	} {
		w := Track(bare{httptest.NewRecorder()})
		for _, step := range c.steps {
			step(w)
		}
		if w.Status() != c.status || w.Bytes() != c.bytes || w.started() != (c.status != 0) {
			t.Errorf("%s: %d, %d bytes, started %v", c.name, w.Status(), w.Bytes(), w.started())
		}
	}
	// What could not be written does not count.
	w := Track(full{httptest.NewRecorder()})
	if n, err := w.Write([]byte("abc")); n != 1 || err == nil || w.Bytes() != 1 {
		t.Errorf("%d %v, %d bytes", n, err, w.Bytes())
	}
	if n, err := w.ReadFrom(strings.NewReader("abc")); n != 1 || err == nil || w.Bytes() != 2 {
		t.Errorf("%d %v, %d bytes", n, err, w.Bytes())
	}
}

// bare is a writer that takes any status.
type bare struct{ http.ResponseWriter }

func (bare) WriteHeader(int) {}

// full is a writer that takes one byte of each piece.
type full struct{ http.ResponseWriter }

func (full) Write([]byte) (int, error) { return 1, io.ErrShortWrite }

// The address is the client's, also behind a proxy; on a Unix socket there is none.
func TestIdentifyAddress(t *testing.T) {
	for remote, want := range map[string]string{"@": "", "[2001:db8::1]:1": "2001:db8::1", "10.0.0.1:1": "1.2.3.4"} {
		got := "unasked"
		h := Identify(proxies(t, "", "10.0.0.0/8"), fixedClock, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got = gatehouse.AddressFrom(r.Context())
		}))
		h.ServeHTTP(httptest.NewRecorder(), request(remote, http.Header{"X-Forwarded-For": {"1.2.3.4"}}))
		if got != want {
			t.Errorf("%q: address %q, want %q", remote, got, want)
		}
	}
}

func TestClientRequestIDCharacters(t *testing.T) {
	const good = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:=+/"
	for c := range 256 {
		s := "a" + string([]byte{byte(c)})
		want := ""
		if strings.IndexByte(good, byte(c)) >= 0 {
			want = s
		}
		if got := ClientRequestID(request("", http.Header{"X-Request-Id": {s}})); got != want {
			t.Errorf("%q → %q", s, got)
		}
	}
	if got := ClientRequestID(request("", nil)); got != "" {
		t.Errorf("none → %q", got)
	}
}

// deaf is a caller who takes nothing of an answer's body.
type deaf struct{ *httptest.ResponseRecorder }

func (deaf) Write([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

// TestUntaken: answers that nobody takes are no error of ours, whoever finds out that they cannot be written, and strangers
// who leave thousands of them leave a line a minute in the log, which counts them.
func TestUntaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, log := loudly()
		p.Untaken = &Untaken{Logger: p.Logger}
		returns := p.Handler(func(w http.ResponseWriter, _ *http.Request) error {
			_, err := io.WriteString(w, "answer")
			return fmt.Errorf("encoder: %w", err)
		})
		panics := p.Recover(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := io.WriteString(w, "answer")
			panic(fmt.Errorf("router: %w", err))
		}), func(_ *http.Request, v any) { t.Errorf("a panic was told of: %v", v) })
		leave := func(h http.Handler) {
			t.Helper()
			defer func() {
				if v := recover(); v != http.ErrAbortHandler {
					t.Errorf("the connection was not cut: %v", v)
				}
			}()
			h.ServeHTTP(deaf{httptest.NewRecorder()}, request("", nil))
		}
		for range 500 {
			leave(returns)
			leave(panics)
		}
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=INFO") || !strings.Contains(got, "answers=1 ") || !strings.Contains(got, "i/o timeout") {
			t.Errorf("the log says %s", got)
		}
		log.Reset()
		time.Sleep(time.Minute) // of the bubble
		leave(returns)
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "answers=1000 ") {
			t.Errorf("a minute later the log says %s", got)
		}
		// What is told nobody is cut all the same; and a panic of another reason is one, whoever reads.
		p.Untaken = nil
		leave(returns)
		log.Reset()
		other := (&Problems{Logger: p.Logger}).Recover(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "answer")
			panic(errors.New("disk on fire"))
		}), nil)
		leave(other)
		if !strings.Contains(log.String(), "disk on fire") || !strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("a panic beside it: %s", log)
		}
	})
}
