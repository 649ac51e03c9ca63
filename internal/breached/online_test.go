package breached

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// TestOnline: the server learns five digits of a hash and no more, its answer is kept for an
// hour, padding is no hit, and whatever goes wrong takes the password and is counted.
func TestOnline(t *testing.T) {
	const leaked, padded, good = "velvet otter canyon 47", "velvet otter canyon 48", "velvet otter canyon 49"
	digits := func(p string) string { return fmt.Sprintf("%X", sha1.Sum([]byte(p))) }
	var asked atomic.Int64
	var answer atomic.Pointer[http.HandlerFunc] // of a request that nobody waits for any more, too
	answer.Store(new(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		prefix := strings.TrimPrefix(r.URL.Path, "/range/")
		for p, n := range map[string]int{leaked: 3, padded: 0} {
			if h := digits(p); strings.HasPrefix(h, prefix) {
				fmt.Fprintf(w, "%s:%d\r\n", h[5:], n)
			}
		}
		fmt.Fprintf(w, "%s:1", strings.Repeat("F", 35))
	})))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if len(r.URL.Path) != len("/range/ABCDE") || r.URL.RawQuery != "" || r.Header.Get("Add-Padding") != "true" {
			t.Errorf("asked %s, %v", r.URL, r.Header)
		}
		(*answer.Load())(w, r)
	}))
	defer server.Close()
	now := time.Now()
	var log bytes.Buffer
	o := NewOnline(OnlineConfig{Now: func() time.Time { return now }, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	is := func(p gatehouse.Secret, want bool, questions int64) {
		t.Helper()
		if known, err := o.Known(t.Context(), p); known != want || err != nil || asked.Load() != questions {
			t.Errorf("%q: %t, %v, asked %d times", p.Reveal(), known, err, asked.Load())
		}
	}
	is(leaked, false, 0) // nobody is named
	o.SetURL(server.URL + "/")
	is(leaked, true, 1)
	is(leaked, true, 1)
	is(padded, false, 2)
	is(good, false, 3)
	now = now.Add(answerKept)
	is(leaked, true, 4)
	o.SetURL(server.URL)
	is(leaked, true, 5) // another one may list others
	if o.Failures() != 0 || log.Len() > 0 {
		t.Errorf("%d failures: %s", o.Failures(), &log)
	}
	for name, bad := range map[string]func(http.ResponseWriter, *http.Request){
		"an error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"no list":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"too large": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.Repeat(strings.Repeat("A", 35)+":1\n", 20_000))
		},
		"moved": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		},
		"silence": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		answer.Store(new(http.HandlerFunc(bad)))
		o.SetURL("")
		o.SetURL(server.URL)
		before, began := o.Failures(), time.Now()
		is(leaked, false, asked.Load()+1)
		if o.Failures() != before+1 || time.Since(began) > 5*onlineTimeout {
			t.Errorf("%s: %d failures after %s", name, o.Failures()-before, time.Since(began))
		}
	}
	if n := strings.Count(log.String(), "could not be asked"); n != 5 || strings.Contains(log.String(), "velvet") {
		t.Errorf("told %d times: %s", n, &log)
	}
}
