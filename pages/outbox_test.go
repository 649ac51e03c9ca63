package pages

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOutbox: whoever is on this machine sees what a demo would have sent; a site that has its name lead here does not. A message
// in HTML runs nothing, and a link leads to the server of the demo or nowhere.
func TestOutbox(t *testing.T) {
	const issuer = "http://127.0.0.1:8080"
	dir := t.TempDir()
	letter := func(id, link string) {
		text := "To: <alice@example.com>\r\nSubject: =?UTF-8?q?Setze_ein_Pa=C3=9Fwort?=\r\nDate: Sun, 29 Nov 2026 12:00:00 +0000\r\n" +
			"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n<b>Hello</b>\r\n" + link +
			"\r\n--b\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n<p>Hello <script>alert(1)</script></p>\r\n--b--\r\n"
		if err := os.WriteFile(filepath.Join(dir, id+".eml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h, err := NewOutbox(dir, issuer)
	if err != nil {
		t.Fatal(err)
	}
	get := func(path, host string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := get("/", "localhost:8082"); w.Code != 200 || !strings.Contains(w.Body.String(), `id="none"`) {
		t.Errorf("empty: %d %s", w.Code, w.Body)
	}
	letter("mail_1", issuer+"/recover/new?code=AAAA")
	letter("mail_2", issuer+".evil.example/recover")
	letter("mail_3", "http://127.0.0.1:8080@evil.example/x")
	for _, host := range []string{"rebound.example:8082", "127.0.0.1.rebound.example", "10.0.0.1:8082", "", "localhost.example"} {
		for _, path := range []string{"/", "/letters/mail_1", "/letters/mail_1/html", "/letters/mail_1/link"} {
			if w := get(path, host); w.Code != http.StatusMisdirectedRequest || strings.Contains(w.Body.String(), "alice") || w.Header().Get("Location") != "" {
				t.Errorf("%s at %q: %d %s", path, host, w.Code, w.Body)
			}
		}
	}
	for _, host := range []string{"127.0.0.1:8082", "[::1]:8082", "localhost"} {
		list := get("/", host).Body.String()
		third, first := strings.Index(list, "/letters/mail_3"), strings.Index(list, "/letters/mail_1")
		if third < 0 || first < third || !strings.Contains(list, "Setze ein Paßwort") {
			t.Errorf("at %s: %s", host, list)
		}
	}
	page := get("/letters/mail_1", "127.0.0.1:8082")
	for _, want := range []string{"&lt;b&gt;Hello&lt;/b&gt;", `href="/letters/mail_1/html"`, `href="/letters/mail_1/link"`, "alice@"} {
		if !strings.Contains(page.Body.String(), want) {
			t.Errorf("no %s in %s", want, page.Body)
		}
	}
	if policy := page.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("the policy of a page: %s", policy)
	}
	inner := get("/letters/mail_1/html", "127.0.0.1:8082")
	if policy := inner.Header().Get("Content-Security-Policy"); policy != "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox" || !strings.Contains(inner.Body.String(), "<script>") {
		t.Errorf("a message in HTML: %s %s", policy, inner.Body)
	}
	if w := get("/letters/mail_1/link", "127.0.0.1:8082"); w.Code != 303 || w.Header().Get("Location") != issuer+"/recover/new?code=AAAA" {
		t.Errorf("the link: %d %v", w.Code, w.Header())
	}
	for _, path := range []string{"/letters/mail_2/link", "/letters/mail_3/link", "/letters/mail_4", "/letters/..%2fmail_1", "/letters/mail_4/html"} {
		if w := get(path, "127.0.0.1:8082"); w.Code != 404 || w.Header().Get("Location") != "" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	if strings.Contains(get("/letters/mail_2", "127.0.0.1:8082").Body.String(), `id="open"`) {
		t.Error("a link elsewhere is offered")
	}
}
