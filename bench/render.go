package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// renderPage writes the page's generated parts, those of scale.md beside it, and its
// plots into dir, from the figures of a run. What is between the markers belongs to it; the rest of the page
// is written by people.
func renderPage(figures, page, dir string) error {
	b, err := os.ReadFile(figures)
	if err != nil {
		return err
	}
	var r report
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("%s: %w", figures, err)
	}
	if r.find("floor") == nil || r.find("proxy") == nil || len(r.Process) == 0 || len(r.Libraries) == 0 || len(r.Parts) == 0 {
		return fmt.Errorf("%s is of a part of a run; the page shows whole ones (scripts/bench record)", figures)
	}
	g, err := readFigures(filepath.Join(filepath.Dir(figures), "growth.json"), growthNames)
	if err != nil {
		return err
	}
	n, err := readFigures(filepath.Join(filepath.Dir(figures), "nodes.json"), nodesNames)
	if err != nil {
		return err
	}
	sections := r.sections()
	sections["growth"], sections["nodes"] = growthText(g), nodesText(n)
	if err := fillPage(page, sections); err != nil {
		return err
	}
	costs, err := costsOf(r, g, n)
	if err != nil {
		return err
	}
	scale := map[string]string{"plan": thePlan.table(costs), "feed": feedTable(costs)}
	return errors.Join(fillPage(filepath.Join(filepath.Dir(page), "scale.md"), scale), writePlots(r, dir))
}

// fillPage writes the sections of a page anew.
func fillPage(path string, sections map[string]string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	out, err := fill(string(text), sections)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(out), 0o644)
}

const (
	markBegin = "<!-- figures: "
	markEnd   = "<!-- end of figures -->"
)

// fill replaces what is between each pair of markers. A page that has no place for
// a section, or a place for one that does not exist, is a mistake.
func fill(page string, sections map[string]string) (string, error) {
	var out strings.Builder
	seen := map[string]bool{}
	for {
		before, rest, more := strings.Cut(page, markBegin)
		out.WriteString(before)
		if !more {
			break
		}
		name, rest, closed := strings.Cut(rest, " -->")
		_, after, ended := strings.Cut(rest, markEnd)
		text, known := sections[name]
		if !closed || !ended || !known || seen[name] {
			return "", fmt.Errorf("marker %q: unknown, twice, or without its end", name)
		}
		seen[name] = true
		out.WriteString(markBegin + name + " -->\n" + text + markEnd)
		page = after
	}
	for name := range sections {
		if !seen[name] {
			return "", fmt.Errorf("no place for %q", name)
		}
	}
	return out.String(), nil
}

// sections are the generated parts of the page.
func (r report) sections() map[string]string {
	return map[string]string{
		"machine":      r.machineText(),
		"unflattering": r.unflatteringTable(),
		"bounds":       r.boundsTable(),
		"gateway":      r.caseTable("proxy", "P"),
		"answers":      r.caseTable("floor", "F"),
		"peers":        r.peersTable(),
		"libraries":    r.librariesTable(),
		"parts":        r.partsTable(),
	}
}

func (r report) machineText() string {
	m := r.Machine
	s := fmt.Sprintf("Measured %s: Gatehouse %s, %s, %s, %s, %d CPUs. %d turns of %d requests per case. Other work used %.0f %% of the CPUs before and %.0f %% after",
		m.Date, m.Gatehouse, m.Go, m.Kernel, m.Processor, m.CPUs, r.Rounds, r.Requests, m.BusyBefore, m.BusyAfter)
	if max(m.BusyBefore, m.BusyAfter) > 10 {
		s += ": the machine was busy, so these figures are rough"
	}
	s += ".\n"
	for _, what := range r.Missing {
		s += "\nNot measured: " + what + ".\n"
	}
	for _, what := range r.Failed {
		s += "\nA turn failed and does not count: " + what + ".\n"
	}
	return s
}

// boundsTable is what must hold.
func (r report) boundsTable() string {
	s := table("work", "must", "measured", "state")
	for _, c := range r.Cases {
		if must, verdict := c.verdict(); must != "" {
			measured := fmt.Sprintf("%.1f µs", c.Median)
			if c.MustRatio > 0 {
				letter := map[string]string{"proxy": "P", "floor": "F"}[c.Floor]
				if f := r.find(c.Floor); letter == "" && f != nil {
					letter = f.Title
				}
				must, measured = fmt.Sprintf("≤ %.2f × %s", c.MustRatio, letter), fmt.Sprintf("%.2f × %s", c.Ratio, letter)
			}
			s += row(strings.TrimPrefix(c.Title, "Gatehouse, "), must, measured, verdict)
		}
		// What nobody can go below who verifies each token.
		if v := r.find("proxy-check"); v != nil && c.Name == "gateway-jwt-new" {
			s += row("beside it, "+v.Title, "", fmt.Sprintf("%.2f × P", v.Ratio), "")
		}
	}
	for _, l := range r.Libraries {
		if l.Who != "ours" || l.Work != "verify" || l.Algorithm == "HS256" {
			continue
		}
		ratio := l.Micros / r.primitive(l)
		s += row("in process: verify "+l.Algorithm+", never seen", "≤ 1.10 × the primitive", fmt.Sprintf("%.2f ×", ratio), holds(ratio <= 1.10))
	}
	for _, p := range r.Parts {
		if p.Name == "authn/CachedJWT" {
			s += row("in process: token seen before", "≤ 2 µs", fmt.Sprintf("%.2f µs", p.Nanos/1000), holds(p.Nanos <= 2000))
		}
	}
	for _, f := range r.Process {
		must, verdict := f.verdict()
		s += row(f.Name, must, fmt.Sprintf("%.1f %s", f.Value, f.Unit), verdict)
	}
	return s
}

