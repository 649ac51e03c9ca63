package documents_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/examples/documents"
)

func call(t *testing.T, h http.Handler, method, path, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	out, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(out)
}

func TestAPI(t *testing.T) {
	file := filepath.Join(t.TempDir(), "docs.json")
	now := func() time.Time { return time.Unix(1_700_000_000, 0) }
	store, err := documents.NewStore(file, now)
	if err != nil {
		t.Fatal(err)
	}
	h := documents.NewHandler(store)
	if _, body := call(t, h, "GET", "/public", ""); body != `{"message":"Hello, world!"}`+"\n" {
		t.Errorf("public: %s", body)
	}
	if _, body := call(t, h, "GET", "/private", ""); body != `{"message":"This is the private page"}`+"\n" {
		t.Errorf("private: %s", body)
	}
	code, body := call(t, h, "POST", "/documents", `{"title":"Plan","owner":"usr_a","team":"red","visibility":"team"}`)
	if code != 201 {
		t.Fatalf("create: %d %s", code, body)
	}
	path := "/documents/" + regexp.MustCompile(`doc_[a-z0-9]+`).FindString(body)
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"PUT", path, `{"title":"Plan B","visibility":"public"}`, 200},
		{"PUT", path, `{"title":"Plan B","owner":"usr_b"}`, 422},
		{"PUT", path, `{"title":"Plan B","id":"doc_x"}`, 400},
		{"PUT", "/documents/doc_none", `{"title":"x"}`, 404},
		{"POST", "/documents", `{"title":"x"}`, 422},
		{"POST", "/documents", `{"title":"x","owner":"usr_a","visibility":"team"}`, 422},
		{"POST", "/documents", `{"title":"x","owner":"usr_a","owner":"usr_b"}`, 400},
		{"POST", "/documents", `{"title":"x","owner":"usr_a","Owner":"usr_b"}`, 400},
		{"POST", "/documents", `{"title":"x","owner":"usr_a"} {}`, 400},
		{"POST", "/documents", `{"title":"x","owner":"usr_a","body":"` + strings.Repeat("x", documents.MaxBody+1) + `"}`, 422},
		{"POST", "/documents", strings.Repeat(" ", 7*documents.MaxBody), 413},
		{"POST", "/documents", "", 415},
		{"GET", "/documents?limit=0", "", 400},
		{"GET", "/elsewhere", "", 404},
		{"PATCH", path, "{}", 405},
	} {
		if code, body := call(t, h, c.method, c.path, c.body); code != c.want {
			t.Errorf("%s %s %.60s: %d, want %d: %s", c.method, c.path, c.body, code, c.want, body)
		}
	}

	again, err := documents.NewStore(file, now)
	if err != nil {
		t.Fatal(err)
	}
	h = documents.NewHandler(again)
	if _, body := call(t, h, "GET", path, ""); !strings.Contains(body, `"Plan B"`) || !strings.Contains(body, `"owner":"usr_a"`) {
		t.Errorf("after reading the file again: %s", body)
	}
	if code, _ := call(t, h, "DELETE", path, ""); code != 204 {
		t.Errorf("delete: %d", code)
	}
	if code, _ := call(t, h, "GET", path, ""); code != 404 {
		t.Errorf("deleted, then get: %d", code)
	}
	if _, body := call(t, h, "GET", "/documents", ""); body != `{"documents":[]}`+"\n" {
		t.Errorf("list: %s", body)
	}
}
