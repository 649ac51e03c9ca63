// Package testbrowser shows pages to tests in Chromium: at the width of a phone or a desk, light or dark, with scripts or
// without, with a security key that is made up. A test reads what a person reads, presses what a person presses, and asks
// what the browser and axe (https://github.com/dequelabs/axe-core) have against the page.
//
// A browser reaches this machine and nothing else: no name leads anywhere, save localhost and those below it, and no address
// but that of loopback.
//
// It is for tests only; the program does not link it. It wants Debian's chromium, or another Chromium or Chrome in PATH.
package testbrowser

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long one thing may take that a test asks of a page, on a machine that is busy.
const patience = 30 * time.Second

// errMissing says that there is no browser, and what would bring one.
var errMissing = errors.New("no browser is installed (no chromium, chromium-browser or google-chrome in PATH; Debian: apt-get install chromium)")

// Browser is a Chromium that is started when the first page is opened. Tests of a package share one, in a variable, and
// TestMain closes it. The zero value is ready.
type Browser struct {
	once sync.Once
	ctx  context.Context // of chromedp, as long as the browser runs
	stop context.CancelFunc
	err  error
}

// start starts the process, once.
func (b *Browser) start() error {
	b.once.Do(func() {
		program, err := find()
		if err != nil {
			b.err = err
			return
		}
		b.ctx, b.stop = chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(
			chromedp.ExecPath(program),
			chromedp.IgnoreCertErrors, // the certificates are those of tests
			chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE [::1], EXCLUDE localhost, EXCLUDE *.localhost"),
			chromedp.Flag("no-proxy-server", true), // one in the environment would resolve names itself
			chromedp.Flag("disable-component-update", true),
			chromedp.Flag("font-render-hinting", "none"), // letters are as wide on every machine
		))
		if b.err = chromedp.Do(b.ctx); b.err != nil {
			b.stop()
		}
	})
	return b.err
}

// find is the path of the browser.
func find() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errMissing
}

// Close ends the process. It may be called of a browser that never started.
func (b *Browser) Close() {
	b.once.Do(func() { b.err = errors.New("testbrowser: closed") })
	if b.ctx != nil {
		_ = chromedp.Cancel(b.ctx) // it ends with this process at the latest
	}
}

// View is how somebody looks at pages.
type View struct {
	Width, Height int    // of the window, in CSS pixels; 0 is 1280 and 800
	Dark          bool   // what the system prefers
	NoScript      bool   // pages run no script
	Language      string // for Accept-Language; "" is "en"
}

// Page is a tab with cookies of its own. Its methods end the test when they fail, and are for one goroutine.
type Page struct {
	t    testing.TB
	ctx  context.Context
	seen *complaints
}

// Open opens a page that is empty, and closes it when the test is over. The test is skipped where there is no browser; with
// GATEHOUSE_TEST_STRICT=1 it fails.
func (b *Browser) Open(t testing.TB, v View) *Page {
	t.Helper()
	if err := b.start(); err != nil {
		if errors.Is(err, errMissing) && os.Getenv("GATEHOUSE_TEST_STRICT") != "1" {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	p := &Page{t: t, seen: &complaints{}}
	var done context.CancelFunc
	p.ctx, done = chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.seen.hear))
	t.Cleanup(done)
	if err := chromedp.Do(p.ctx); err != nil { // the tab lives as long as the context of its first action
		t.Fatal(err)
	}
	p.do("open", chromedp.Func(func(ctx context.Context, s *chromedp.Target) error {
		_, err := cdp.Call(ctx, s, audits.Enable, cdp.Empty{})
		return err
	}))
	p.See(v)
	return p
}

// See has the page looked at in another way from now on.
func (p *Page) See(v View) {
	p.t.Helper()
	scheme := "light"
	if v.Dark {
		scheme = "dark"
	}
	p.do("view", chromedp.EmulateViewport(int64(cmp.Or(v.Width, 1280)), int64(cmp.Or(v.Height, 800))),
		chromedp.Func(func(ctx context.Context, s *chromedp.Target) error {
			_, err := cdp.Call(ctx, s, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
			if err == nil {
				_, err = cdp.Call(ctx, s, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: v.NoScript})
			}
			if err == nil {
				_, err = cdp.Call(ctx, s, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{
					Headers: network.Headers{"Accept-Language": cmp.Or(v.Language, "en")}})
			}
			return err
		}))
}

// complaints are what a browser says of pages that it is shown.
type complaints struct {
	mu  sync.Mutex
	all []string
}

// hear takes an event of the browser. What failed to load by its status is no complaint: tests look at that themselves.
func (c *complaints) hear(event any) {
	text := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Source != log.EntrySourceNetwork && e.Entry.Level == log.EntryLevelError {
			text = e.Entry.Text
		}
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += ": " + e.ExceptionDetails.Exception.Description
		}
	case *audits.EventIssueAdded:
		if csp := e.Issue.Details.ContentSecurityPolicyIssueDetails; csp != nil {
			text = "Content-Security-Policy: " + csp.ViolatedDirective + " " + csp.BlockedURL
		}
	}
	if text != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all = append(c.all, text)
	}
}
