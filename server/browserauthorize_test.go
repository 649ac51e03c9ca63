package server_test

import (
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testbrowser"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestAuthorizeInTheBrowser: Chromium comes from a program of another site, signs in, is asked, and is back there with tokens, which
// the program gets by itself: by the address and by a form, with scripts and without. That program sends it on to a third place, as
// many do: the policy of our pages stops none of that.
func TestAuthorizeInTheBrowser(t *testing.T) {
	server.InOrder(t)
	t.Parallel()
	for name, view := range map[string]testbrowser.View{"scripts": {}, "none": {NoScript: true}} {
		for _, mode := range []string{"query", "form_post"} {
			t.Run(name+", "+mode, func(t *testing.T) {
				d := demo(t)
				app := startApp(t, d, mode)
				p := chromium.Open(t, view)
				p.Go(app.home)
				p.Follow("sign-in")
				if !strings.HasPrefix(p.URL(), d.Issuer+"/signin?return=") {
					t.Fatalf("at %s", p.URL())
				}
				p.Type("identifier", "bob")
				p.Follow("continue")
				p.Type("password", d.Users["bob"].Password)
				p.Follow("submit")
				if got := p.Text("client"); got != "App" || !strings.HasPrefix(p.URL(), d.Issuer+"/authorize?") {
					t.Fatalf("%q at %s", got, p.URL())
				}
				p.Press("scope-1") // which is ticked, and is not then
				p.Follow("allow")
				if mode == "form_post" && view.NoScript {
					p.Follow("continue")
				}
				p.Wait("who")
				if got := p.Text("who"); got != "200 offline_access" || !strings.HasPrefix(p.URL(), app.end) {
					t.Errorf("%q at %s", got, p.URL())
				}
				// What was allowed is not asked for again.
				p.Go(app.home)
				p.Follow("less")
				if mode == "form_post" && view.NoScript {
					p.Follow("continue")
				}
				p.Wait("who")
				if got := p.Text("who"); got != "200 offline_access" {
					t.Errorf("%q at %s", got, p.URL())
				}
				// Denied, and the program is told.
				p.Go(app.home)
				p.Follow("sign-in")
				p.Follow("deny")
				if mode == "form_post" && view.NoScript {
					p.Follow("continue")
				}
				p.Wait("who")
				if got := p.Text("who"); got != "access_denied" {
					t.Errorf("%q at %s", got, p.URL())
				}
				if said := p.Complaints(); len(said) != 0 {
					t.Errorf("the browser complains: %q", said)
				}
			})
		}
	}
}

// relyingSite is a program on the web: home has the link, end is where it sends people in the end, on another host.
type relyingSite struct{ home, end string }

func startApp(t *testing.T, d *server.Demo, mode string) relyingSite {
	t.Helper()
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	here := "http://localhost:" + port // another site than the issuer's
	p := registers(t, d, `,"token_endpoint_auth_method":"client_secret_basic"`)
	p.redirect = here + "/back"
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main/clients/"+p.id, "bearer", d.AdminToken, "body", fmt.Sprintf(`{"redirect_uris":[%q,%q]}`, p.redirect, s.URL+"/end")).want(t, "address", 200)
	page := func(w http.ResponseWriter, text string) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><title>App</title>%s`, text)
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		for id, query := range map[string]string{"sign-in": p.query("response_mode", mode), "less": p.query("response_mode", mode, "scope", "offline_access")} {
			page(w, `<a id="`+id+`" href="`+strings.ReplaceAll(d.Issuer+"/authorize?"+query, "&", "&amp;")+`">Sign in</a>`)
		}
	})
	mux.HandleFunc("/back", func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() != nil || (r.Method == http.MethodPost) != (mode == "form_post") || r.Form.Get("state") != "a b&c" || r.Form.Get("iss") != d.Issuer {
			http.Error(w, "another answer", http.StatusBadRequest)
			return
		}
		said := r.Form.Get("error")
		if code := r.Form.Get("code"); code != "" {
			tokens := p.redeems(d.Issuer, code)
			said = fmt.Sprint(tokens.status, " ", tokens.text("scope"))
		}
		http.Redirect(w, r, s.URL+"/end?said="+url.QueryEscape(said), http.StatusSeeOther)
	})
	mux.HandleFunc("GET /end", func(w http.ResponseWriter, r *http.Request) {
		page(w, `<p id="who">`+html.EscapeString(r.URL.Query().Get("said"))+`</p>`)
	})
	return relyingSite{here + "/", s.URL + "/end"}
}
