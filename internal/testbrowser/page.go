package testbrowser

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/testnode"
)

// Go opens an address and returns the status of the answer, after redirects.
func (p *Page) Go(url string) int {
	p.t.Helper()
	return p.load("go to "+url, chromedp.Navigate(url))
}

// Follow presses the link or button with that id, which leads to another page, and returns the status of the answer.
func (p *Page) Follow(id string) int {
	p.t.Helper()
	return p.load("follow "+id, chromedp.Click(chromedp.ID(id)))
}

// Press presses the button with that id, which leads to no other page.
func (p *Page) Press(id string) {
	p.t.Helper()
	p.do("press "+id, chromedp.Click(chromedp.ID(id)))
}

// Type types text into the field with that id.
func (p *Page) Type(id, text string) {
	p.t.Helper()
	p.do("type into "+id, chromedp.SendKeys(chromedp.ID(id), text))
}

// Wait waits until there is an element with that id that can be seen.
func (p *Page) Wait(id string) {
	p.t.Helper()
	p.do("wait for "+id, chromedp.WaitVisible(chromedp.ID(id)))
}

// Text is what can be read of the element with that id, which there must be.
func (p *Page) Text(id string) string {
	p.t.Helper()
	return strings.TrimSpace(run(p, "read "+id, chromedp.Text(chromedp.ID(id))))
}

// Has reports whether there is an element that the selector of CSS finds.
func (p *Page) Has(selector string) bool {
	p.t.Helper()
	return Eval[bool](p, "document.querySelector("+strconv.Quote(selector)+") !== null")
}

// URL is the address that is shown.
func (p *Page) URL() string {
	p.t.Helper()
	return run(p, "address", chromedp.Location())
}

// Eval is the value of an expression of JavaScript, or what its promise comes to. It runs also where the page's policy lets no
// script run: a policy cannot be tested by it.
func Eval[T any](p *Page, expression string) T {
	p.t.Helper()
	return run(p, "evaluate", chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// Screenshot is the whole page as PNG, also what one has to scroll to.
func (p *Page) Screenshot() []byte {
	p.t.Helper()
	p.settle()
	return run(p, "screenshot", chromedp.FullScreenshot(100))
}

// Complaints is what the browser had against the pages up to now: what a content policy stopped, errors of scripts, and what
// else its console shows as an error.
func (p *Page) Complaints() []string {
	p.t.Helper()
	Eval[bool](p, "true") // what happened before is heard before the answer
	p.seen.mu.Lock()
	defer p.seen.mu.Unlock()
	return slices.Clone(p.seen.all)
}

// Axe is what axe finds that is against WCAG 2.2, levels A and AA, each with the rule and the element.
func (p *Page) Axe() []string {
	p.t.Helper()
	source, err := os.ReadFile(filepath.Join(testnode.Modules(p.t, "internal/testbrowser"), "axe-core", "axe.min.js"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.settle()
	p.do("load axe", chromedp.Evaluate[chromedp.Void](string(source)))
	return Eval[[]string](p, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}).then(
		r => r.violations.flatMap(v => v.nodes.map(n => v.id + ": " + n.failureSummary.replaceAll(/\s+/g, " ") + " " + n.html)))`)
}

// settle ends what moves: a colour halfway between light and dark is nobody's.
func (p *Page) settle() {
	p.t.Helper()
	Eval[bool](p, `document.getAnimations().every(a => { if (a.effect.getComputedTiming().endTime !== Infinity) a.finish(); return true })`)
}

// load runs what leads to another page, and waits for that.
func (p *Page) load(what string, step chromedp.Action[chromedp.Void]) int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	res, err := chromedp.RunResponse(ctx, step)
	if err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
	if res == nil {
		return 0
	}
	return int(res.Status)
}

func (p *Page) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	run(p, what, chromedp.Steps(steps...))
}

// run runs one action, within the time that it may take.
func run[T any](p *Page, what string, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	out, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
	return out
}
