package telemetry

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

func logged(t *testing.T, format string, f func(*slog.Logger)) string {
	t.Helper()
	var b bytes.Buffer
	l, err := NewLog(&b, LogOptions{Format: format, Level: slog.LevelDebug})
	if err != nil {
		t.Fatal(err)
	}
	f(l.Logger)
	return b.String()
}

// ASVS: 16.2.5
func TestLoggerRedacts(t *testing.T) {
	const leak = "hunter2hunter2"
	type inner struct {
		Key    gatehouse.Secret
		hidden gatehouse.Secret
	}
	u, _ := url.Parse("https://me:" + leak + "@host/path?access_token=" + leak)
	attrs := map[string]slog.Attr{
		"secret type":         slog.Any("x", gatehouse.Secret(leak)),
		"password":            slog.String("password", leak),
		"name with dash":      slog.String("X-Api-Key", leak),
		"name with case":      slog.String("setCookie", leak),
		"token":               slog.String("refresh_token", leak),
		"master key":          slog.String("master.key", leak),
		"inside a group":      slog.Group("request", slog.String("authorization", leak)),
		"bearer in a value":   slog.String("line", "Authorization: Bearer "+leak),
		"basic in a value":    slog.String("line", "basic "+leak+"=="),
		"our key in a value":  slog.String("line", "key ghk_live_"+leak+leak),
		"a JWT in a value":    slog.String("line", "eyJhbGciOiJIUzI1NiJ9."+leak+".x"),
		"error with a URL":    slog.Any("err", errors.New("dial postgres://gatehouse:"+leak+"@db/x")),
		"headers":             slog.Any("headers", http.Header{"X": {leak}}),
		"request":             slog.Any("request", httptest.NewRequest("GET", "/?q="+leak, nil)),
		"form":                slog.Any("form", url.Values{"a": {leak}}),
		"URL":                 slog.Any("url", u),
		"bytes":               slog.Any("raw", []byte(leak)),
		"struct":              slog.Any("v", inner{leak, leak}),
		"map by name":         slog.Any("v", map[string]string{"client_secret": leak}),
		"group given as with": slog.Any("v", slog.GroupValue(slog.String("token", leak))),
	}
	for name, a := range attrs {
		for _, format := range []string{"json", "text"} {
			t.Run(name+"/"+format, func(t *testing.T) {
				out := logged(t, format, func(l *slog.Logger) {
					l.Info("m", a)
					l.With(a).Info("m")
					l.WithGroup("g").Info("m", a)
				})
				if strings.Contains(out, leak) || strings.Contains(out, base64.StdEncoding.EncodeToString([]byte(leak))) {
					t.Errorf("leaked: %s", out)
				}
			})
		}
	}
	out := logged(t, "json", func(l *slog.Logger) { l.Info("sent Bearer " + leak) })
	if strings.Contains(out, leak) {
		t.Errorf("message leaked: %s", out)
	}
}

func TestLoggerKeepsFacts(t *testing.T) {
	ctx := gatehouse.WithRequestID(t.Context(), "req_1")
	out := logged(t, "json", func(l *slog.Logger) {
		l.InfoContext(ctx, "basically done", "token_id", "tok_1", "count", 3, "took", time.Second, "error", errors.New("no route to bob"))
	})
	for _, want := range []string{`"request_id":"req_1"`, `"token_id":"tok_1"`, `"count":3`,
		`"no route to bob"`, `"msg":"basically done"`, `"level":"INFO"`} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is missing in %s", want, out)
		}
	}
	// A package that names the request itself, for loggers other than this one.
	out = logged(t, "json", func(l *slog.Logger) { l.WarnContext(ctx, "no answer", "request_id", "req_1") })
	if strings.Count(out, "request_id") != 1 {
		t.Errorf("a member is there twice: %s", out)
	}
	if _, err := NewLog(&bytes.Buffer{}, LogOptions{Format: "xml"}); err == nil {
		t.Error("unknown format accepted")
	}
	if lv, err := ParseLevel("warn"); err != nil || lv != slog.LevelWarn {
		t.Error(lv, err)
	}
	if _, err := ParseLevel("loud"); err == nil {
		t.Error("unknown level accepted")
	}
}

