package web

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func asked(h http.Handler) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request("", nil))
	return w.Code, w.Body.String()
}

func TestReady(t *testing.T) {
	var ran, failures []string
	check := func(name string, err error) Check {
		return Check{name, func(context.Context) error { ran = append(ran, name); return err }}
	}
	failed := func(name string, err error) { failures = append(failures, name+": "+err.Error()) }
	notes := func() []string { return []string{"disk_low"} }
	broken := errors.New("secret")
	for _, c := range []struct {
		name   string
		h      http.Handler
		status int
		body   string
		ran    string
		failed string
	}{
		{"alive", Live(), 200, `{"status":"ok"}`, "", ""},
		{"nothing to check", Ready(nil, nil), 200, `{"status":"ok"}`, "", ""},
		{"all is well", Ready(failed, nil, check("a", nil), check("b", nil)), 200, `{"status":"ok"}`, "a b", ""},
		{"all is well, with notes", Ready(nil, notes, check("a", nil)), 200, `{"status":"ok","notes":["disk_low"]}`, "a", ""},
		{"no notes", Ready(nil, func() []string { return nil }), 200, `{"status":"ok"}`, "", ""},
		{"the first fails", Ready(failed, notes, check("a", broken), check("b", nil)), 503, `{"status":"unavailable"}`, "a", "a: secret"},
		{"the last fails", Ready(failed, notes, check("a", nil), check("b", broken)), 503, `{"status":"unavailable"}`, "a b", "b: secret"},
		{"nobody is told", Ready(nil, nil, check("a", broken)), 503, `{"status":"unavailable"}`, "a", ""},
	} {
		ran, failures = nil, nil
		status, body := asked(c.h)
		if status != c.status || body != c.body || strings.Join(ran, " ") != c.ran || !slices.Equal(failures, slices.DeleteFunc([]string{c.failed}, func(s string) bool { return s == "" })) {
			t.Errorf("%s: %d %s, ran %v, told %v", c.name, status, body, ran, failures)
		}
	}
}

// All checks of one answer together have two seconds.
func TestReadyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(d time.Duration) Check {
			return Check{"slow", func(ctx context.Context) error {
				select {
				case <-time.After(d):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}}
		}
		for _, c := range []struct {
			name   string
			checks []Check
			status int
			takes  time.Duration
		}{
			{"in time", []Check{slow(time.Second), slow(900 * time.Millisecond)}, 200, 1900 * time.Millisecond},
			{"too slow together", []Check{slow(time.Second), slow(1100 * time.Millisecond)}, 503, 2 * time.Second},
			{"hanging", []Check{slow(time.Hour)}, 503, 2 * time.Second},
		} {
			began := time.Now()
			if status, _ := asked(Ready(nil, nil, c.checks...)); status != c.status || time.Since(began) != c.takes {
				t.Errorf("%s: %d after %s", c.name, status, time.Since(began))
			}
		}
	})
}
