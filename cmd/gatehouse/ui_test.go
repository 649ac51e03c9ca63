package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGallery: the pages are shown on this machine and to nobody else, until the command is told to stop.
func TestGallery(t *testing.T) {
	var said bytes.Buffer
	if code := run(t.Context(), []string{"gatehouse", "ui", "gallery", "--listen", "0.0.0.0:0"}, nil, io.Discard, &said, nil); code != exitUsage {
		t.Errorf("for all to see: %d %s", code, said.String())
	}
	dir := filepath.Join(t.TempDir(), "look")
	if code := run(t.Context(), []string{"gatehouse", "ui", "export", dir}, nil, io.Discard, &said, nil); code != 0 {
		t.Fatalf("export: %d %s", code, said.String())
	}
	signin := filepath.Join(dir, "texts", "en.json")
	if err := os.WriteFile(signin, []byte("{\n\"signin.titel\": \"x\"}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code := run(t.Context(), []string{"gatehouse", "ui", "gallery", "--overrides", dir, "--listen", "127.0.0.1:0"}, nil, io.Discard, &said, nil); code != exitUsage || !strings.Contains(said.String(), "en.json:2: there is no text") {
		t.Errorf("a text of nobody: %d %s", code, said.String())
	}
	if err := os.WriteFile(signin, []byte(`{"signin.title": "Step into the garden"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"gatehouse", "ui", "gallery", "--json", "--overrides", dir, "--listen", "127.0.0.1:0"}, nil, w, io.Discard, nil)
		_ = w.Close()
	}()
	var at struct {
		URL string `json:"url"`
	}
	if err := json.NewDecoder(r).Decode(&at); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	res, err := http.Get(at.URL + "/signin/wrong")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || !strings.Contains(string(body), `id="password-error"`) || !strings.Contains(string(body), "Step into the garden") {
		t.Errorf("%d %s, %v", res.StatusCode, body, err)
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("it ends with %d", code)
	}
}
