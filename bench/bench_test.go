package main

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// sampleReport has one of everything.
func sampleReport() report {
	return report{
		Machine: machine{Date: "2026-01-02", Gatehouse: "v1", Go: "go1", Kernel: "Linux", Processor: "A & B", CPUs: 2, BusyBefore: 2, BusyAfter: 11},
		Rounds:  5, Requests: 100,
		Cases: []result{
			{Name: "floor", Title: "F", Kind: kindFloor, Median: 30, Least: 25},
			{Name: "proxy", Title: "P", Kind: kindFloor, Median: 140, Least: 100},
			{Name: "gateway-jwt", Title: "Gatehouse, JWT <seen>", Kind: kindOurs, Median: 160, Least: 139, Floor: "proxy", Ratio: 1.39, MustRatio: 1.4},
			{Name: "forward-auth", Title: "Gatehouse, forward-auth", Kind: kindOurs, Median: 90, Least: 81, Floor: "floor", Ratio: 3.24, MustMicros: 80},
			{Name: "nginx-gatehouse", Title: "nginx", Kind: kindMixed, Median: 220, Least: 200, Floor: "proxy", Ratio: 2,
				Parts: []partShare{{"nginx", 60}, {"gatehouse", 140}}},
		},
		Process: []processFigure{{"resident, idle", 26, "MiB", 25}},
		Peers:   []peerFigure{{"nginx", "1.2", 5, 17, 1}},
		Missing: []string{"opa: not here"},
		Failed:  []string{"caddy: 3 of 100 answers were not 200"},
		Libraries: []libraryFigure{{"ES256", "verify", "primitive", 100}, {"ES256", "verify", "ours", 111}, {"ES256", "verify", "jwx", 150},
			{"HS256", "verify", "primitive", 1}, {"HS256", "verify", "ours", 3}},
		Parts: []partFigure{{"authn/CachedJWT", 1999, 4}},
	}
}

func TestSections(t *testing.T) {
	s := sampleReport().sections()
	for section, lines := range map[string][]string{
		"machine": {"used 2 % of the CPUs before and 11 % after: the machine was busy", "Not measured: opa: not here.", "does not count: caddy: 3 of 100"},
		"bounds": {"| JWT <seen> | ≤ 1.40 × P | 1.39 × P | holds |", "| forward-auth | ≤ 80 µs | 90.0 µs | missed |",
			"| in process: verify ES256, never seen | ≤ 1.10 × the primitive | 1.11 × | missed |", "| in process: token seen before | ≤ 2 µs | 2.00 µs | holds |",
			"| resident, idle | ≤ 25 MiB | 26.0 MiB | missed |"},
		"gateway":   {"| P | 140.0 | 100.0 | 1 |  |", "| nginx | 220.0 | 200.0 | 2.00 | nginx 60 + gatehouse 140 |"},
		"answers":   {"| **Gatehouse, forward-auth** | 90.0 | 81.0 | 3.24 |  |"},
		"peers":     {"| nginx | 1.2 | 5 ms | 17 MiB | 1 MiB |"},
		"libraries": {"| work | primitive µs | **Gatehouse** | jwx |", "| ES256 verify | 100.0 | 1.11 × | 1.50 × |", "| HS256 verify | 1.0 | 3.00 × |  |"},
		"parts":     {"| 2.00 | 4 |"},
	} {
		for _, line := range lines {
			if !strings.Contains(s[section], line) {
				t.Errorf("%s lacks %q:\n%s", section, line, s[section])
			}
		}
	}
}

func TestFill(t *testing.T) {
	sections := map[string]string{"a": "new\n"}
	const page = "before\n<!-- figures: a -->\nold\n<!-- end of figures -->\nafter\n"
	once, err := fill(page, sections)
	if want := "before\n<!-- figures: a -->\nnew\n<!-- end of figures -->\nafter\n"; err != nil || once != want {
		t.Fatalf("%q, %v", once, err)
	}
	if twice, err := fill(once, sections); err != nil || twice != once {
		t.Errorf("again: %q, %v", twice, err)
	}
	for name, bad := range map[string]string{
		"no place": "before\n", "unknown": page + strings.ReplaceAll(page, "a -->", "b -->"), "twice": page + page,
		"no end": "<!-- figures: a -->\nold\n",
	} {
		if out, err := fill(bad, sections); err == nil {
			t.Errorf("%s: %q", name, out)
		}
	}
}