// TestLogChanges: level and format of a log change for every logger that was made of it,
// and wrong ones change nothing.
func TestLogChanges(t *testing.T) {
	var b bytes.Buffer
	l, err := NewLog(&b, LogOptions{Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	made := l.WithGroup("g").With("part", "store")
	line := func() string { b.Reset(); made.Debug("fine", "password", "hunter2"); return b.String() }
	if got := line(); got != "" {
		t.Errorf("told below the level: %s", got)
	}
	if err := l.Set(LogOptions{Format: "text", Level: slog.LevelDebug}); err != nil {
		t.Fatal(err)
	}
	if got := line(); !strings.Contains(got, "g.part=store") || strings.Contains(got, "hunter2") {
		t.Errorf("in text: %s", got)
	}
	if l.Set(LogOptions{Format: "xml", Level: slog.LevelError}) == nil {
		t.Error("an unknown format is taken")
	}
	if got := line(); !strings.Contains(got, "g.part=store") {
		t.Errorf("after a wrong change: %s", got)
	}
	if err := l.Set(LogOptions{Level: slog.LevelDebug}); err != nil {
		t.Fatal(err)
	}
	if got := line(); !strings.Contains(got, `"part":"store"`) {
		t.Errorf("in JSON: %s", got)
	}
}

func TestMetricsLabelsAreClosed(t *testing.T) {
	m := NewMetrics(gatehouse.SchemeJWT)
	m.SetRoutes([]string{"documents"})
	for i := range 50 {
		evil := strings.Repeat("x", i)
		m.request(evil, evil, gatehouse.Scheme("q"+evil), time.Millisecond)
		m.authnFailure(evil)
		m.Decision(evil)
	}
	m.request("documents", outcomeOfStatus(403), gatehouse.SchemeJWT, time.Second)
	m.request("documents", "allowed", "", time.Second)
	m.authnFailure("token_expired")
	depth, known := 7.0, false
	m.Watch(Watch{AuditQueueDepth: func() float64 { return depth }, AuditRecorded: func() float64 { return 1e6 }})
	for _, d := range []string{"data", "audit"} {
		m.WatchDisk(d, func() (uint64, bool) { return 1 << 40, known })
	}
	samples := read(t, m)
	for name, want := range map[string]float64{"gatehouse_audit_queue_events": 7, "gatehouse_audit_recorded_total": 1e6,
		`gatehouse_authentication_failures_total{reason="token_expired"}`: 1, `gatehouse_authentication_failures_total{reason="other"}`: 50,
		`gatehouse_authentication_failures_total{reason="token_unknown"}`: 0, `gatehouse_decisions_total{outcome="other"}`: 50,
		`gatehouse_requests_total{outcome="allowed",route="documents",scheme="none"}`: 1,
		`gatehouse_requests_total{outcome="denied",route="documents",scheme="jwt"}`:   1,
		`gatehouse_request_seconds_bucket{route="documents",le="1"}`:                  2,
		`gatehouse_request_seconds_bucket{route="documents",le="0.5"}`:                0,
		`gatehouse_request_seconds_count{route="other"}`:                              50,
	} {
		if got, is := samples[name]; !is || got != want {
			t.Errorf("%s: %v, %v; want %v", name, got, is, want)
		}
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", "process_start_time_seconds", "process_open_fds", "process_max_fds"} {
		if samples[name] <= 0 {
			t.Errorf("%s: %v", name, samples[name])
		}
	}
	series := 0
	for name := range samples {
		if strings.HasPrefix(name, "gatehouse_requests_total{") {
			series++
		}
		if strings.HasPrefix(name, "gatehouse_disk") {
			t.Errorf("a value that is not known: %s", name)
		}
	}
	if series != 3 {
		t.Errorf("%d series of requests, want 3", series)
	}
	known = true
	if got := read(t, m)[`gatehouse_disk_free_bytes{directory="audit"}`]; got != 1<<40 {
		t.Errorf("free: %v", got)
	}
	var none *Metrics
	none.request("a", "b", "c", 0)
	none.authnFailure("x")
	none.Decision("x")
	none.SetRoutes(nil)
	none.Watch(Watch{})
}

// TestFewReadersAtOnce: who reads the metrics slowly or often takes no more than a few buffers.
func TestFewReadersAtOnce(t *testing.T) {
	m, at, on := NewMetrics(), make(chan struct{}), make(chan struct{})
	m.Watch(Watch{NodesLive: func() float64 { at <- struct{}{}; <-on; return 1 }})
	h, done := m.Handler(), make(chan int, readers)
	ask := func() int {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
		return rec.Code
	}
	for range readers {
		go func() { done <- ask() }()
		<-at
	}
	if got := ask(); got != http.StatusServiceUnavailable {
		t.Errorf("one too many: %d", got)
	}
	close(on)
	for range readers {
		if got := <-done; got != http.StatusOK {
			t.Errorf("one of few: %d", got)
		}
	}
}

// read returns what the handler answers by the name of each sample, which has labels in it.
// A line that the text format does not have, a sample without a head of its own family, and
// a family with two heads fail.
func read(t *testing.T, m *Metrics) map[string]float64 {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if got := rec.Header().Get("Content-Type"); rec.Code != 200 || got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Fatal(rec.Code, got)
	}
	samples, heads, family := map[string]float64{}, map[string]bool{}, ""
	for line := range strings.Lines(rec.Body.String()) {
		line = strings.TrimSuffix(line, "\n")
		words := strings.SplitN(line, " ", 4)
		switch {
		case strings.HasPrefix(line, "# HELP "):
			if family = words[2]; heads[family] || len(words) < 4 || !strings.HasSuffix(line, ".") {
				t.Errorf("head: %s", line)
			}
			heads[family] = true
		case strings.HasPrefix(line, "# TYPE "):
			if words[2] != family || !slices.Contains([]string{"counter", "gauge", "histogram"}, words[3]) || (words[3] == "counter") != strings.HasSuffix(family, "_total") {
				t.Errorf("kind: %s", line)
			}
		default:
			at := strings.LastIndexByte(line, ' ')
			name := line[:max(at, 0)]
			v, err := strconv.ParseFloat(line[at+1:], 64)
			if _, twice := samples[name]; err != nil || twice || strings.HasPrefix(name, "gatehouse_") && !strings.HasPrefix(name, family) {
				t.Errorf("sample of %s: %s", family, line)
			}
			samples[name] = v
		}
	}
	return samples
}

// kept is a recorder that keeps nothing but the number.
type kept struct{ n int }

func (k *kept) Admit(context.Context) error     { return nil }
func (k *kept) RecordAdmitted(*gatehouse.Event) { k.n++ }
func (k *kept) Record(*gatehouse.Event)         { k.n++ }

// TestEventsAreCounted: each request once by its outcome, each refused credential
// once, whichever event tells of it.
func TestEventsAreCounted(t *testing.T) {
	m, k := NewMetrics(gatehouse.SchemeJWT, gatehouse.SchemeBasic), &kept{}
	m.SetRoutes([]string{"r"})
	c := &Events{Next: k, Metrics: m}
	jwt, basic := gatehouse.Actor{Scheme: gatehouse.SchemeJWT}, gatehouse.Actor{Scheme: gatehouse.SchemeBasic}
	request := func(status int, reason string, who gatehouse.Actor) {
		e := &gatehouse.Event{Kind: "request.decide", Route: "r", Status: status, Reason: reason, Actor: who, Outcome: gatehouse.OutcomeFailure}
		if status == 200 {
			e.Outcome = gatehouse.OutcomeSuccess
			c.RecordAdmitted(e)
			return
		}
		c.Record(e)
	}
	request(200, "", jwt)
	for _, status := range []int{401, 403, 404, 429, 413, 502} {
		request(status, "token_expired", jwt)
	}
	request(401, "invalid_credentials", basic) // and the event of the password:
	c.Record(&gatehouse.Event{Kind: "login.failure", Reason: "invalid_credentials"})
	c.Record(&gatehouse.Event{Kind: "login.throttled", Reason: "too_many_attempts"})
	c.Record(&gatehouse.Event{Kind: "user.create"})
	if k.n != 11 {
		t.Errorf("%d events were passed on", k.n)
	}
	samples := read(t, m)
	for outcome, want := range map[string]float64{"allowed": 1, "denied": 1, "not_found": 1, "limited": 1, "invalid": 1, "error": 1, "unauthenticated": 1} {
		if got := samples[`gatehouse_requests_total{outcome="`+outcome+`",route="r",scheme="jwt"}`]; got != want {
			t.Errorf("%s: %v, want %v", outcome, got, want)
		}
	}
	for reason, want := range map[string]float64{"token_expired": 1, "invalid_credentials": 1, "too_many_attempts": 1} {
		if got := samples[`gatehouse_authentication_failures_total{reason="`+reason+`"}`]; got != want {
			t.Errorf("%s: %v, want %v", reason, got, want)
		}
	}
}