// unflatteringTable is what users meet and fast tables leave out: each case beside
// the floor of its own kind.
func (r report) unflatteringTable() string {
	s := table("case", "median µs", "beside", "ratio", "of that")
	for _, c := range r.Cases {
		if f := r.find(c.Floor); c.Unflattering && f != nil {
			s += row("**"+c.Title+"**", fmt.Sprintf("%.1f", c.Median), fmt.Sprintf("%s, %.1f µs", f.Title, f.Median), fmt.Sprintf("%.2f", c.Ratio), shares(c.Parts))
		}
	}
	return s
}

// caseTable is every case beside one floor.
func (r report) caseTable(floor, letter string) string {
	s := table("case", "median µs", "least µs", "× "+letter, "of that")
	for _, c := range r.Cases {
		switch {
		case c.Name == floor:
			s += row(c.Title, fmt.Sprintf("%.1f", c.Median), fmt.Sprintf("%.1f", c.Least), "1", "")
		case c.Floor == floor && !c.Unflattering:
			title := c.Title
			if c.Kind == kindOurs {
				title = "**" + title + "**"
			}
			s += row(title, fmt.Sprintf("%.1f", c.Median), fmt.Sprintf("%.1f", c.Least), fmt.Sprintf("%.2f", c.Ratio), shares(c.Parts))
		}
	}
	return s
}

func (r report) peersTable() string {
	s := table("program", "version", "start, CPU", "resident at the end", "program file")
	for _, p := range r.Peers {
		s += row(p.Name, p.Version, fmt.Sprintf("%.0f ms", p.StartCPU), fmt.Sprintf("%.0f MiB", p.Resident), fmt.Sprintf("%.0f MiB", p.Program))
	}
	return s
}

func (r report) librariesTable() string {
	var who []string
	for _, l := range r.Libraries {
		if l.Who != "primitive" && !slices.Contains(who, l.Who) {
			who = append(who, l.Who)
		}
	}
	heads := []string{"work", "primitive µs"}
	for _, w := range who {
		heads = append(heads, strings.NewReplacer("ours", "**Gatehouse**").Replace(w))
	}
	s := table(heads...)
	for _, base := range r.Libraries {
		if base.Who != "primitive" {
			continue
		}
		cells := []string{base.Algorithm + " " + base.Work, fmt.Sprintf("%.1f", base.Micros)}
		for _, w := range who {
			cell := ""
			for _, l := range r.Libraries {
				if l.Who == w && l.Algorithm == base.Algorithm && l.Work == base.Work {
					cell = fmt.Sprintf("%.2f ×", l.Micros/base.Micros)
				}
			}
			cells = append(cells, cell)
		}
		s += row(cells...)
	}
	return s
}

// primitive is what the bare operation takes for the same work.
func (r report) primitive(of libraryFigure) float64 {
	for _, l := range r.Libraries {
		if l.Who == "primitive" && l.Algorithm == of.Algorithm && l.Work == of.Work {
			return l.Micros
		}
	}
	return math.NaN() // holds no bound
}

// partTitles says what the benchmarks of the request path do.
var partTitles = []struct{ name, title string }{
	{"authn/CachedJWT", "access token seen before: who calls"},
	{"policy/Evaluate/10", "policy decision among 10 policies"},
	{"policy/Evaluate/1000", "among 1,000"},
	{"policy/Evaluate/10000", "among 10,000"},
	{"authz/Decide", "whole decision: subject, resource, roles, policies"},
	{"enforce/Check", "whole pipeline, without HTTP"},
	{"revocation/Revoked", "revocation look-up"},
	{"limit/Allow", "rate limit"},
	{"audit/AppendEvent", "audit event as text"},
	{"audit/Record", "audit event into the queue"},
}

func (r report) partsTable() string {
	s := table("part", "µs", "allocations")
	for _, t := range partTitles {
		for _, p := range r.Parts {
			if p.Name == t.name {
				s += row(t.title, fmt.Sprintf("%.2f", p.Nanos/1000), fmt.Sprint(p.Allocs))
			}
		}
	}
	return s
}

func table(heads ...string) string {
	return row(heads...) + "|" + strings.Repeat("---|", len(heads)) + "\n"
}

func row(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

// rounded is the report to a thousandth: there is no truth behind that.
func (r report) rounded() report {
	round := func(v *float64) { *v = math.Round(*v*1000) / 1000 }
	r.Cases, r.Process, r.Peers = slices.Clone(r.Cases), slices.Clone(r.Process), slices.Clone(r.Peers)
	r.Libraries, r.Parts = slices.Clone(r.Libraries), slices.Clone(r.Parts)
	round(&r.Machine.BusyBefore)
	round(&r.Machine.BusyAfter)
	for i := range r.Cases {
		c := &r.Cases[i]
		round(&c.Median)
		round(&c.Least)
		round(&c.Ratio)
		c.Parts = slices.Clone(c.Parts)
		for j := range c.Parts {
			round(&c.Parts[j].Micros)
		}
	}
	for i := range r.Process {
		round(&r.Process[i].Value)
	}
	for i := range r.Peers {
		round(&r.Peers[i].StartCPU)
		round(&r.Peers[i].Resident)
		round(&r.Peers[i].Program)
	}
	for i := range r.Libraries {
		round(&r.Libraries[i].Micros)
	}
	for i := range r.Parts {
		round(&r.Parts[i].Nanos)
	}
	return r
}
