package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// chart is a chart of horizontal bars.
type chart struct {
	name, title, unit string
	bars              []bar
}

// bar is one row: what it is, and how much of what it is made of.
type bar struct {
	label    string
	segments []segment
	note     string  // behind the bar
	floor    float64 // a dashed line here; 0 for none
	bound    float64 // a mark here; 0 for none
	gap      bool    // some room above: another group begins
}

type segment struct {
	class string // ours, peer or floor
	value float64
}

func (b bar) total() float64 {
	sum := 0.0
	for _, s := range b.segments {
		sum += s.value
	}
	return sum
}

// Measures of a chart, in pixels.
const (
	chartWidth = 860
	labelWidth = 340
	noteWidth  = 120
	rowHeight  = 26
	barHeight  = 16
	headHeight = 78
	groupGap   = 12
)

// chartStyle paints its own ground, so that a chart can be read wherever the page
// is shown; a reader who prefers dark gets dark.
const chartStyle = `
    .ground { fill: #ffffff } text { fill: #1f2328; font: 13px system-ui, sans-serif }
    .title { font-size: 16px; font-weight: 600 } .soft { fill: #57606a } .grid { stroke: #d8dee4 }
    .note { fill: #57606a; stroke: #ffffff; stroke-width: 4px; paint-order: stroke }
    .ours { fill: #0969da } .peer { fill: #8c959f } .floor { fill: #d0d7de }
    .base { stroke: #57606a; stroke-dasharray: 4 3 } .bound { stroke: #cf222e; stroke-width: 3 }
    @media (prefers-color-scheme: dark) {
      .ground { fill: #0d1117 } text { fill: #e6edf3 } .soft { fill: #9198a1 } .grid { stroke: #2b3139 }
      .note { fill: #9198a1; stroke: #0d1117 }
      .ours { fill: #4493f8 } .peer { fill: #767e88 } .floor { fill: #3d444d }
      .base { stroke: #9198a1 } .bound { stroke: #ff7b72 }
    }
  `

// svg draws the chart.
func (c chart) svg() string {
	top, height := 0.0, headHeight+14
	for _, b := range c.bars {
		top = max(top, b.total(), b.bound)
		height += rowHeight
		if b.gap {
			height += groupGap
		}
	}
	step := tick(top)
	top = math.Ceil(top/step) * step
	x := func(v float64) float64 { return labelWidth + v/top*(chartWidth-labelWidth-noteWidth) }

	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="t d">`+"\n",
		chartWidth, height, chartWidth, height)
	fmt.Fprintf(&s, "  <title id=\"t\">%s</title>\n  <desc id=\"d\">%s</desc>\n  <style>%s</style>\n", html.EscapeString(c.title), html.EscapeString(c.description()), chartStyle)
	fmt.Fprintf(&s, `  <rect class="ground" width="%d" height="%d" rx="6"/>`+"\n", chartWidth, height)
	text(&s, 16, 28, "title", "start", c.title)
	c.legend(&s)
	for v := 0.0; v <= top+step/2; v += step {
		fmt.Fprintf(&s, `  <line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n", x(v), x(v), headHeight, height-10)
		text(&s, x(v), headHeight-6, "soft", "middle", fmt.Sprint(v))
	}
	y := headHeight + 4
	for _, b := range c.bars {
		if b.gap {
			y += groupGap
		}
		b.draw(&s, x, y)
		y += rowHeight
	}
	s.WriteString("</svg>\n")
	return s.String()
}

