package testbrowser

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// Cookies are what the browser would send to an address, with what it keeps about each.
func (p *Page) Cookies(url string) []*network.Cookie {
	p.t.Helper()
	return call(p, network.GetCookies, network.GetCookiesParams{URLs: []string{url}}).Cookies
}

// Download presses the button with that id, whose answer is a file to keep, and returns its name and what is in it.
func (p *Page) Download(id string) (name string, content []byte) {
	p.t.Helper()
	dir := p.t.TempDir()
	behavior := browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir,
		BrowserContextID: chromedp.FromContext(p.ctx).BrowserContextID}
	if _, err := chromedp.CallBrowser(p.ctx, browser.SetDownloadBehavior, behavior); err != nil {
		p.t.Fatal(err)
	}
	p.Press(id)
	whole := testwait.For(patience, func() bool {
		all, _ := filepath.Glob(filepath.Join(dir, "*"))
		if len(all) != 1 || strings.HasSuffix(all[0], ".crdownload") { // it has that ending until it is whole
			return false
		}
		b, err := os.ReadFile(all[0])
		name, content = filepath.Base(all[0]), b
		return err == nil
	})
	if !whole {
		p.t.Fatalf("pressing %s brought no file within %v", id, patience.Round(time.Second))
	}
	return name, content
}
