// Package testoidc gives tests an OpenID provider that others wrote: oidc-provider, from npm, on a port of this machine that
// was free, with people who sign in on its own pages. It ends with the test.
//
// It is for tests only; no other code may import it.
package testoidc

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testnode"
	"github.com/gatehouse-auth/gatehouse/internal/testprocess"
)

// Provider is an OpenID provider of a test.
type Provider struct {
	*testprocess.Process

	Issuer string

	t      testing.TB
	people string // the file that has them
}

// Start starts a provider with clients (the members of OpenID Connect Dynamic Client Registration 1.0 §2) and nobody in it, and
// waits until it listens. Without node, npm or its packages the test is skipped, or fails where nothing may be missing.
func Start(t testing.TB, clients ...map[string]any) *Provider {
	t.Helper()
	modules := testnode.Modules(t, "internal/testoidc") // it skips, or fails, without npm
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(filepath.Join(testnode.Checkout(t), "internal", "testoidc", "provider.js"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal(clients)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	address := testprocess.FreeAddress(t)
	p := &Provider{t: t, Issuer: "http://" + address, people: filepath.Join(dir, "people.json")}
	p.Know(nil)
	// Modules are found from where a program stands.
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "provider.mjs"), program, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, "provider.mjs")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "ISSUER="+p.Issuer, "CLIENTS="+string(list), "PEOPLE="+p.people)
	p.Process = testprocess.Start(t, cmd, address)
	t.Cleanup(p.Kill)
	return p
}

// Know has the provider know people, by name, with these claims. Their passwords are whatever they type.
func (p *Provider) Know(people map[string]map[string]any) {
	p.t.Helper()
	b, err := json.Marshal(people)
	if err == nil {
		err = os.WriteFile(p.people+".new", b, 0o600)
	}
	if err == nil {
		err = os.Rename(p.people+".new", p.people)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// Browser is somebody's at the provider: it keeps the provider's cookies.
type Browser struct {
	p      *Provider
	client *http.Client
}

// Browser returns a new one.
func (p *Provider) Browser() *Browser {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return &Browser{p, &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

var (
	formAction = regexp.MustCompile(`<form[^>]* action="([^"]+)"`)
	hidden     = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)
)

// Go opens an address of the provider, does as the provider's pages ask, as the person called name, and returns the address
// elsewhere to which it is sent in the end; "" when it is sent nowhere.
func (b *Browser) Go(address, name string) string {
	b.p.t.Helper()
	res, err := b.client.Get(address)
	for range 20 {
		if err != nil {
			b.p.t.Fatal(err)
		}
		page, readErr := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		res.Body.Close()
		if readErr != nil {
			b.p.t.Fatal(readErr)
		}
		if to := res.Header.Get("Location"); to != "" {
			next, parseErr := res.Request.URL.Parse(to)
			if parseErr != nil {
				b.p.t.Fatal(parseErr)
			}
			if "http://"+next.Host != b.p.Issuer {
				return next.String()
			}
			res, err = b.client.Get(next.String())
			continue
		}
		form := formAction.FindSubmatch(page)
		if res.StatusCode != http.StatusOK || form == nil {
			if strings.Contains(string(page), "Sign-out Success") {
				return ""
			}
			b.p.t.Fatalf("the provider at %s: %d %s", res.Request.URL, res.StatusCode, page)
		}
		next, parseErr := res.Request.URL.Parse(html.UnescapeString(string(form[1])))
		if parseErr != nil {
			b.p.t.Fatal(parseErr)
		}
		values := url.Values{"login": {name}, "password": {fmt.Sprint("of ", name)}, "logout": {"yes"}}
		for _, m := range hidden.FindAllSubmatch(page, -1) {
			values.Set(string(m[1]), html.UnescapeString(string(m[2])))
		}
		res, err = b.client.PostForm(next.String(), values)
	}
	b.p.t.Fatal("the provider asks without end")
	return ""
}
