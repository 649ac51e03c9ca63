package web

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func fixedClock() time.Time { return time.Unix(1, 0) }

// deadlines keeps the deadlines that were set for reading, as time from now; none is 0.
type deadlines struct {
	*httptest.ResponseRecorder
	set []time.Duration
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	after := time.Until(t)
	if t.IsZero() {
		after = 0
	}
	d.set = append(d.set, after)
	return nil
}

func (d *deadlines) last(t *testing.T, what string, want time.Duration, times int) {
	t.Helper()
	if len(d.set) != times || d.set[len(d.set)-1] != want {
		t.Errorf("%s: deadlines %v, want %d and %s as the last", what, d.set, times, want)
	}
}

func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		r := post("abc", 3)
		p := BoundBody(w, r, time.Minute)
		w.last(t, "at the beginning", time.Minute, 1)
		if n, err := r.Body.Read(make([]byte, 3)); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		w.last(t, "in the middle of the body", time.Minute, 1)
		p.Allow(2 * time.Second)
		w.last(t, "another bound", 2*time.Second, 2)
		p.Allow(0)
		w.last(t, "no bound", 0, 3)
		p.Allow(time.Hour)
		// A read that waits ends now, and not in a second.
		p.Cut()
		w.last(t, "cut", -time.Second, 5)
		p.Allow(time.Minute)
		if _, err := r.Body.Read(make([]byte, 3)); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		w.last(t, "at the end", 0, 7)
		// After it the server waits for the next request, and no bound of ours may end that.
		p.Allow(time.Minute)
		p.Cut()
		p.Done()
		w.last(t, "after the end", 0, 7)
	})
}

// What a handler left of a body may be read for a second, and then nothing is bounded here.
func TestPatienceDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		r := post("abc", 3)
		p := BoundBody(w, r, time.Minute)
		p.Done()
		w.last(t, "done", time.Second, 2)
		p.Done()
		p.Allow(time.Minute)
		_, _ = io.ReadAll(r.Body) // by the server, which sets its own deadlines
		w.last(t, "after it", time.Second, 2)
	})
}

func TestPatienceWithoutABody(t *testing.T) {
	for _, none := range []io.ReadCloser{nil, http.NoBody} {
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		r := &http.Request{Body: none}
		p := BoundBody(w, r, time.Minute)
		p.Allow(time.Second)
		p.Cut()
		p.Done()
		if p != nil || r.Body != none || len(w.set) != 0 {
			t.Errorf("%v: %v %v %v", none, p, r.Body, w.set)
		}
	}
}

// An error that is not the end lifts no bound: the rest of the body may still come.
func TestPatienceWithABrokenBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		r := post("", -1)
		r.Body = broken{strings.NewReader("")}
		BoundBody(w, r, time.Minute)
		if _, err := io.ReadAll(r.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
		w.last(t, "broken", time.Minute, 1)
	})
}