func (b bar) draw(s *strings.Builder, x func(float64) float64, y int) {
	text(s, labelWidth-10, float64(y+14), "", "end", b.label)
	from := 0.0
	for i, part := range b.segments {
		width := x(from+part.value) - x(from)
		if i < len(b.segments)-1 {
			width = max(width-1.5, 0) // what belongs to whom can be seen
		}
		fmt.Fprintf(s, `  <rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d"/>`+"\n", part.class, x(from), y+2, width, barHeight)
		from += part.value
	}
	if b.floor > 0 {
		fmt.Fprintf(s, `  <line class="base" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n", x(b.floor), x(b.floor), y-3, y+rowHeight-3)
	}
	if b.bound > 0 {
		fmt.Fprintf(s, `  <line class="bound" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n", x(b.bound), x(b.bound), y, y+barHeight+4)
	}
	text(s, x(max(from, b.bound))+7, float64(y+14), "note", "start", b.note)
}

// legend explains what occurs in the chart, and names the unit.
func (c chart) legend(s *strings.Builder) {
	has := map[string]bool{}
	for _, b := range c.bars {
		for _, p := range b.segments {
			has[p.class] = true
		}
		has["base"] = has["base"] || b.floor > 0
		has["bound"] = has["bound"] || b.bound > 0
	}
	at := 16.0
	item := func(class, words string) {
		if !has[class] {
			return
		}
		switch class {
		case "base", "bound":
			fmt.Fprintf(s, `  <line class="%s" x1="%.0f" x2="%.0f" y1="38" y2="54"/>`+"\n", class, at+6, at+6)
		default:
			fmt.Fprintf(s, `  <rect class="%s" x="%.0f" y="40" width="12" height="12"/>`+"\n", class, at)
		}
		text(s, at+18, 51, "soft", "start", words)
		at += 38 + 7.2*float64(len(words))
	}
	item("ours", "Gatehouse")
	item("peer", "others")
	item("floor", "floor")
	item("base", "what the floor takes")
	item("bound", "our bound")
	text(s, chartWidth-16, 51, "soft", "end", c.unit)
}

// description is the chart in words, for those who do not see it.
func (c chart) description() string {
	var rows []string
	for _, b := range c.bars {
		row := b.label + ": " + b.note
		if b.bound > 0 {
			row += fmt.Sprintf(" (bound %.0f)", b.bound)
		}
		rows = append(rows, row)
	}
	return c.unit + ". " + strings.Join(rows, "; ") + "."
}

func text(s *strings.Builder, x, y float64, class, anchor, words string) {
	if class != "" {
		class = ` class="` + class + `"`
	}
	fmt.Fprintf(s, `  <text%s x="%.1f" y="%.0f" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, html.EscapeString(words))
}

// tick is the distance between grid lines: 1, 2 or 5 times a power of ten, and
// between four and ten of them.
func tick(top float64) float64 {
	if top <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(top/4)))
	for _, m := range []float64{5, 2} {
		if top/(unit*m) >= 4 {
			return unit * m
		}
	}
	return unit
}

// charts are the plots of a report. One without figures is not drawn.
func charts(r report) []chart {
	all := []chart{
		caseChart(r, "gateway", "A request through the gate, to an API", "proxy"),
		caseChart(r, "answers", "A request that is answered on the spot", "floor"),
		libraryChart(r),
	}
	var out []chart
	for _, c := range all {
		if len(c.bars) > 0 {
			out = append(out, c)
		}
	}
	return out
}

func caseChart(r report, name, title, floor string) chart {
	c := chart{name: name, title: title, unit: "CPU µs of all server processes per request"}
	base := r.find(floor)
	if base == nil {
		return c
	}
	last := ""
	for _, k := range r.Cases {
		if k.Name != floor && k.Floor != floor {
			continue
		}
		b := bar{label: k.Title, floor: base.Median, note: fmt.Sprintf("%.0f", k.Median)}
		if k.Kind != kindFloor {
			b.note = fmt.Sprintf("%.0f · %.2f ×", k.Median, k.Ratio)
		}
		if k.MustRatio > 0 {
			b.bound = k.MustRatio * base.Median
		} else if k.MustMicros > 0 {
			b.bound = k.MustMicros
		}
		for _, p := range k.Parts {
			class := kindPeer
			if p.Server == "gatehouse" {
				class = kindOurs
			}
			b.segments = append(b.segments, segment{class, p.Micros})
		}
		if len(b.segments) == 0 {
			b.segments = []segment{{k.Kind, k.Median}}
		}
		group := strings.NewReplacer(kindMixed, kindPeer).Replace(k.Kind)
		b.gap, last = last != "" && group != last, group
		c.bars = append(c.bars, b)
	}
	return c
}

// libraryChart is verification with asymmetric keys. With HMAC the primitive is so
// fast that everybody's work is mostly reading JSON; the table has it.
func libraryChart(r report) chart {
	c := chart{name: "libraries", title: "Verify an access token in process, never seen before", unit: "µs per token, least of many rounds"}
	last, base := "", 0.0
	for _, f := range r.Libraries {
		if f.Work != "verify" || f.Algorithm == "HS256" {
			continue
		}
		b := bar{label: f.Algorithm + ", " + f.Who, segments: []segment{{kindPeer, f.Micros}}, gap: last != "" && f.Algorithm != last}
		switch f.Who {
		case "primitive":
			base = f.Micros
			b.label, b.segments[0].class = f.Algorithm+", bare primitive", kindFloor
		case "ours":
			b.label, b.segments[0].class, b.bound = f.Algorithm+", Gatehouse", kindOurs, 1.1*base
		}
		b.floor, b.note = base, fmt.Sprintf("%.1f · %.2f ×", f.Micros, f.Micros/base)
		last = f.Algorithm
		c.bars = append(c.bars, b)
	}
	return c
}

// writePlots writes one SVG for each chart.
func writePlots(r report, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, c := range charts(r) {
		if err := os.WriteFile(filepath.Join(dir, c.name+".svg"), []byte(c.svg()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
