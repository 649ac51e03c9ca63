package pages

import (
	"bytes"
	"compress/gzip"
	"io"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestAssets: styles are kept for ever under a name that changes with them.
func TestAssets(t *testing.T) {
	b := newHouse(t, true).browser()
	link := regexp.MustCompile(`<link rel="stylesheet" href="(/ui/pages\.[0-9a-f]{16}\.css)">`).FindStringSubmatch(b.get("/signin").body)
	if link == nil {
		t.Fatal("no style sheet")
	}
	for encoding, packed := range map[string]bool{"": false, "gzip": true, "br, gzip;q=0.5": true, "gzip;q=0": false, "gzip;q=0.000": false, "x-gzip": false} {
		header := http.Header{"Accept-Encoding": {encoding}}
		if encoding == "" {
			header = http.Header{"Accept-Encoding": {"identity"}}
		}
		p := b.do("GET", link[1], nil, header)
		body := []byte(p.body)
		if (p.header.Get("Content-Encoding") == "gzip") != packed {
			t.Errorf("%q: %v", encoding, p.header)
		}
		if packed {
			z, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
			if len(p.body) > 8<<10 {
				t.Errorf("the styles take %d bytes on the wire", len(p.body))
			}
		}
		if p.status != 200 || string(body) != tokens+parts || p.header.Get("Cache-Control") != "public, max-age=31536000, immutable" ||
			p.header.Get("Content-Type") != "text/css; charset=utf-8" || p.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%q: %d %v, %d bytes", encoding, p.status, p.header, len(body))
		}
	}
	if p := b.get("/ui/pages.0000000000000000.css"); p.status != 404 {
		t.Errorf("styles of another time: %d", p.status)
	}
	if page := b.get("/signin"); len(page.body) > 20<<10 {
		t.Errorf("a page takes %d bytes", len(page.body))
	}
}

// TestChosenThemeWins: whoever chose light or dark at the foot of a page gets it, whatever the system says. A
// rule for the root element weighs as much as one for its attribute, so that the later one wins.
func TestChosenThemeWins(t *testing.T) {
	text := tokens
	system := strings.LastIndex(text, ":root { color-scheme: light dark; }")
	for _, theme := range []string{"light", "dark"} {
		if chosen := strings.Index(text, `[data-theme="`+theme+`"] { color-scheme: `+theme+`; }`); system < 0 || chosen < system {
			t.Errorf("%s stands at %d, before what the system says at %d", theme, chosen, system)
		}
	}
}

// TestContrast: text has 4.5, borders of controls and marks 3, in light and dark (WCAG 2.2, 1.4.3, 1.4.11).
func TestContrast(t *testing.T) {
	token := regexp.MustCompile(`(?m)^\s+--([a-z0-9-]+): light-dark\(oklch\(([\d.]+) ([\d.]+) ([\d.]+)\), oklch\(([\d.]+) ([\d.]+) ([\d.]+)\)\);`)
	plain := regexp.MustCompile(`(?m)^    --([a-z0-9-]+): (#[0-9a-f]{6});`)
	light, dark, old := map[string]float64{}, map[string]float64{}, map[string]float64{}
	for _, m := range token.FindAllStringSubmatch(tokens, -1) {
		n := make([]float64, 6)
		for i := range n {
			n[i], _ = strconv.ParseFloat(m[i+2], 64)
		}
		light[m[1]], dark[m[1]] = luminanceOf(n[0], n[1], n[2]), luminanceOf(n[3], n[4], n[5])
	}
	for _, m := range plain.FindAllStringSubmatch(tokens, -1) {
		n, _ := strconv.ParseUint(m[2][1:], 16, 32)
		old[m[1]] = luminance(linear(float64(n>>16)/255), linear(float64(n>>8&255)/255), linear(float64(n&255)/255))
	}
	if len(light) < 25 || len(old) != len(light) {
		t.Fatalf("found %d and %d colours: the search is broken", len(light), len(old))
	}
	grounds := []string{"ground", "surface", "sunken", "raised", "hover"}
	var checks []struct {
		on, ink string
		least   float64
	}
	add := func(ink string, least float64, on ...string) {
		for _, o := range on {
			checks = append(checks, struct {
				on, ink string
				least   float64
			}{o, ink, least})
		}
	}
	for _, ink := range []string{"text", "text-2", "text-3", "accent-text", "allow-text", "deny-text", "caution-text", "ask-text"} {
		add(ink, 4.5, grounds...)
		if kind, tinted := strings.CutSuffix(ink, "-text"); tinted {
			add(ink, 4.5, kind+"-soft")
			add("text", 4.5, kind+"-soft")
		}
	}
	add("edge", 3, grounds...)
	add("on-accent", 4.5, "accent", "accent-hover", "deny-solid")
	for _, mark := range []string{"allow", "deny", "caution", "ask", "accent"} {
		add(mark, 3, "surface")
	}
	for name, of := range map[string]map[string]float64{"light": light, "dark": dark, "old browsers": old} {
		for _, c := range checks {
			a, okA := of[c.on]
			b, okB := of[c.ink]
			if got := (max(a, b) + .05) / (min(a, b) + .05); !okA || !okB || got < c.least {
				t.Errorf("%s: %s on %s has %.2f, wants %.1f", name, c.ink, c.on, got, c.least)
			}
		}
	}
}

func linear(c float64) float64 {
	if c <= .04045 {
		return c / 12.92
	}
	return math.Pow((c+.055)/1.055, 2.4)
}

func luminance(r, g, b float64) float64 { return .2126*r + .7152*g + .0722*b }

// luminanceOf is that of a colour in OKLCH (CSS Color 4 §9.4).
func luminanceOf(l, c, hue float64) float64 {
	a, b := c*math.Cos(hue*math.Pi/180), c*math.Sin(hue*math.Pi/180)
	cube := func(x float64) float64 { return x * x * x }
	L, M, S := cube(l+.3963377774*a+.2158037573*b), cube(l-.1055613458*a-.0638541728*b), cube(l-.0894841775*a-1.2914855480*b)
	clip := func(x float64) float64 { return min(max(x, 0), 1) }
	return luminance(clip(4.0767416621*L-3.3077115913*M+.2309699292*S), clip(-1.2684380046*L+2.6097574011*M-.3413193965*S), clip(-.0041960863*L-.7034186147*M+1.7076147010*S))
}