// TestPage: the page and its plots say what the figures say.
func TestPage(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "performance.md")
	files := []string{"performance.md", "scale.md"}
	for _, f := range files {
		before, err := os.ReadFile(filepath.Join("../docs", f))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f), before, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := renderPage("../docs/performance/figures.json", page, filepath.Join(dir, "performance")); err != nil {
		t.Fatal(err)
	}
	plots, err := filepath.Glob("../docs/performance/*.svg")
	if err != nil || len(plots) == 0 {
		t.Fatalf("plots: %v, %v", plots, err)
	}
	for _, p := range plots {
		files = append(files, filepath.Join("performance", filepath.Base(p)))
	}
	for _, f := range files {
		want, errW := os.ReadFile(filepath.Join(dir, f))
		got, errG := os.ReadFile(filepath.Join("../docs", f))
		if err := errors.Join(errW, errG); err != nil {
			t.Error(err)
		} else if string(got) != string(want) {
			t.Errorf("docs/%s is not what figures.json says: go run ./bench -render", f)
		}
	}
}

// TestRenderWhole: a page is not written from a part of a run.
func TestRenderWhole(t *testing.T) {
	figures, page := filepath.Join(t.TempDir(), "figures.json"), filepath.Join(t.TempDir(), "page.md")
	r := sampleReport()
	r.Libraries = nil
	b, err := r.encode()
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for name := range r.sections() {
		text += markBegin + name + " -->\n" + markEnd + "\n"
	}
	if err := errors.Join(os.WriteFile(figures, b, 0o600), os.WriteFile(page, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := renderPage(figures, page, t.TempDir()); err == nil {
		t.Error("written")
	}
	if after, err := os.ReadFile(page); err != nil || string(after) != text {
		t.Errorf("the page was touched: %v", err)
	}
}

func TestCharts(t *testing.T) {
	all := charts(sampleReport())
	if len(all) != 3 {
		t.Fatalf("%d charts", len(all))
	}
	for _, c := range all {
		var doc struct {
			Title string `xml:"title"`
			Desc  string `xml:"desc"`
			Lines []struct {
				Class string `xml:"class,attr"`
			} `xml:"line"`
			Rects []struct {
				Class string  `xml:"class,attr"`
				Width float64 `xml:"width,attr"`
			} `xml:"rect"`
		}
		if err := xml.Unmarshal([]byte(c.svg()), &doc); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if doc.Title != c.title || doc.Desc == "" {
			t.Errorf("%s: title %q, description %q", c.name, doc.Title, doc.Desc)
		}
		for _, b := range c.bars {
			if !strings.Contains(doc.Desc, b.label+": "+b.note) {
				t.Errorf("%s: the description lacks %q: %s", c.name, b.label, doc.Desc)
			}
		}
		if !slices.ContainsFunc(doc.Lines, func(l struct {
			Class string `xml:"class,attr"`
		}) bool {
			return l.Class == "bound"
		}) {
			t.Errorf("%s has no bound", c.name)
		}
		for _, r := range doc.Rects {
			if math.IsNaN(r.Width) || r.Width < 0 || r.Width > chartWidth {
				t.Errorf("%s: a bar %v wide", c.name, r.Width)
			}
		}
	}
	if got := charts(report{}); len(got) != 0 {
		t.Errorf("charts of nothing: %v", got)
	}
}

// TestLabelsFit: what the page shows is not cut off at the left.
func TestLabelsFit(t *testing.T) {
	b, err := os.ReadFile("../docs/performance/figures.json")
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	for _, c := range charts(r) {
		for _, bar := range c.bars {
			if n := utf8.RuneCountInString(bar.label); n > labelWidth/8 { // of eight units on average in a wide font
				t.Errorf("%q has %d characters", bar.label, n)
			}
		}
	}
}

func TestTick(t *testing.T) {
	for top, want := range map[float64]float64{0: 1, 3: 0.5, 10: 2, 99: 20, 486: 100, 1000: 200, 2100: 500} {
		if got := tick(top); math.Abs(got-want) > 1e-9 {
			t.Errorf("tick(%v) = %v, want %v", top, got, want)
		}
	}
}

func TestBusy(t *testing.T) {
	const before = "cpu  100 0 100 1000 50 0 10 5 0 0\ncpu0 1 1 1 1\n"
	for after, want := range map[string]float64{
		"cpu  100 0 100 1100 50 0 10 5 0 0\n":      0,
		"cpu  110 5 105 1060 60 5 15 10 999 999\n": 35. / 105 * 100,
		"cpu  200 0 100 1000 50 0 10 5 100 0\n":    100,
	} {
		if got := busyBetween(before, after); math.Abs(got-want) > 1e-9 {
			t.Errorf("%q: %v, want %v", after, got, want)
		}
	}
	if got := busyBetween("cpu x\n", "cpu y\n"); got != 100 {
		t.Errorf("of nothing: %v", got)
	}
	if got := busy(10 * time.Millisecond); got < 0 || got > 100 {
		t.Errorf("now: %v", got)
	}
}

func TestSummarize(t *testing.T) {
	got := summarize([]*benchCase{
		{name: "proxy", parts: []part{{"p", nil}}, took: []sample{{120, []float64{120}}, {100, []float64{100}}, {110, []float64{110}}}},
		{name: "both", floor: "proxy", parts: []part{{"nginx", nil}, {"gatehouse", nil}}, took: []sample{{260, []float64{60, 200}}, {250, []float64{70, 180}}}},
		{name: "none", floor: "proxy"},
	})
	if len(got) != 2 || got[0].Least != 100 || got[0].Median != 110 || got[0].Parts != nil {
		t.Fatalf("%+v", got)
	}
	// 260 beside 120, 250 beside 100: the median of two is the greater.
	if b := got[1]; b.Ratio != 2.5 || !slices.Equal(b.Parts, []partShare{{"nginx", 60}, {"gatehouse", 200}}) {
		t.Errorf("%+v", b)
	}
}

func TestChoose(t *testing.T) {
	for only, want := range map[string]string{"": "floor proxy jwks opa nginx", "nginx": "proxy nginx", "floor": "floor", "opa,jwks": "floor jwks opa"} {
		var o options
		if only != "" {
			o.only = strings.Split(only, ",")
		}
		var got []string
		for _, c := range o.choose([]*benchCase{{name: "floor"}, {name: "proxy"}, {name: "jwks", floor: "floor"}, {name: "opa", floor: "floor"}, {name: "nginx", floor: "proxy"}}) {
			got = append(got, c.name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v", only, got)
		}
	}
}

func TestReadGoBench(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	text := "pkg: example.com/x/policy\nBenchmarkEvaluate/10-2   100   15102 ns/op   2512 B/op  25 allocs/op\n" +
		"BenchmarkEvaluate/10-2   100   6000 ns/op   2512 B/op  25 allocs/op\nPASS\n" +
		"pkg: example.com/x/audit\nBenchmarkAppendEvent-2   84295   1411.5 ns/op  723.0 bytes/event   0 B/op  0 allocs/op\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readGoBench(path)
	if want := []partFigure{{"policy/Evaluate/10", 6000, 25}, {"audit/AppendEvent", 1411.5, 0}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := readLibraries(path); err == nil {
		t.Error("what is no JSON was read as libraries' figures")
	}
}

// TestMissingPeers: what is not there is named, with the cases that it would have had.
func TestMissingPeers(t *testing.T) {
	t.Setenv(peersVariable, t.TempDir())
	b := &testbed{options: options{peers: true, only: []string{"caddy-check", "opa"}}}
	cases, err := b.peerCases(t.Context())
	if err != nil || len(cases) != 0 || len(b.missingPrograms) != 2 {
		t.Fatalf("%v, %v, %v", cases, b.missingPrograms, err)
	}
	if got := b.missingPrograms[0]; !strings.HasPrefix(got, "caddy: no ") || !strings.HasSuffix(got, "caddy, caddy-check, caddy-gatehouse") {
		t.Error(got)
	}
}

// TestTry: a peer that lets everything through is no peer.
func TestTry(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
	defer srv.Close()
	b := &testbed{seen: "h.p." + strings.Repeat("A", 86)}
	c := b.guarded(benchCase{name: "open"}, srv.URL)
	if err := c.try(t.Context()); err == nil || !strings.Contains(err.Error(), "expected 401") {
		t.Errorf("%v", err)
	}
	if err := open("open", "", srv.URL, nil).try(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestWorkers: the work of a server's workers is counted.
func TestWorkers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	p, err := start(ctx, nil, "/bin/sh", "-c", "echo ready; (while :; do :; done) & wait")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, id := range p.children {
			_ = unix.Kill(id, unix.SIGKILL)
		}
		p.stop()
	}()
	if p.line != "ready" {
		t.Errorf("first line %q", p.line)
	}
	if err := p.findWorkers(ctx); err != nil || len(p.children) != 1 {
		t.Fatalf("%v, %v", p.children, err)
	}
	alone := &process{cmd: p.cmd}
	for ctx.Err() == nil {
		all, err := p.cpu()
		if err != nil {
			t.Fatal(err)
		}
		own, err := alone.cpu()
		if err != nil {
			t.Fatal(err)
		}
		if all-own > 20*time.Millisecond {
			return
		}
	}
	t.Error("the worker's time was not counted")
}
