package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestMux(t *testing.T) {
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	for _, pattern := range []string{"GET /keys", "POST /keys", "PATCH /keys/{id}", "DELETE /keys/{id}", "PUT /last", "POST /alone", "/any"} {
		mux.HandleFunc(pattern, ok)
	}
	h := (&Problems{}).Mux(mux)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/keys", 204, ""},
		{"HEAD", "/keys", 204, ""},
		{"POST", "/keys", 204, ""},
		{"DELETE", "/keys", 405, "GET, HEAD, POST"},
		{"OPTIONS", "/keys", 405, "GET, HEAD, POST"},
		{"PROPFIND", "/keys/1", 405, "PATCH, DELETE"},
		{"GET", "/keys/1", 405, "PATCH, DELETE"},
		{"GET", "/last", 405, "PUT"},
		{"GET", "/alone", 405, "POST"},
		{"PROPFIND", "/any", 204, ""},
		{"GET", "/", 404, ""},
		{"GET", "/other", 404, ""},
		{"POST", "/keys/1/2", 404, ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.status || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q, want %d %q", c.method, c.path, w.Code, w.Header().Get("Allow"), c.status, c.allow)
		}
		if c.status != 204 && w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %v", c.method, c.path, w.Header())
		}
	}
}
